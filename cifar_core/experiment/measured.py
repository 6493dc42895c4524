"""What a run measured, as plain data: what the store keeps and the analysis reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cifar_core.experiment.experiment import Experiment

MODEL = "model.keras"
"""The file, among a run's artifacts, of the network as its last phase left it."""

CHECKPOINT = "checkpoint.npz"
"""The file, among a run's artifacts, of its last finished epoch."""

LOG = "log.txt"
"""The file, among a run's artifacts, of what its process printed."""

HALF_SIZE = "half_size_features"
"""In a run's environment: whether any of its phases trained on stored features kept in half the size."""


class State(StrEnum):
    """Where a run stands: what has been confirmed, never what was asked for."""

    QUEUED = "queued"
    PREPARING = "preparing"
    TRAINING = "training"
    EVALUATING = "evaluating"
    STOPPING = "stopping"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will happen to the run by itself."""
        return self in (State.DONE, State.STOPPED, State.FAILED, State.INTERRUPTED)

    @property
    def can_go_on(self) -> bool:
        """Whether the run ended before its end, so that it can be continued."""
        return self in (State.STOPPED, State.FAILED, State.INTERRUPTED)

    @property
    def is_active(self) -> bool:
        """Whether a worker has the run."""
        return self is not State.QUEUED and not self.is_finished


@dataclass(frozen=True)
class Epoch:
    """One finished epoch of a phase, counted from 1.

    `loss` and `accuracy` are running means over the epoch's training batches (dropout on), as Keras reports them;
    `val_*` follow the epoch. `seconds` covers training and validation; `at` is seconds from the start of the first
    phase to the end of this epoch; `images` counts the training images of the epoch.
    """

    epoch: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    learning_rate: float
    seconds: float
    images_per_second: float
    images: int
    at: float


@dataclass(frozen=True)
class Point:
    """Training loss and accuracy over the batches since the point before: at most 2 a second.

    `epoch` is how far the phase has come, in epochs (2.5: in the middle of the third); `at` as in `Epoch`.
    """

    epoch: float
    loss: float
    accuracy: float
    at: float


@dataclass(frozen=True)
class Before:
    """Validation before any step of a phase."""

    val_loss: float
    val_accuracy: float
    at: float


@dataclass(frozen=True, eq=False)
class Moment:
    """What the network made of a few images at the end of an epoch of a phase (from 0), or before its steps: epoch 0.

    `images` (n,) are places in the split, `labels` (n,) the right outputs, `probabilities` (n, outputs).
    """

    phase: int
    epoch: int
    images: NDArray[np.int64]
    labels: NDArray[np.integer[Any]]
    probabilities: NDArray[np.floating[Any]]


@dataclass(frozen=True)
class LayerChange:
    """How far a phase moved a layer: the norm of the change of its weights, and of its BatchNorm statistics apart.

    `norm` is the norm of the weights before; `statistics` is None for a layer that keeps none.
    """

    layer: str
    frozen: bool
    change: float
    norm: float
    statistics: float | None = None


@dataclass(frozen=True)
class PhaseHistory:
    """All that one phase measured so far.

    `kept_epoch` (from 1) is the epoch whose weights a phase with early stopping ended with. It is None until then,
    when the phase was stopped, and without early stopping: the weights are those of the last step. `features` says in
    a sentence whether the phase was trained on stored features, and why; having them took `features_seconds`. Of those
    the computing is no part where another run had stored them, or some of them: `features_of_others`.
    `reused_from` is the run that trained the phase, where it was not trained again.
    """

    index: int
    name: str
    before: Before | None = None
    epochs: tuple[Epoch, ...] = ()
    points: tuple[Point, ...] = ()
    changes: tuple[LayerChange, ...] = ()
    kept_epoch: int | None = None
    reused_from: str | None = None
    features: str = ""
    features_seconds: float = 0.0
    features_of_others: bool = False

    @property
    def on_stored_features(self) -> bool:
        """Whether it was trained on stored features."""
        return self.features_seconds > 0

    @property
    def result(self) -> Epoch | None:
        """The epoch whose end is the phase's result so far: the one whose weights were kept, or the last."""
        if self.kept_epoch is not None:
            return next(epoch for epoch in self.epochs if epoch.epoch == self.kept_epoch)
        return self.epochs[-1] if self.epochs else None

    def is_complete(self, planned: int) -> bool:
        """Whether all of the planned epochs were measured, or early stopping decided that these are enough."""
        return self.kept_epoch is not None or len(self.epochs) >= planned


@dataclass(frozen=True)
class Progress:
    """How far a run has come, or had when it ended: phase and epoch from 1, `fraction` of all epochs from 0 to 1.

    `eta_seconds` is None until enough has been measured.
    """

    phase: int
    epoch: int
    fraction: float
    eta_seconds: float | None


@dataclass(frozen=True)
class Run:
    """One execution of an experiment with one seed. Times are UTC; `queued` is when it was created or continued.

    `step` says in words what an active run is doing; `reason` why it ended as it did, with the log's end where it
    failed. `metrics` maps "validation" and "test" to the metrics of the final model; `seconds` is the timing
    ledger; `environment` names hardware, versions and the images' provenance and fingerprint; `size` is what its
    artifacts take, in bytes; `resumed` says how often it was continued after it had ended before its end; `person`
    is who submitted it, "" for nobody in particular; `tags` are words of people's own to find it by;
    `version` grows whenever anything about the run, its measurements included, has changed.
    """

    id: str
    name: str
    experiment: Experiment
    seed: int
    state: State
    created: datetime
    queued: datetime | None = None
    note: str = ""
    step: str = ""
    reason: str = ""
    started: datetime | None = None
    finished: datetime | None = None
    stop_requested: bool = False
    archived: bool = False
    progress: Progress | None = None
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    size: int = 0
    resumed: int = 0
    person: str = ""
    tags: tuple[str, ...] = ()
    version: int = 0


@dataclass(frozen=True)
class Comparison:
    """Runs beside each other under a name: which (by id, some may be deleted by now), and how they were looked at.

    `view` maps what a page calls its choices to what was chosen.
    """

    id: str
    name: str
    note: str
    created: datetime
    runs: tuple[str, ...]
    baseline: str
    view: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StepCosts:
    """What a run's last phase costs where nothing is stored, in seconds, measured on a few steps.

    A `step` is with the phase's frozen layers, the optimizer's `update` included; what ends in `of_all` is with every
    layer trained. `evaluation` is of one of its `validation_images`. `hardware` names where it was measured.
    """

    step: float
    step_of_all: float
    update: float
    update_of_all: float
    evaluation: float
    validation_images: int
    measured_steps: int
    hardware: str


Measured = tuple[Run, tuple[PhaseHistory, ...]]
"""A run with what its phases measured."""
