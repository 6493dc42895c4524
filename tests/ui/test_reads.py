"""What pages read: cheap where nothing has changed, and never older than what has."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import streamlit as st

from cifar_core.experiment.links import FIRST
from cifar_core.experiment.measured import PhaseHistory, Run, State
from cifar_core.runs.store import Store
from cifar_core.ui import reads
from tests.data.own import fill, own
from tests.filled_store import claim, finished


def test_of_many_runs_only_those_that_changed_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    first, second = (store.submit(FIRST, seed, "a run") for seed in (1, 2))
    shelf = reads._Shelf(store)
    assert [run.id for run in shelf.look()] == [second, first]
    read: list[str] = []

    def noting(**chosen: list[str]) -> list[Run]:
        read.extend(chosen["ids"])
        return Store.runs(store, **chosen)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "runs", noting)
    assert len(shelf.look()) == 2 and not read
    store.rename(first, "another name")
    assert [run.name for run in shelf.look()] == ["a run", "another name"] and read == [first]
    store.request_stop(second)
    assert shelf.look()[0].state is State.STOPPED
    store.delete(second)
    assert [run.id for run in shelf.look()] == [first]
    store.close()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The store that pages read, of which nothing is known yet."""
    monkeypatch.setenv("TRANSFER_LAB_HOME", str(tmp_path))
    st.cache_resource.clear()
    yield reads.store()
    st.cache_resource.clear()


def test_of_many_finished_runs_only_the_epochs_of_new_ones_are_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [finished(store, FIRST, seed) for seed in range(3)]
    read: list[str] = []

    def noting(ids: Sequence[str]) -> dict[str, tuple[PhaseHistory, ...]]:
        read.extend(ids)
        return Store.epochs(store, ids)

    monkeypatch.setattr(store, "epochs", noting)
    first, second, third = (store.run(run) for run in runs)
    assert reads.epochs_of([first, second]) == [(run, store.epochs([run.id])[run.id]) for run in (first, second)]
    read.clear()
    assert [run for run, _ in reads.epochs_of([third, first])] == [third, first] and read == [third.id]
    assert first.finished is not None
    again = replace(first, finished=first.finished + timedelta(minutes=1))
    assert reads.epochs_of([again, second])[0][0] is again and read == [third.id, first.id]


def test_of_a_run_that_goes_on_only_the_newest_history_is_kept_and_read_once(store: Store) -> None:
    writer = claim(store)
    writer.trains(0.2)
    before, version = reads.history(writer.run), store.version(writer.run)
    assert reads.history(writer.run) is before and before == store.history(writer.run)
    writer.trains(0.4)
    after = reads.history(writer.run)
    assert after == store.history(writer.run) != before
    assert reads.history(writer.run, version) is after


def test_live_pages_look_less_often_the_more_there_are_and_keep_their_pace_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    st.cache_resource.clear()
    monkeypatch.setattr(reads, "SHARE", 0.3)
    monkeypatch.setattr(reads, "_LOOK_CPU_SECONDS", 0.006)
    looks = reads._looks()
    alone = reads.pace()
    assert alone == reads.Pace(1, 1)
    looks.update({f"viewer {number}": 1e12 for number in range(99)})
    hall = reads.pace(alone)
    assert hall == reads.Pace(2, 100)
    del looks["viewer 0"]
    assert reads.pace(hall) is hall
    looks.clear()
    assert reads.pace(hall) == alone
    looks.update({f"viewer {number}": 1e12 for number in range(5000)})
    assert reads.pace(reads.pace()) == reads.Pace(10, 5001)
    st.cache_resource.clear()


def test_the_files_of_each_class_of_a_folder_are_counted_as_long_as_it_has_them(tmp_path: Path) -> None:
    st.cache_resource.clear()
    pets = fill(tmp_path / "pets", cat=10, dog=5)
    assert reads.files_of_classes(own(pets, "dog", "cat")) == [(4, 1), (8, 2)]
    assert reads.files_of_classes(own(pets, "dog", "elk")) is None
    assert reads.files_of_classes(own(tmp_path / "gone", "dog", "cat")) is None
