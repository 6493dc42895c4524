"""Every page against an empty and a full store: it explains itself and offers what to do next."""

import numpy as np
import pytest

from cifar_core.data.feature_store import FeatureStore, Spec
from cifar_core.runs.store import Store
from cifar_core.ui.glossary import TERMS
from tests.filled_store import LOG, NASTY_NAME, finished
from tests.pages.app import FILES, FOLDS, App

EVERY_STATE = ("done", "failed", "diverged", "stopped", "interrupted", "training", "queued", "nasty", "whole data set")
ENDED = ("done", "failed", "diverged", "stopped", "interrupted", "nasty", "whole data set")


@pytest.mark.parametrize("page", FILES)
def test_every_page_opens_on_an_empty_store(app: App, page: str) -> None:
    assert app.open(page).title == ("Transfer Lab" if page == "Home" else page)


@pytest.mark.parametrize("page", FILES)
def test_every_page_opens_on_a_full_store(app: App, runs: dict[str, str], page: str) -> None:
    assert app.open(page).title == ("Transfer Lab" if page == "Home" else page)


@pytest.mark.parametrize("page", ["Live", "Results", "Compare"])
def test_pages_without_runs_lead_to_the_form(app: App, page: str) -> None:
    assert "Experiment" in app.open(page).links().values()
    assert app.test.info


def test_the_front_door_offers_one_click_when_nothing_has_run(app: App) -> None:
    assert app.open("Home").has_button("Start the sample experiment")
    assert "Experiment" in app.links().values()


def test_one_click_on_the_front_door_queues_the_sample_experiment_and_shows_it(app: App, store: Store) -> None:
    app.open("Home").click("Start the sample experiment")
    (run,) = store.runs()
    assert app.title == "Live"
    assert app.query == {"run": run.id}
    assert run.experiment.data.name == "sample"


def test_the_front_door_links_what_moves_to_live_and_what_ended_to_results(app: App, runs: dict[str, str]) -> None:
    links = app.open("Home").links().values()
    assert {f"Live?run={runs[name]}" for name in ("training", "queued", "queued last")} <= set(links)
    assert f"Results?run={runs['interrupted']}" in links
    assert f"Results?run={runs['archived']}" not in links


@pytest.mark.parametrize("name", EVERY_STATE)
def test_live_opens_a_run_in_every_state(app: App, runs: dict[str, str], store: Store, name: str) -> None:
    app.open("Live", run=runs[name])
    assert str(store.run(runs[name]).state) in app.text()


@pytest.mark.parametrize("name", ENDED)
def test_results_open_every_run_that_ended(app: App, runs: dict[str, str], name: str) -> None:
    app.open("Results", run=runs[name])
    assert "Experiment (JSON)" in app.text()


def test_results_open_an_archived_run_by_its_link(app: App, runs: dict[str, str]) -> None:
    assert app.open("Results", run=runs["archived"]).has_button("Bring back")


@pytest.mark.parametrize("page", ["Live", "Results"])
def test_a_failed_run_says_why_in_words_and_offers_its_log(
    app: App, runs: dict[str, str], store: Store, page: str
) -> None:
    (store.files.folder(runs["failed"]) / "log.txt").write_text(LOG)
    app.open(page, run=runs["failed"])
    assert "The machine ran out of memory. Try a smaller batch." in app.text()
    assert "Traceback" not in app.text() and not app.test.code
    assert "Log (.txt)" in [each.proto.label for each in app.test.get("download_button")]


@pytest.mark.parametrize("name", ["stopped", "interrupted"])
def test_a_run_without_predictions_shows_what_it_measured_until_then(app: App, runs: dict[str, str], name: str) -> None:
    app.open("Results", run=runs[name])
    assert not app.test.tabs
    assert len(app.tables()[0]) > 0


def test_results_of_outputs_for_the_whole_data_set_report_only_classes_that_occur(
    app: App, runs: dict[str, str]
) -> None:
    app.open("Results", run=runs["whole data set"])
    report = next(table for table in app.tables() if "precision" in table)
    assert list(report["class"]) == ["bottle", "hammer", "mushroom", "glasses", "clock"]


@pytest.mark.parametrize("page", ["Home", "Live", "Results", "Compare"])
def test_a_name_is_shown_as_it_was_typed(app: App, store: Store, page: str) -> None:
    named = [finished(store, name=NASTY_NAME), finished(store, seed=2)]
    query = {"Compare": {"runs": ",".join(named)}, "Home": {}}.get(page, {"run": named[0]})
    app.open(page, **query)
    for each in (*app.test.markdown, *app.test.caption, *app.test.warning):
        assert NASTY_NAME not in each.value
    shown = [*app.links(), app.text(), *(str(each.options) for each in (*app.test.selectbox, *app.test.multiselect))]
    assert any(NASTY_NAME in words for words in shown)


def test_the_curves_of_a_run_that_trains_can_be_read_as_a_table_and_saved(app: App, runs: dict[str, str]) -> None:
    app.open("Live", run=runs["training"], **{"live.epochs": "true"})
    epochs = next(table for table in app.tables() if "phase_epoch" in table)
    assert list(epochs["phase_epoch"]) == [0, 1, 2, 3, 0, 1]
    assert [each.proto.label for each in app.test.get("download_button")] == ["Save as SVG", "Save as SVG"]


def test_what_nobody_has_unfolded_is_not_sent(app: App, runs: dict[str, str]) -> None:
    for fold in FOLDS:
        app.state[fold] = False
    app.open("Results", run=runs["done"])
    assert [next(iter(table)) for table in app.tables()] == ["class"]  # the report per class, in view
    assert not [app.test.get(kind) for kind in ("image", "imgs") if app.test.get(kind)]
    assert "2 frozen layers, moved by exactly 0; 3 layers trained." in app.text()


def test_results_show_one_split_at_a_time(app: App, runs: dict[str, str]) -> None:
    assert "of the test images given their right class" in app.open("Results", run=runs["done"]).text()
    app.state["split"] = "Validation images"
    said = app.run().text()
    assert "of the validation images" in said and "of the test images given" not in said


def test_the_glossary_explains_every_term(app: App) -> None:
    said = app.open("Glossary").text()
    assert all(paragraph in said for paragraph in TERMS.values())


@pytest.mark.parametrize("page", FILES)
def test_every_page_opens_in_the_dark(app: App, runs: dict[str, str], page: str) -> None:
    app.test.context = {"theme": "dark"}
    app.open(page, **({"runs": f"{runs['done']},{runs['head only']}"} if page == "Compare" else {}))


def test_home_says_what_stored_features_take_and_clears_them(app: App, store: Store) -> None:
    features = FeatureStore(store.home / "features", 10**9)
    with features.writing(
        "0123456789abcdef", [Spec((100,), "float32")], 1000, label="Two-conv, 1,000 images"
    ) as writer:
        assert writer is not None
        writer.put([np.zeros((1000, 100), np.float32)])
    app.open("Home")
    assert "Stored features take 400." in app.text()
    assert app.tables()[0]["features of"].tolist() == ["Two-conv, 1,000 images"]
    app.click("Clear stored features")
    assert features.entries() == []
    assert "Stored features take 0 bytes" in app.text() and not app.has_button("Clear stored features")


def test_home_says_that_stored_features_are_off(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSFER_LAB_FEATURES", "off")
    assert "Stored features are switched off." in app.open("Home").text()
