"""The child process of a run: reads one job, does it, writes what it measures into the store.

`python -m cifar_core.worker` imports TensorFlow and then waits for one line of JSON on standard input:
{"home", "run", "owner", "claimed_at"}. Standard input stays open as long as the supervisor lives; its end means
that nobody is there any more, so the worker keeps what it has, marks the run interrupted and exits.

A line with "inspect" is a page's question instead (`cifar_core.runs.inspect`), answered with a file of arrays.
"""

import base64
import contextlib
import errno
import gc
import hashlib
import importlib
import json
import math
import os
import shutil
import socket
import sys
import textwrap
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

gc.disable()  # imports leave no garbage, and to look for it took a fifth of their time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"

from cifar_core import limits, orphan  # before the imports that take seconds
from cifar_core.home import store_address

os.environ.update(limits.settings_for_threads())
if store_address() is not None:
    # Before TensorFlow: loaded after it, PostgreSQL's client would take TensorFlow's encryption for that of its own
    # library, and end the process at the first connection with TLS. Where it is missing, the store says so.
    with contextlib.suppress(ModuleNotFoundError):
        importlib.import_module("psycopg")

# isort: split

import keras
import numpy as np
import tensorflow as tf

from cifar_core import events
from cifar_core.analysis import moments
from cifar_core.analysis.metrics import measure
from cifar_core.analysis.predictions import Predictions, PredictionsError
from cifar_core.analysis.transferability import leep, logme
from cifar_core.data.arrays import Images
from cifar_core.data.catalogue import open_images
from cifar_core.data.errors import DataError
from cifar_core.data.feature_store import feature_store
from cifar_core.data.files import replacing
from cifar_core.data.weights import weights_file
from cifar_core.experiment.beginning import beginning, source_phases
from cifar_core.experiment.experiment import Experiment, InitialWeights, Phase, Validation
from cifar_core.experiment.measured import (
    MODEL,
    Before,
    Epoch,
    LayerChange,
    Moment,
    PhaseHistory,
    Point,
    Progress,
    Run,
    State,
)
from cifar_core.experiment.settings import changed
from cifar_core.experiment.wording import output_names
from cifar_core.runs.errors import ClaimLost, StoreError, StoreUnusable, UnknownRun
from cifar_core.runs.patience import Patience
from cifar_core.runs.processes import STORE_UNUSABLE
from cifar_core.runs.store import Store
from cifar_core.training.augmenting import examples
from cifar_core.training.callbacks import StopRequested, TrainingDivergedError
from cifar_core.training.checkpoint import CHECKPOINT, CheckpointError, Position, end_of_phase, save, standing
from cifar_core.training.feeding import Examples, feed
from cifar_core.training.followed import evenly
from cifar_core.training.hardware import hardware, share_graphics_cards, versions
from cifar_core.training.initial_weights import WeightsError, initialize
from cifar_core.training.inside import (
    PROJECTED,
    NoNetworkError,
    inside,
    kept_network,
    look,
    network_before,
    watched,
)
from cifar_core.training.ledger import Ledger
from cifar_core.training.networks import build
from cifar_core.training.proof import FrozenLayerMovedError
from cifar_core.training.step_costs import step_costs
from cifar_core.training.trainer import Trained, probabilities, train

gc.freeze()  # what was imported stays
gc.enable()

SECONDS_BETWEEN_LOOKS = 0.3
SECONDS_TO_SAVE = 5.0
SECONDS_TO_WIND_UP = 20.0
"""From going over a limit until the run has to have ended by itself."""
SECONDS_BEFORE_FORCE = 1.5
"""To write the end of a run that is ended by force."""
EXPLAINED = (
    DataError,
    PredictionsError,
    TrainingDivergedError,
    FrozenLayerMovedError,
    WeightsError,
    CheckpointError,
    StoreError,
    NoNetworkError,
    limits.LimitError,
)
REUSE = "TRANSFER_LAB_REUSE"
"""Set to "off" in the environment to train every phase anew."""
TEST, VALIDATION = "test.npz", "validation.npz"
GUESSED_ON = 2000
"""Images that a guess is made on at most: it takes seconds then, however large the data set."""
PROBE = Phase(name="guess", train_on="target")
MOST_OF_AN_ERROR = 300

