"""What people do with runs: stop, cancel, reorder, rename, put away, delete, compare."""

import shutil
from types import SimpleNamespace

import pytest

from cifar_core.experiment.measured import State
from cifar_core.runs.room import NO_ROOM, SPARE_BYTES
from cifar_core.runs.store import Store
from tests.filled_store import LOG, claim, finished
from tests.pages.app import App


def test_stop_asks_the_run_on_the_page_to_stop_and_says_so(app: App, runs: dict[str, str], store: Store) -> None:
    app.open("Live", run=runs["training"]).click("Stop")
    assert store.run(runs["training"]).stop_requested
    assert "stop asked for" in app.text()
    assert not app.has_button("Stop")


def test_a_waiting_run_can_be_cancelled(app: App, runs: dict[str, str], store: Store) -> None:
    app.open("Live", run=runs["queued"]).click("Cancel")
    assert store.run(runs["queued"]).state is State.STOPPED
    assert "Cancelled before it started." in app.text()


def test_a_waiting_run_can_be_moved_up_and_its_place_follows(app: App, runs: dict[str, str], store: Store) -> None:
    app.open("Live", run=runs["queued last"])
    assert "queued, 2nd in line" in app.text()
    app.click("Move up")
    assert [run.id for run in store.queue()] == [runs["queued last"], runs["queued"]]
    assert "queued, 1st in line" in app.text()


def test_live_names_the_phase_the_epoch_and_the_time_left(app: App, runs: dict[str, str]) -> None:
    said = app.open("Live", run=runs["training"]).text()
    assert "training, phase 2 of 2 (fine-tune), epoch 1 of 3, about 1:20 left" in said


def test_numbers_that_are_none_leave_the_table_of_epochs_readable(app: App, runs: dict[str, str]) -> None:
    app.open("Results", run=runs["diverged"])
    epochs = next(table for table in app.tables() if "epoch" in table)
    assert epochs["loss"].isna().all() and epochs["accuracy"].notna().any()


@pytest.mark.parametrize("name", ["a new name", "**<b>name</b>** $x$"])
def test_a_run_can_be_renamed_and_noted(app: App, runs: dict[str, str], store: Store, name: str) -> None:
    run = runs["done"]
    app.open("Results", run=run)
    app.widget(f"name.{run}").set_value(name)
    app.widget(f"note.{run}").set_value("seen in the lecture")
    app.run()
    assert (store.run(run).name, store.run(run).note) == (name, "seen in the lecture")
    assert name in app.widget("run.choice").options


def test_an_empty_name_changes_nothing(app: App, runs: dict[str, str], store: Store) -> None:
    run, before = runs["done"], store.run(runs["done"]).name
    app.open("Results", run=run)
    app.widget(f"name.{run}").set_value("  ")
    app.run()
    assert store.run(run).name == before


def test_what_two_tabs_write_about_a_run_does_not_undo_each_other(app: App, runs: dict[str, str], store: Store) -> None:
    run, elsewhere = runs["done"], App()
    for tab in (app, elsewhere):
        tab.open("Results", run=run)
    app.widget(f"name.{run}").set_value("renamed here")
    app.run()
    elsewhere.widget(f"note.{run}").set_value("noted there")
    elsewhere.run()
    assert (store.run(run).name, store.run(run).note) == ("renamed here", "noted there")
    app.widget(f"note.{run}").set_value("noted here, too")
    assert "Your note has replaced another one, written meanwhile: noted there" in app.run().text()


def test_a_run_can_be_put_away_and_brought_back(app: App, runs: dict[str, str], store: Store) -> None:
    app.open("Results", run=runs["done"]).click("Archive")
    assert store.run(runs["done"]).archived
    app.open("Results", run=runs["done"]).click("Bring back")
    assert not store.run(runs["done"]).archived


def test_a_deleted_run_is_gone_with_its_files(app: App, runs: dict[str, str], store: Store) -> None:
    folder = store.files.folder(runs["done"])
    app.open("Results", run=runs["done"]).click("Delete now")
    assert runs["done"] not in {run.id for run in store.runs()}
    assert not folder.exists()


def test_the_last_run_can_be_deleted(app: App, store: Store) -> None:
    app.open("Results", run=finished(store)).click("Delete now")
    assert "Experiment" in app.links().values()


@pytest.mark.parametrize("other", ["failed", "diverged", "stopped", "interrupted", "training", "whole data set"])
def test_a_finished_run_can_be_compared_with_one_of_any_kind(app: App, runs: dict[str, str], other: str) -> None:
    app.open("Compare", runs=f"{runs['done']},{runs[other]}")
    assert LOG not in app.text()
    assert [len(table) for table in app.tables() if "altogether" in table] == [2]


def test_compare_answers_the_three_questions(app: App, runs: dict[str, str]) -> None:
    said = app.open("Compare", runs=f"{runs['done']},{runs['head only']}").text()
    for question in (
        "How many parameters are trainable in each case?",
        "Which way of fine-tuning classifies better, and why?",
        "Why is it faster than training from scratch?",
    ):
        assert question in said
    assert "645 of 949,029" in said and "938,885 of 949,029" in said


def test_compare_asks_for_a_second_run(app: App, runs: dict[str, str]) -> None:
    assert "Choose at least two runs." in app.open("Compare", runs=runs["done"]).text()


def test_without_room_on_the_disk_no_run_goes_on(app: App, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = claim(store)
    stopped.ends(State.STOPPED)
    label = "Go on from the last finished epoch"
    assert app.open("Results", run=stopped.run).has_button(label)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=SPARE_BYTES))
    assert not app.run().has_button(label)
    assert app.button(label).help == NO_ROOM
