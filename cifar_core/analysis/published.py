"""What was published beside what was measured here: one row for each published phase."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd

from cifar_core.analysis import wording
from cifar_core.analysis.history import training_seconds
from cifar_core.analysis.metrics import per_class
from cifar_core.analysis.predictions import Predictions
from cifar_core.experiment.measured import Epoch, Measured, PhaseHistory, Run, State
from cifar_core.experiment.recipes import RECIPES, Published, Recipe, reaches, with_random_weights

Z_95 = 1.959964
"""Half the width of a 95 % interval, in standard errors (normal distribution)."""


class Badge(StrEnum):
    """What the runs of this store say about what was published."""

    REPRODUCED = "reproduced"
    DIFFERS = "differs"
    NOT_RUN = "not run yet"
    NEEDS_WEIGHTS = "needs ImageNet weights"
    NO_ACCURACY = "no accuracy published"


@dataclass(frozen=True)
class Claim:
    """What was published of one phase, and the runs of this store that did the same.

    `phase` (from 0) is the phase of the recipe that it is about. `lacks_weights`: what it starts from is not on this
    computer.
    """

    recipe: Recipe
    phase: int
    published: Published
    runs: tuple[tuple[Run, PhaseHistory], ...]
    lacks_weights: bool = False

    @property
    def title(self) -> str:
        """The recipe in words; of one with several phases its letter and the phase: "A, fine-tune 1"."""
        phases = self.recipe.experiment.phases
        return (
            f"{self.recipe.title.partition(',')[0]}, {phases[self.phase].name}"
            if len(phases) > 1
            else self.recipe.title
        )

    @property
    def on_test(self) -> bool:
        """Whether its accuracy is that of the final model on test images that nothing was validated on."""
        return self.published.test_accuracy is not None

    @property
    def accuracy(self) -> float | None:
        """The published accuracy: of the last epoch's validation, or on the test images (`on_test`)."""
        return self.published.test_accuracy if self.on_test else self.published.val_accuracy

    @property
    def accuracies(self) -> tuple[float, ...]:
        """The same accuracy by run."""
        if self.on_test:
            return self._scores("accuracy")
        return tuple(history.epochs[-1].val_accuracy for _, history in self.runs)

    @property
    def difference(self) -> float | None:
        """Mean of the runs' accuracies less the published one, as a share; None where one is missing."""
        if not self.runs or self.accuracy is None:
            return None
        return float(np.mean(self.accuracies)) - self.accuracy

    @property
    def seconds(self) -> tuple[float, ...]:
        """Seconds of the phase, validation included, by run."""
        return tuple(training_seconds(history) for _, history in self.runs)

    @property
    def hardware(self) -> tuple[str, ...]:
        """What the runs were computed on, each once."""
        return tuple(dict.fromkeys(str(run.environment.get("hardware", "")) for run, _ in self.runs))

    @property
    def images(self) -> int:
        """How many images the published accuracy was measured on."""
        experiment = self.recipe.experiment
        classes = len(experiment.classes_of(experiment.phases[self.phase]))
        if self.on_test or experiment.validation.on == "test":
            return classes * experiment.dataset.test_per_class
        return round(classes * experiment.dataset.train_per_class * experiment.validation.share)

    @property
    def badge(self) -> Badge:
        """Reproduced: the published value lies within our range over seeds, widened by its own 95 % interval."""
        if not self.runs:
            return Badge.NEEDS_WEIGHTS if self.lacks_weights else Badge.NOT_RUN
        if self.accuracy is None:
            return Badge.NO_ACCURACY
        margin = Z_95 * float(np.sqrt(self.accuracy * (1 - self.accuracy) / self.images))
        within = min(self.accuracies) - margin <= self.accuracy <= max(self.accuracies) + margin
        return Badge.REPRODUCED if within else Badge.DIFFERS

    @property
    def time_here(self) -> str:
        """Mean of the seconds, in words."""
        return wording.duration(float(np.mean(self.seconds))) if self.runs else wording.MISSING

    @property
    def parameters(self) -> str:
        """How many parameters train, of how many."""
        network = self.recipe.experiment.networks[self.phase]
        return f"{network.trainable:,} of {network.total:,}"

    @property
    def costs(self) -> str:
        """What the phase takes, as published and here, in sentences."""
        said = [f"Published time: {self.published.time}."] if self.published.time else []
        if self.runs:
            said.append(f"Time here: {self.time_here} ({'; '.join(self.hardware) or wording.MISSING}).")
        return " ".join([*said, f"{self.parameters} parameters train."])

    def details(self, predictions: Callable[[str], Predictions | None] = lambda run: None) -> pd.DataFrame:
        """Return everything that was published in numbers beside ours: columns quantity, published, here.

        Precision, recall and F1 are of predictions, which only the final model of a run makes. `predictions` returns
        those of a run, by its id, on the test images: the F1 of each class is computed from them.
        """
        kind = "thresholded" if self.published.scores else "macro"
        at = "at a probability of 0.5" if self.published.scores else "macro average"
        rows = (
            ("test accuracy", "test_accuracy", self._scores("accuracy")),
            ("validation accuracy, last epoch", "val_accuracy", self._epochs("val_accuracy")),
            ("validation accuracy, best epoch", "best_val_accuracy", self._best()),
            ("validation accuracy, first epoch", "first_val_accuracy", self._epochs("val_accuracy", 0)),
            ("validation loss", "val_loss", self._epochs("val_loss")),
            ("training accuracy", "accuracy", self._epochs("accuracy")),
            ("training loss", "loss", self._epochs("loss")),
            ("training loss, first epoch", "first_loss", self._epochs("loss", 0)),
            (f"precision, {at}", "precision", self._scores(f"{kind}_precision")),
            (f"recall, {at}", "recall", self._scores(f"{kind}_recall")),
            ("F1, macro average", "f1", self._scores("macro_f1")),
        )
        shown = []
        for title, name, ours in rows:
            given = [getattr(one, name) for one in (self.published, self.published.also) if one is not None]
            texts = [_as_published(value, title) for value in given if value is not None]
            if texts:
                shown.append((title, " or ".join(dict.fromkeys(texts)), _as_measured(ours, title)))
        if by_class := self.published.f1_by_class:
            found = [predictions(run.id) for run in self._ended]
            scores = [per_class(each).set_index("class")["f1"].to_dict() for each in found if each is not None]
            for name, value in by_class.items():
                ours = tuple(float(each[name]) for each in scores if name in each)
                shown.append((f"F1, {name}", _as_published(value, "F1"), _as_measured(ours, "F1")))
        return pd.DataFrame(shown, columns=["quantity", "published", "here"])

    def _epochs(self, name: str, place: int = -1) -> tuple[float, ...]:
        return tuple(float(getattr(history.epochs[place], name)) for _, history in self.runs)

    def _best(self) -> tuple[float, ...]:
        return tuple(max(map(_val_accuracy, history.epochs)) for _, history in self.runs)

    def _scores(self, name: str) -> tuple[float, ...]:
        """A metric of the final model on the test images, by run that ended with this phase."""
        return tuple(float(run.metrics["test"][name]) for run in self._ended if name in run.metrics.get("test", {}))

    @property
    def _ended(self) -> list[Run]:
        return [run for run, history in self.runs if history.index == len(run.experiment.phases) - 1]