_P = ParamSpec("_P")


class Job:
    """One run in this process. It is the trainer's reporter: measurements go straight into the store."""

    def __init__(self, home: Path, run: str, owner: str, claimed_at: float):
        self.home, self.id, self.owner = home, run, owner
        self.ledger = Ledger()
        self._began = time.monotonic()
        self._end: State | None = None
        self._over = ""
        self._ended = threading.Event()
        self._keys: list[str] = []
        threading.Thread(target=self._watch_supervisor, daemon=True).start()
        self._patiently = Patience()
        self.store = self._patiently(Store, home)
        self.run = self._patiently(self.store.run, run)
        self.folder = self.store.artifacts(run)
        self.ledger.seconds |= {
            "queue": max(0.0, claimed_at - self.run.created.timestamp()),
            "start": max(0.0, time.time() - claimed_at),
        }
        this = {"computer": socket.gethostname(), "process": os.getpid()}
        events.note(self.folder, "started", seed=self.run.seed, resumed=self.run.resumed, **this)
        threading.Thread(target=self._watch_stop_flag, daemon=True).start()

    def do(self) -> None:
        """Do the run, and tell the store how it ended."""
        try:
            state, reason, metrics = self._work()
        except ClaimLost:
            _log("The claim on this run is lost: somebody else decides about it now.")
            return
        except StoreUnusable as error:
            # No fault of the run's: it may go on by itself.
            state, metrics = State.INTERRUPTED, None
            reason = f"Nothing could be written any more. {error} Everything measured until then is kept."
        except EXPLAINED as error:
            state, reason, metrics = State.FAILED, str(error), None
        except Exception as error:
            _log(traceback.format_exc())
            state, reason, metrics = State.FAILED, _in_words(error), None
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
        ending: dict[str, Any] = {"reason": reason, "metrics": metrics, "seconds": seconds}
        try:
            Patience(patience)(self.store.finish, self.id, self.owner, state, **ending)
        except StoreError as error:
            _log(str(error))

    def _write(self, write: Callable[Concatenate[str, str, _P], None], /, *args: _P.args, **kwargs: _P.kwargs) -> None:
        """Write as the owner of the run, as soon as the store takes it."""
        self._patiently(write, self.id, self.owner, *args, **kwargs)

    def _work(self) -> tuple[State, str, dict[str, dict[str, float]] | None]:
        allowed = limits.limits()
        if allowed != limits.Limits():
            threading.Thread(target=self._watch_limits, args=(allowed,), daemon=True).start()
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
            weights = self._patiently(_weights_file, self.run, self.store)
            self._keys = self._beginnings(environment, weights)
            self._begin_or_go_on()
            if reused := [phase.reused_from for phase in self._history() if phase.reused_from]:
                environment["reused"] = {"run": reused[-1], "phases": len(reused)}
            self._write(self.store.set_environment, environment)
            trained = train(
                self.run.experiment,
                images,
                self.run.seed,
                self,
                self.ledger,
                weights=weights,
                features=feature_store(self.home),
                folder=self.folder,
                seconds_before=self._seconds_before(),
            )
            self.ledger.switch("saving")
            self._save(trained)
            if not trained.stopped:
                self.phase_ended(len(self.run.experiment.phases) - 1)
                metrics = self._evaluate(trained)
                (self.folder / CHECKPOINT).unlink(missing_ok=True)  # nothing is left to go on with
                return State.DONE, "", metrics
        except StopRequested:
            _log("Ended between two steps; what was measured until then is in the store.")
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

        Weights count by what is in their file, not by where it lies.
        """
        experiment = self.run.experiment
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
                if their_phase == phase and self._take_over(self.store.artifacts(source), phase):
                    self._write(self.store.reuse, source, phase)
                    return
            except (FileNotFoundError, UnknownRun):  # that run was deleted just now
                self._clear()

    def _take_over(self, theirs: Path, last: int) -> bool:
        """Copy the ends of phases, and what the network made of images, out of another run's folder.

        False where the ends are not all there. That of a run's own last phase is its model.
        """
        ends = [theirs / end_of_phase(phase) for phase in range(last + 1)]
        kept = [end for end in ends if end.exists()]
        if kept == ends[:-1]:
            try:
                layers = kept_network(theirs / MODEL).layers
            except NoNetworkError:
                return False
            save(self.folder / ends[-1].name, Position(last, self.run.experiment.phases[last].epochs), layers)
        elif kept != ends:
            return False
        for end in kept:
            _copy(end, self.folder / end.name)
        if (answers := theirs / moments.FILE).exists():
            _copy(answers, self.folder / moments.FILE)
            moments.cut(self.folder / moments.FILE, last + 1, 0)
        return True

    def _seconds_before(self) -> float:
        """How long this run, or the one that it begins with, had trained already."""
        return max((epoch.at for phase in self._history() for epoch in phase.epochs), default=0.0)

    def _save(self, trained: Trained) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(self.folder / MODEL) as part:
            # Without the optimizer, which nothing goes on with: a smaller file, and plain Keras loads it.
            keras.Model(trained.model.input, trained.model.output, name=trained.model.name).save(part)

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
        self._end = State.INTERRUPTED
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
                _log(f"Whether to stop could not be read: {error}")
            if self._ended.wait(SECONDS_BETWEEN_LOOKS):
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

    def features(self, phase: int, sentence: str, seconds: float) -> None:
        """Whether a phase trains on stored features, and why; the seconds it took to have them."""
        self._write(self.store.record_features, phase, sentence, seconds)
        events.note(self.folder, "features", phase=phase, said=sentence, seconds=seconds)

    def before(self, phase: int, before: Before) -> None:
        """Validation before any step of a phase."""
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


def file_hash(path: Path) -> str:
    """Return a hash of a file's content; of nothing where it cannot be read, which is told when it is needed."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _weights_file(run: Run, store: Store) -> Path | None:
    """The file of a run's initial weights, where they come from one."""
    initial = run.experiment.initial_weights
    if initial.path is not None:
        return weights_file(initial.path)
    if initial.run is None:
        return None
    path = store.artifacts(store.run(initial.run).id) / MODEL
    if not path.exists():
        raise WeightsError(
            f"The run {initial.run} has kept no model to start from. Choose a run that is done, or other initial "
            "weights."
        )
    return path


