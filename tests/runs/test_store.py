"""What anybody may rely on about stored runs."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from cifar_core.experiment.measured import Progress, State
from cifar_core.runs import database
from cifar_core.runs.errors import NotFinished, StoreUnusable, UnknownRun
from cifar_core.runs.store import Store
from tests.runs.helpers import EXPERIMENT, epoch, submit


def finished(store: Store, state: State = State.DONE) -> str:
    run = submit(store)
    store.claim("owner", run=run)
    store.finish(run, "owner", state)
    return run


def execute(store: Store, *statements: str) -> None:
    with store._database.writing() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def test_a_submitted_run_is_queued_with_everything_it_was_given(store: Store) -> None:
    before = datetime.now(UTC)
    run = store.run(store.submit(EXPERIMENT, seed=7, name="head only · seed 7"))
    assert (run.experiment, run.seed, run.name, run.state) == (EXPERIMENT, 7, "head only · seed 7", State.QUEUED)
    assert before <= run.created <= datetime.now(UTC)
    assert (run.started, run.finished, run.progress, run.stop_requested) == (None, None, None, False)


def test_an_id_is_short_and_can_stand_in_a_link(store: Store) -> None:
    run = submit(store)
    assert len(run) == 8
    assert run.isalnum() and run.isascii() and run.islower()


def test_a_double_click_starts_one_run(store: Store) -> None:
    runs = {store.submit(EXPERIMENT, 1, "name", token="click") for _ in range(2)}
    assert [run.id for run in store.queue()] == list(runs)
    assert store.submit(EXPERIMENT, 1, "name", token="another click") not in runs


def test_runs_are_listed_newest_first_and_the_queue_in_its_order(store: Store) -> None:
    first, second, third = (submit(store) for _ in range(3))
    store.claim("owner")
    assert [run.id for run in store.runs()] == [third, second, first]
    assert [run.id for run in store.runs(limit=2)] == [third, second]
    assert [run.id for run in store.runs(states=[State.PREPARING])] == [first]
    assert [run.id for run in store.queue()] == [second, third]


def test_an_archived_run_is_put_away_until_it_is_fetched_back(store: Store) -> None:
    run = submit(store)
    store.archive(run)
    assert store.runs() == []
    assert [found.id for found in store.runs(archived=True)] == [run]
    store.archive(run, False)
    assert [found.id for found in store.runs()] == [run]


def test_names_and_notes_can_be_changed(store: Store) -> None:
    run = submit(store)
    store.rename(run, "a better name")
    store.set_note(run, "<b>lecture 3</b>")
    assert (store.run(run).name, store.run(run).note) == ("a better name", "<b>lecture 3</b>")


def test_an_unknown_run_is_answered_with_the_nearest_id(store: Store) -> None:
    run = submit(store)
    with pytest.raises(UnknownRun, match=f'There is no run "{run[:-1]}".*Did you mean "{run}"'):
        store.run(run[:-1])


@pytest.mark.parametrize(
    "use",
    [Store.history, Store.version, Store.stop_requested, Store.request_stop, Store.delete, Store.archive],
)
def test_whatever_takes_an_id_says_that_it_is_unknown(store: Store, use: object) -> None:
    with pytest.raises(UnknownRun):
        use(store, "nothing")  # type: ignore[operator]


def test_deleting_a_run_frees_its_disk_and_forgets_what_it_measured(store: Store) -> None:
    run = submit(store)
    store.claim("owner")
    store.begin_phase(run, "owner", 0, "base")
    store.add_epoch(run, "owner", 0, epoch(1))
    (store.files.folder(run) / "features").mkdir()
    (store.files.folder(run) / "features" / "model.keras").write_bytes(b"x" * 1000)
    store.finish(run, "owner", State.DONE)
    assert store.run(run).size == 1000
    store.delete(run)
    assert not store.files.folder(run).exists()
    with pytest.raises(UnknownRun):
        store.history(run)


def test_only_a_finished_run_can_be_deleted(store: Store) -> None:
    run = submit(store)
    with pytest.raises(NotFinished, match="is queued; stop it"):
        store.delete(run)


def test_stopping_a_queued_run_takes_it_out_of_the_queue_at_once(store: Store) -> None:
    run = submit(store)
    store.request_stop(run)
    assert store.run(run).state is State.STOPPED
    assert store.claim("owner") is None


def test_stopping_an_active_run_only_asks_for_it(store: Store) -> None:
    run = submit(store)
    store.claim("owner")
    assert not store.stop_requested(run)
    store.request_stop(run)
    assert store.stop_requested(run)
    assert store.run(run).state is State.PREPARING


@pytest.mark.parametrize("state", [state for state in State if state.is_finished])
def test_stopping_a_finished_run_changes_nothing(store: Store, state: State) -> None:
    run = store.run(finished(store, state))
    store.request_stop(run.id)
    assert store.run(run.id) == run


def test_the_version_grows_with_every_change_and_with_nothing_else(store: Store) -> None:
    run = submit(store)
    seen = [store.version(run)]
    store.claim("owner")
    seen.append(store.version(run))
    store.set_progress(run, "owner", Progress(1, 1, 0.5, None))
    seen.append(store.version(run))
    store.begin_phase(run, "owner", 0, "base")
    seen.append(store.version(run))
    assert seen == sorted(set(seen))
    store.renew(run, "owner")
    store.history(run)
    assert store.version(run) == seen[-1]


def test_a_store_is_found_again_by_another_one(store: Store) -> None:
    run = store.run(submit(store))
    again = Store(store.home)
    assert again.run(run.id) == run
    again.close()


def test_a_home_that_cannot_be_a_folder_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(StoreUnusable, match=r"The folder .*home cannot be used"):
        Store(tmp_path / "home")


def test_a_store_from_another_version_says_what_to_do(store: Store) -> None:
    execute(store, "UPDATE schema SET version = 99")
    with pytest.raises(StoreUnusable, match=r"schema 99.*Update Transfer Lab"):
        Store(store.home)


def test_a_store_of_the_first_version_is_opened_with_all_it_has(store: Store) -> None:
    run = submit(store)
    store.claim("owner")
    store.begin_phase(run, "owner", 0, "base")
    store.add_epoch(run, "owner", 0, epoch(1))
    before = store.run(run), store.history(run)
    new = (
        ("phases", "kept_epoch"),
        ("phases", "reused_from"),
        ("phases", "features"),
        ("phases", "features_seconds"),
        ("phases", "features_of_others"),
        ("runs", "resumed"),
        ("runs", "person"),
        ("runs", "tags"),
        ("runs", "queued"),
    )
    execute(
        store,
        "DROP INDEX runs_by_person",
        "DROP INDEX runs_by_version",
        *(f"ALTER TABLE {table} DROP COLUMN {column}" for table, column in new),
        "DROP TABLE checkpoints",
        "DROP TABLE comparisons",
        "UPDATE schema SET version = 1",
    )
    store.close()
    for _ in range(2):
        again = Store(store.home)
        assert (again.run(run), again.history(run)) == before
        again.close()
    again.record_kept(run, "owner", 0, 1)
    assert again.history(run)[0].kept_epoch == 1
    again.close()


def test_runs_of_before_say_whose_features_they_trained_on_where_their_sentence_does(store: Store) -> None:
    there = "Stored features after conv_2: 1.0 MB for 36 images. They were there already."
    computed = there.replace("They were there already", "Computed for this run")
    runs = {}
    for name, said in {
        "others": ("No stored features: off.", there),
        "own": (computed, there),
        "none": ("", computed),
        "resumed": ("", there),
    }.items():
        runs[name] = run = submit(store, name)
        store.claim("owner", run=run)
        for phase, sentence in enumerate(said):
            store.begin_phase(run, "owner", phase, "any")
            store.record_features(run, "owner", phase, sentence, 0.1)
    execute(
        store,
        f"UPDATE runs SET resumed = 1 WHERE id = '{runs['resumed']}'",
        "ALTER TABLE phases DROP COLUMN features_of_others",
        "ALTER TABLE runs DROP COLUMN queued",
        "UPDATE schema SET version = 3",
    )
    store.close()
    again = Store(store.home)
    found = {name: [phase.features_of_others for phase in again.history(run)] for name, run in runs.items()}
    assert found == {"others": [False, True], "own": [False] * 2, "none": [False] * 2, "resumed": [False] * 2}
    again.close()


def test_a_store_that_is_kept_locked_says_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    impatient = Store(store.home)
    with store._database.writing():
        with pytest.raises(StoreUnusable, match="kept busy by another program"):
            submit(impatient)
        assert impatient.runs() == []  # reading needs no lock
    submit(impatient)
    impatient.close()


def test_a_run_of_another_version_hides_none_of_the_others(store: Store) -> None:
    strange, plain = submit(store), submit(store)
    execute(store, f"UPDATE runs SET experiment = '{{\"version\": 9}}' WHERE id = '{strange}'")
    assert [run.id for run in store.runs()] == [plain]
    with pytest.raises(StoreUnusable, match="another version of Transfer Lab"):
        store.run(strange)
    assert store.claim("owner") is None  # it cannot be run, and says so instead of blocking the queue
    claimed = store.claim("owner")
    assert claimed is not None and claimed.id == plain
