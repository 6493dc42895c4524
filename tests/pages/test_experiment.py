"""The experiment form: what it shows follows every change at once, and only what can work can be started."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

import pytest

from cifar_core.data.catalogue import open_images
from cifar_core.data.download import ARCHIVE
from cifar_core.data.errors import DownloadCancelledError
from cifar_core.data.sources import keras_cache
from cifar_core.experiment.experiment import Data, Freeze
from cifar_core.runs.store import Store
from cifar_core.ui import data_panel, reads
from tests.pages.app import App
from tests.runs.helpers import wait_for

COUNTS = {
    "a-initial": [(949_029, 0)],
    "a-ft1": [(949_029, 0), (645, 948_384)],
    "a-ft2": [(949_029, 0), (645, 948_384), (938_885, 10_144)],
    "a-ft2-direct": [(949_029, 0), (938_885, 10_144)],
}
CANNOT_WORK: dict[str, dict[str, Any]] = {
    "too few source classes": {"source": [1]},
    "no target classes": {"target": []},
    "two phases of one name": {"phases_1_name": "pretrain"},
    "a phase without a name": {"phases_1_name": ""},
    "a kept head that is too small": {"target": [0, 1, 2, 3, 4, 5], "phases_1_head": "keep"},
    "no learning rate": {"phases_1_learning_rate": 0.0},
}


@pytest.fixture
def form(app: App) -> App:
    """The form as it opens for somebody who has chosen nothing yet."""
    return app.open("Experiment")


def test_a_disk_without_room_for_the_sample_is_said(app: App, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "data").unlink()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=9_000_000))
    said = app.open("Experiment").text()
    assert "Built-in sample takes 37 MB as arrays, but only 9 MB are free in" in said


def totals(trainable: int, frozen: int) -> str:
    return f"Total **{trainable + frozen:,}** · trainable **{trainable:,}** · non-trainable **{frozen:,}**"


def frozen_layers(app: App, phase: int) -> list[str]:
    """The layers that the phase's table calls frozen, of those with parameters."""
    table = app.tables()[phase]
    return list(table[(table["state"] == "frozen") & (table["parameters"] > 0)]["layer"])


@pytest.mark.parametrize("recipe", COUNTS)
def test_picking_a_recipe_shows_its_counts(form: App, recipe: str) -> None:
    form.set(start=recipe)
    said = form.text()
    for trainable, frozen in COUNTS[recipe]:
        assert totals(trainable, frozen) in said


@pytest.mark.parametrize("recipe", ["c1", "c3"])
def test_every_widget_has_a_sentence_of_help(app: App, recipe: str) -> None:
    app.open("Experiment", start=recipe)
    kinds = ("button", "button_group", "checkbox", "file_uploader", "number_input", "selectbox", "slider", "text_input")
    shown = [each.proto for kind in kinds for each in app.test.get(kind)]
    assert len(shown) > 20
    assert [each.label for each in shown if not each.help] == []


def test_the_sentence_below_the_picture_says_what_trains_and_what_stays(app: App) -> None:
    said = app.open("Experiment", start="a-ft1").text()
    assert "645 of 949,029 parameters train (0.07 %); the rest stays as learned on dog … truck." in said


def test_a_recipe_whose_images_are_not_here_opens_on_the_sample_and_can_start(form: App) -> None:
    form.set(start="e")
    assert form.state["form.data"] == "sample"
    assert form.has_button("Start")


@pytest.mark.parametrize(
    ("depth", "frozen"), [(0, []), (1, ["conv_1"]), (4, ["conv_1", "conv_2", "dense_1", "dense_2"])]
)
def test_the_freeze_slider_changes_the_table_at_once(form: App, depth: int, frozen: list[str]) -> None:
    form.set(phases_1_blocks=depth)
    assert frozen_layers(form, 1) == frozen


@pytest.mark.parametrize(
    ("clicked", "frozen"),
    [(2, ["conv_1", "conv_2", "dense_1"]), (0, []), (1, ["conv_1"]), (4, ["conv_1", "conv_2", "dense_1", "dense_2"])],
)
def test_a_click_on_a_block_moves_the_boundary(form: App, clicked: int, frozen: list[str]) -> None:
    form.widget(f"picture.1.{clicked}").click()
    assert frozen_layers(form.run(), 1) == frozen