def _copy(file: Path, to: Path) -> None:
    """Copy a file, at once or not at all, and onto the disk."""
    with replacing(to) as part:
        shutil.copyfile(file, part)
        with part.open("rb+") as copy:
            os.fsync(copy.fileno())


def _in_words(error: BaseException) -> str:
    """Say what ended a run; of what nobody expected, only the log can say more."""
    if _is_about_room(error):
        return "The disk is full. Delete old runs, or free room otherwise; then this run can go on."
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return "The machine ran out of memory. Try a smaller batch, fewer images or a smaller network."
    first_line = str(error).strip().partition("\n")[0].rstrip(".: ")
    said = textwrap.shorten(f"{type(error).__name__}: {first_line}", MOST_OF_AN_ERROR, placeholder=" …")
    return f"Something unexpected went wrong ({said}). The run's log says where."


def _is_about_room(error: BaseException | None) -> bool:
    """Whether a full disk or quota is behind an error; what closes a file then often complains about something else."""
    while error is not None and getattr(error, "errno", None) not in (errno.ENOSPC, errno.EDQUOT):
        error = error.__cause__ or error.__context__
    return error is not None


def _log(words: str) -> None:
    """Add words to the run's log; a disk that takes none does not end a run."""
    with contextlib.suppress(OSError):
        print(words, file=sys.stderr, flush=True)


def inspect(question: dict[str, Any]) -> None:
    """Answer a page's question into a file; what cannot be told in words ends the process, with a traceback."""
    answers = {
        "augmentation": _augmented,
        "inside": _inside,
        "look": _looks,
        "guess": _guesses,
        "step costs": _step_costs,
    }
    result, answering = Path(question["result"]), threading.Lock()
    try:
        allowed = limits.limits()
        if allowed != limits.Limits():
            threading.Thread(target=_watch_question, args=(allowed, result, answering), daemon=True).start()
        answer = answers[question["inspect"]](question)
    except EXPLAINED as error:
        answer = {"error": np.array(str(error))}
    answering.acquire()  # for good: only one answers, and who is late waits for the end of the process
    np.savez(result, **answer)


