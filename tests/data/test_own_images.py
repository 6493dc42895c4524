"""A user's folder of images per class, opened and selected from."""

import json
import os
import shutil
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from cifar_core.data import find_images, open_images, pictures, select
from cifar_core.data.catalogue import data_at, images_now
from cifar_core.data.errors import DataDamagedError, DataNotFoundError, DataNotStoredError
from cifar_core.experiment.images_now import ImagesNow
from tests.data.makers import fill as fill_files
from tests.data.makers import python_files
from tests.data.own import COLOURS, fill, own, picture


def kept(home: Path) -> list[Path]:
    return sorted((home / "data").glob("folder-*"))


def test_a_folder_opens_as_arrays_with_its_own_classes(tmp_path: Path, home: Path) -> None:
    images = open_images(own(fill(tmp_path / "own", cat=10, dog=5, owl=2), "cat", "dog", "owl"), home=home)
    assert (images.dataset.classes, images.dataset.image_shape) == (("cat", "dog", "owl"), (8, 8, 3))
    assert np.bincount(images.train_labels).tolist() == [8, 4, 1]
    assert np.bincount(images.test_labels).tolist() == [2, 1, 1]
    for pixels, labels in ((images.train_images, images.train_labels), (images.test_images, images.test_labels)):
        assert isinstance(pixels, np.memmap)
        np.testing.assert_array_equal(
            pixels, np.array(COLOURS, np.uint8)[labels][:, None, None].repeat(8, 1).repeat(8, 2)
        )
    assert images.provenance == (
        "The user's own images: the centred square of each, resized by a Lanczos filter that averages when it reduces. "
        "Test images: 20 % of each class, chosen by their names and the same ones every time."
    )
    assert images.official


def test_classes_are_labelled_in_the_order_that_was_asked_for(tmp_path: Path, home: Path) -> None:
    place = fill(tmp_path / "own", cat=5, dog=5, owl=5)
    images = open_images(own(place, "owl", "cat"), home=home)
    assert sorted(set(images.train_labels.tolist())) == [0, 1]
    np.testing.assert_array_equal(images.train_images[images.train_labels == 0][0, 0, 0], COLOURS[2])


def test_classes_are_mixed_so_that_the_last_images_are_not_all_of_one(tmp_path: Path, home: Path) -> None:
    images = open_images(own(fill(tmp_path / "own", cat=40, dog=40), "cat", "dog"), home=home)
    assert set(images.train_labels[-16:].tolist()) == {0, 1}
    last = select(images, [0, 1], validation_share=0.25, drawn="last")
    np.testing.assert_array_equal(last.validation, np.arange(48, 64))


def test_images_can_be_selected_for_a_quick_look(tmp_path: Path, home: Path) -> None:
    images = open_images(own(fill(tmp_path / "own", cat=10, dog=7), "cat", "dog"), home=home)
    chosen = select(images, [1, 0], per_class=4, validation_share=0.25)
    assert (len(chosen.train), len(chosen.validation), len(chosen.test)) == (6, 2, 3)


