"""The worker's job: what it writes, and how it ends when something goes wrong."""

import errno
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cifar_core import worker
from cifar_core.data.errors import DataNotFoundError
from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.measured import Run, State
from cifar_core.runs.store import Store
from tests.training.makers import experiment, images, phase, small

OWNER = "a test"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path)
    yield store
    store.close()


@pytest.fixture
def open_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """A supervisor that stays: its end of the pipe is never closed, as its end would end this process."""
    reader, _ = os.pipe()
    monkeypatch.setattr(sys, "stdin", os.fdopen(reader, closefd=False))
    monkeypatch.setattr(worker, "open_images", lambda *_, **__: images())


def claimed(store: Store, meant: Experiment) -> str:
    run = store.submit(meant, 1, "a run")
    assert store.claim(OWNER, run=run, lease=600) is not None
    return run


def do(store: Store, run: str) -> Run:
    worker.Job(store.home, run, OWNER, time.time()).do()
    return store.run(run)


@pytest.mark.usefixtures("open_input")
def test_a_job_leaves_measurements_model_and_predictions(store: Store) -> None:
    run = do(store, claimed(store, experiment()))
    assert (run.state, run.reason) == (State.DONE, "")
    assert run.metrics["test"]["n"] == 12
    assert run.environment["fingerprint"] == "0"
    assert [len(phase.epochs) for phase in store.history(run.id)] == [2, 2]
    files = {path.name for path in store.artifacts(run.id).iterdir()}
    assert {worker.MODEL, worker.TEST, worker.VALIDATION} <= files
    assert run.size > 0


@pytest.mark.usefixtures("open_input")
def test_validation_on_the_test_images_is_predicted_once(store: Store) -> None:
    run = do(
        store, claimed(store, small().model_copy(update={"validation": experiment().validation.parse({"on": "test"})}))
    )
    assert run.metrics["validation"] == run.metrics["test"]
    assert not (store.artifacts(run.id) / worker.VALIDATION).exists()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "ran out of memory"),
        (OSError(errno.ENOSPC, "No space left on device"), "The disk is full"),
        (ValueError("nobody expected this"), "ValueError: nobody expected this"),
        (DataNotFoundError("There are no images."), "There are no images."),
    ],
)
@pytest.mark.usefixtures("open_input")
def test_what_goes_wrong_fails_the_run_and_is_said(
    store: Store, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(worker, "train", fail)
    run = do(store, claimed(store, small()))
    assert run.state is State.FAILED
    assert said in run.reason


@pytest.mark.usefixtures("open_input")
def test_a_run_that_was_asked_to_stop_keeps_its_model(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "SECONDS_BETWEEN_LOOKS", 0.01)
    run = claimed(store, experiment(phase(epochs=10_000)))
    write = Store.add_epoch

    def stop_after_the_first_epoch(*arguments: Any) -> None:
        write(*arguments)
        store.request_stop(run)

    monkeypatch.setattr(Store, "add_epoch", stop_after_the_first_epoch)
    ended = do(store, run)
    assert (ended.state, ended.metrics) == (State.STOPPED, {})
    assert (store.artifacts(run) / worker.MODEL).exists()
    assert store.history(run)[0].changes


@pytest.mark.usefixtures("open_input")
def test_a_stop_while_the_images_are_prepared_is_a_stop_and_no_failure(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened_while_stopped(*_: Any, progress: Any, **__: Any) -> None:
        monkeypatch.setattr(worker.Job, "should_stop", lambda _: True)
        progress(1, 2)

    monkeypatch.setattr(worker, "open_images", opened_while_stopped)
    assert do(store, claimed(store, small())).state is State.STOPPED


@pytest.mark.usefixtures("open_input")
def test_a_lost_claim_ends_the_job_without_a_word_in_the_store(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run = claimed(store, small())
    store.finish(run, OWNER, State.INTERRUPTED, reason="taken over")
    assert do(store, run).reason == "taken over"


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
    process.stdin.close()
    assert process.wait(timeout=60) == 0
    ended = store.run(run)
    assert ended.state is State.INTERRUPTED
    assert "supervised this run ended" in ended.reason
    assert (store.artifacts(run) / worker.MODEL).exists()