def following(runs: Sequence[Run]) -> list[Run]:
    """Return the runs that may count for a claim: of thousands, only their histories need to be read."""
    firsts = [(recipe, min(recipe.published)) for recipe in (*RECIPES.values(), *_from_random_weights())]
    once = {id(run.experiment): run for run in runs}  # seeds of one experiment share it
    follow = {key: any(_does(run, recipe, phase) for recipe, phase in firsts) for key, run in once.items()}
    return [run for run in runs if follow[id(run.experiment)]]


def claims(runs: Sequence[Measured], lacking: Collection[str] = ()) -> list[Claim]:
    """Return everything published once, with the runs that came so far under the same conditions.

    A run of a longer recipe counts for each phase it passes: its first phases are the shorter recipe. `lacking` are
    the ids of the recipes whose ImageNet weights are not on this computer.
    """
    found: list[Claim] = []
    for recipe in RECIPES.values():
        for phase, published in recipe.published.items():
            if not any(reaches(recipe.experiment, claim.recipe, phase) for claim in found if claim.phase == phase):
                found.append(_claim(recipe, phase, published, runs, recipe.id in lacking))
    return found


def from_random_weights(runs: Sequence[Measured]) -> list[Claim]:
    """Return what ran as a recipe says but for the ImageNet weights, which it went without: comparable with nothing."""
    found = [
        _claim(recipe, phase, published, runs)
        for recipe in _from_random_weights()
        for phase, published in recipe.published.items()
    ]
    return [claim for claim in found if claim.runs]


