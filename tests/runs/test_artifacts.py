"""Files of runs in an object store: what two machines see that share a database and no folder."""

import importlib.util
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from cifar_core import events
from cifar_core.experiment.measured import CHECKPOINT, LOG, MODEL, State
from cifar_core.runs import artifacts
from cifar_core.runs.artifacts import Objects
from cifar_core.runs.errors import ArtifactsUnusable, ClaimLost, StoreUnusable
from cifar_core.runs.patience import Patience
from cifar_core.runs.store import Store
from tests.runs.helpers import elsewhere, submit
from tests.runs.objects import CREDENTIALS, serving


@pytest.fixture(scope="session")
def s3() -> Iterator[dict[str, str]]:
    with serving() as environment:
        yield environment


@pytest.fixture(params=["folder", "memory", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an object store without objects, set in the environment."""
    place = secrets.token_hex(4)
    match request.param:
        case "folder":
            address = f"file://{tmp_path}/bucket/{place}"
        case "memory":
            address = f"memory://{place}"
        case _:
            for name, value in request.getfixturevalue("s3").items():
                monkeypatch.setenv(name, value)
            address = f"s3://lab/{place}"
    monkeypatch.setenv("TRANSFER_LAB_ARTIFACTS", address)
    return address


@pytest.fixture
def here(tmp_path: Path, objects: str) -> Iterator[Store]:
    store = Store(tmp_path / "here")
    yield store
    store.close()


@pytest.fixture
def there(here: Store, tmp_path: Path) -> Iterator[Store]:
    with elsewhere(here, tmp_path / "there") as store:
        yield store


def claimed(store: Store, owner: str = "here") -> str:
    run = submit(store)
    assert store.claim(owner, run=run, lease=600) is not None
    return run


def write(store: Store, run: str, **files: str) -> None:
    for name, content in files.items():
        store.files.folder(run).joinpath(name.replace("_", ".")).write_text(content)


def files(store: Store, run: str) -> dict[str, str]:
    """What a worker finds in a folder."""
    return {path.name: path.read_text() for path in store.files.folder(run).iterdir() if not path.name.startswith(".")}


def resume(store: Store, run: str, owner: str) -> None:
    """What becomes of a run whose process was killed, up to where its next worker begins."""
    with store._database.writing() as connection:
        connection.exec_driver_sql("UPDATE runs SET lease_until = 1 WHERE owner IS NOT NULL")
    assert store.reconcile() == [run]
    store.resume(run)
    assert store.claim(owner, run=run, lease=600) is not None
    store.files.bring(run)


def stored(address: str) -> list[str]:
    """The names of all objects."""
    fs, root = fsspec.core.url_to_fs(address, use_listings_cache=False, skip_instance_cache=True)
    return sorted(path.rpartition("-")[2] for path in fs.find(root))


def test_what_is_kept_on_one_machine_is_read_on_another(here: Store, there: Store) -> None:
    run = claimed(here)
    write(here, run, model_keras="weights", test_npz="predictions")
    assert here.files.keep(run, "here")
    here.finish(run, "here", State.DONE)
    assert there.run(run).size == len("weights" + "predictions")
    assert there.files.sizes(run) == {MODEL: 7, "test.npz": 11}
    assert there.files.runs_with(MODEL) == {run}
    assert not there.files.folder(run).exists()
    assert there.files.path(run, MODEL).read_text() == "weights"
    assert files(there, run) == {MODEL: "weights"}, "only what was asked for is fetched"
    assert there.files.path(run, MODEL).stat().st_mtime_ns == here.files.path(run, MODEL).stat().st_mtime_ns
    assert there.files.written(run, MODEL) == here.files.written(run, MODEL)
    assert not there.files.path(run, "validation.npz").exists()
    assert there.files.written(run, "validation.npz") is None


def test_a_run_goes_on_elsewhere_from_what_was_kept_and_here_again_from_what_was_kept_there(
    here: Store, there: Store
) -> None:
    run = claimed(here)
    write(here, run, checkpoint_npz="epoch 4", epochs_npy="4 moments", log_txt="here")
    here.files.keep(run, "here")
    write(here, run, checkpoint_npz="epoch 5", epochs_npy="5 moments", other_npz="never kept")  # and is killed
    resume(there, run, "there")
    assert files(there, run) == {CHECKPOINT: "epoch 4", "epochs.npy": "4 moments"}, "its log is its own"
    there.files.folder(run).joinpath("phase-0.npz").write_text("end")
    write(there, run, checkpoint_npz="epoch 6", log_txt="there")
    there.files.keep(run, "there")
    resume(here, run, "here again")
    assert files(here, run) == {
        CHECKPOINT: "epoch 6",
        "epochs.npy": "4 moments",
        "phase-0.npz": "end",
        LOG: "here",
    }
    here.files.folder(run).joinpath(CHECKPOINT).unlink()
    write(here, run, log_txt="here again")
    here.files.keep(run, "here again")
    here.finish(run, "here again", State.DONE)
    assert there.files.sizes(run).keys() >= {"epochs.npy", "phase-0.npz", LOG}
    assert there.files.path(run, LOG).read_text() == "here again"


def test_a_run_goes_on_here_from_the_last_epoch_although_it_was_not_kept_any_more(here: Store) -> None:
    run = claimed(here)
    write(here, run, checkpoint_npz="epoch 4")
    here.files.keep(run, "here")
    write(here, run, checkpoint_npz="epoch 5")
    resume(here, run, "here again")
    assert files(here, run) == {CHECKPOINT: "epoch 5"}


def test_a_run_that_was_never_kept_goes_on_here(here: Store) -> None:
    run = claimed(here)
    write(here, run, checkpoint_npz="epoch 1")
    resume(here, run, "here again")
    assert files(here, run) == {CHECKPOINT: "epoch 1"}


def test_only_the_owner_says_what_is_kept(here: Store, there: Store) -> None:
    run = claimed(here)
    write(here, run, checkpoint_npz="epoch 4")
    here.files.keep(run, "here")
    resume(there, run, "there")
    write(there, run, checkpoint_npz="epoch 9")
    there.files.keep(run, "there")
    write(here, run, checkpoint_npz="epoch 5")
    with pytest.raises(ClaimLost):
        here.files.keep(run, "here")
    assert here.files.path(run, CHECKPOINT).read_text() == "epoch 9"


def test_what_is_replaced_is_removed_and_deleting_a_run_removes_all(here: Store, objects: str) -> None:
    run, other = claimed(here), claimed(here)
    for content in ("1", "2", "3"):
        write(here, run, checkpoint_npz=content)
        here.files.keep(run, "here")
    write(here, other, checkpoint_npz="3")
    here.files.keep(other, "here")
    assert stored(objects) == [CHECKPOINT, CHECKPOINT]
    write(here, run, model_keras="weights")
    here.files.keep(run, "here")
    here.finish(run, "here", State.DONE)
    here.delete(run)
    assert stored(objects) == [CHECKPOINT]
    assert not here.files.folder(run).exists()


def test_what_a_machine_has_of_runs_that_are_gone_or_have_gone_on_elsewhere_is_cleared(
    here: Store, there: Store
) -> None:
    deleted, gone_on, own, read = (claimed(here) for _ in range(4))
    for run in (deleted, gone_on, own, read):
        write(here, run, checkpoint_npz="epoch 1", model_keras="first")
        here.files.keep(run, "here")
    for run in (deleted, own, read):
        here.finish(run, "here", State.DONE)
    resume(there, gone_on, "there")
    write(there, gone_on, model_keras="second")
    here.files.clear_copies()
    assert here.files.folder(gone_on).exists(), "it may come back as long as it works"
    there.files.keep(gone_on, "there")
    there.finish(gone_on, "there", State.DONE)
    assert there.files.path(read, MODEL).read_text() == "first"
    there.delete(deleted)
    for store in (here, there):
        store.files.clear_copies()
    assert {path.name for path in (here.home / "runs").iterdir()} == {own, read}
    assert {path.name for path in (there.home / "runs").iterdir()} == {gone_on, read}


def test_what_of_a_deleted_run_is_in_no_object_store_stays(here: Store, there: Store) -> None:
    run = claimed(here)
    write(here, run, model_keras="first")
    here.files.keep(run, "here")
    write(here, run, model_keras="second", log_txt="its log")
    here.finish(run, "here", State.DONE)
    there.delete(run)
    here.files.clear_copies()
    assert files(here, run)[MODEL] == "second"


def test_logs_alone_are_no_reason_to_keep_anything(here: Store, there: Store) -> None:
    run = claimed(here)
    events.note(here.files.folder(run), "started")
    write(here, run, log_txt="one line")
    assert not here.files.keep(run, "here")
    write(here, run, checkpoint_npz="epoch 1")
    assert here.files.keep(run, "here")
    assert not here.files.keep(run, "here")
    assert there.files.path(run, LOG).read_text() == "one line"


@pytest.mark.parametrize("before", [{}, {"checkpoint_npz": "epoch 1", "log_txt": "one line"}])
def test_the_last_words_of_a_log_are_kept_at_the_end(here: Store, there: Store, before: dict[str, str]) -> None:
    run = claimed(here)
    write(here, run, **before)
    here.files.keep(run, "here")
    write(here, run, log_txt="one line, and what went wrong")
    assert here.files.keep(run, "here", last=True)
    assert not here.files.keep(run, "here", last=True)
    assert there.files.path(run, LOG).read_text() == "one line, and what went wrong"


def test_last_words_that_were_left_on_a_machine_are_made_up_for(here: Store, there: Store) -> None:
    run = claimed(here)
    write(here, run, log_txt="what went wrong")
    here.finish(run, "here", State.FAILED)
    assert here.files.keep(run, None)
    assert there.files.path(run, LOG).read_text() == "what went wrong"


def test_what_is_on_its_way_is_in_the_folder_of_its_run_and_cleared_away_after_a_kill(
    here: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = claimed(here)
    write(here, run, model_keras="weights")
    put: Callable[..., Any] = Objects._do
    on_the_way = list[Path]()

    def put_and_look(*arguments: Any) -> Any:
        on_the_way.extend(here.files.folder(run).glob(".part-*/*"))
        return put(*arguments)

    monkeypatch.setattr(Objects, "_do", put_and_look)
    here.files.keep(run, "here")
    assert [path.name for path in on_the_way] == [MODEL]
    on_the_way[0].parent.mkdir()  # as who is killed leaves it
    on_the_way[0].write_text("wei")
    here.files.bring(run)
    assert not list(here.files.folder(run).glob(".part-*"))


def test_a_file_that_was_half_fetched_is_fetched_again(
    here: Store, there: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = claimed(here)
    write(here, run, model_keras="weights")
    here.files.keep(run, "here")
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", lambda _: 1 / 0)  # a kill before it is in its place
        with pytest.raises(ZeroDivisionError):
            there.files.path(run, MODEL)
    assert files(there, run) == {}
    assert there.files.path(run, MODEL).read_text() == "weights"


def test_an_object_that_somebody_changed_is_not_taken_for_the_file(here: Store, there: Store, objects: str) -> None:
    run = claimed(here)
    write(here, run, model_keras="weights")
    here.files.keep(run, "here")
    fs, root = fsspec.core.url_to_fs(objects, use_listings_cache=False, skip_instance_cache=True)
    fs.pipe_file(fs.find(root)[0], b"else")
    with pytest.raises(ArtifactsUnusable, match="is damaged"):
        there.files.path(run, MODEL)
    assert files(there, run) == {}


def test_a_twin_that_is_replaced_while_it_is_fetched_is_looked_for_again(
    here: Store, there: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = claimed(here)
    write(here, run, checkpoint_npz="epoch 1")
    here.files.keep(run, "here")
    get = Objects.get

    def get_too_late(self: Objects, *arguments: object) -> None:
        monkeypatch.setattr(Objects, "get", get)
        write(here, run, checkpoint_npz="epoch 2")
        here.files.keep(run, "here")
        get(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Objects, "get", get_too_late)
    assert there.files.path(run, CHECKPOINT).read_text() == "epoch 2"


def test_what_could_not_be_kept_before_the_end_is_kept_afterwards(here: Store, there: Store) -> None:
    run = claimed(here)
    write(here, run, checkpoint_npz="epoch 1")
    here.files.keep(run, "here")
    write(here, run, model_keras="weights")
    here.finish(run, "here", State.DONE)
    assert there.files.path(run, CHECKPOINT).exists()
    assert not there.files.keep(run, None), "there is nothing that only this machine has"
    assert here.files.keep(run, None)
    assert there.files.path(run, MODEL).read_text() == "weights"
    assert not here.files.keep(run, None)


def test_runs_of_before_are_kept_when_asked(
    tmp_path: Path, there: Store, here: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = claimed(here)
    with monkeypatch.context() as before:
        before.delenv("TRANSFER_LAB_ARTIFACTS")
        alone = Store(here.home)
        write(alone, run, model_keras="weights")
        assert not alone.files.keep(run, "here") and alone.files.runs_with(MODEL) == frozenset()
        alone.finish(run, "here", State.DONE)
        assert alone.run(run).size == 7
        alone.close()
    assert not there.files.path(run, MODEL).exists()
    assert here.files.keep(run, None)
    assert there.files.path(run, MODEL).read_text() == "weights"


def test_many_readers_fetch_a_file_once(here: Store, there: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run = claimed(here)
    write(here, run, model_keras="weights")
    here.files.keep(run, "here")
    fetched: list[str] = []
    get = Objects.get

    def noting(self: Objects, *arguments: object) -> None:
        fetched.append("once")
        time.sleep(0.05)
        get(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Objects, "get", noting)
    read: list[str] = []
    readers = [threading.Thread(target=lambda: read.append(there.files.path(run, MODEL).read_text())) for _ in range(4)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(20)
    assert (read, fetched) == (["weights"] * 4, ["once"])


# --- what does not answer


@pytest.fixture
def silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store whose S3 server takes connections and says nothing."""
    monkeypatch.setattr(artifacts, "SECONDS_TO_ANSWER", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        for name, value in CREDENTIALS.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setenv("TRANSFER_LAB_ARTIFACTS", "s3://lab/runs")
        store = Store(tmp_path / "silent")
        yield store
        store.close()


def test_a_silent_object_store_is_told_in_time_and_not_asked_again_at_once(silent: Store) -> None:
    run = claimed(silent)
    write(silent, run, checkpoint_npz="epoch 1")
    began = time.monotonic()
    with pytest.raises(ArtifactsUnusable, match="at s3://lab/runs cannot be reached: nothing was heard"):
        silent.files.keep(run, "here")
    asked = time.monotonic()
    assert asked - began < 10
    with pytest.raises(ArtifactsUnusable, match="nothing was heard"):
        silent.files.keep(run, "here")
    assert time.monotonic() - asked < 0.2
    assert files(silent, run) == {CHECKPOINT: "epoch 1"}


def test_an_object_store_that_comes_back_is_used_again(
    silent: Store, s3: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = claimed(silent)
    write(silent, run, checkpoint_npz="epoch 1")
    monkeypatch.setattr(artifacts, "SECONDS_TO_RECOVER", 0.05)
    with pytest.raises(ArtifactsUnusable):
        silent.files.keep(run, "here")
    monkeypatch.setattr(artifacts, "SECONDS_TO_ANSWER", 15)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3["AWS_ENDPOINT_URL_S3"])
    again = Store(silent.home)
    assert again.files._objects is not None and silent.files._objects is not None
    silent.files._objects._opened = again.files._objects._open()  # the same machine with its network back
    assert Patience(10)(silent.files.keep, run, "here")
    assert again.files.keep(run, "here") is False
    again.close()


def test_deleting_a_run_whose_objects_cannot_be_removed_is_refused_in_words(silent: Store) -> None:
    run = claimed(silent)
    silent.finish(run, "here", State.STOPPED)
    with pytest.raises(ArtifactsUnusable, match="cannot be reached"):
        silent.delete(run)
    assert silent.run(run).state is State.STOPPED


def test_nobody_there_and_a_wrong_bucket_and_no_key_are_told(
    s3: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    Objects("s3://lab/nothing-here-yet").check()
    with pytest.raises(ArtifactsUnusable, match="bucket does not exist"):
        Objects("s3://nowhere/runs").check()
    with monkeypatch.context() as wrong:
        wrong.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
        began = time.monotonic()
        with pytest.raises(ArtifactsUnusable, match=r'Could not connect to the endpoint URL: "127\.0\.0\.1:9"\. '):
            Objects("s3://lab/runs").check()
        assert time.monotonic() - began < 5
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(ArtifactsUnusable, match="redentials"):
        Objects("s3://lab/runs").check()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("/srv/lab", "expects an address such as s3://bucket/folder"),
        ("simplecache::s3://lab", "expects an address such as s3://bucket/folder"),
        ("s3://ada:topsecret@lab/runs", "holds a password.*AWS_SECRET_ACCESS_KEY"),
        ("s3://lab/runs?secret=topsecret", "holds a password"),
        ("s3://lab/runs?aws_secret_access_key=topsecret", "holds a password"),
    ],
)
def test_a_wrong_address_is_said_without_secrets(
    tmp_path: Path, wrong: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRANSFER_LAB_ARTIFACTS", wrong)
    with pytest.raises(StoreUnusable, match=said) as refused:
        Store(tmp_path)
    assert "topsecret" not in str(refused.value)


@pytest.mark.parametrize("package", ["fsspec", "s3fs"])
def test_a_missing_package_is_named(tmp_path: Path, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSFER_LAB_ARTIFACTS", "s3://lab/runs")
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == package else find(name))
    with pytest.raises(ArtifactsUnusable, match=f"need the package {package}: pip install -r requirements-cluster.txt"):
        Store(tmp_path)


def test_an_implementation_that_is_unknown_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRANSFER_LAB_ARTIFACTS", "nonsense://lab")
    store = Store(tmp_path)
    with pytest.raises(ArtifactsUnusable, match="nonsense"):
        store.files.check()
    store.close()


def test_without_the_setting_nothing_is_asked_of_anybody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "Objects", None)
    store = Store(tmp_path)
    run = claimed(store)
    write(store, run, model_keras="weights")
    assert not store.files.keep(run, "here")
    store.files.bring(run)
    store.files.check()
    assert store.files.path(run, MODEL).read_text() == "weights"
    assert (store.files.sizes(run), store.files.written(run, MODEL)) == (
        {MODEL: 7},
        (store.files.folder(run) / MODEL).stat().st_mtime,
    )
    store.close()
