"""The worker's job: what it writes, and how it ends when something goes wrong."""

import errno
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from cifar_core import events, limits, orphan
from cifar_core.data.errors import DataNotFoundError
from cifar_core.data.feature_store import KEPT
from cifar_core.experiment.beginning import beginning
from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.layers import Dense, Flatten
from cifar_core.experiment.measured import HALF_SIZE, MODEL, Epoch, PhaseHistory, Run, State
from cifar_core.experiment.recipes import RECIPES
from cifar_core.experiment.settings import apply
from cifar_core.runs import patience
from cifar_core.runs.errors import StoreUnusable
from cifar_core.runs.inspect import augmented
from cifar_core.runs.processes import STORE_UNUSABLE
from cifar_core.runs.store import Store
from cifar_core.training import callbacks, features
from cifar_core.worker.__main__ import work_on
from cifar_core.worker.job import REUSE, TEST, VALIDATION, Job
from cifar_core.worker.questions import answer
from tests.runs.helpers import refuse
from tests.training.makers import experiment, images, phase, small, tuning

OWNER = "a test"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "home")
    yield store
    store.close()


@pytest.fixture
def open_input(monkeypatch: pytest.MonkeyPatch) -> None:
    stay(monkeypatch)


def stay(patch: pytest.MonkeyPatch) -> None:
    """Be a supervisor that stays: its end of the pipe is never closed, as its end would end this process."""
    reader, _ = os.pipe()
    patch.setattr(sys, "stdin", os.fdopen(reader, closefd=False))
    patch.setattr("cifar_core.worker.job.open_images", lambda *_, **__: images())


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    """A home in which the usual experiment was run once, to be copied; and that run."""
    store = Store(tmp_path_factory.mktemp("undisturbed") / "home")
    with pytest.MonkeyPatch.context() as patch:
        stay(patch)
        run = do(store, claimed(store, experiment()))
    store.close()
    return store.home, run


@pytest.fixture
def whole(undisturbed: tuple[Path, Run], tmp_path: Path) -> Run:
    """A run that was left alone, in the home of the test, which has to name it before its store."""
    shutil.copytree(undisturbed[0], tmp_path / "home")
    return undisturbed[1]


def behind(cause: Exception, error: Exception) -> Exception:
    error.__context__ = cause
    return error


def claimed(store: Store, meant: Experiment) -> str:
    run = store.submit(meant, 1, "a run")
    assert store.claim(OWNER, run=run, lease=600) is not None
    return run


def do(store: Store, run: str, owner: str = OWNER) -> Run:
    Job(store.home, run, owner, time.time()).do()
    return store.run(run)


class KilledError(BaseException):
    """Nothing of ours catches this, as nothing can catch a kill."""


def go_on(store: Store, run: str) -> Run:
    """What becomes of a run whose process was killed."""
    store.finish(run, OWNER, State.INTERRUPTED)
    store.resume(run)
    assert store.claim("another", run=run, lease=600) is not None
    return do(store, run, "another")


def test_a_job_leaves_measurements_model_and_predictions(whole: Run, store: Store) -> None:
    run = store.run(whole.id)
    assert (run.state, run.reason) == (State.DONE, "")
    assert run.metrics["test"]["n"] == 12
    assert run.environment["fingerprint"] == "0"
    assert [len(phase.epochs) for phase in store.history(run.id)] == [2, 2]
    files = {path.name for path in store.files.folder(run.id).iterdir()}
    assert {MODEL, TEST, VALIDATION} <= files
    assert run.size > 0


