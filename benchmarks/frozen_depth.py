"""How much less fine-tuning costs than Keras's own `fit`, by epochs and by frozen depth. Prints JSON, draws a figure.

    python -m benchmarks.frozen_depth [--networks three-conv resnet18-32] [--per-class N] [--into docs]

Each network trains on system E's five target classes, in batches of 32, with Adam, from random weights (what weights
are does not change the arithmetic). `depths` has it with every number of first blocks frozen, from none, which is
ordinary training, to all but the output, for ten epochs; `epochs` with all but the output frozen, for 1, 3, 10 and 30.

Ratios are bare / ours, of CPU seconds and of wall seconds, the two sides in turns in this process, each as in
`benchmarks.stored_features`: extraction and our validation before the first step are counted, building and the first
step, which compiles, are not. Each of ours starts with an empty feature store, and is measured by itself. Bare `fit`
runs once for 30 epochs, and its shorter runs are the beginning of that. Ten to fifteen minutes on two cores.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.frozen_depth_figure import drawn
from benchmarks.stored_features import SEED, Bare, Cost, faster, our_way, tell
from cifar_core.data.arrays import Images
from cifar_core.data.catalogue import open_images
from cifar_core.data.feature_store import FeatureStore
from cifar_core.experiment.experiment import Data, Experiment, Freeze, Phase
from cifar_core.experiment.recipes import RECIPES
from cifar_core.experiment.settings import changed
from cifar_core.home import home
from cifar_core.training.hardware import hardware, versions
from cifar_core.training.networks import build

PER_CLASS = {"three-conv": 2000, "resnet18-32": 40}
"""Images of each class, so that every network takes a few minutes."""
EPOCHS, COUNTS = 10, (1, 3, 10, 30)
BATCH = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=PER_CLASS, default=list(PER_CLASS))
    parser.add_argument("--per-class", type=int, help=f"default: {PER_CLASS}")
    parser.add_argument("--data", choices=["sample", "cifar10"], default="cifar10")
    parser.add_argument("--into", type=Path, help="a folder to keep the JSON and its figure in: the README's")
    parser.add_argument("--json", action="store_true", help="accepted for likeness: the output always is JSON")
    chosen = parser.parse_args()
    began = time.perf_counter()
    found = [_measured(name, chosen.data, chosen.per_class or PER_CLASS[name]) for name in chosen.networks]
    document = {
        "networks": found,
        "minutes": round((time.perf_counter() - began) / 60, 1),
        "load_average": os.getloadavg(),
        "machine": hardware(),
        "versions": versions(),
    }
    text = json.dumps(document, indent=2)
    print(text)
    if chosen.into:
        (chosen.into / "frozen-depth.json").write_text(text + "\n", encoding="utf-8")
        (chosen.into / "frozen-depth.svg").write_text(drawn(document), encoding="utf-8")


def _measured(name: str, data: str, per_class: int) -> dict[str, Any]:
    """Measure a network at every depth, and at the last for every number of epochs."""
    ordinary = _experiment(name, data, per_class)
    images = open_images(ordinary.data, home=home())
    blocks = [block.name for block in ordinary.networks[0].blocks]
    *shallower, deepest = range(len(blocks))
    depths = []
    for frozen in shallower:
        ((_, row),) = _compared(_experiment(name, data, per_class, frozen), images, [EPOCHS]).items()
        depths.append({"frozen": frozen, **row})
        tell(f"{name}, {frozen} blocks frozen", row)
    epochs = _compared(_experiment(name, data, per_class, deepest), images, COUNTS)
    tell(f"{name}, all but the output frozen", epochs)
    return {
        "network": name,
        "title": ordinary.backbone_row.title,
        "blocks": blocks,
        "per_class": per_class,
        "epochs_by_depth": EPOCHS,
        "depths": [*depths, {"frozen": deepest, **epochs[EPOCHS]}],
        "epochs": [{"epochs": count, **row} for count, row in epochs.items()],
    }


def _experiment(name: str, data: str, per_class: int, frozen: int = 0) -> Experiment:
    phase = Phase(
        name="fine-tuning",
        train_on="target",
        freeze=Freeze(rule="first_blocks", count=frozen) if frozen else Freeze(),
        epochs=EPOCHS,
        batch_size=BATCH,
        optimizer="adam",
    )
    settings = {"data": Data(name=data, per_class=per_class), "backbone": name, "phases": (phase,)}
    return changed(RECIPES["e"].experiment, **settings)


def _compared(experiment: Experiment, images: Images, counts: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Return, for each number of epochs, what both sides took and their ratios."""
    model = build(experiment, 0, SEED)
    bare = Bare(experiment, 0, model, images)
    # 32 steps of a short epoch would be most of it, and its first step is not counted.
    together = faster(bare.trials()) if bare.sizes["train"] > 4 * 32 * BATCH else 1
    whole, _, later = bare.fit(max(counts), together)
    found = {}
    for count in counts:
        planned = changed(experiment, phases=(experiment.phases[0].with_epochs(count),))
        with tempfile.TemporaryDirectory() as folder:
            store = FeatureStore(Path(folder) / "features", 10**11)
            ours, notes = our_way(planned, 0, images, model, Path(folder), store)
        took = _without(whole, later[count - 1 :])
        found[count] = {
            "ratio_cpu": round(took[0] / ours.cost()[0], 3),
            "ratio_wall": round(took[1] / ours.cost()[1], 3),
            "bare_cpu_wall": [round(seconds, 3) for seconds in took],
            "bare_steps_per_execution": together,
            "ours_cpu_wall": [round(seconds, 3) for seconds in ours.cost()],
            "ours_says": notes.why,
        }
    return found


def _without(whole: Cost, epochs: Sequence[Cost]) -> Cost:
    return whole[0] - sum(cpu for cpu, _ in epochs), whole[1] - sum(wall for _, wall in epochs)


if __name__ == "__main__":
    main()