def test_a_second_opening_reads_no_picture(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = own(fill(tmp_path / "own", cat=4, dog=4), "cat", "dog")
    assert find_images(data, home=home) == Path(home / "data" / find_images(data, home=home).name)  # type: ignore[union-attr]
    first = open_images(data, home=home)
    assert kept(home) == [find_images(data, home=home)]
    monkeypatch.setattr(pictures, "read", None)
    assert open_images(data, home=home).fingerprint == first.fingerprint
    assert open_images(data.model_copy(update={"per_class": 2}), home=home).fingerprint == first.fingerprint


def test_pictures_that_changed_are_read_again_and_the_earlier_arrays_removed(tmp_path: Path, home: Path) -> None:
    data = own(fill(tmp_path / "own", cat=4, dog=4), "cat", "dog")
    first = open_images(data, home=home)
    for number in range(4):
        picture(tmp_path / "own" / "cat" / f"{number}.png", COLOURS[3])
        os.utime(tmp_path / "own" / "cat" / f"{number}.png", (number, number))
    second = open_images(data, home=home)
    assert second.fingerprint != first.fingerprint
    np.testing.assert_array_equal(second.train_images[second.train_labels == 0][0, 0, 0], COLOURS[3])
    assert len(kept(home)) == 1


def test_what_is_known_of_pictures_is_told_without_reading_any(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = fill(tmp_path / "own", cat=4, dog=4)
    data = own(place, "cat", "dog")
    assert images_now(own(tmp_path / "nowhere", "cat", "dog"), home=home) is None
    assert images_now(data, home=home) == ImagesNow(str(place))
    first = open_images(data, home=home).fingerprint
    monkeypatch.setattr(pictures, "read", None)
    assert images_now(data, home=home) == ImagesNow(str(place), first)
    picture(place / "cat" / "9.png", COLOURS[3])
    assert images_now(data, home=home) == ImagesNow(str(place), "", frozenset({first}))


def test_sizes_and_folders_are_kept_apart(tmp_path: Path, home: Path) -> None:
    one, two = fill(tmp_path / "one", cat=4, dog=4), fill(tmp_path / "two", cat=4, dog=4)
    wanted = [own(one, "cat", "dog"), own(one, "cat", "dog", side=16), own(two, "cat", "dog")]
    assert [open_images(data, home=home).train_images.shape[1] for data in wanted] == [8, 16, 8]
    assert len(kept(home)) == 3


def test_the_same_pixels_under_other_names_are_other_data(tmp_path: Path, home: Path) -> None:
    pets, tools = fill(tmp_path / "pets", cat=2, dog=2), tmp_path / "tools"
    shutil.copytree(pets / "cat", tools / "cat")
    shutil.copytree(pets / "dog", tools / "saw")
    assert (
        open_images(own(pets, "cat", "dog"), home=home).fingerprint
        != open_images(own(tools, "cat", "saw"), home=home).fingerprint
    )


def test_files_that_cannot_be_read_are_left_out_and_listed(tmp_path: Path, home: Path) -> None:
    place = fill(tmp_path / "own", cat=10, dog=10)
    (place / "cat" / "text.png").write_text("no image")
    (place / "cat" / "notes.txt").write_text("no image either")
    cut = place / "dog" / "<i>cut & off</i>.png".replace("/", "∕")
    cut.write_bytes((place / "dog" / "0.png").read_bytes()[:45])
    images = open_images(own(place, "cat", "dog"), home=home)
    assert len(images.train_labels) + len(images.test_labels) == 20
    assert set(images.left_out) == {
        "cat/notes.txt: no image, by its name",
        "cat/text.png: no image, or of a format that is not read",
        f"dog/{cut.name}: damaged or cut off",
    }
    assert images.provenance.endswith("3 files were left out.")


def test_of_very_many_files_left_out_the_first_thousand_are_listed(tmp_path: Path, home: Path) -> None:
    place = fill(tmp_path / "own", cat=2, dog=2)
    for number in range(1005):
        (place / "cat" / f"{number}.txt").touch()
    images = open_images(own(place, "cat", "dog"), home=home)
    assert len(images.left_out) == 1000
    assert images.provenance.endswith("1,005 files were left out.")


def test_many_files_in_a_row_that_cannot_be_read_do_not_end_the_others(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "_AT_ONCE", 1)
    for use in ("train", "test"):
        fill(tmp_path / "own" / use, cat=3, dog=3)
        (tmp_path / "own" / use / "cat" / "0.png").write_text("no image")
    images = open_images(own(tmp_path / "own", "cat", "dog"), home=home)
    assert len(images.train_labels) + len(images.test_labels) == 10


@pytest.mark.parametrize("side", ["train", "test"])
def test_a_class_of_which_nothing_can_be_read_is_named_and_nothing_stays(tmp_path: Path, home: Path, side: str) -> None:
    for use in ("train", "test"):
        fill(tmp_path / "own" / use, cat=2, dog=2)
    for number in range(2):
        (tmp_path / "own" / side / "dog" / f"{number}.png").write_text("no image")
    with pytest.raises(DataDamagedError, match=rf"No image to {side} on could be read of: dog\. Left out: {side}/dog/"):
        open_images(own(tmp_path / "own", "cat", "dog"), home=home)
    assert [path.name for path in (home / "data").iterdir()] == ["lock"]


def test_a_class_that_the_folder_has_not_is_named(tmp_path: Path, home: Path) -> None:
    data = own(fill(tmp_path / "own", cat=2, dog=2), "cat", "owl")
    with pytest.raises(DataNotFoundError, match=r"no folder of images of: owl\. It has: cat, dog\."):
        open_images(data, home=home)
    assert find_images(data, home=home) is None
    assert find_images(own(tmp_path / "gone", "cat", "owl"), home=home) is None


def test_a_folder_with_a_problem_is_refused_in_its_words(tmp_path: Path, home: Path) -> None:
    with pytest.raises(DataDamagedError, match="fewer are in: dog"):
        open_images(own(fill(tmp_path / "own", cat=2, dog=1), "cat", "dog"), home=home)


def test_progress_is_heard_and_can_end_it(tmp_path: Path, home: Path) -> None:
    data = own(fill(tmp_path / "own", cat=100, dog=5), "cat", "dog")

    def interrupt(done: int, total: int) -> NoReturn:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_images(data, home=home, progress=interrupt)
    assert [path.name for path in (home / "data").iterdir()] == ["lock"]
    heard: list[tuple[int, int]] = []
    open_images(data, home=home, progress=lambda done, total: heard.append((done, total)))
    assert heard == [(64, 105), (84, 105), (105, 105)]


def test_too_little_room_for_the_arrays_is_said_before_anything_is_read(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = own(fill(tmp_path / "own", cat=2, dog=2), "cat", "dog", side=512)
    usage = shutil.disk_usage(tmp_path)._replace(free=2_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DataNotStoredError, match="takes 3 MB as arrays, but only 2 MB are free"):
        open_images(data, home=home)


def test_spoilt_arrays_are_made_again(tmp_path: Path, home: Path) -> None:
    data = own(fill(tmp_path / "own", cat=4, dog=4), "cat", "dog")
    first = open_images(data, home=home)
    about = kept(home)[0] / "about.json"
    about.write_text(json.dumps(json.loads(about.read_text()) | {"train": 99}))
    assert open_images(data, home=home).fingerprint == first.fingerprint
    assert len(kept(home)) == 1


def test_a_place_is_cifar10_where_it_is_there_and_else_a_folder_of_classes(tmp_path: Path) -> None:
    place = fill(tmp_path / "own", cat=2, dog=2)
    assert data_at(str(place)) == own(place, "cat", "dog", side=32)
    assert data_at(str(place), 64).image_side == 64
    cifar = fill_files(tmp_path / "cifar", python_files())
    assert data_at(str(cifar)).name == "cifar10"
    with pytest.raises(DataNotFoundError, match="found no folders"):
        data_at(str(cifar), 32)
    with pytest.raises(DataNotFoundError, match="does not exist"):
        data_at(str(tmp_path / "gone"))
    with pytest.raises(DataDamagedError, match="fewer are in"):
        data_at(str(fill(tmp_path / "few", cat=2, dog=1)))