@pytest.mark.usefixtures("open_input")
def test_validation_on_the_test_images_is_predicted_once(store: Store) -> None:
    run = do(
        store, claimed(store, small().model_copy(update={"validation": experiment().validation.parse({"on": "test"})}))
    )
    assert run.metrics["validation"] == run.metrics["test"]
    assert not (store.files.folder(run.id) / VALIDATION).exists()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "ran out of memory"),
        (OSError(errno.ENOSPC, "No space left on device"), "The disk is full"),
        (behind(OSError(errno.EDQUOT, "Quota exceeded"), ValueError("file still open")), "The disk is full"),
        (ValueError("nobody expected this:\n\nTraceback of a graph"), "(ValueError: nobody expected this)"),
        (DataNotFoundError("There are no images."), "There are no images."),
    ],
)
@pytest.mark.usefixtures("open_input")
def test_what_goes_wrong_fails_the_run_and_is_said(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, said: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("cifar_core.worker.job.train", fail)
    run = do(store, claimed(store, small()))
    assert run.state is State.FAILED
    assert said in run.reason
    assert "\n" not in run.reason
    assert ("Traceback" in capsys.readouterr().err) != isinstance(error, DataNotFoundError)


@pytest.mark.usefixtures("open_input")
def test_a_store_that_refuses_everything_for_a_moment_changes_nothing_about_a_run(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = claimed(store, experiment())
    writes = ("set_state", "set_environment", "begin_phase", "add_points", "add_epoch", "set_progress", "finish")
    of_phases = ("record_features", "record_before", "record_changes", "record_checkpoint", "checkpoint")
    refuse(monkeypatch, "__init__", "run", "epochs", "stop_requested", *writes, *of_phases, times=2)
    ended = do(store, run)
    assert (ended.state, ended.reason, set(ended.metrics)) == (State.DONE, "", {"test", "validation"})
    assert [[row.epoch for row in phase.epochs] for phase in store.history(run)] == [[1, 2], [1, 2]]


@pytest.mark.usefixtures("open_input")
def test_a_store_that_refuses_measurements_for_too_long_interrupts_the_run(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = claimed(store, small())
    monkeypatch.setattr(patience, "SECONDS_OF_PATIENCE", 0.05)
    refuse(monkeypatch, "add_epoch", "record_changes")
    ended = do(store, run)
    assert ended.state is State.INTERRUPTED
    assert ended.reason.startswith("Nothing could be written any more. There is no room left on the disk")


@pytest.mark.usefixtures("open_input")
def test_a_worker_that_cannot_open_the_store_says_so_in_its_log_and_by_its_exit_code(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    job = {"home": str(store.home), "run": claimed(store, small()), "owner": OWNER, "claimed_at": time.time()}
    monkeypatch.setattr(patience, "SECONDS_OF_PATIENCE", 0)
    refuse(monkeypatch, "__init__")
    assert work_on(job) == STORE_UNUSABLE
    assert capsys.readouterr().err.splitlines()[-1] == "There is no room left on the disk of the store."


@pytest.mark.usefixtures("open_input")
def test_a_log_that_takes_nothing_changes_no_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, _words: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("cifar_core.worker.job.train", fail)
    monkeypatch.setattr(sys, "stderr", Full())
    run = do(store, claimed(store, small()))
    assert (run.state, run.state.can_go_on) == (State.FAILED, True)
    assert run.reason.startswith("The disk is full.")


@pytest.mark.usefixtures("open_input")
def test_a_run_that_was_asked_to_stop_keeps_its_model(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cifar_core.worker.job.SECONDS_BETWEEN_LOOKS", 0.01)
    run = claimed(store, experiment(phase(epochs=10_000)))
    write = Store.add_epoch

    def stop_after_the_first_epoch(*arguments: Any) -> None:
        write(*arguments)
        store.request_stop(run)

    monkeypatch.setattr(Store, "add_epoch", stop_after_the_first_epoch)
    ended = do(store, run)
    assert (ended.state, ended.metrics) == (State.STOPPED, {})
    assert (store.files.folder(run) / MODEL).exists()
    assert store.history(run)[0].changes


@pytest.mark.usefixtures("open_input")
def test_a_run_that_goes_over_a_limit_fails_in_words_keeps_what_it_has_and_can_go_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cifar_core.worker.job.SECONDS_BETWEEN_LOOKS", 0.01)
    monkeypatch.setenv(limits.DISK, "0.00002")
    run = do(store, claimed(store, experiment(phase(epochs=10_000))))
    assert (run.state, run.state.can_go_on) == (State.FAILED, True)
    assert run.reason.startswith("Its files take more than the 2e-05 GB that a run may fill here")
    assert store.history(run.id)[0].epochs
    assert (store.files.folder(run.id) / MODEL).exists()
    noted = [json.loads(line) for line in (store.files.folder(run.id) / events.FILE).read_text().splitlines()]
    assert (noted[0]["event"], noted[-1]["event"], noted[-1]["state"]) == ("started", "ended", "failed")
    assert noted[0]["computer"] == socket.gethostname()
    assert {"state", "phase", "epoch"} <= {line["event"] for line in noted}


@pytest.mark.usefixtures("open_input")
def test_a_run_over_its_limit_that_does_not_end_by_itself_is_ended(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()

    def end(_code: int) -> None:
        ended.set()

    def train_on_and_on(*_: Any, **__: Any) -> None:
        assert ended.wait(30)
        raise callbacks.StopRequested

    monkeypatch.setattr("cifar_core.worker.job.SECONDS_BETWEEN_LOOKS", 0.01)
    monkeypatch.setattr("cifar_core.worker.job.train", train_on_and_on)
    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setenv(limits.MEMORY, "0.001")
    run = do(store, claimed(store, small()))
    assert run.state is State.FAILED
    assert "more than the 0.001 GB of memory" in run.reason


@pytest.mark.usefixtures("open_input")
def test_a_limit_that_cannot_be_meant_fails_the_run_before_anything_is_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(limits.MINUTES, "soon")
    run = do(store, claimed(store, small()))
    assert (run.state, run.reason) == (
        State.FAILED,
        'TRANSFER_LAB_RUN_MINUTES: expected a number above 0, received "soon".',
    )


@pytest.mark.usefixtures("open_input")
def test_a_loss_that_is_no_number_fails_the_run_and_keeps_its_measurements(store: Store) -> None:
    unstable = (Flatten(), *(Dense(units=32, activation="linear") for _ in range(12)))
    diverging = phase("diverges", "target", layers=unstable, learning_rate=100, batch_size=3)
    run = do(store, claimed(store, experiment(phase(), diverging)))
    assert run.state is State.FAILED
    assert "The loss is no longer a finite number (epoch" in run.reason
    assert len(store.history(run.id)[0].epochs) == 2


@pytest.mark.parametrize("path", ["/dev/zero", "~nobody-here/w.h5", "."])
@pytest.mark.usefixtures("open_input")
def test_weights_that_are_no_file_fail_the_run_by_name(store: Store, path: str) -> None:
    run = do(store, claimed(store, experiment(initial_weights={"source": "file", "path": path})))
    assert run.state is State.FAILED
    assert path in run.reason and "\n" not in run.reason


@pytest.mark.usefixtures("open_input")
def test_a_stop_while_the_images_are_prepared_is_a_stop_and_no_failure(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened_while_stopped(*_: Any, progress: Any, **__: Any) -> None:
        monkeypatch.setattr(Job, "should_stop", lambda _: True)
        progress(1, 2)

    monkeypatch.setattr("cifar_core.worker.job.open_images", opened_while_stopped)
    assert do(store, claimed(store, small())).state is State.STOPPED


@pytest.mark.usefixtures("open_input")
def test_a_lost_claim_ends_the_job_without_a_word_in_the_store(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run = claimed(store, small())
    store.finish(run, OWNER, State.INTERRUPTED, reason="taken over")
    assert do(store, run).reason == "taken over"


@pytest.mark.usefixtures("open_input")
def test_a_phase_that_ended_early_says_which_epochs_weights_it_kept(store: Store) -> None:
    ends_early = phase(epochs=9, early_stopping={"patience": 1, "smallest_gain": 1.0}, block_rate_factor=0.5)
    run = do(store, claimed(store, experiment(ends_early)))
    (measured,) = store.history(run.id)
    assert (run.state, len(measured.epochs), measured.kept_epoch) == (State.DONE, 2, 1)
    assert run.progress is not None
    assert run.progress.fraction == 1
    assert run.metrics["validation"]["accuracy"] == pytest.approx(measured.epochs[0].val_accuracy)
    model = keras.models.load_model(store.files.folder(run.id) / MODEL)
    assert model.output.shape == (None, 3)
    assert not model.compiled  # no file needs the optimizer, which may be a class of ours


FLIPPED = {"kind": "flip"}


def test_a_page_is_shown_what_augmentation_does(tmp_path: Path) -> None:
    asked = experiment(phase(), phase("again", "target", augmentation=[FLIPPED]))
    found = augmented(tmp_path, asked, 1, seed=3)
    assert found.images.shape == (3, 32, 32, 3)
    for image, copies in zip(found.images, found.changed, strict=True):
        assert all(np.array_equal(copy, image) or np.array_equal(copy, image[:, ::-1]) for copy in copies)
    assert len(np.unique(found.changed, axis=1)) > 1


def test_a_page_is_told_why_it_is_shown_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise DataNotFoundError("There are no images.")

    monkeypatch.setattr("cifar_core.worker.questions.open_images", fail)
    question = {"home": str(tmp_path), "experiment": small().to_json(), "phase": 0, "seed": 0}
    answer({"inspect": "augmentation", "result": str(tmp_path / "answer.npz"), **question})
    with np.load(tmp_path / "answer.npz") as answered:
        assert str(answered["error"]) == "There are no images."


def test_a_question_that_goes_over_a_limit_of_runs_is_given_up_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()

    def ponder(_question: dict[str, Any]) -> dict[str, Any]:
        ended.wait()
        return {}

    monkeypatch.setattr("cifar_core.worker.questions._augmented", ponder)
    monkeypatch.setattr(os, "_exit", lambda _code: ended.set())
    monkeypatch.setenv(limits.MEMORY, "0.001")
    question = {"inspect": "augmentation", "result": str(tmp_path / "answer.npz")}
    threading.Thread(target=answer, args=(question,), daemon=True).start()
    assert ended.wait(30)
    with np.load(tmp_path / "answer.npz") as answered:
        assert str(answered["error"]) == (
            "What was asked for was given up. It used more than the 0.001 GB of memory that a run may use here "
            "(TRANSFER_LAB_RUN_MEMORY_GB)."
        )


@pytest.mark.usefixtures("open_input")
def test_a_run_on_a_computer_that_keeps_half_says_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "SECONDS_TO_SET_UP", -1e9)  # so few images would not be worth it
    monkeypatch.setenv(KEPT, "half")
    assert do(store, claimed(store, experiment())).environment[HALF_SIZE]
    assert do(store, claimed(store, experiment())).environment[HALF_SIZE]  # its features were there already


@pytest.mark.usefixtures("open_input")
def test_who_only_answers_a_question_ends_with_the_server_and_who_has_a_run_ends_by_itself(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    adopted = threading.Event()
    monkeypatch.setattr(orphan, "adopted", adopted)
    monkeypatch.setattr("cifar_core.worker.__main__.answer", lambda _: None)
    assert work_on({"inspect": "look"}) == 0
    assert not adopted.is_set()
    monkeypatch.setattr(Job, "do", lambda _: None)
    work_on({"home": str(store.home), "run": claimed(store, small()), "owner": OWNER, "claimed_at": time.time()})
    assert adopted.is_set()


def test_the_end_of_input_interrupts_the_run_and_ends_the_process(store: Store) -> None:
    run = claimed(store, experiment(phase(epochs=10_000)))
    job = {"home": str(store.home), "run": run, "owner": OWNER, "claimed_at": time.time()}
    process = subprocess.Popen(
        [sys.executable, "-m", "cifar_core.worker"], stdin=subprocess.PIPE, cwd=Path(__file__).parents[2], text=True
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(job) + "\n")
    process.stdin.flush()
    while not (history := store.history(run)) or not history[0].epochs:
        assert process.poll() is None, store.run(run).reason
        time.sleep(0.1)
    process.stdin.close()
    assert process.wait(timeout=60) == 0
    ended = store.run(run)
    assert ended.state is State.INTERRUPTED
    assert "supervised this run ended" in ended.reason
    assert (store.files.folder(run) / MODEL).exists()


@pytest.mark.usefixtures("open_input")
def test_a_run_that_begins_like_an_earlier_one_starts_where_that_one_ended_the_phase(whole: Run, store: Store) -> None:
    other = experiment(phase(), phase(name="otherwise", train_on="target", epochs=1))
    second = do(store, claimed(store, other))
    assert second.environment["reused"] == {"run": whole.id, "phases": 1}
    reused, own = store.history(second.id)
    assert (reused.reused_from, own.reused_from) == (whole.id, None)
    assert reused.epochs == store.history(whole.id)[0].epochs
    assert own.before is not None and own.before.at > reused.epochs[-1].at


@pytest.mark.usefixtures("open_input")
def test_what_was_reused_of_a_run_that_went_on_measures_as_if_it_had_been_trained_anew(
    whole: Run, store: Store
) -> None:
    again = do(store, claimed(store, experiment()))
    assert "reused" in again.environment and "reused" not in whole.environment
    assert again.metrics == whole.metrics
    assert losses(store, again) == losses(store, whole)


@pytest.mark.usefixtures("open_input")
def test_what_was_reused_of_a_run_that_ended_there_measures_as_if_it_had_been_trained_anew(
    undisturbed: tuple[Path, Run], store: Store
) -> None:
    do(store, claimed(store, experiment(phase())))
    again = do(store, claimed(store, experiment()))
    home, anew = undisturbed
    assert "reused" in again.environment
    assert again.metrics == anew.metrics
    with closing(Store(home)) as apart:
        assert losses(store, again) == losses(apart, anew)


def losses(store: Store, run: Run) -> list[float]:
    return [row.val_loss for phase in store.history(run.id) for row in phase.epochs]


@pytest.mark.usefixtures("open_input")
@pytest.mark.parametrize("killed_at", ["reuse", "set_environment"])
def test_a_run_that_was_killed_while_it_took_over_phases_goes_on_to_the_same_end(
    killed_at: str, whole: Run, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = claimed(store, experiment())

    def die(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch, pytest.raises(KilledError):
        patch.setattr(Store, killed_at, die)
        do(store, run)
    if killed_at == "reuse":
        (store.files.folder(run) / "phase-0.npz").write_bytes(b"half of what an earlier version copied")
    ended = go_on(store, run)
    assert (ended.state, ended.metrics) == (State.DONE, whole.metrics)
    assert ended.environment["reused"] == {"run": whole.id, "phases": 1}
    ours, theirs = store.history(run), store.history(whole.id)
    assert [phase.index for phase in ours] == [0, 1]
    assert ours[0].epochs == theirs[0].epochs
    assert [row.val_loss for row in ours[1].epochs] == [row.val_loss for row in theirs[1].epochs]


@pytest.mark.usefixtures("open_input")
def test_a_run_that_is_deleted_while_another_takes_over_its_phases_leaves_nothing_behind(
    whole: Run, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    reuse = Store.reuse

    def reuse_too_late(*arguments: Any) -> None:
        store.delete(whole.id)
        reuse(*arguments)

    monkeypatch.setattr(Store, "reuse", reuse_too_late)
    run = do(store, claimed(store, experiment()))
    assert (run.state, "reused" in run.environment) == (State.DONE, False)
    assert [(phase.index, len(phase.epochs)) for phase in store.history(run.id)] == [(0, 2), (1, 2)]


@pytest.mark.usefixtures("open_input")
@pytest.mark.parametrize("content", [None, b"no model"], ids=["gone", "damaged"])
def test_where_the_model_of_an_earlier_run_cannot_be_had_its_phase_is_trained_anew(
    content: bytes | None, store: Store
) -> None:
    earlier = do(store, claimed(store, experiment(phase())))
    (store.files.folder(earlier.id) / MODEL).unlink()
    if content is not None:
        (store.files.folder(earlier.id) / MODEL).write_bytes(content)
    assert "reused" not in do(store, claimed(store, experiment())).environment


@pytest.mark.parametrize(
    "changed",
    [
        "data.per_class=8",
        "phases.0.epochs=1",
        "phases.0.learning_rate=0.5",
        "validation.share=0.4",
        "backbone=three-conv",
    ],
)
def test_a_run_that_begins_otherwise_reuses_nothing(changed: str) -> None:
    meant = RECIPES["a-ft1"].experiment
    assert beginning(apply(meant, [changed]), 0) != beginning(meant, 0)


@pytest.mark.parametrize("changed", ["data.location=elsewhere", "phases.0.name=other", "split.target=0,1,2"])
def test_what_does_not_decide_the_first_phase_does_not_keep_it_from_being_reused(changed: str) -> None:
    meant = RECIPES["a-ft1"].experiment
    assert beginning(apply(meant, [changed]), 0) == beginning(meant, 0)


def test_how_features_are_kept_decides_a_phase_as_soon_as_something_is_frozen() -> None:
    meant = RECIPES["a-ft1"].experiment
    for other in ("half", "off"):
        changed = apply(meant, [f"features={other}"])
        assert beginning(changed, 0) == beginning(meant, 0)
        assert beginning(changed, 1) != beginning(meant, 1)


@pytest.mark.usefixtures("open_input")
@pytest.mark.parametrize("where", ["in the experiment", "on the computer"])
def test_a_phase_on_features_in_half_the_size_is_not_taken_over_by_a_run_that_wants_them_in_full(
    where: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    phases = phase(), tuning(), tuning("once more")
    with monkeypatch.context() as patch:
        if where == "on the computer":
            patch.setenv(KEPT, "half")
        half = experiment(*phases, features="half" if where == "in the experiment" else "full")
        first = do(store, claimed(store, half))
        again = do(store, claimed(store, half))
    assert again.environment["reused"] == {"run": first.id, "phases": 2}
    in_full = do(store, claimed(store, experiment(*phases)))
    assert in_full.environment["reused"] == {"run": first.id, "phases": 1}


@pytest.mark.usefixtures("open_input")
def test_a_run_keeps_features_as_its_experiment_says(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "SECONDS_TO_SET_UP", -1e9)  # so few images would not be worth it
    said = {}
    for size in ("half", "off"):
        run = do(store, claimed(store, experiment(features=size)))
        said[size] = store.history(run.id)[1].features
        assert run.environment[HALF_SIZE] == (size == "half")
    assert "Kept in half the size: values differ by up to" in said["half"]
    assert said["off"] == "No stored features: they are switched off in the experiment."


def test_the_clock_of_a_run_that_was_cut_off_before_an_epoch_has_what_features_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = Job.__new__(Job)
    epoch = Epoch(1, 1.0, 0.5, 1.0, 0.5, learning_rate=0.1, seconds=4.0, images_per_second=1.0, images=4, at=4.0)
    done = PhaseHistory(0, "base", epochs=(epoch,))
    begun = PhaseHistory(1, "tuned", features="Stored features.", features_seconds=60.0)
    for history, seconds in (((), 0.0), ((done,), 4.0), ((done, begun), 64.0)):
        monkeypatch.setattr(job, "_history", lambda history=history: history)
        assert job._seconds_before() == seconds


@pytest.mark.usefixtures("open_input")
def test_what_features_took_before_a_run_went_on_counts_as_long_as_it_trains_on_them(store: Store) -> None:
    run = claimed(store, experiment())
    for seconds, took in ((2.5, 2.5), (0.5, 3.0), (0.0, 0.0)):
        job = Job(store.home, run, OWNER, time.time())  # each goes on with what the one before has done
        store.begin_phase(run, OWNER, 1, "tuned")
        job.features(1, "any", seconds, of_others=False)
        assert store.history(run)[0].features_seconds == took


@pytest.mark.usefixtures("open_input")
def test_a_run_whose_process_was_killed_goes_on_to_the_same_end(
    whole: Run, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(REUSE, "off")
    run = claimed(store, experiment())
    job = Job(store.home, run, OWNER, time.time())

    def die_in_the_second_phase(phase: int, points: object) -> None:
        if phase == 1 and len(store.history(run)[1].epochs) == 1:
            raise KilledError

    monkeypatch.setattr(job, "points", die_in_the_second_phase)
    monkeypatch.setattr(callbacks, "SECONDS_BETWEEN_POINTS", 0.0)
    with pytest.raises(KilledError):
        job.do()
    shown = store.history(run)
    ended = go_on(store, run)
    assert (ended.state, ended.metrics) == (State.DONE, whole.metrics)
    assert "reused" not in ended.environment  # as was asked for, though there is a run that begins like it
    for before, after, undisturbed in zip(shown, store.history(run), store.history(whole.id), strict=True):
        assert after.epochs[: len(before.epochs)] == before.epochs
        measured = [[(row.epoch, row.loss, row.val_loss) for row in each.epochs] for each in (after, undisturbed)]
        assert measured[0] == measured[1]
        assert [row.change for row in after.changes] == [row.change for row in undisturbed.changes]
    assert not (store.files.folder(run) / "checkpoint.npz").exists()


@pytest.mark.usefixtures("open_input")
def test_a_phase_that_begins_anew_has_no_points_twice_and_its_ledger_counts_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(REUSE, "off")
    monkeypatch.setattr(callbacks, "SECONDS_BETWEEN_POINTS", 0.0)
    monkeypatch.setattr(features, "SECONDS_TO_SET_UP", -1e9)  # so few images would not be worth it
    run = claimed(store, experiment())
    write = Store.add_epoch

    def stop_in_the_second_phase(self: Store, run: str, owner: str, phase: int, epoch: Epoch) -> None:
        write(self, run, owner, phase, epoch)
        if (phase, epoch.epoch) == (1, 2):
            raise StoreUnusable("The store is away.")

    with monkeypatch.context() as patch:
        patch.setattr(patience, "SECONDS_OF_PATIENCE", 0.0)
        patch.setattr(Store, "add_epoch", stop_in_the_second_phase)
        cut_off = do(store, run)
    assert cut_off.state is State.INTERRUPTED
    stored = store.history(run)[1].features
    store.resume(run)
    assert store.claim("another", run=run, lease=600) is not None
    monkeypatch.setenv(KEPT, "off")
    ended = do(store, run, "another")
    assert ended.state is State.DONE
    tuned = store.history(run)[1]
    assert tuned.features != stored  # so its checkpoint does not fit any more
    assert [point.epoch for point in tuned.points] == sorted({point.epoch for point in tuned.points})
    assert ended.seconds["steps"] > cut_off.seconds["steps"] > 0
    assert ended.seconds["queue"] < 60
