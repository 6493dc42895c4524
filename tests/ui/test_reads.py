"""What pages read: cheap where nothing has changed, and never older than what has."""

from pathlib import Path

import pytest
import streamlit as st

from cifar_core.experiment.links import FIRST
from cifar_core.experiment.measured import Run, State
from cifar_core.runs.store import Store
from cifar_core.ui import reads


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


def test_live_pages_look_less_often_the_more_there_are_and_keep_their_pace_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    st.cache_resource.clear()
    monkeypatch.setattr(reads, "_SHARE", 0.3)
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
