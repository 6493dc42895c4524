"""One run in this process."""

import contextlib
import hashlib
import json
import math
import os
import shutil
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

from cifar_core import events, limits
from cifar_core.analysis import moments
from cifar_core.analysis.metrics import measure
from cifar_core.analysis.predictions import Predictions
from cifar_core.data.arrays import Images
from cifar_core.data.catalogue import open_images
from cifar_core.data.feature_store import allowed_size, feature_store
from cifar_core.data.files import replacing
from cifar_core.experiment.beginning import beginning
from cifar_core.experiment.measured import (
    CHECKPOINT,
    HALF_SIZE,
    MODEL,
    Before,
    Epoch,
    LayerChange,
    Moment,
    PhaseHistory,
    Point,
    Progress,
    State,
)
from cifar_core.experiment.wording import output_names
from cifar_core.runs.errors import ArtifactsUnusable, ClaimLost, StoreError, StoreUnusable, UnknownRun
from cifar_core.runs.patience import Patience
from cifar_core.runs.store import Store
from cifar_core.training.callbacks import StopRequested
from cifar_core.training.checkpoint import Position, end_of_phase, save, standing
from cifar_core.training.feeding import Examples
from cifar_core.training.hardware import hardware, versions
from cifar_core.training.kept import NoNetworkError, keep_network, kept_network
from cifar_core.training.ledger import Ledger
from cifar_core.training.trainer import Trained, probabilities, train
from cifar_core.worker.errors import EXPLAINED, in_words, log
from cifar_core.worker.keeping import Keeper
from cifar_core.worker.weights import file_hash, initial_weights_file

SECONDS_BETWEEN_LOOKS = 0.3
SECONDS_TO_SAVE = 5.0
SECONDS_TO_WIND_UP = 20.0
"""From going over a limit until the run has to have ended by itself."""
SECONDS_BEFORE_FORCE = 1.5
"""To write the end of a run that is ended by force."""
SECONDS_TO_KEEP = {State.INTERRUPTED: 2.0, State.STOPPED: 10.0}
"""For a run's last files to be kept in the object store, where somebody waits for the run's end, as for these."""
MOST_SECONDS_TO_KEEP = 600.0
"""The same where nobody does: for a large network on a slow line."""
REUSE = "TRANSFER_LAB_REUSE"
"""Set to "off" in the environment to train every phase anew."""
TEST, VALIDATION = "test.npz", "validation.npz"

_P = ParamSpec("_P")


