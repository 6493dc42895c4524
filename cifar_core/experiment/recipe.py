"""What a recipe is: an experiment with a name, what was published about it, and what had to be decided."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cifar_core.experiment.experiment import Data, Experiment

CIFAR10 = Data(name="cifar10")


@dataclass(frozen=True)
class Published:
    """What a publication reports of one phase. Accuracies and scores are shares of 1; `time` is as printed.

    `precision`, `recall` and `f1` are averaged over classes, of the class with the highest probability, unless
    `scores` says otherwise; `f1_by_class` is by the class's name. `best_val_accuracy` is the best of all epochs,
    `val_accuracy` that of the last; `first_loss` and `first_val_accuracy` are of the first. `also` holds what another
    place of the same publication gives for the same.
    """

    val_accuracy: float | None = None
    val_loss: float | None = None
    accuracy: float | None = None
    loss: float | None = None
    first_val_accuracy: float | None = None
    best_val_accuracy: float | None = None
    test_accuracy: float | None = None
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None
    scores: str = ""
    time: str = ""
    first_loss: float | None = None
    f1_by_class: Mapping[str, float] = field(default_factory=dict)
    also: "Published | None" = None


@dataclass(frozen=True)
class Recipe:
    """An experiment with a name; `published` maps the index of a phase to what was reported of it.

    `contradictions` are places where a publication contradicts itself or its code's own printout; `decisions` are
    what it leaves open and how it was fixed here, before anything was measured.
    """

    id: str
    title: str
    summary: str
    source: str
    experiment: Experiment
    published: Mapping[int, Published] = field(default_factory=dict)
    contradictions: tuple[str, ...] = ()
    decisions: tuple[str, ...] = ()
