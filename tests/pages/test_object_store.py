"""Pages of a machine on which none of the runs was trained: their files come from an object store, or do not."""

import secrets
import shutil
from pathlib import Path
from typing import Any

import pytest

from cifar_core.experiment.measured import MODEL, State
from cifar_core.runs.artifacts import Objects
from cifar_core.runs.errors import ArtifactsUnusable
from cifar_core.runs.files import Files
from cifar_core.runs.store import Store
from tests.filled_store import LOG
from tests.pages.app import App
from tests.pages.conftest import forget


@pytest.fixture
def elsewhere(home: Path, runs: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The ids of runs whose files are in the object store alone."""
    monkeypatch.setenv("TRANSFER_LAB_ARTIFACTS", f"memory://{secrets.token_hex(4)}")
    store = Store(home)
    (store.files.folder(runs["done"]) / MODEL).write_bytes(b"weights")
    (store.files.folder(runs["failed"]) / "log.txt").write_text(LOG)
    (store.files.folder(runs["failed"]) / MODEL).write_bytes(b"weights")
    for run in store.runs(archived=True):
        if run.state in (State.DONE, State.FAILED, State.STOPPED):
            store.files.keep(run.id, None)
    store.close()
    shutil.rmtree(home / "runs")
    forget()
    return runs


def downloads(app: App) -> list[str]:
    return [each.proto.label for each in app.test.get("download_button")]


def test_results_show_and_offer_what_was_trained_elsewhere(app: App, home: Path, elsewhere: dict[str, str]) -> None:
    run = elsewhere["done"]
    said = app.open("Results", run=run).text()
    assert "of the test images given their right class" in said
    assert any(label.startswith("Model (.keras)") for label in downloads(app))
    assert "Try an image on this network" in app.links()
    assert not (home / "runs" / run / MODEL).exists(), "nobody has asked for the network yet"
    assert "Log (.txt)" in downloads(app.open("Results", run=elsewhere["failed"]))


def test_compare_takes_predictions_from_everywhere(app: App, elsewhere: dict[str, str]) -> None:
    app.open("Compare", runs=f"{elsewhere['done']},{elsewhere['head only']}")
    assert "test images" in app.text() and not app.test.warning


@pytest.mark.parametrize("page", ["Results", "Compare", "Notebook", "Published", "Try", "Plan", "Home"])
def test_what_is_out_of_reach_is_said_once_and_all_else_is_shown(
    app: App, elsewhere: dict[str, str], monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    def refuse(*_: object) -> None:
        raise ArtifactsUnusable("Files of runs at s3://lab cannot be reached.")

    monkeypatch.setattr(Objects, "get", refuse)
    query = {
        "Results": {"run": elsewhere["done"]},
        "Compare": {"runs": f"{elsewhere['done']},{elsewhere['head only']}"},
    }
    app.open(page, **query.get(page, {}))
    told = [each.value for each in app.test.warning if "cannot be reached" in each.value]
    assert len(told) == (page in query)
    assert not app.test.error
    if page == "Results":
        assert "Experiment (JSON)" in app.text()


@pytest.mark.parametrize("gone", [False, True])
def test_a_file_that_cannot_be_had_is_named_when_its_button_is_pressed(
    app: App, elsewhere: dict[str, str], monkeypatch: pytest.MonkeyPatch, gone: bool
) -> None:
    app.open("Results", run=elsewhere["done"])

    def refuse(*_: object) -> None:
        raise ArtifactsUnusable("Files of runs at s3://lab cannot be reached.")

    if gone:
        monkeypatch.setattr(Files, "written", lambda *_: None)
    else:
        monkeypatch.setattr(Objects, "check", refuse)
    buttons: list[Any] = list(app.test.get("download_button"))
    next(each for each in buttons if each.label.startswith("Model")).click()
    told = "model.keras of this run is gone" if gone else "cannot be reached"
    assert told in app.run().text()
    assert told not in app.run().text()