def test_a_click_on_a_block_of_one_phase_leaves_the_other_alone(form: App) -> None:
    form.widget("picture.0.0").click()
    form.run()
    assert (frozen_layers(form, 0), frozen_layers(form, 1)) == (["conv_1"], ["conv_1", "conv_2"])


@pytest.mark.parametrize(
    ("rule", "field", "value", "frozen"),
    [
        ("last", "last", 1, ["conv_1", "conv_2", "dense_1", "dense_2"]),
        ("layers", "layers", 1, ["conv_1"]),
        ("only", "only", "conv_1", ["conv_2", "dense_1", "dense_2", "output"]),
    ],
)
def test_every_way_of_freezing_changes_the_table(
    form: App, rule: str, field: str, value: object, frozen: list[str]
) -> None:
    form.set(phases_1_rule=rule).set(**{f"phases_1_{field}": value})
    assert frozen_layers(form, 1) == frozen


def test_another_backbone_brings_its_own_blocks(form: App) -> None:
    form.set(backbone="three-conv")
    assert "conv_3" in list(form.tables()[0]["layer"])
    assert form.has_button("Start")


def test_a_depth_that_another_backbone_does_not_have_is_brought_back(form: App) -> None:
    form.set(phases_1_rule="last").set(phases_1_last=10).set(backbone="three-conv").set(backbone="two-conv")
    assert form.has_button("Start")


@pytest.mark.parametrize("name", CANNOT_WORK)
def test_what_cannot_work_is_explained_and_cannot_be_started(form: App, name: str) -> None:
    form.set(**CANNOT_WORK[name])
    assert len(form.test.error) == 1
    assert not form.has_button("Start")


@pytest.mark.parametrize("name", CANNOT_WORK)
def test_one_click_leads_back_to_settings_that_worked(form: App, name: str) -> None:
    form.set(**CANNOT_WORK[name]).click("Back to the last settings that worked")
    assert not form.test.error
    assert form.has_button("Start")


def test_without_its_images_an_experiment_cannot_start_and_says_how_to_get_them(app: App) -> None:
    app.open("Experiment", start="a-ft1")
    assert not app.has_button("Start")
    assert app.has_button("Download CIFAR-10 (170 MB)")