class Job:
    """One run in this process. It is the trainer's reporter: measurements go straight into the store."""

    def __init__(self, home: Path, run: str, owner: str, claimed_at: float):
        self.home, self.id, self.owner = home, run, owner
        self._began = time.monotonic()
        self._end: State | None = None
        self._over = ""
        self._ended, self._told = threading.Event(), threading.Event()
        self._keys: list[str] = []
        self._environment: dict[str, Any] = {}
        threading.Thread(target=self._watch_supervisor, daemon=True).start()
        self._patiently = Patience()
        self.store = self._patiently(Store, home)
        self.run = self._patiently(self.store.run, run)
        self.folder = self.store.files.folder(run)
        waited = 0.0 if self.run.queued is None else max(0.0, claimed_at - self.run.queued.timestamp())
        self.ledger = Ledger(self.run.seconds)
        self.ledger.add("queue", waited)
        self.ledger.add("start", max(0.0, time.time() - claimed_at))
        self._keeper = Keeper(self.store, run, owner)
        threading.Thread(target=self._watch_stop_flag, daemon=True).start()

    def do(self) -> None:
        """Do the run, and tell the store how it ended."""
        try:
            state, reason, metrics = self._work()
        except ClaimLost:
            log("The claim on this run is lost: somebody else decides about it now.")
            return
        except StoreUnusable as error:
            # No fault of the run's: it may go on by itself.
            state, metrics = State.INTERRUPTED, None
            what = "fetched" if isinstance(error, ArtifactsUnusable) else "written any more"
            reason = f"Nothing could be {what}. {error} Everything measured until then is kept."
        except EXPLAINED as error:
            state, reason, metrics = State.FAILED, str(error), None
        except Exception as error:
            log(traceback.format_exc())
            state, reason, metrics = State.FAILED, in_words(error), None
        self._finish(state, reason, metrics)

    def _finish(
        self,
        state: State,
        reason: str,
        metrics: dict[str, dict[str, float]] | None,
        *,
        patience: float = math.inf,
    ) -> None:
        """Write the end as soon as the store takes it: a full disk must not turn a finished run into a failed one."""
        seconds = self.ledger.close()
        self._ended.set()
        events.note(self.folder, "ended", state=state, reason=reason, seconds=seconds, metrics=metrics)
        left = self._keeper.end(lambda: min(patience, SECONDS_TO_KEEP.get(self._end or state, MOST_SECONDS_TO_KEEP)))
        reason = " ".join(filter(None, (reason, left)))
        ending: dict[str, Any] = {"reason": reason, "metrics": metrics, "seconds": seconds}
        try:
            Patience(patience)(self.store.finish, self.id, self.owner, state, **ending)
        except StoreError as error:
            log(str(error))
        self._told.set()

    def _write(self, write: Callable[Concatenate[str, str, _P], None], /, *args: _P.args, **kwargs: _P.kwargs) -> None:
        """Write as the owner of the run, as soon as the store takes it."""
        self._patiently(write, self.id, self.owner, *args, **kwargs)

    def _work(self) -> tuple[State, str, dict[str, dict[str, float]] | None]:
        allowed = limits.limits()
        if allowed != limits.Limits():
            threading.Thread(target=self._watch_limits, args=(allowed,), daemon=True).start()
        self._patiently(self.store.files.bring, self.id)
        this = {"computer": socket.gethostname(), "process": os.getpid()}
        events.note(self.folder, "started", seed=self.run.seed, resumed=self.run.resumed, **this)
        if self.store.files.are_shared:
            with contextlib.suppress(StoreError):
                self.store.files.clear_copies()
            self._keeper.start()
        try:
            self.ledger.switch("data")
            self._say(State.PREPARING, "opening the images")
            images = self._open_images()
            environment = {
                "hardware": hardware(),
                "versions": versions(),
                "provenance": images.provenance,
                "official": images.official,
                "fingerprint": images.fingerprint,
            }
            weights = self._patiently(initial_weights_file, self.run, self.store)
            self._keys = self._beginnings(environment, weights)
            self._begin_or_go_on()
            if reused := [phase.reused_from for phase in self._history() if phase.reused_from]:
                environment["reused"] = {"run": reused[-1], "phases": len(reused)}
            self._environment = environment
            self._note_half_size(any(phase.on_stored_features for phase in self._history()))
            trained = train(
                self.run.experiment,
                images,
                self.run.seed,
                self,
                self.ledger,
                weights=weights,
                features=feature_store(self.home, self.run.experiment.features, by=self.id),
                folder=self.folder,
                seconds_before=self._seconds_before(),
            )
            self.ledger.switch("saving")
            keep_network(trained.model, self.folder / MODEL)
            if not trained.stopped:
                self.phase_ended(len(self.run.experiment.phases) - 1)
                metrics = self._evaluate(trained)
                (self.folder / CHECKPOINT).unlink(missing_ok=True)  # nothing is left to go on with
                if self.store.files.are_shared:
                    self._write(self.store.set_state, State.EVALUATING, "keeping the files")
                return State.DONE, "", metrics
        except StopRequested:
            log("Ended between two steps; what was measured until then is in the store.")
        if self._over:
            return State.FAILED, self._over, None
        if self._end is State.INTERRUPTED:
            return State.INTERRUPTED, "The process that supervised this run ended before the run did.", None
        return State.STOPPED, "Stopped on request.", None

    def _open_images(self) -> Images:
        def progress(done: int, total: int) -> None:
            self._say(State.PREPARING, f"preparing the images, {done:,} of {total:,}")

        return open_images(self.run.experiment.data, home=self.home, progress=progress)

    def _beginnings(self, environment: dict[str, Any], weights: Path | None) -> list[str]:
        """For every phase, a key of all that decides the network's state at its end.

        Weights count by what is in their file, not by where it lies; features by the size they are kept in here.
        """
        experiment = self.run.experiment
        experiment = experiment.model_copy(update={"features": allowed_size(experiment.features)})
        decides = {
            "seed": self.run.seed,
            **{name: environment[name] for name in ("fingerprint", "hardware", "versions")},
            "weights": None if weights is None else file_hash(weights),
        }
        weights_but_place = {"initial_weights": experiment.initial_weights.model_dump(exclude={"path"})}
        begun = [decides | beginning(experiment, phase) | weights_but_place for phase in range(len(experiment.phases))]
        return [hashlib.sha256(json.dumps(all_of_it, sort_keys=True).encode()).hexdigest() for all_of_it in begun]

    def _begin_or_go_on(self) -> None:
        """Bring the store and the folder to where training begins, whatever moment an earlier process was killed at."""
        if self._history():
            position = standing(self.folder)
            self._write(self.store.rewind, position.phase, position.epoch)
            moments.cut(self.folder / moments.FILE, position.phase, position.epoch)
        else:
            self._clear()
            self._reuse()

    def _note_half_size(self, trains_on_features: bool) -> None:
        """Write the environment, with whether any phase trained on features in half the size."""
        is_half = trains_on_features and allowed_size(self.run.experiment.features) == "half"
        if is_half or HALF_SIZE not in self._environment:
            self._environment[HALF_SIZE] = is_half
            self._write(self.store.set_environment, self._environment)

    def _history(self) -> tuple[PhaseHistory, ...]:
        return self._patiently(self.store.epochs, [self.id])[self.id]

    def _clear(self) -> None:
        """Remove the files of phases: where the store knows of none, they mean nothing."""
        ends = map(end_of_phase, range(len(self.run.experiment.phases)))
        for file in (CHECKPOINT, moments.FILE, *ends):
            (self.folder / file).unlink(missing_ok=True)

    def _reuse(self) -> None:
        """Begin where another run ended a phase, if one began alike; the last phase is always trained.

        What is copied counts from the moment on that the store knows of it.
        """
        if os.environ.get(REUSE) == "off":
            return
        for phase in reversed(range(len(self._keys) - 1)):
            found = self._patiently(self.store.checkpoint, self._keys[phase])
            if found is None:
                continue
            source, their_phase = found
            try:
                if their_phase == phase and self._take_over(source, phase):
                    self._write(self.store.reuse, source, phase)
                    return
            except (FileNotFoundError, UnknownRun, ArtifactsUnusable):  # it was deleted just now, or is out of reach
                self._clear()

    def _take_over(self, source: str, last: int) -> bool:
        """Copy the ends of phases, and what the network made of images, out of another run's files.

        False where the ends are not all there. That of a run's own last phase is its model.
        """
        ends = [self.store.files.path(source, end_of_phase(phase)) for phase in range(last + 1)]
        kept = [end for end in ends if end.exists()]
        if kept == ends[:-1]:
            try:
                layers = kept_network(self.store.files.path(source, MODEL)).layers
            except NoNetworkError:
                return False
            save(self.folder / ends[-1].name, Position(last, self.run.experiment.phases[last].epochs), layers)
        elif kept != ends:
            return False
        for end in kept:
            _copy(end, self.folder / end.name)
        if (answers := self.store.files.path(source, moments.FILE)).exists():
            _copy(answers, self.folder / moments.FILE)
            moments.cut(self.folder / moments.FILE, last + 1, 0)
        return True

    def _seconds_before(self) -> float:
        """How long this run, or the one that it begins with, had trained already.

        Before a phase's first epoch, that is what the phase's stored features took.
        """
        begun = self._history()
        trained = max((epoch.at for phase in begun for epoch in phase.epochs), default=0.0)
        return trained + sum(phase.features_seconds for phase in begun if not phase.epochs)

    def _evaluate(self, trained: Trained) -> dict[str, dict[str, float]]:
        feed, metrics = trained.feed, {}
        self.ledger.switch("evaluation")
        self._say(State.EVALUATING, "predicting the test images")
        metrics["test"] = self._predict(trained, feed.test, TEST)
        if feed.validation_is_test:
            metrics["validation"] = metrics["test"]
        else:
            self._say(State.EVALUATING, "predicting the validation images")
            metrics["validation"] = self._predict(trained, feed.validation, VALIDATION)
        return metrics

    def _predict(self, trained: Trained, examples: Examples, file: str) -> dict[str, float]:
        experiment = self.run.experiment
        predictions = Predictions(
            probabilities=probabilities(trained, examples, self),
            labels=examples.labels.numpy(),
            images=examples.indices,
            class_names=output_names(experiment, len(experiment.phases) - 1),
        )
        predictions.save(self.folder / file)
        return measure(predictions)

    def _say(self, state: State, step: str) -> None:
        if self.should_stop():
            raise StopRequested
        self._write(self.store.set_state, state, step)
        events.note(self.folder, "state", state=state, step=step)

    def _watch_supervisor(self) -> None:
        sys.stdin.read()
        self._end = self._end or State.INTERRUPTED
        time.sleep(SECONDS_TO_SAVE)  # then nobody waits any more, and nothing may be left behind
        os._exit(1)

    def _watch_stop_flag(self) -> None:
        always = Patience(math.inf)
        while self._end is None:
            try:
                if always(self.store.stop_requested, self.id):
                    self._end = State.STOPPED
                    always(self.store.set_state, self.id, self.owner, State.STOPPING, "keeping what was measured")
            except StoreError as error:
                log(f"Whether to stop could not be read: {error}")
            if self._told.wait(SECONDS_BETWEEN_LOOKS):
                return

    def _watch_limits(self, allowed: limits.Limits) -> None:
        """End the run when it uses more than it may: at its next batch, or by force where that comes too late."""
        over_since = math.inf
        while not self._ended.wait(SECONDS_BETWEEN_LOOKS):
            now = time.monotonic()
            if self._end is None and (over := allowed.exceeded(self.folder, now - self._began)):
                self._over, self._end, over_since = over, State.FAILED, now
                with contextlib.suppress(StoreError):
                    self.store.set_state(self.id, self.owner, State.STOPPING, "keeping what was measured")
            if self._over and (now - over_since > SECONDS_TO_WIND_UP or allowed.far_exceeded()):
                self._finish(State.FAILED, self._over, None, patience=SECONDS_BEFORE_FORCE)
                os._exit(1)

    # --- the trainer's reporter

    def preparing(self, step: str) -> None:
        """What is being waited for before training, in words."""
        self._say(State.PREPARING, step)

    def phase(self, index: int, name: str) -> None:
        """A phase begins."""
        self._write(self.store.begin_phase, index, name)
        events.note(self.folder, "phase", phase=index, name=name)
        self._say(State.TRAINING, "compiling the first step")

    def features(self, phase: int, sentence: str, seconds: float, *, of_others: bool) -> None:
        """Whether a phase trains on stored features, and why; the seconds it took to have them."""
        if seconds:  # what they took before the run was resumed counts as well
            seconds += sum(each.features_seconds for each in self._history() if each.index == phase)
            self._note_half_size(True)
        self._write(self.store.record_features, phase, sentence, seconds, of_others=of_others)
        events.note(self.folder, "features", phase=phase, said=sentence, seconds=seconds, of_others=of_others)

    def before(self, phase: int, before: Before) -> None:
        """Validation before any step of a phase, which begins, or begins anew: then it measures everything again."""
        self._write(self.store.rewind, phase, 0)
        self._write(self.store.record_before, phase, before)

    def points(self, phase: int, points: list[Point]) -> None:
        """Training loss and accuracy since the points before."""
        self._write(self.store.add_points, phase, points)

    def epoch(self, phase: int, epoch: Epoch) -> None:
        """An epoch has ended."""
        self._write(self.store.add_epoch, phase, epoch)
        events.note(self.folder, "epoch", phase=phase, **asdict(epoch))

    def followed(self, moment: Moment) -> None:
        """What the network makes of a few validation images, after an epoch or before the first."""
        moments.append(self.folder / moments.FILE, moment)

    def changes(self, phase: int, changes: list[LayerChange]) -> None:
        """How far a finished phase moved each layer."""
        self._write(self.store.record_changes, phase, changes)

    def kept(self, phase: int, epoch: int) -> None:
        """A phase with early stopping has ended with the weights of this epoch."""
        self._write(self.store.record_kept, phase, epoch)

    def phase_ended(self, index: int) -> None:
        """A phase has ended, and its end is kept: others may begin there."""
        self._write(self.store.record_checkpoint, index, self._keys[index])
        events.note(self.folder, "phase_ended", phase=index)

    def progress(self, progress: Progress) -> None:
        """How far the run has come."""
        self._write(self.store.set_progress, progress)

    def should_stop(self) -> bool:
        """Whether a stop was asked for, or the supervisor is gone."""
        return self._end is not None


def _copy(file: Path, to: Path) -> None:
    """Copy a file, at once or not at all, and onto the disk."""
    with replacing(to) as part:
        shutil.copyfile(file, part)
        with part.open("rb+") as copy:
            os.fsync(copy.fileno())
