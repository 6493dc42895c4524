"""What pages offer to take away."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cifar_core.__main__ import main
from cifar_core.experiment.links import FIRST
from cifar_core.experiment.settings import apply
from cifar_core.runs.store import Store
from cifar_core.ui.people import READ_ONLY
from tests.filled_store import finished
from tests.pages.app import App


def offered(app: App) -> list[str]:
    return [each.proto.label for each in app.test.get("download_button")]


def test_results_offer_everything_in_one_file_and_each_part(app: App, runs: dict[str, str]) -> None:
    labels = offered(app.open("Results", run=runs["done"]))
    assert {"Everything of this run (.zip)", "Report (HTML)"} <= set(labels)
    assert {"Keras script (.py)", "Notebook (.ipynb)", "Images for both (.npz)"} <= set(labels)
    assert {"Epochs", "Points", "Classes, test", "Predictions, validation"} <= set(labels)


def test_a_run_that_has_no_script_says_why(app: App, store: Store) -> None:
    experiment = apply(FIRST, ['initial_weights={"source":"file","path":"w.h5"}'])
    app.open("Results", run=finished(store, experiment))
    assert "weights from a file of yours" in app.text()
    assert "Keras script (.py)" not in offered(app)


def test_compare_offers_its_report(app: App, runs: dict[str, str]) -> None:
    app.open("Compare", runs=f"{runs['done']},{runs['head only']}")
    assert "Report of this comparison (HTML)" in offered(app)


@pytest.mark.parametrize("other", ["head only", "whole data set", "failed"])
def test_compare_draws_accuracy_against_its_cost(app: App, runs: dict[str, str], other: str) -> None:
    said = app.open("Compare", runs=f"{runs['done']},{runs[other]}").text()
    fair = other != "failed"
    assert ("Fewer than two of these runs" in said) != fair
    assert any("on the front" in table for table in app.tables()) == fair


def test_results_go_to_tensorboard_and_name_what_mlflow_needs(
    app: App, runs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboardX")
    pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    app.open("Results", run=runs["done"])
    assert "TensorBoard (.zip)" in offered(app)
    assert "MLFLOW_TRACKING_URI" in app.text() and not app.has_button("Send to MLflow")
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    assert "TensorBoard (.zip)" not in offered(app.run())
    assert "pip install tensorboardX" in app.text()


@pytest.mark.parametrize(("address", "said"), [("tracked", "Run "), ("nowhere://to.be.found", "did not take the run")])
def test_a_run_is_sent_to_mlflow_by_the_command_line_and_its_words_are_shown(
    app: App, runs: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, said: str
) -> None:
    pytest.importorskip("mlflow")

    def in_this_process(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        assert command[:3] == [sys.executable, "-m", "cifar_core"]
        done = CliRunner().invoke(main, command[3:])
        return subprocess.CompletedProcess(command, done.exit_code, done.stdout, done.stderr)

    monkeypatch.setattr(subprocess, "run", in_this_process)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address if "://" in address else (tmp_path / address).as_uri())
    app.open("Results", run=runs["done"]).click("Send to MLflow")
    (shown,) = app.test.success if address == "tracked" else app.test.error
    assert said in shown.value


def test_who_only_watches_sends_nothing_to_mlflow(
    app: App, runs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    assert app.open("Results", run=runs["done"]).has_button("Send to MLflow")
    monkeypatch.setenv(READ_ONLY, "on")
    assert not app.run().has_button("Send to MLflow")
