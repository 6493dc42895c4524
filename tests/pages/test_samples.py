"""Single images on Results, Compare and Try: cells, mistakes, agreement, and what a worker answers about networks."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cifar_core.analysis.predictions import load
from cifar_core.experiment.measured import State
from cifar_core.runs import inspect
from cifar_core.runs.store import Store
from tests.filled_store import claim
from tests.pages.app import App


def pictures(app: App) -> list[str]:
    """The galleries on the page, as they are sent."""
    return [each.proto.body for each in app.test.get("html")]


def test_two_classes_show_the_images_of_their_cell(app: App, runs: dict[str, str], store: Store) -> None:
    found = load(store.files.folder(runs["done"]) / "test.npz")
    true = found.class_names[found.labels[0]]
    app.open("Results", run=runs["done"])
    app.widget("true.test").set_value(true)
    app.widget("predicted.test").set_value(true)
    said = app.run().text()
    count = int((found.correct & (found.labels == found.labels[0])).sum())
    assert f"{count} images of {true}, predicted as {true}, most confident first." in said
    assert pictures(app)[0].count("<img") == min(24, count)


@pytest.mark.parametrize("values", ["counts", "row %", "column %"])
def test_classes_can_be_sorted_by_confusion_with_all_kinds_of_cells(
    app: App, runs: dict[str, str], values: str
) -> None:
    app.open("Results", run=runs["done"])
    app.widget("cells.test").set_value(values)
    app.widget("sorted.test").set_value(True)
    assert "of the test images given their right class" in app.run().text()


@pytest.mark.parametrize("which", ["confident mistakes", "highest loss", "likely label errors"])
def test_images_worth_a_look_come_with_a_table(app: App, runs: dict[str, str], which: str) -> None:
    app.open("Results", run=runs["done"])
    app.widget("which").set_value(which)
    app.run()
    assert any("loss" in table and "image" in table for table in app.tables())


def test_images_that_are_others_now_are_not_shown(app: App, store: Store) -> None:
    writer = claim(store)
    store.set_environment(writer.run, writer.owner, {"fingerprint": "of other images"})
    writer.ends(State.DONE, metrics=writer.predicts(0.8))
    app.open("Results", run=writer.run)
    assert "The images of this run are not on this computer, or are others now" in app.text()


def test_compare_shows_who_is_right_where(app: App, runs: dict[str, str]) -> None:
    app.open("Compare", runs=f"{runs['done']},{runs['other seed']}")
    table = next(table for table in app.tables() if {"group", "images"} <= set(table))
    assert table["images"].sum() == 200
    app.widget("pair.group").set_value("both wrong")
    app.run()
    assert pictures(app)[0].count("<img") == min(24, table["images"].tolist()[3])


def test_compare_of_other_outputs_has_no_difference_but_says_so(app: App, runs: dict[str, str]) -> None:
    said = app.open("Compare", runs=f"{runs['done']},{runs['whole data set']}").text()
    assert "their matrices have no difference" in said


def keep_model(store: Store, run: str) -> None:
    (store.files.folder(run) / "model.keras").write_bytes(b"a network")


def test_inside_is_asked_for_and_kept_with_the_run(
    app: App, runs: dict[str, str], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_model(store, runs["done"])
    points = np.arange(12, dtype=np.float32).reshape(6, 2)
    one = {"points": points, "explained": np.array([0.6, 0.2], np.float32), "filters": np.ones((3, 3, 3, 4))}
    answer: dict[str, Any] = {
        "no_before": np.array(""),
        "images": np.arange(6),
        "labels": np.arange(6) % 2,
        "class_names": np.array(["cat", "dog"]),
        "layer": np.array("conv_1"),
        "blocks": np.array(["conv_1"]),
        "blocks_before": np.array(["conv_1"]),
        "cka": np.array([[0.75]]),
        "compared": np.array(500),
        **one,
        **{f"{name}_before": value for name, value in one.items()},
    }
    asked: list[str] = []

    def ask(what: str, *_: Any) -> dict[str, Any]:
        asked.append(what)
        return answer

    monkeypatch.setattr(inspect, "_ask", ask)
    app.open("Results", run=runs["done"])
    assert app.has_button("Look inside")
    app.click("Look inside")
    for _ in range(2):
        said = app.run().text()
        assert "left them exactly as they were" in said and "conv_1 (0.75)" in said
        assert "Before: the network as training on the source classes left it." in said
    assert asked == ["inside"]
    keep_model(store, runs["done"])  # it has trained on
    assert inspect.kept_inside(store, runs["done"]) is None


def cannot_be_read(store: Store, run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let whoever asks about a run's network hear that it cannot be read."""

    def fail(*_: Any) -> None:
        raise inspect.InspectionFailed("The model of this run cannot be read.")

    keep_model(store, run)
    monkeypatch.setattr(inspect, "_ask", fail)


