"""A run's files on their way through an object store: the real worker on two machines, each with a home of its own."""

import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cifar_core.experiment.experiment import Experiment, InitialWeights
from cifar_core.experiment.measured import CHECKPOINT, LOG, MODEL, Run, State
from cifar_core.runs import patience
from cifar_core.runs.artifacts import Objects
from cifar_core.runs.errors import ArtifactsUnusable
from cifar_core.runs.store import Store
from cifar_core.training import callbacks
from cifar_core.worker import job as jobs
from cifar_core.worker import keeping
from cifar_core.worker.job import REUSE, TEST, Job
from tests.runs.helpers import elsewhere, wait_for
from tests.training.makers import experiment, phase, small, tuning


@pytest.fixture(autouse=True)
def objects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSFER_LAB_ARTIFACTS", f"memory://{secrets.token_hex(4)}")


@pytest.fixture
def here(objects: None, store: Store) -> Iterator[Store]:
    """The fixture's store, but with the object store."""
    here = Store(store.home)
    yield here
    here.close()


@pytest.fixture
def there(here: Store, tmp_path: Path) -> Iterator[Store]:
    with elsewhere(here, tmp_path / "there") as store:
        yield store


def claimed(store: Store, meant: Experiment) -> str:
    run = store.submit(meant, 1, "a run")
    assert store.claim("a test", run=run, lease=600) is not None
    return run


def do(store: Store, run: str, owner: str = "a test") -> Run:
    Job(store.home, run, owner, time.time()).do()
    return store.run(run)


def do_until(arrived: threading.Event, store: Store, run: str) -> Run:
    """Do a run whose files are on their way until `arrived`, which they are afterwards, and return how it ended."""
    job = Job(store.home, run, "a test", time.time())
    job.do()
    ended = store.run(run)
    arrived.set()
    job._keeper.join(20)
    return ended


def out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ArtifactsUnusable("Files of runs cannot be reached.")

    for method in ("put", "get"):
        monkeypatch.setattr(Objects, method, refuse)


class KilledError(BaseException):
    """Nothing of ours catches this, as nothing can catch a kill."""


