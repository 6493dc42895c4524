"""What pages offer to take away."""

import pytest

from cifar_core.experiment.settings import apply
from cifar_core.runs.store import Store
from cifar_core.ui.form import FIRST
from tests.filled_store import finished
from tests.pages.app import App


def offered(app: App) -> list[str]:
    return [each.proto.label for each in app.test.get("download_button")]


def test_results_offer_everything_in_one_file_and_each_part(app: App, runs: dict[str, str]) -> None:
    labels = offered(app.open("Results", run=runs["done"]))
    assert labels[0] == "Everything of this run (.zip)"
    assert {"Report (HTML)", "Keras script (.py)", "Notebook (.ipynb)", "Images for both (.npz)"} <= set(labels)
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