def _watch_question(allowed: limits.Limits, result: Path, answering: threading.Lock) -> None:
    """End a question that uses more than a run may, with the reason for an answer."""
    began = time.monotonic()
    while not (over := allowed.exceeded(result.parent, time.monotonic() - began)):
        time.sleep(SECONDS_BETWEEN_LOOKS)
    if answering.acquire(blocking=False):
        np.savez(result, error=np.array(f"What was asked for was given up. {over.partition('. ')[0]}."))
        os._exit(0)


def _augmented(question: dict[str, Any]) -> dict[str, Any]:
    experiment = Experiment.parse_json(question["experiment"])
    images = open_images(experiment.data, home=Path(question["home"]))
    trained_on = feed(experiment, question["phase"], images, question["seed"]).train
    first_of_each_class = np.unique(trained_on.labels, return_index=True)[1]
    shown = tf.gather(trained_on.values[0], first_of_each_class).numpy()
    augmentation = experiment.phases[question["phase"]].augmentation
    return {"images": shown, "changed": examples(shown, augmentation, question["seed"])}


def _inside(question: dict[str, Any]) -> dict[str, Any]:
    """What is in the network of a run, and in it before the target classes: see `training.inside.inside`."""
    store = Store(Path(question["home"]))
    run, phase = _run_with_network(store, question["run"])
    experiment = run.experiment
    after = kept_network(store.artifacts(run.id) / MODEL)
    images = _images_of(run, store)
    test = feed(experiment, phase, images, run.seed).test
    chosen = np.random.default_rng(0).permutation(len(test))[:PROJECTED]
    networks = experiment.networks[max(0, source_phases(experiment) - 1)], experiment.networks[phase]
    try:
        before, no_before = _before_target_classes(store, run, phase), ""
    except EXPLAINED as error:
        before, no_before = None, str(error)
    found = inside(after, before, networks, images.test_images[test.indices[chosen]])
    return found | {
        "no_before": np.array(no_before),
        "images": test.indices[chosen],
        "labels": test.labels.numpy()[chosen].astype(np.int64),
        "class_names": np.array(output_names(experiment, phase)),
    }


def _before_target_classes(store: Store, run: Run, last: int) -> keras.Model:
    """The network of a run, of which `last` is the last phase begun, as it was before any phase on target classes."""
    experiment, phase = run.experiment, source_phases(run.experiment)
    if last < phase:
        raise NoNetworkError("This run trained on no target classes, so there is no before and after them.")
    if phase:
        return network_before(store.artifacts(run.id), experiment, phase, run.seed)
    if experiment.initial_weights.source == "random":
        raise NoNetworkError("This run met the target classes with random weights: there is nothing learned before.")
    weights = _weights_file(run, store)
    if weights is not None and run.started is not None and weights.stat().st_mtime > run.started.timestamp():
        raise NoNetworkError("The file of the weights that this run began with was written anew since.")
    model = build(experiment, 0, run.seed)
    initialize(model, experiment, weights, lambda step: None)
    return model


def _step_costs(question: dict[str, Any]) -> dict[str, Any]:
    """What steps of a run's last phase cost the ordinary way: see `training.step_costs`."""
    store = Store(Path(question["home"]))
    run, phase = _run_with_network(store, question["run"])
    model = kept_network(store.artifacts(run.id) / MODEL)
    return asdict(
        step_costs(model, run.experiment, phase, feed(run.experiment, phase, _images_of(run, store), run.seed))
    )


def _looks(question: dict[str, Any]) -> dict[str, Any]:
    """What the networks of runs make of an image, given for each run in its size: see `training.inside.look`."""
    store = Store(Path(question["home"]))
    answer: dict[str, Any] = {}
    for place, (id, pixels) in enumerate(zip(question["runs"], question["images"], strict=True)):
        run, phase = _run_with_network(store, id)
        image = np.frombuffer(base64.b64decode(pixels), np.uint8).reshape(run.experiment.image_shape)
        model = kept_network(store.artifacts(run.id) / MODEL)
        found = look(model, run.experiment.networks[phase], image)
        found["class_names"] = np.array(output_names(run.experiment, phase))
        answer |= {f"{place}/{name}": value for name, value in found.items()}
    return answer