def test_a_run_that_was_killed_goes_on_on_another_machine_to_the_same_end(
    here: Store, there: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(REUSE, "off")
    monkeypatch.setattr(callbacks, "SECONDS_BETWEEN_POINTS", 0.0)
    meant = experiment(phase(), tuning(epochs=4))
    whole = do(here, claimed(here, meant))
    monkeypatch.setattr(keeping, "SECONDS_BETWEEN_LOOKS", 600)  # as if the line were slow
    run = claimed(here, meant)
    job = Job(here.home, run, "a test", time.time())

    def keep_once_and_die_later(phase: int, points: object) -> None:
        done = len(here.history(run)[phase].epochs)
        if (phase, done) == (1, 1) and not here.files.runs_with(CHECKPOINT):
            here.files.keep(run, "a test")
        if (phase, done) == (1, 3):
            raise KilledError

    monkeypatch.setattr(job, "points", keep_once_and_die_later)
    with pytest.raises(KilledError):
        job.do()
    here.finish(run, "a test", State.INTERRUPTED)
    there.resume(run)
    assert there.claim("another", run=run, lease=600) is not None
    ended = do(there, run, "another")
    assert (ended.state, ended.reason, ended.metrics) == (State.DONE, "", whole.metrics)
    for after, undisturbed in zip(there.history(run), there.history(whole.id), strict=True):
        measured = [[(row.epoch, row.loss, row.val_loss) for row in each.epochs] for each in (after, undisturbed)]
        assert measured[0] == measured[1]
    assert (here.files.path(run, TEST).stat().st_mtime_ns) == (there.files.path(run, TEST).stat().st_mtime_ns)
    assert CHECKPOINT not in here.files.sizes(whole.id)
    assert not here.files.runs_with(CHECKPOINT)


def test_what_is_measured_is_kept_while_the_run_trains(
    here: Store, there: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "SECONDS_BETWEEN_LOOKS", 0.01)
    run = claimed(here, small())
    (here.files.folder(run) / LOG).write_text("its log")
    write = Store.add_epoch

    def wait_for_the_epoch_before(*arguments: object) -> None:
        write(*arguments)  # type: ignore[arg-type]
        if arguments[-1].epoch == 2:  # type: ignore[attr-defined]
            wait_for(lambda: here.files.runs_with(CHECKPOINT), "the first epoch's checkpoint")

    monkeypatch.setattr(Store, "add_epoch", wait_for_the_epoch_before)
    ended = do(here, run)
    assert ended.state is State.DONE
    assert there.files.path(run, MODEL).read_bytes() == here.files.path(run, MODEL).read_bytes()
    assert there.files.path(run, LOG).read_text().startswith("its log")


def test_a_run_begins_with_what_another_machine_has_trained(here: Store, there: Store) -> None:
    first = do(here, claimed(here, experiment()))
    same = do(there, claimed(there, experiment()))
    assert same.environment["reused"] == {"run": first.id, "phases": 1}
    weights = InitialWeights(source="run", run=first.id)
    assert do(there, claimed(there, experiment(initial_weights=weights))).state is State.DONE


def test_an_object_store_out_of_reach_ends_no_run_and_its_last_words_say_where_the_files_are(
    here: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(patience, "SECONDS_OF_PATIENCE", 0.1)
    out_of_reach(monkeypatch)
    ended = do(here, claimed(here, experiment()))
    assert ended.state is State.DONE
    assert ended.reason.startswith("The last files of this run are only on the machine ")
    assert "Files of runs cannot be reached. Once that is solved" in ended.reason
    assert (here.files.folder(ended.id) / MODEL).exists()
    assert capsys.readouterr().err.count("It goes on, but: Files of runs cannot be reached.") == 1


def test_a_run_whose_files_cannot_be_fetched_waits_and_can_go_on_later(
    here: Store, there: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = claimed(here, small())
    (here.files.folder(run) / CHECKPOINT).write_bytes(b"the first epoch")
    here.files.keep(run, "a test")
    monkeypatch.setattr(patience, "SECONDS_OF_PATIENCE", 0.1)
    out_of_reach(monkeypatch)
    ended = do(there, run)
    assert ended.state is State.INTERRUPTED
    assert ended.reason.startswith("Nothing could be fetched. Files of runs cannot be reached.")


def test_what_is_on_its_way_for_too_long_does_not_hold_up_who_waits_for_the_end(
    here: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(jobs.SECONDS_TO_KEEP, State.STOPPED, 0.1)
    arrived = threading.Event()

    def put(*_: object) -> None:
        arrived.wait(20)
        raise ArtifactsUnusable("It did not arrive.")

    monkeypatch.setattr(Objects, "put", put)
    run = claimed(here, experiment(phase(epochs=10_000)))
    write = Store.add_epoch

    def stop_after_the_first_epoch(*arguments: object) -> None:
        write(*arguments)  # type: ignore[arg-type]
        here.request_stop(run)

    monkeypatch.setattr(Store, "add_epoch", stop_after_the_first_epoch)
    ended = do_until(arrived, here, run)
    assert ended.state is State.STOPPED
    assert "still on their way after 0 s" in ended.reason


def test_a_run_that_has_only_its_files_left_to_keep_is_done_when_it_is_asked_to_stop(
    here: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(jobs.SECONDS_TO_KEEP, State.STOPPED, 0.1)
    monkeypatch.setattr(jobs, "SECONDS_BETWEEN_LOOKS", 0.01)
    arrived, run = threading.Event(), claimed(here, small())

    def put(*_: object) -> None:
        if here.run(run).step == "keeping the files":
            here.request_stop(run)
        arrived.wait(20)
        raise ArtifactsUnusable("It did not arrive.")

    monkeypatch.setattr(Objects, "put", put)
    monkeypatch.setattr(keeping, "SECONDS_BETWEEN_LOOKS", 600)  # so that it begins at the end
    ended = do_until(arrived, here, run)
    assert ended.state is State.DONE
    assert ended.metrics["test"]["n"] == 4
    assert "still on their way after 0 s" in ended.reason