def _from_random_weights() -> list[Recipe]:
    """The recipes that start from ImageNet's weights, without them."""
    return [
        replace(recipe, experiment=with_random_weights(recipe.experiment))
        for recipe in RECIPES.values()
        if recipe.experiment.initial_weights.source == "imagenet"
    ]


def _claim(
    recipe: Recipe, phase: int, published: Published, runs: Sequence[Measured], lacks_weights: bool = False
) -> Claim:
    planned, on_test = recipe.experiment.phases[phase].epochs, published.test_accuracy is not None
    same = tuple(
        (run, measured)
        for run, histories in runs
        if _does(run, recipe, phase) and (not on_test or (run.state is State.DONE and "test" in run.metrics))
        for measured in histories
        if measured.index == phase and len(measured.epochs) == planned
    )
    return Claim(recipe, phase, published, same, lacks_weights)


def runs_of(recipe: Recipe, runs: Sequence[Run]) -> list[Run]:
    """Return the runs that do all that a recipe does, however far they came."""
    last = len(recipe.experiment.phases) - 1
    return [run for run in runs if _does(run, recipe, last)]


def _does(run: Run, recipe: Recipe, phase: int) -> bool:
    """Whether a run does what a recipe does up to a phase; the backbone says no to most, at once."""
    return run.experiment.backbone == recipe.experiment.backbone and reaches(run.experiment, recipe, phase)


def worth_running(recipes: Sequence[Recipe]) -> list[Recipe]:
    """Return the recipes that no longer one of them begins with: a run of the longer counts for both."""
    return [recipe for recipe in recipes if not any(_begins_with(other, recipe) for other in recipes)]


def _begins_with(longer: Recipe, shorter: Recipe) -> bool:
    phases = len(shorter.experiment.phases)
    return len(longer.experiment.phases) > phases and reaches(longer.experiment, shorter, phases - 1)


def table(found: Sequence[Claim]) -> pd.DataFrame:
    """Return the claims as a reader sees them: text with units, a row each."""
    rows = [
        {
            "recipe": claim.title,
            "verdict": str(claim.badge),
            "published": wording.percent(claim.accuracy),
            "measured here": _mean(claim.accuracies),
            "difference": wording.points(claim.difference),
            "published time": claim.published.time or wording.MISSING,
            "time here": claim.time_here,
            "trainable parameters": claim.parameters,
            "hardware here": "; ".join(claim.hardware) or wording.MISSING,
        }
        for claim in found
    ]
    return pd.DataFrame(rows)


def reached(run: Run, found: Sequence[Claim]) -> str:
    """Return in words the accuracies that a run adds to claims, or how it ended where it adds none."""
    added = [
        wording.percent(accuracy)
        for claim in found
        for (one, _), accuracy in zip(claim.runs, claim.accuracies, strict=True)
        if one.id == run.id
    ]
    return ", then ".join(added) or wording.status(run)


def document(claim: Claim) -> dict[str, Any]:
    """Return a claim as plain data: shares of 1, seconds, ids of the runs; scripts rely on these keys."""
    network = claim.recipe.experiment.networks[claim.phase]
    return {
        "recipe": claim.recipe.id,
        "phase": claim.phase,
        "title": claim.title,
        "verdict": str(claim.badge),
        "published": asdict(claim.published),
        "accuracy": claim.accuracy,
        "accuracies": claim.accuracies,
        "difference": claim.difference,
        "seconds": claim.seconds,
        "features_of_others": [history.features_of_others for _, history in claim.runs],
        "runs": [run.id for run, _ in claim.runs],
        "hardware": claim.hardware,
        "params": {"total": network.total, "trainable": network.trainable},
    }


def _val_accuracy(epoch: Epoch) -> float:
    return epoch.val_accuracy


def _as_published(value: float, quantity: str) -> str:
    return wording.number(value, 4) if "loss" in quantity else wording.percent(value, 2)


def _as_measured(values: Sequence[float], quantity: str) -> str:
    return _mean(values, factor=1, decimals=4, unit="") if "loss" in quantity else _mean(values, decimals=2)


def _mean(values: Sequence[float], *, factor: int = 100, decimals: int = 1, unit: str = " %") -> str:
    """Mean, spread and number of the values, in percent unless told otherwise."""
    if not values:
        return wording.MISSING
    mean = wording.number(factor * float(np.mean(values)), decimals)
    spread = f" ± {factor * float(np.std(values, ddof=1)):.{decimals}f}" if len(values) > 1 else ""
    return f"{mean}{spread}{unit} (n = {len(values)})"