def _guesses(question: dict[str, Any]) -> dict[str, Any]:
    """What starting networks promise for the target classes of an experiment: see `analysis.transferability`.

    A start is a run, whose network counts as its phases on source classes left it, or a backbone with ImageNet's
    weights. Features are what reaches `layer`, or the output where a network has none of that name. A start that cannot
    be used says so in its place.
    """
    store, target = Store(Path(question["home"])), Experiment.parse_json(question["experiment"])
    kept = feature_store(store.home)
    probe = {"backbone": "two-conv", "input_side": None, "phases": [PROBE], "validation": Validation(on="test")}
    images = open_images(target.data, home=store.home)
    train = feed(changed(target, initial_weights=InitialWeights(), **probe), 0, images, seed=0).train
    rows = np.sort(evenly(train.labels.numpy(), GUESSED_ON))
    places, labels = train.indices[rows], train.labels.numpy()[rows]
    answer: dict[str, Any] = {}
    for number, (kind, name) in enumerate(question["starts"]):
        began = time.perf_counter()
        try:
            model = _source_network(store, name) if kind == "run" else _imagenet_network(target, name)
            if model.input.shape[1:] != images.dataset.image_shape:
                raise NoNetworkError(
                    f"It takes images of {model.input.shape[1]} pixels, not {images.dataset.image_shape[0]}."
                )
            reaching, outputs = watched(model, question["layer"], images, places, kept)
            found = {
                "logme": logme(reaching, labels),
                "leep": leep(outputs, labels) if kind == "run" else np.nan,  # ImageNet's own output layer is not there
                "images": len(places),
                "features": reaching[0].size,
                "seconds": time.perf_counter() - began,
            }
        except EXPLAINED as error:
            found = {"error": np.array(str(error))}
        answer |= {f"{number}/{key}": np.array(value) for key, value in found.items()}
    return answer


def _source_network(store: Store, id: str) -> keras.Model:
    run, last = _run_with_network(store, id)
    before = source_phases(run.experiment)
    if not before or last < before - 1:
        raise NoNetworkError("This run has not finished a phase on source classes.")
    if before == len(run.experiment.phases):
        return kept_network(store.artifacts(id) / MODEL)
    return network_before(store.artifacts(id), run.experiment, before, run.seed)


def _imagenet_network(target: Experiment, backbone: str) -> keras.Model:
    weights = InitialWeights(source="imagenet")
    meant = changed(target, initial_weights=weights, backbone=backbone, input_side=None, pixels=None, phases=[PROBE])
    model = build(meant, 0, seed=0)
    initialize(model, meant, None, lambda step: None)
    return model


def _images_of(run: Run, store: Store) -> Images:
    """The very images that a run was computed on."""
    images = open_images(run.experiment.data, home=store.home)
    if images.fingerprint != run.environment.get("fingerprint"):
        raise NoNetworkError("The images of this run are others now, or are not on this computer.")
    return images


def _run_with_network(store: Store, id: str) -> tuple[Run, int]:
    """A run, and the phase that its network was in when the run ended."""
    run = store.run(id)
    begun = store.history(id, points=2)
    if not begun:
        raise NoNetworkError("This run has kept no model: it ended before there was one.")
    return run, begun[-1].index


def work_on(job: dict[str, Any]) -> int:
    """Do a run, or answer a page's question, and return the exit code of this process."""
    if "inspect" in job:
        inspect(job)
        return 0
    try:
        Job(Path(job["home"]), job["run"], job["owner"], job["claimed_at"]).do()
    except StoreError as error:  # so the end of the run cannot be written either
        _log(str(error))
        return STORE_UNUSABLE
    return 0


def main() -> None:
    """Wait for a job on standard input and do it; without one, end quietly."""
    share_graphics_cards()
    line = sys.stdin.readline()
    orphan.adopted.set()
    if line.strip():
        code = work_on(json.loads(line))
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os._exit(code)  # everything is written; TensorFlow's tear-down would keep the next run waiting for a second


if __name__ == "__main__":
    main()
