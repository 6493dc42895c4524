"""Whether every freeze pattern trains what it says and nothing else, for every backbone of the table. Prints JSON.

    python -m benchmarks.freeze_grid [--backbones NAME …] [--layers]

Each backbone is trained two steps on the built-in sample, at its smallest input and from random weights, once for each
pattern: nothing frozen, its first blocks frozen for every count that leaves something to train, and each block alone
trained; with `--layers` also the first layers frozen and the last layers trained, for twelve counts each. A pattern
holds where no frozen layer moved, neither its weights nor its statistics, and each layer that has something to train
moved. `broken` names the patterns that do not hold, with what moved and what stayed. From random weights gradients can
be so small that rounding swallows a step (1e-15 in MobileNet, behind which normalization is frozen): such layers are
among what stayed.
"""

import argparse
import json
import time
from collections.abc import Iterator
from typing import Any

from tqdm import tqdm

from benchmarks.stored_features import Notes
from cifar_core.data.catalogue import open_images
from cifar_core.experiment.backbones import BACKBONES
from cifar_core.experiment.experiment import ClassSplit, Data, Experiment
from cifar_core.experiment.measured import LayerChange
from cifar_core.home import home
from cifar_core.training.ledger import Ledger
from cifar_core.training.proof import FrozenLayerMovedError
from cifar_core.training.trainer import train


class Moved(Notes):
    """A reporter that keeps how far each layer moved."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[LayerChange] = []

    def changes(self, phase: int, changes: list[LayerChange]) -> None:
        self.rows = changes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", nargs="+", choices=BACKBONES, default=list(BACKBONES))
    parser.add_argument("--layers", action="store_true", help="patterns that count layers, too")
    parser.add_argument("--json", action="store_true", help="accepted for likeness: the output always is JSON")
    chosen = parser.parse_args()
    began, broken = time.perf_counter(), {}
    grid = [(name, freeze) for name in chosen.backbones for freeze in patterns(name, by_layers=chosen.layers)]
    for name, freeze in tqdm(grid, unit="pattern", disable=None):
        if problem := _problem(experiment(name, freeze)):
            broken[f"{name}: {json.dumps(freeze)}"] = problem
    document = {
        "patterns": {name: sum(each == name for each, _ in grid) for name in chosen.backbones},
        "minutes": round((time.perf_counter() - began) / 60, 1),
        "broken": broken,
    }
    print(json.dumps(document, indent=2))


def patterns(backbone: str, *, by_layers: bool) -> Iterator[dict[str, Any]]:
    """Return the freeze patterns of a backbone that leave something to train."""
    network = experiment(backbone, {}).networks[0]
    for count, block in enumerate(network.blocks):
        yield {"rule": "first_blocks", "count": count} if count else {"rule": "nothing"}
        yield {"rule": "all_but_block", "block": block.name}
    if by_layers:
        for count in range(1, len(network.layers), 1 + len(network.layers) // 12):
            yield {"rule": "first_layers", "count": count}
            yield {"rule": "all_but_last_layers", "count": count}


def experiment(backbone: str, freeze: dict[str, Any]) -> Experiment:
    """Return two steps with a freeze pattern, of a rate that moves every weight."""
    return Experiment.parse(
        {
            "data": Data(name="sample", per_class=9),
            "split": ClassSplit(source=(0, 1), target=(2, 3)),
            "backbone": backbone,
            "phases": [
                {
                    "name": "two steps",
                    "train_on": "source",
                    "freeze": freeze,
                    "epochs": 1,
                    "batch_size": 8,
                    "learning_rate": 1e-3,
                }
            ],
        }
    )


def _problem(meant: Experiment) -> dict[str, Any] | None:
    moved = Moved()
    try:
        train(meant, open_images(meant.data, home=home()), 0, moved, Ledger())
    except FrozenLayerMovedError as error:
        return {"moved": str(error)}
    trained = {layer.name for layer in meant.networks[0].layers if layer.trained}
    stayed = [row.layer for row in moved.rows if row.layer in trained and not row.change]
    return {"stayed": stayed} if stayed or not moved.rows else None


if __name__ == "__main__":
    main()
