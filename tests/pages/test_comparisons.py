"""Comparisons under a name: kept, opened by their link, changed and forgotten."""

import pytest

from cifar_core.analysis.comparison import cell_in_words
from cifar_core.analysis.metrics import confusion
from cifar_core.analysis.predictions import load
from cifar_core.analysis.samples import cell_of_any
from cifar_core.experiment.links import taken_apart
from cifar_core.runs.store import Store
from tests.pages.app import App


@pytest.fixture
def kept(runs: dict[str, str], store: Store) -> str:
    """A comparison of two runs, over seconds."""
    view = {"compare.x": "seconds", "compare.cells": "counts"}
    chosen = [runs["done"], runs["head only"]]
    return store.keep_comparison("how deep", chosen, runs["head only"], note="for *Monday*", view=view)


def test_a_comparison_is_kept_under_a_name_and_its_link_opens_it(app: App, runs: dict[str, str], store: Store) -> None:
    app.open("Compare", runs=f"{runs['done']},{runs['head only']}", baseline=runs["head only"])
    app.widget("compare.x").set_value("seconds")
    app.run().widget("keep.name").set_value("how deep")
    app.widget("keep.note").set_value("for *Monday*")
    app.click("Keep")
    (comparison,) = store.comparisons()
    assert app.query["comparison"] == comparison.id and "runs" not in app.query
    other = App().open("Compare", comparison=comparison.id)
    assert other.widget("compare.runs").value == [runs["done"], runs["head only"]]
    assert other.widget("compare.baseline").value == runs["head only"]
    assert other.widget("compare.x").value == "seconds"
    assert "**how deep**" in other.text() and "> for *Monday*" in other.text()


def test_what_the_link_says_of_the_view_wins_over_what_was_kept(app: App, kept: str) -> None:
    app.open("Compare", **{"comparison": kept, "compare.x": "images"})
    assert (app.widget("compare.x").value, app.widget("compare.cells").value) == ("images", "counts")


def test_a_changed_comparison_says_so_and_can_be_kept_in_place_of_the_old_one(
    app: App, kept: str, runs: dict[str, str], store: Store
) -> None:
    app.open("Compare", comparison=kept).widget("compare.baseline").set_value(runs["done"])
    assert "changed since" in app.run().text()
    assert "comparison" not in app.query
    app.click("Keep the changes")
    (comparison,) = store.comparisons()
    assert (comparison.id, comparison.baseline, comparison.name) == (kept, runs["done"], "how deep")
    assert app.query["comparison"] == kept and "changed since" not in app.text()


def test_a_kept_comparison_is_listed_and_can_be_forgotten(app: App, kept: str, store: Store) -> None:
    assert f"Compare?comparison={kept}" in app.open("Compare").links().values()
    app.open("Compare", comparison=kept).click("Forget it")
    assert store.comparisons() == []
    assert "runs" in app.query and "comparison" not in app.query


def test_a_comparison_shows_archived_runs_and_says_which_are_deleted(
    app: App, kept: str, runs: dict[str, str], store: Store
) -> None:
    store.archive(runs["done"])
    assert app.open("Compare", comparison=kept).widget("compare.runs").value == [runs["done"], runs["head only"]]
    store.delete(runs["done"])
    said = App().open("Compare", comparison=kept).text()
    assert "1 run of this comparison was deleted." in said and "Choose at least two runs." in said


def test_an_unknown_comparison_is_named(app: App, runs: dict[str, str]) -> None:
    said = app.open("Compare", comparison="<b>gone</b>").text()
    assert 'There is no comparison "<b>gone</b>"; it may have been deleted.' in said


def test_the_picker_offers_runs_with_the_chosen_tags_and_keeps_the_chosen_ones(
    app: App, runs: dict[str, str], store: Store
) -> None:
    store.set_tags(runs["stopped"], ["odd"])
    chosen = f"{runs['done']},{runs['head only']}"
    app.open("Compare", runs=chosen, tags="odd")
    offered = " ".join(app.widget("compare.runs").options)
    assert all(runs[name] in offered for name in ("done", "head only", "stopped")) and runs["failed"] not in offered


def test_what_is_compared_opens_as_a_lecture_on_its_presenters_side(
    app: App, kept: str, runs: dict[str, str], store: Store
) -> None:
    link = app.open("Compare", comparison=kept).links()
    for label in ("Show this in a lecture", "how deep in a lecture"):
        _, page, query = taken_apart(link[label])
        host = App().open(page, **query)
        assert host.title == "Which one wins?" and host.widget("lecture.on").label == "Guess"
        assert query["runs"] == [f"{runs['done']},{runs['head only']}"]
    store.archive(runs["done"])
    host = App().open(page, **query)
    assert host.title == "Which one wins?"


def test_seeds_of_one_experiment_alone_are_no_lecture(app: App, runs: dict[str, str]) -> None:
    link = app.open("Compare", runs=f"{runs['done']},{runs['other seed']}").links()
    assert "Show this in a lecture" not in link


def test_a_link_opens_the_folds_that_were_open(runs: dict[str, str]) -> None:
    app = App()
    for fold in ("fold.pair", "fold.pareto", "fold.speedup", "fold.difference"):
        del app.state[fold]
    chosen = f"{runs['done']},{runs['other seed']}"
    app.open("Compare", **{"runs": chosen, "fold.pair": "true"})
    assert "Images\n" in app.text() and "front" not in app.text()


def test_a_cell_of_a_matrix_shows_its_images_under_every_run(app: App, runs: dict[str, str], store: Store) -> None:
    chosen = [runs["done"], runs["other seed"], runs["head only"]]
    found = {letter: load(store.files.folder(run) / "test.npz") for letter, run in zip("ABC", chosen, strict=True)}
    true, *others = (str(name) for name in confusion(found["A"]).index)
    images, counts = cell_of_any(found, true, others[0])
    link = {"runs": ",".join(chosen), "cell.true": true, "cell.predicted": others[0]}
    app.open("Compare", **link, **{"fold.matrices": "true", "fold.ledgers": "true", "fold.epochs": "true"})
    assert cell_in_words(counts, true, others[0]) in app.text()
    gallery = next(each.proto.body for each in app.test.get("html") if "<figure>" in each.proto.body)
    assert gallery.count("<figure>") == min(24, len(images)) and gallery.count("\nC: ") == gallery.count("<figure>")
    tables = {frozenset(table.columns) for table in app.tables()}
    for columns in ({"true", "predicted"}, {"part of the run"}, {"epoch", "val_loss", "seed"}):
        assert any(columns <= table for table in tables), columns
    app.widget("cell.true").set_value(None)
    assert "Choose a cell to see its images" in app.run().text()


def test_a_link_to_a_cell_of_classes_that_are_not_compared_shows_none(app: App, runs: dict[str, str]) -> None:
    chosen = f"{runs['done']},{runs['other seed']}"
    app.open("Compare", **{"runs": chosen, "cell.true": "zebra", "cell.predicted": "zebra"})
    assert "Choose a cell to see its images" in app.text()


def test_a_baseline_without_predictions_is_said_to_have_none(app: App, runs: dict[str, str]) -> None:
    chosen = [runs["stopped"], runs["done"], runs["other seed"]]
    said = app.open("Compare", runs=",".join(chosen), baseline=runs["stopped"]).text()
    assert "has not predicted its test images: no differences to it." in said
    assert "is not done, so there is no verdict yet." in said
    said = app.open("Compare", runs=",".join(chosen[:2]), baseline=runs["done"]).text()
    assert "No other run has predicted its test images yet" in said
