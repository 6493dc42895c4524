"""What the tests of training train: a tiny network, a dozen images of each class, and somebody who takes notes."""

from collections.abc import Callable, Collection, Iterable
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cifar_core.data.arrays import Images
from cifar_core.experiment.backbones import BACKBONES
from cifar_core.experiment.datasets import DATASETS
from cifar_core.experiment.experiment import ClassSplit, Data, Experiment, Freeze, Head, Phase, Validation
from cifar_core.experiment.layers import Conv, Dense, Dropout, Flatten, MaxPool
from cifar_core.experiment.measured import Before, Epoch, LayerChange, Moment, Point, Progress
from cifar_core.experiment.recipes import RECIPES
from cifar_core.training.ledger import Ledger
from cifar_core.training.trainer import Trained, train

TINY = (Conv(filters=4, kernel=5), MaxPool(size=7), Flatten(), Dropout(rate=0.5), Dense(units=8))
WITHOUT_DROPOUT = tuple(layer for layer in TINY if layer.kind != "dropout")
UNPUBLISHED = BACKBONES.keys() - {recipe.experiment.backbone for recipe in RECIPES.values()}
"""The backbones that none of the published systems has."""


def thorough_about(names: Iterable[str], further: Collection[str]) -> list[Any]:
    """Return parameters of a test, of which `further` ones only the thorough tests have (see README)."""
    return [pytest.param(name, marks=pytest.mark.thorough) if name in further else name for name in names]


def phase(name: str = "base", train_on: str = "source", layers: tuple[Any, ...] = TINY, **fields: Any) -> Phase:
    """A phase that trains a tiny network of its own, or goes on with the one before when `layers` is empty."""
    head = Head(from_layer="conv_1", layers=layers, outputs=fields.pop("outputs", "classes")) if layers else None
    usual = {"epochs": 2, "batch_size": 16, "learning_rate": 0.01}
    return Phase.parse({"name": name, "train_on": train_on, "head": head, **usual, **fields})


def tuning(name: str = "tuned", **fields: Any) -> Phase:
    """A phase that goes on with the network before: its convolution is frozen."""
    return phase(name, "target", (), **{"freeze": Freeze(rule="first_blocks", count=1), **fields})


def experiment(*phases: Phase, **fields: Any) -> Experiment:
    return Experiment.parse(
        {
            "phases": phases or (phase(), tuning()),
            "split": ClassSplit(source=(0, 1, 2), target=(5, 3, 9)),
            "validation": Validation(share=0.25),
            **fields,
        }
    )


def small(**fields: Any) -> Experiment:
    """The least that can be trained: two classes a side, two images of each."""
    return experiment(phase(**fields), split=ClassSplit(source=(1, 0), target=(2, 3)), data=Data(per_class=2))


@cache
def images() -> Images:
    """Twelve training and four test images of each class: noise around a colour of the class."""
    train, test = _side(12, seed=1), _side(4, seed=2)
    return Images(DATASETS["sample"], *train, *test, fingerprint="0", provenance="made by a test", official=True)


def _side(per_class: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.repeat(np.arange(10), per_class))
    colours = np.random.default_rng(0).integers(60, 196, (10, 1, 1, 3))
    noise = generator.integers(-60, 60, (len(labels), 32, 32, 3))
    return (colours[labels] + noise).astype(np.uint8), labels.astype(np.int64)


class Notes:
    """A reporter that writes everything down, and asks to stop when `stop` says so of its own notes."""

    def __init__(self, stop: Callable[["Notes"], bool] = lambda notes: False):
        self._stop = stop
        self.asked = 0
        self.events: list[tuple[str, int]] = []
        self.befores: dict[int, Before] = {}
        self.epochs: dict[int, list[Epoch]] = {}
        self.curves: dict[int, list[Point]] = {}
        self.moved: dict[int, dict[str, LayerChange]] = {}
        self.kepts: dict[int, int] = {}
        self.whys: dict[int, str] = {}
        self.of_others: dict[int, bool] = {}
        self.answers: dict[tuple[int, int], tuple[NDArray[Any], ...]] = {}
        self.progresses: list[Progress] = []

    def preparing(self, step: str) -> None:
        self.events.append((step, -1))

    def phase(self, index: int, name: str) -> None:
        self.events.append((name, index))

    def features(self, phase: int, sentence: str, seconds: float, *, of_others: bool) -> None:
        self.whys[phase] = sentence
        self.of_others[phase] = of_others

    def before(self, phase: int, before: Before) -> None:
        self.events.append(("before", phase))
        self.befores[phase] = before

    def points(self, phase: int, points: list[Point]) -> None:
        self.events.append(("points", phase))
        self.curves.setdefault(phase, []).extend(points)

    def epoch(self, phase: int, epoch: Epoch) -> None:
        self.events.append(("epoch", phase))
        self.epochs.setdefault(phase, []).append(epoch)

    def followed(self, moment: Moment) -> None:
        self.answers[moment.phase, moment.epoch] = moment.images, moment.labels, moment.probabilities

    def changes(self, phase: int, changes: list[LayerChange]) -> None:
        self.events.append(("changes", phase))
        self.moved[phase] = {change.layer: change for change in changes}

    def kept(self, phase: int, epoch: int) -> None:
        self.kepts[phase] = epoch

    def phase_ended(self, index: int) -> None:
        self.events.append(("ended", index))

    def progress(self, progress: Progress) -> None:
        self.progresses.append(progress)

    def should_stop(self) -> bool:
        self.asked += 1
        return self._stop(self)

    def history(self, phase: int) -> list[float]:
        """All that was measured in a phase, times left out."""
        before = self.befores[phase]
        rows = [(row.loss, row.accuracy, row.val_loss, row.val_accuracy) for row in self.epochs[phase]]
        return [before.val_loss, before.val_accuracy, *(value for row in rows for value in row)]


def run(trained: Experiment, seed: int = 0, notes: Notes | None = None) -> tuple[Trained, Notes]:
    """Train on the made images and return the result with the notes."""
    notes = notes or Notes()
    return train(trained, images(), seed, notes, Ledger()), notes


@cache
def done(seed: int = 0) -> tuple[Trained, Notes]:
    """The usual two phases, trained once for all tests that only look at them."""
    return run(experiment(), seed)