def test_a_download_says_how_far_it_is_and_can_be_cancelled(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    def half_of_it(home: Path, *, progress: Callable[[int, int], None], cancelled: Callable[[], bool]) -> None:
        progress(85_000_000, 170_000_000)
        while not cancelled():
            time.sleep(0.01)
        raise DownloadCancelledError("cancelled")

    monkeypatch.setattr(data_panel, "download_cifar10", half_of_it)
    app.open("Experiment", start="a-ft1").click("Download CIFAR-10 (170 MB)")
    wait_for(lambda: data_panel.the_download().done, "the first half")
    assert [bar.proto.text for bar in app.run().test.get("progress")] == ["85 of 170 MB"]
    app.click("Cancel the download")
    wait_for(lambda: not data_panel.the_download().is_running, "the end")
    assert "What has arrived is kept; starting again continues there." in app.run().text()
    assert app.has_button("Download CIFAR-10 (170 MB)")


def test_a_broken_file_of_keras_leaves_the_download_which_ends_with_the_images(
    app: App, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keras_cache().mkdir(parents=True)
    (keras_cache() / ARCHIVE).write_bytes(b"broken off")
    assert f"{ARCHIVE} is no tar archive" in app.open("Experiment", start="a-ft1").text()
    came = open_images(Data(name="sample"), home=home)
    with monkeypatch.context() as patch:
        patch.setattr(data_panel, "download_cifar10", lambda *_, **__: None)
        for module in (data_panel, reads):
            patch.setattr(module, "open_images", lambda *_, **__: came)
        app.click("Download CIFAR-10 (170 MB)")
        wait_for(lambda: not data_panel.the_download().is_running, "the end")
        assert came.provenance in app.run().text()
        assert app.has_button("Start") and not app.has_button("Download CIFAR-10 (170 MB)")
    reads.forget_images()  # and they are gone again
    assert app.run().has_button("Download CIFAR-10 (170 MB)")


def test_phases_can_be_added_and_removed_again(form: App) -> None:
    form.click("Add a phase")
    assert (len(form.tables()), form.has_button("Start")) == (3, True)
    form.click("Remove the last phase").click("Remove the last phase")
    assert (len(form.tables()), form.has_button("Start")) == (1, True)
    assert not form.has_button("Remove the last phase")


def test_up_to_twelve_phases_can_be_added(form: App) -> None:
    for _ in range(10):
        form.click("Add a phase")
    assert not form.has_button("Add a phase")
    assert form.has_button("Start")


def test_a_phase_can_be_added_again_after_its_names_were_mixed(form: App) -> None:
    form.set(phases_1_name="phase 3").click("Add a phase")
    assert form.has_button("Start")


def test_start_queues_what_the_form_shows_and_goes_to_live(form: App, store: Store) -> None:
    form.set(phases_1_blocks=3, seed=7).click("Start")
    (run,) = store.runs()
    assert (run.seed, run.experiment.phases[1].freeze) == (7, Freeze(rule="first_blocks", count=3))
    assert (form.title, form.query) == ("Live", {"run": run.id})


def test_two_clicks_on_start_queue_one_run(form: App, store: Store) -> None:
    for _ in range(2):
        form.open("Experiment").click("Start")
    assert len(store.runs()) == 1


def test_other_settings_started_right_afterwards_are_another_run(form: App, store: Store) -> None:
    form.click("Start").open("Experiment").set(seed=1).click("Start")
    assert {run.seed for run in store.runs()} == {0, 1}


def test_the_form_keeps_its_settings_while_other_pages_are_looked_at(form: App) -> None:
    form.set(phases_1_blocks=3, phases_0_epochs=9, source=[2, 3], seed=5)
    link = form.query
    for page in ("Glossary", "Live", "Home"):
        form.open(page)
    assert form.open("Experiment").query == link
    assert form.state["form.source"] == [2, 3]


def test_live_shows_the_settings_of_the_run_and_not_of_the_form(form: App, store: Store) -> None:
    form.set(phases_1_epochs=4).click("Start")
    (run,) = store.runs()
    form.open("Experiment").set(phases_1_epochs=8, backbone="three-conv")
    said = form.open("Live", run=run.id).text()
    assert "4 epochs" in said and "8 epochs" not in said
    assert "conv_3" not in list(form.tables()[0]["layer"])


def test_settings_of_a_run_open_again_in_the_form(app: App, runs: dict[str, str], store: Store) -> None:
    run = store.run(runs["whole data set"])
    link = parse_qs(app.open("Live", run=run.id).links()["Open these settings in the form"].partition("?")[2])
    app.open("Experiment", **link).set(phases_1_batch_size=32).click("Start")
    started = store.run(app.query["run"])
    assert (started.experiment, started.seed) == (run.experiment, run.seed)


def test_a_run_validated_on_the_test_images_is_flagged_in_the_form(app: App) -> None:
    assert "Flagged beside every number" in app.open("Experiment", start="a-ft1").text()


def uploaded(form: App, content: bytes) -> App:
    """The form, after somebody has opened a file in it."""
    form.test.file_uploader[0].set_value(("mine.json", content, "application/json"))
    return form.run()


def test_an_experiment_file_fills_the_form_and_keeps_its_seed(app: App, runs: dict[str, str], store: Store) -> None:
    meant = store.run(runs["whole data set"]).experiment
    uploaded(app.open("Experiment").set(seed=4), meant.to_json().encode()).click("Start")
    started = store.run(app.query["run"])
    assert (started.experiment, started.seed) == (meant, 4)


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"[1, 2]", b'{"phases": 3}', b'{"name": "<b>**x**</b>"}'])
def test_a_file_that_is_no_experiment_is_named_and_changes_nothing(form: App, content: bytes) -> None:
    before = form.set(phases_1_blocks=3).query
    assert "mine.json does not hold an experiment." in uploaded(form, content).text()
    assert (form.query, len(form.test.error), form.has_button("Start")) == (before, 1, True)


def test_a_problem_with_a_file_is_told_once(form: App) -> None:
    assert not uploaded(form, b"{").set(seed=1).test.error
