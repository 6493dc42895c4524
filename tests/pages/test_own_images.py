"""A user's own folder of images in the form."""

import json
from pathlib import Path

import pytest

from cifar_core.runs.store import Store
from cifar_core.ui import reads
from tests.data.own import fill, picture
from tests.pages.app import App


@pytest.fixture
def form(app: App) -> App:
    return app.open("Experiment").set(data="folder")


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    return fill(tmp_path / "pets", cat=10, dog=5, owl=5, bee=5)


def test_without_a_path_the_form_asks_for_one_and_nothing_can_be_started(form: App) -> None:
    assert "Name the folder that holds a folder of images for each class" in form.text()
    assert not form.test.error
    assert not form.has_button("Start")


def test_a_path_brings_its_classes_counts_and_a_split(form: App, pets: Path) -> None:
    form.set(location=str(pets))
    assert form.state["form.classes"] == ("bee", "cat", "dog", "owl")
    assert (form.state["form.source"], form.state["form.target"]) == ([0, 1], [2, 3])
    (counts,) = [table for table in form.tables() if "to train on" in table]
    assert counts.to_dict("list") == {
        "class": ["bee", "cat", "dog", "owl"],
        "to train on": [4, 8, 4, 4],
        "to test on": [1, 2, 1, 1],
    }
    assert "Test images: 20 % of each class" in form.text()
    assert form.has_button("Start")


def test_start_queues_a_run_on_the_folder(form: App, pets: Path, store: Store) -> None:
    form.set(location=str(pets)).set(image_side=48, per_class=3, target=[3, 0]).click("Start")
    (run,) = store.runs()
    data = run.experiment.data
    assert (data.location, data.classes, data.image_side, data.per_class) == (
        str(pets),
        ("bee", "cat", "dog", "owl"),
        48,
        3,
    )
    assert run.experiment.split.target == (3, 0)


def test_the_link_reopens_the_folder_with_its_split(form: App, pets: Path, app: App) -> None:
    link = form.set(location=str(pets)).set(source=[3, 2, 1]).query
    again = App().open("Experiment", **link)
    assert again.state["form.source"] == [3, 2, 1]
    assert again.state["form.classes"] == ("bee", "cat", "dog", "owl")
    assert again.has_button("Start")
    assert again.query == link


def test_a_wrong_path_is_told_and_the_last_settings_are_one_click_away(form: App, pets: Path) -> None:
    form.set(location=str(pets)).set(source=[3, 2], phases_0_epochs=9)
    link = form.query
    form.set(location=str(pets / "nowhere"))
    assert "does not exist" in form.text()
    assert form.state["form.location"] == str(pets / "nowhere")
    assert not form.has_button("Start")
    form.click("Back to the last settings that worked")
    assert form.has_button("Start")
    assert form.query == link


def test_a_corrected_path_keeps_the_split_where_it_fits(form: App, pets: Path) -> None:
    form.set(location=str(pets)).set(source=[3, 2])
    form.set(location=str(pets) + "x").set(location=str(pets))
    assert form.state["form.source"] == [3, 2]


def test_files_that_are_no_images_are_listed(form: App, pets: Path) -> None:
    (pets / "cat" / "<b>.png").write_text("no image")
    form.set(location=str(pets))
    assert "1 file was left out." in form.text()
    (listed,) = [table for table in form.tables() if "file and reason" in table]
    assert list(listed["file and reason"]) == ["cat/<b>.png: no image, or of a format that is not read"]


def test_a_folder_with_a_problem_says_it_and_shows_no_names_of_files(form: App, pets: Path) -> None:
    (pets / "owl" / "private.txt").write_text("")
    (pets / "elk").mkdir()
    form.set(location=str(pets))
    assert "fewer are in: elk." in form.text()
    assert not [table for table in form.tables() if "file and reason" in table]
    assert not form.has_button("Start")


def test_a_class_that_cannot_be_read_is_said(form: App, pets: Path) -> None:
    for file in (pets / "owl").iterdir():
        file.write_text("no image")
    form.set(location=str(pets))
    assert "No image to train on could be read of: owl." in form.text()
    assert not form.has_button("Start")


def test_classes_that_the_folder_gained_are_taken_when_asked_for(form: App, pets: Path) -> None:
    form.set(location=str(pets))
    fill(pets, ant=3)
    reads.folder.clear()
    form.run()
    assert form.state["form.classes"] == ("bee", "cat", "dog", "owl")
    assert form.has_button("Start")
    form.click("Take the folder's classes")
    assert form.state["form.classes"] == ("ant", "bee", "cat", "dog", "owl")
    assert form.has_button("Start")


def test_of_very_many_files_none_is_read_by_the_page_and_the_run_can_start(
    form: App, pets: Path, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.setattr(reads, "_PREPARED_BY_A_PAGE", 249_999)
    before = set((home / "data").glob("folder-*"))
    form.set(location=str(pets))
    assert "25 files: the first run reads them" in form.text()
    assert form.has_button("Start")
    assert set((home / "data").glob("folder-*")) == before


def test_names_with_markup_are_shown_as_they_are(form: App, tmp_path: Path) -> None:
    for name in ("*bold*", "<b>", "$x$", "猫"):
        for number in range(4):
            picture(tmp_path / "odd" / name / f"{number}.png")
    form.set(location=str(tmp_path / "odd"))
    assert form.has_button("Start")
    shown = [option.content for option in form.widget("form.source").proto.options]
    assert shown == [r"\$x\$", r"\*bold\*", r"\<b\>", "猫"]


def test_leaving_the_folder_for_the_sample_brings_back_a_split_that_fits(form: App, pets: Path) -> None:
    form.set(location=str(pets)).set(data="sample")
    assert (form.state["form.source"], form.state["form.target"]) == ([0, 1, 2, 3, 4], [5, 6, 7, 8, 9])
    assert form.has_button("Start")
    assert "data.name" not in json.dumps(form.query)


def test_looking_at_the_folder_row_and_going_back_loses_no_split(app: App) -> None:
    app.open("Experiment").set(source=[2, 3, 4]).set(data="folder").set(data="sample")
    assert app.state["form.source"] == [2, 3, 4]


def test_how_the_validation_share_is_drawn_can_be_chosen(app: App, store: Store) -> None:
    app.open("Experiment").set(drawn="last").click("Start")
    (run,) = store.runs()
    assert run.experiment.validation.drawn == "last"