def test_why_there_is_nothing_to_see_inside_is_said(
    app: App, runs: dict[str, str], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    cannot_be_read(store, runs["done"], monkeypatch)
    assert "The model of this run cannot be read." in app.open("Results", run=runs["done"]).click("Look inside").text()


def test_try_needs_a_run_with_a_network(app: App, runs: dict[str, str]) -> None:
    assert "No run has kept a network yet." in app.open("Try").text()


def answered(what: str, home: Path, question: dict[str, Any], *_: Any) -> dict[str, Any]:
    one = {
        "class_names": np.array(["mug", "key"]),
        "probabilities": np.array([0.1, 0.9], np.float32),
        "explained": np.array([1, 0]),
        "heat": np.zeros((2, 32, 32), np.float32),
        "layer": np.array("conv_2"),
        "maps/conv_1": np.zeros((8, 4, 4), np.uint8),
    }
    return {f"{place}/{name}": value for place in range(len(question["runs"])) for name, value in one.items()}


def test_try_shows_a_test_image_to_several_runs(
    app: App, runs: dict[str, str], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = [runs["done"], runs["other seed"]]
    for run in chosen:
        keep_model(store, run)
    monkeypatch.setattr(inspect, "_ask", answered)
    app.open("Try", runs=",".join(chosen)).click("Classify")
    assert app.query["runs"] in (",".join(chosen), [",".join(chosen)])
    assert app.text().count("key, 90.0 %") == 2
    assert "Nothing in the image speaks for key." in app.text()
    tables = [table for table in app.tables() if "probability" in table]
    assert [table["class"].tolist() for table in tables] == [["key", "mug"]] * 2
    app.widget("try.number").set_value(3)
    assert "key, 90.0 %" not in app.run().text()  # it was said of another image


def test_a_link_reopens_what_was_tried(
    app: App, runs: dict[str, str], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def ask(what: str, *rest: Any) -> dict[str, Any]:
        asked.append(what)
        return answered(what, *rest)

    keep_model(store, runs["done"])
    monkeypatch.setattr(inspect, "_ask", ask)
    choice = f"try.class.{runs['done']}"
    app.open("Try", **{"runs": runs["done"], "try.number": "3"}).click("Classify")
    other = App().open("Try", **(app.query | {choice: "mug"}))  # the browser writes choices into the address
    assert "key, 90.0 %" in other.text() and asked == ["look"]  # asked once for all who look
    assert (other.widget("try.number").value, other.widget(choice).value) == (3, "mug")
    for number, is_shown in ((4, False), (3, True)):
        other.widget("try.number").set_value(number)
        assert ("key, 90.0 %" in other.run().text()) == is_shown


def test_a_link_to_what_cannot_be_tried_any_more_says_why_once(
    app: App, runs: dict[str, str], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    cannot_be_read(store, runs["done"], monkeypatch)
    said = app.open("Try", runs=runs["done"]).click("Classify").text()
    assert "The model of this run cannot be read." in said and "classified" not in app.query
    assert "cannot be read" not in app.run().text()


def test_a_link_names_where_the_image_comes_from_but_not_an_upload(
    app: App, runs: dict[str, str], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_model(store, runs["done"])
    monkeypatch.setattr(inspect, "_ask", answered)
    app.open("Try", **{"runs": runs["done"], "try.source": "upload"})
    with BytesIO() as file:
        Image.new("RGB", (32, 32)).save(file, "PNG")
        app.test.file_uploader[0].set_value(("square.png", file.getvalue(), "image/png"))
    assert "key, 90.0 %" in app.run().click("Classify").text()
    other = App().open("Try", **app.query)
    assert len(other.test.file_uploader) == 1 and "key, 90.0 %" not in other.text()


@pytest.mark.parametrize("content", [b"no image at all", b"\x89PNG\r\n\x1a\n cut off"])
def test_try_refuses_a_wrong_file_in_words(app: App, runs: dict[str, str], store: Store, content: bytes) -> None:
    keep_model(store, runs["done"])
    app.open("Try", runs=runs["done"])
    app.widget("try.source").set_value("upload")
    app.run()
    app.test.file_uploader[0].set_value(("holiday.png", content, "image/png"))
    said = app.run().text()
    assert "This file cannot be used:" in said
    assert not app.has_button("Classify")


def test_compare_takes_apart_why_a_run_was_faster_when_it_is_asked_to(
    app: App, runs: dict[str, str], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = runs["head only"], runs["done"]
    seconds = {"step": 0.02, "step_of_all": 0.05, "update": 0.001, "update_of_all": 0.011, "evaluation": 1e-4}
    costs = seconds | {"validation_images": 100, "measured_steps": 64, "hardware": "a computer"}
    monkeypatch.setattr(inspect, "_ask", lambda *_: {name: np.array(value) for name, value in costs.items()})
    app.open("Compare", runs=",".join(chosen))
    assert "None of these runs has kept a network whose last phase froze layers." in app.text()
    keep_model(store, runs["head only"])
    app.run()
    app.click("Measure")
    said = app.run().text()
    assert "Estimated from 64 steps of either kind" in said and not app.has_button("Measure")
    table = next(table for table in app.tables() if "last phase" in table)
    assert table["last phase"].iloc[0] == "training every layer (estimate)"
