"""How the learning rate goes over the epochs of a phase, as data."""

import math
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator

from cifar_core.experiment.record import Real, Record, Whole


class Constant(Record):
    """The phase's learning rate from the first step to the last."""

    kind: Literal["constant"] = "constant"
    changes_by: ClassVar[Literal["epoch", "step", "measurement"]] = "epoch"

    def share(self, epoch: float, epochs: int) -> float:
        """Return the factor on the phase's learning rate after `epoch` of `epochs` epochs: 1."""
        return 1.0

    def shortened(self, epochs: int) -> Self:
        """Return the schedule for a phase of fewer epochs."""
        return self


class Milestone(Record):
    """From the end of this many epochs on, the phase's learning rate is multiplied by `factor`."""

    after_epochs: Whole = Field(ge=1, le=10_000)
    factor: Real = Field(gt=0, le=100)


class Steps(Record):
    """A learning rate that changes at given epochs. Factors are of the phase's rate, not of the one before."""

    kind: Literal["steps"] = "steps"
    changes_by: ClassVar[Literal["epoch", "step", "measurement"]] = "epoch"
    milestones: tuple[Milestone, ...] = Field(min_length=1, max_length=50)

    @field_validator("milestones")
    @classmethod
    def _in_order(cls, milestones: tuple[Milestone, ...]) -> tuple[Milestone, ...]:
        epochs = [milestone.after_epochs for milestone in milestones]
        if epochs != sorted(set(epochs)):
            raise ValueError(f"expected each milestone after the one before, received epochs {epochs}.")
        return milestones

    def share(self, epoch: float, epochs: int) -> float:
        """Return the factor on the phase's learning rate after `epoch` of `epochs` epochs."""
        factors = [milestone.factor for milestone in self.milestones if milestone.after_epochs <= epoch]
        return factors[-1] if factors else 1.0

    def shortened(self, epochs: int) -> "Steps | Constant":
        """Return the schedule for a phase of fewer epochs: without the milestones it never reaches."""
        left = tuple(milestone for milestone in self.milestones if milestone.after_epochs < epochs)
        return Steps(milestones=left) if left else Constant()


class Exponential(Record):
    """A learning rate multiplied by `factor` after every epoch."""

    kind: Literal["exponential"] = "exponential"
    changes_by: ClassVar[Literal["epoch", "step", "measurement"]] = "epoch"
    factor: Real = Field(0.95, gt=0, lt=1)

    def share(self, epoch: float, epochs: int) -> float:
        """Return the factor on the phase's learning rate after `epoch` of `epochs` epochs."""
        return float(self.factor ** math.floor(epoch))

    def shortened(self, epochs: int) -> Self:
        """Return the schedule for a phase of fewer epochs."""
        return self


class Cosine(Record):
    """A linear rise over `warm_up` epochs, then half a cosine down to `final` times the phase's learning rate.

    Loshchilov & Hutter 2017 (SGDR), one cycle; it changes with every step.
    """

    kind: Literal["cosine"] = "cosine"
    changes_by: ClassVar[Literal["epoch", "step", "measurement"]] = "step"
    warm_up: Whole = Field(0, ge=0, le=10_000)
    final: Real = Field(0.0, ge=0, le=1)

    def share(self, epoch: float, epochs: int) -> float:
        """Return the factor on the phase's learning rate after `epoch` of `epochs` epochs."""
        if epoch < self.warm_up:
            return epoch / self.warm_up
        done = (epoch - self.warm_up) / (epochs - self.warm_up)
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * min(1.0, done))) / 2

    def shortened(self, epochs: int) -> "Cosine":
        """Return the schedule for a phase of fewer epochs: warmed up before its last."""
        return self.model_copy(update={"warm_up": min(self.warm_up, epochs - 1)})


class Plateau(Record):
    """A learning rate multiplied by `factor` when validation loss has not fallen for `patience` epochs."""

    kind: Literal["plateau"] = "plateau"
    changes_by: ClassVar[Literal["epoch", "step", "measurement"]] = "measurement"
    factor: Real = Field(0.1, gt=0, lt=1)
    patience: Whole = Field(3, ge=1, le=1000)

    def share(self, epoch: float, epochs: int) -> float:
        """Return 1: what follows depends on what is measured."""
        return 1.0

    def shortened(self, epochs: int) -> "Plateau":
        """Return the schedule for a phase of fewer epochs."""
        return self.model_copy(update={"patience": max(1, min(self.patience, epochs - 1))})


Schedule = Annotated[Constant | Steps | Exponential | Cosine | Plateau, Field(discriminator="kind")]


def refuse_longer_than(schedule: Schedule, epochs: int) -> None:
    """Check that a phase of so many epochs gets as far as the schedule goes.

    Raises:
        ValueError: naming the field and the epochs.
    """
    match schedule:
        case Steps(milestones=milestones) if milestones[-1].after_epochs >= epochs:
            raise ValueError(
                f"schedule.milestones: the last change comes after {milestones[-1].after_epochs} epochs, but the "
                f"phase has {epochs}; use earlier milestones or more epochs."
            )
        case Cosine(warm_up=warm_up) if warm_up >= epochs:
            raise ValueError(
                f"schedule.warm_up: the warm-up takes {warm_up} epochs, but the phase has {epochs}; "
                "use a shorter warm-up or more epochs."
            )
        case Plateau(patience=patience) if patience >= epochs > 1:
            raise ValueError(
                f"schedule.patience: waiting {patience} epochs leaves none to train on in a phase of {epochs}; "
                "use less patience or more epochs."
            )
