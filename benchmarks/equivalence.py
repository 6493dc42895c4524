"""Whether training on stored features is the same training, for every backbone of the table. Prints JSON.

    python -m benchmarks.equivalence [--backbones NAME …] [--depths 1] [--half]

Each backbone is trained three epochs of ten steps on the built-in sample, at its smallest input and from random
weights, with stored features and without, its blocks but the last frozen; with `--depths 2` also but the last two, and
so on. `step_difference` is the largest relative difference of the losses of the first 20 steps, `epoch_difference` that
of the losses of the three epochs, `accuracy_difference` that of their accuracies (absolute). The bounds that the
product promises are 1e-5, 1e-3 and 0.002; `broken` names what is outside of them. With `--half` features are kept in
half the size: what that costs is said by the same differences, and nothing is promised.
"""

import argparse
import json
import tempfile
from pathlib import Path

from benchmarks.stored_features import differences
from cifar_core.data.catalogue import open_images
from cifar_core.data.feature_store import FeatureStore
from cifar_core.experiment.backbones import BACKBONES
from cifar_core.experiment.experiment import ClassSplit, Data, Experiment, Freeze, Head, Phase
from cifar_core.home import home
from cifar_core.training import features
from cifar_core.training.networks import build

BOUNDS = {"step_difference": 1e-5, "epoch_difference": 1e-3, "accuracy_difference": 0.002}
SEED = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", nargs="+", choices=BACKBONES, default=list(BACKBONES))
    parser.add_argument("--depths", type=int, default=1, help="how many of the last blocks train, up to so many")
    parser.add_argument("--half", action="store_true", help="keep features in half the size")
    parser.add_argument("--json", action="store_true", help="accepted for likeness: the output always is JSON")
    chosen = parser.parse_args()
    setattr(features, "SECONDS_TO_SET_UP", -1e9)  # noqa: B010 - so few images would not be worth it
    found = {}
    for name in chosen.backbones:
        blocks = len(_experiment(name).networks[0].blocks)
        for trained in range(1, 1 + min(chosen.depths, blocks - 1)):
            found[f"{name}, {trained} of {blocks} blocks trained"] = _differences(
                name, blocks - trained, half=chosen.half
            )
    promised = {} if chosen.half else BOUNDS
    broken = [each for each, all_of_it in found.items() if any(all_of_it[name] > promised[name] for name in promised)]
    print(json.dumps({"differences": found, "bounds": promised, "broken": broken}, indent=2))


def _experiment(backbone: str, frozen: int = 0) -> Experiment:
    return Experiment(
        data=Data(name="sample", per_class=50),
        split=ClassSplit(source=(0, 1), target=(2, 3)),
        backbone=backbone,
        phases=(
            Phase(
                name="the first blocks frozen",
                train_on="target",
                freeze=Freeze(rule="first_blocks", count=frozen) if frozen else Freeze(),
                head=Head(),
                epochs=3,
                batch_size=8,
                learning_rate=1e-4,
            ),
        ),
    )


def _differences(backbone: str, frozen: int, *, half: bool) -> dict[str, float]:
    experiment = _experiment(backbone, frozen)
    images = open_images(experiment.data, home=home())
    with tempfile.TemporaryDirectory() as folder:
        store = FeatureStore(Path(folder) / "features", 10**10, half=half)
        return differences(experiment, 0, images, build(experiment, 0, SEED), Path(folder), store)


if __name__ == "__main__":
    main()
