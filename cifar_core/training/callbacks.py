"""What watches a phase train: the Keras callback that measures, reports, resets the random streams and stops."""

import math
import time
from collections.abc import Mapping
from typing import Protocol

import keras

from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.measured import Before, Epoch, LayerChange, Moment, Point, Progress
from cifar_core.training.feeding import Shuffled
from cifar_core.training.ledger import Ledger
from cifar_core.training.networks import reset_random_layers

SECONDS_BETWEEN_POINTS = 0.5


class Reporter(Protocol):
    """Where measurements go while they are made."""

    def preparing(self, step: str) -> None:
        """What is being waited for before training, in words."""

    def phase(self, index: int, name: str) -> None:
        """A phase begins."""

    def features(self, phase: int, sentence: str, seconds: float, *, of_others: bool) -> None:
        """Whether a phase trains on stored features, and why; the seconds it took to have them.

        `of_others`: others had stored them, or some of them.
        """

    def before(self, phase: int, before: Before) -> None:
        """Validation before any step of a phase."""

    def points(self, phase: int, points: list[Point]) -> None:
        """Training loss and accuracy since the points before."""

    def epoch(self, phase: int, epoch: Epoch) -> None:
        """An epoch has ended."""

    def followed(self, moment: Moment) -> None:
        """What the network makes of a few validation images, after an epoch or before the first."""

    def changes(self, phase: int, changes: list[LayerChange]) -> None:
        """How far a finished phase moved each layer."""

    def kept(self, phase: int, epoch: int) -> None:
        """A phase with early stopping has ended with the weights of this epoch, counted from 1."""

    def phase_ended(self, index: int) -> None:
        """A phase that others follow has ended, and its end is kept."""

    def progress(self, progress: Progress) -> None:
        """How far the run has come."""

    def should_stop(self) -> bool:
        """Whether to end at this batch. Asked after every batch, so it must be cheap."""


class StopRequested(Exception):  # noqa: N818 - not an error
    """The run is to end here, with everything measured so far."""


class TrainingDivergedError(RuntimeError):
    """The loss is no longer a number."""


class Stoppable(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Ends an evaluation or a prediction with `StopRequested` when a stop is asked for."""

    def __init__(self, reporter: Reporter):
        super().__init__()
        self._reporter = reporter

    def on_test_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Listen."""
        self._listen()

    def on_predict_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Listen."""
        self._listen()

    def _listen(self) -> None:
        if self._reporter.should_stop():
            raise StopRequested


class Measure(Stoppable):
    """Measures one phase while Keras fits the whole of `network`, or what is behind its frozen layers.

    `clock` is `time.perf_counter()` when the first phase began. What Keras calls a batch are as many as are executed
    `together`, and what is said of it is true of the last of them.
    """

    def __init__(
        self,
        reporter: Reporter,
        ledger: Ledger,
        experiment: Experiment,
        phase: int,
        seed: int,
        batches: Shuffled,
        together: int,
        network: keras.Model,
        clock: float,
    ):
        super().__init__(reporter)
        self._ledger, self._batches, self._network = ledger, batches, network
        self._settings, self._phase, self._seed, self._clock = experiment.phases[phase], phase, seed, clock
        self._epochs_before = sum(each.epochs for each in experiment.phases[:phase])
        self._epochs_in_all = sum(each.epochs for each in experiment.phases)
        self._images_at_once = together * self._settings.batch_size
        self._fit_began = self._epoch_began = self._training_ended = self._reported = -math.inf
        self._epoch = self._seen = self._epochs_before_fit = 0
        self._sums_at_point = (0, 0.0, 0.0)

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Count the first step, with its compilation, apart."""
        self._fit_began = time.perf_counter()
        self._ledger.switch("first_step")

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Put every random stream to its start for this epoch."""
        if not self._epoch:
            self._epochs_before_fit = epoch
        self._epoch, self._seen, self._sums_at_point = epoch + 1, 0, (0, 0.0, 0.0)
        self._batches.shuffle(self._seed, self._phase, self._epoch)
        reset_random_layers(self._network, self._seed, self._phase, self._epoch)
        self._epoch_began = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Report a point now and then; notice a loss that is no number, and a request to stop."""
        assert logs is not None
        if not self._seen:
            self._ledger.switch("steps")
        self._seen = min((batch + 1) * self._images_at_once, self._batches.images)
        self._refuse_divergence(logs["loss"])
        self._listen()
        now = time.perf_counter()
        if now - self._reported >= SECONDS_BETWEEN_POINTS:
            self._reported = now
            self._reporter.points(self._phase, [self._point(logs, now)])
            self._report_progress(now)

    def on_test_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Training of this epoch has ended."""
        self._training_ended = time.perf_counter()
        self._ledger.switch("validation")

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Report the epoch."""
        assert logs is not None
        now = time.perf_counter()
        self._ledger.switch("steps")
        self._reporter.epoch(
            self._phase,
            Epoch(
                epoch=self._epoch,
                loss=logs["loss"],
                accuracy=logs["accuracy"],
                val_loss=logs["val_loss"],
                val_accuracy=logs["val_accuracy"],
                learning_rate=float(self.model.optimizer.learning_rate),
                seconds=now - self._epoch_began,
                images_per_second=self._batches.images / (self._training_ended - self._epoch_began),
                images=self._batches.images,
                at=now - self._clock,
            ),
        )
        self._report_progress(now)
        self._refuse_divergence(logs["val_loss"])

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        """A phase that ended early has nothing more to come."""
        if self._epoch < self._settings.epochs:
            self._report_progress(time.perf_counter(), ended=True)

    def _refuse_divergence(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise TrainingDivergedError(
                f"The loss is no longer a finite number (epoch {self._epoch} of {self._settings.name}, after "
                f"{self._seen} images). The learning rate {self._settings.learning_rate:g} is probably too high: "
                "try a tenth of it."
            )

    def _point(self, logs: Mapping[str, float], now: float) -> Point:
        """Keras gives running means since the epoch began; their sums give the mean since the point before."""
        sums = (self._seen, logs["loss"] * self._seen, logs["accuracy"] * self._seen)
        images, loss, accuracy = (new - old for new, old in zip(sums, self._sums_at_point, strict=True))
        self._sums_at_point = sums
        epoch = self._epoch - 1 + self._seen / self._batches.images
        return Point(epoch, loss / images, min(1.0, max(0.0, accuracy / images)), now - self._clock)

    def _report_progress(self, now: float, *, ended: bool = False) -> None:
        done = self._epoch - 1 + self._seen / self._batches.images
        done_in_all = self._epochs_before + (self._settings.epochs if ended else done)
        measured_enough = now - self._fit_began > 2 * SECONDS_BETWEEN_POINTS
        for_all = (now - self._fit_began) * (self._epochs_in_all - done_in_all)
        eta = for_all / (done - self._epochs_before_fit) if measured_enough else None
        self._reporter.progress(Progress(self._phase + 1, self._epoch, done_in_all / self._epochs_in_all, eta))
