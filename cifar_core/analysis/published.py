"""What was published beside what was measured here: one row for each published figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd

from cifar_core.analysis import wording
from cifar_core.analysis.history import Measured, training_seconds
from cifar_core.experiment.measured import PhaseHistory, Run
from cifar_core.experiment.recipes import RECIPES, Published, Recipe, reaches

Z_95 = 1.959964
"""Half the width of a 95 % interval, in standard errors (normal distribution)."""


class Badge(StrEnum):
    """What the runs of this store say about a published accuracy."""

    REPRODUCED = "reproduced"
    DIFFERS = "differs"
    NOT_RUN = "not run yet"


@dataclass(frozen=True)
class Claim:
    """One published accuracy (of the last epoch's validation), and the runs of this store that measured the same.

    `phase` (from 0) is the phase of the recipe that it is about.
    """

    recipe: Recipe
    phase: int
    published: Published
    runs: tuple[tuple[Run, PhaseHistory], ...]

    @property
    def title(self) -> str:
        """The recipe and the phase in words."""
        return f"{self.recipe.title}: {self.recipe.experiment.phases[self.phase].name}"

    @property
    def accuracies(self) -> tuple[float, ...]:
        """Validation accuracy after the last epoch, by run."""
        return tuple(history.epochs[-1].val_accuracy for _, history in self.runs)

    @property
    def seconds(self) -> tuple[float, ...]:
        """Seconds of the phase, validation included, by run."""
        return tuple(training_seconds(history) for _, history in self.runs)

    @property
    def images(self) -> int:
        """How many images the published accuracy was measured on."""
        experiment = self.recipe.experiment
        classes = len(experiment.classes_of(experiment.phases[self.phase]))
        if experiment.validation.on == "test":
            return classes * experiment.dataset.test_per_class
        return round(classes * experiment.dataset.train_per_class * experiment.validation.share)

    @property
    def badge(self) -> Badge:
        """Reproduced: the published value lies within our range over seeds, widened by its own 95 % interval."""
        if not self.runs or self.published.val_accuracy is None:
            return Badge.NOT_RUN
        share = self.published.val_accuracy
        margin = Z_95 * float(np.sqrt(share * (1 - share) / self.images))
        within = min(self.accuracies) - margin <= share <= max(self.accuracies) + margin
        return Badge.REPRODUCED if within else Badge.DIFFERS


def claims(runs: Sequence[Measured]) -> list[Claim]:
    """Return every published accuracy once, with the runs that came so far under the same conditions.

    A run of a longer recipe counts for each figure it passes: its first phases are the shorter recipe.
    """
    found: list[Claim] = []
    for recipe in RECIPES.values():
        for phase, published in recipe.published.items():
            shown = any(reaches(recipe.experiment, claim.recipe, phase) for claim in found if claim.phase == phase)
            if published.val_accuracy is None or shown:
                continue
            complete = tuple(
                (run, histories[phase])
                for run, histories in runs
                if reaches(run.experiment, recipe, phase)
                and len(histories) > phase
                and len(histories[phase].epochs) == recipe.experiment.phases[phase].epochs
            )
            found.append(Claim(recipe, phase, published, complete))
    return found


def table(found: Sequence[Claim]) -> pd.DataFrame:
    """Return the claims as a reader sees them: text with units, a row each."""
    rows = []
    for claim in found:
        network = claim.recipe.experiment.networks[claim.phase]
        accuracies, published = claim.accuracies, claim.published
        assert published.val_accuracy is not None
        rows.append(
            {
                "recipe": claim.title,
                "published": wording.percent(published.val_accuracy),
                "measured here": _mean(accuracies),
                "difference": wording.points(float(np.mean(accuracies)) - published.val_accuracy)
                if accuracies
                else wording.MISSING,
                "verdict": str(claim.badge),
                "published time": published.time or wording.MISSING,
                "time here": wording.duration(float(np.mean(claim.seconds))) if accuracies else wording.MISSING,
                "trainable parameters": f"{network.trainable:,} of {network.total:,}",
                "hardware here": "; ".join(
                    dict.fromkeys(str(run.environment.get("hardware", "")) for run, _ in claim.runs)
                )
                or wording.MISSING,
            }
        )
    return pd.DataFrame(rows)


def _mean(accuracies: Sequence[float]) -> str:
    if not accuracies:
        return wording.MISSING
    spread = f" ± {100 * float(np.std(accuracies, ddof=1)):.1f}" if len(accuracies) > 1 else ""
    return f"{wording.percent(float(np.mean(accuracies)))}{spread} (n = {len(accuracies)})"
