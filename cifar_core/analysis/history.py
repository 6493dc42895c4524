"""A run's history as tables: one row per epoch or point, with every way of counting how far it had come.

Columns shared by both tables: `phase` (from 1), `phase_name`, `epoch` (over all phases), `phase_epoch`, `seconds`
(since the start of the first phase), `images` (training images seen; NaN where not yet known).
"""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from cifar_core.experiment.measured import PhaseHistory

NAN = float("nan")


class Start(NamedTuple):
    """Where a phase begins; the fields are the columns that the tables share."""

    phase: int
    phase_name: str
    epoch: int
    phase_epoch: int
    seconds: float
    images: int


class EpochRow(NamedTuple):
    """One row of `epochs`. Accuracies are shares, seconds of the epoch include validation; NaN is not measured."""

    phase: int
    phase_name: str
    epoch: int
    phase_epoch: int
    seconds: float
    images: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    learning_rate: float
    epoch_seconds: float
    images_per_second: float


class PointRow(NamedTuple):
    """One row of `points`."""

    phase: int
    phase_name: str
    epoch: float
    phase_epoch: float
    seconds: float
    images: float
    loss: float
    accuracy: float


def starts(histories: Sequence[PhaseHistory]) -> list[Start]:
    """Return where each phase begins, in order; its phase_epoch is 0."""
    rows, epoch, seconds, images = [], 0, 0.0, 0
    for history in histories:
        start = history.before.at if history.before else seconds
        rows.append(Start(history.index + 1, history.name, epoch, 0, start, images))
        epoch += history.epochs[-1].epoch if history.epochs else 0
        seconds = history.epochs[-1].at if history.epochs else start
        images += sum(done.images for done in history.epochs)
    return rows


def epoch_rows(histories: Sequence[PhaseHistory]) -> list[EpochRow]:
    """Return a row per epoch, and one per phase for the validation before any step.

    That row has phase_epoch 0 and validation values only; the first phase's is epoch 0 of the run.
    """
    rows = []
    for history, start in zip(histories, starts(histories), strict=True):
        if before := history.before:
            rows.append(EpochRow(*start, NAN, NAN, before.val_loss, before.val_accuracy, NAN, NAN, NAN))
        images = start.images
        for done in history.epochs:
            images += done.images
            rows.append(
                EpochRow(
                    start.phase,
                    start.phase_name,
                    start.epoch + done.epoch,
                    done.epoch,
                    done.at,
                    images,
                    done.loss,
                    done.accuracy,
                    done.val_loss,
                    done.val_accuracy,
                    done.learning_rate,
                    done.seconds,
                    done.images_per_second,
                )
            )
    return rows


def point_rows(histories: Sequence[PhaseHistory]) -> list[PointRow]:
    """Return a row per point between epochs, `epoch` and `phase_epoch` with fractions."""
    rows = []
    for history, start in zip(histories, starts(histories), strict=True):
        # Every epoch of a phase takes the same images, but how many is known only once one has finished.
        images = history.epochs[0].images if history.epochs else NAN
        for point in history.points:
            rows.append(
                PointRow(
                    start.phase,
                    start.phase_name,
                    start.epoch + point.epoch,
                    point.epoch,
                    point.at,
                    start.images + point.epoch * images,
                    point.loss,
                    point.accuracy,
                )
            )
    return rows


def epochs(histories: Sequence[PhaseHistory]) -> pd.DataFrame:
    """Return `epoch_rows` as a table, columns as in `EpochRow`."""
    return pd.DataFrame(epoch_rows(histories), columns=EpochRow._fields)


def points(histories: Sequence[PhaseHistory]) -> pd.DataFrame:
    """Return `point_rows` as a table, columns as in `PointRow`."""
    return pd.DataFrame(point_rows(histories), columns=PointRow._fields)


def training_seconds(history: PhaseHistory) -> float:
    """Return the seconds of a phase's epochs, validation included, and of the stored features that it trained on."""
    return history.features_seconds + sum(done.seconds for done in history.epochs)


def images_seen(histories: Sequence[PhaseHistory]) -> int:
    """Return the training images of all finished epochs, each counted as often as it was seen."""
    return sum(done.images for history in histories for done in history.epochs)
