import os
from pathlib import Path

import pytest

from cifar_core.data import folders
from cifar_core.data.errors import DataDamagedError, DataNotFoundError, DataUnreadableError
from cifar_core.data.folders import FolderContents, halves, look
from tests.data.own import fill, picture


def counts(contents: FolderContents) -> dict[str, tuple[int, int]]:
    return {name: (len(contents.train[name]), len(contents.test[name])) for name in contents.classes}


def names(contents: FolderContents, side: str) -> set[str]:
    files = contents.train if side == "train" else contents.test
    return {file.name for of_class in files.values() for file in of_class}


def test_a_folder_for_each_class_is_split_by_names_and_always_alike(tmp_path: Path) -> None:
    one, two = (look(fill(tmp_path / place, cat=10, dog=5, owl=2)) for place in ("a", "b"))
    assert counts(one) == {"cat": (8, 2), "dog": (4, 1), "owl": (1, 1)}
    assert names(one, "test") == names(two, "test")
    assert not names(one, "test") & names(one, "train")
    assert one.split == "Test images: 20 % of each class, chosen by their names and the same ones every time"
    assert one.problems == one.left_out == ()


def test_test_images_are_not_the_first_or_last_of_a_row_of_numbers(tmp_path: Path) -> None:
    chosen = look(fill(tmp_path, cat=50, dog=2)).test["cat"]
    numbers = sorted(int(Path(file.name).stem) for file in chosen)
    assert len(numbers) == 10
    assert numbers not in (list(range(10)), list(range(40, 50)))


@pytest.mark.parametrize("test", ["test", "Test", "val", "valid", "validation"])
def test_train_and_test_folders_give_the_split(tmp_path: Path, test: str) -> None:
    fill(tmp_path / "train", cat=3, dog=4)
    fill(tmp_path / test, cat=1, dog=2)
    contents = look(tmp_path)
    assert counts(contents) == {"cat": (3, 1), "dog": (4, 2)}
    assert contents.split == f"Test images: those in {test}/"


def test_validation_images_beside_test_images_are_not_used_and_that_is_said(tmp_path: Path) -> None:
    for side in ("train", "val", "test"):
        fill(tmp_path / side, cat=2, dog=2)
    contents = look(tmp_path)
    assert contents.split == "Test images: those in test/"
    assert contents.left_out == ("val/: beside train/ and test/, which are used",)


def test_train_alone_is_split_and_among_others_is_a_class(tmp_path: Path) -> None:
    fill(tmp_path / "a" / "train", cat=5, dog=5)
    assert counts(look(tmp_path / "a")) == {"cat": (4, 1), "dog": (4, 1)}
    assert look(fill(tmp_path / "b", car=5, train=5)).classes == ("car", "train")


def test_classes_that_differ_between_train_and_test_are_named(tmp_path: Path) -> None:
    fill(tmp_path / "train", cat=2, dog=2, owl=2)
    fill(tmp_path / "test", cat=2, bee=2)
    assert look(tmp_path).problems == (
        "train/ has classes that test/ has not: dog, owl.",
        "test/ has classes that train/ has not: bee.",
    )


def test_a_class_without_images_is_named(tmp_path: Path) -> None:
    fill(tmp_path / "a", cat=2, dog=1)
    (tmp_path / "a" / "owl").mkdir()
    assert "fewer are in: dog, owl." in look(tmp_path / "a").problems[0]
    fill(tmp_path / "b" / "train", cat=1, dog=1)
    fill(tmp_path / "b" / "test", cat=1)
    (tmp_path / "b" / "test" / "dog").mkdir()
    assert look(tmp_path / "b").problems == ("There is no image to test on in test/ of: dog.",)


def test_classes_come_in_natural_order(tmp_path: Path) -> None:
    for name in ("class 10", "Class 9", "class 1", "äpfel", "<b>bold</b>".replace("/", "∕"), "猫", "7²"):
        picture(tmp_path / name / "a.png")
    assert look(tmp_path).classes == ("7²", "<b>bold<∕b>", "class 1", "Class 9", "class 10", "äpfel", "猫")


def test_files_that_systems_leave_behind_are_passed_over_silently(tmp_path: Path) -> None:
    fill(tmp_path, cat=2, dog=2)
    for name in (".DS_Store", ".hidden.png", "Thumbs.db", "desktop.ini"):
        (tmp_path / "cat" / name).write_bytes(b"")
    (tmp_path / ".git").mkdir()
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "README.txt").write_text("about these images")
    contents = look(tmp_path)
    assert (contents.classes, contents.left_out) == (("cat", "dog"), ())


def test_what_is_no_image_is_listed_with_the_reason(tmp_path: Path) -> None:
    fill(tmp_path, cat=2, dog=2)
    (tmp_path / "cat" / "notes.txt").write_text("none")
    (tmp_path / "cat" / "more").mkdir()
    picture(tmp_path / "loose.png")
    assert look(tmp_path).left_out == (
        "loose.png: beside the folders of the classes, in none of them",
        "cat/more: a folder inside of a class is not looked into",
        "cat/notes.txt: no image, by its name",
    )


def test_links_are_followed_only_inside_of_the_folder(tmp_path: Path) -> None:
    root = fill(tmp_path / "own", cat=2, dog=2)
    secret = picture(tmp_path / "elsewhere" / "secret.png")
    (root / "cat" / "inside.png").symlink_to(root / "cat" / "0.png")
    (root / "cat" / "outside.png").symlink_to(secret)
    (root / "cat" / "circle.png").symlink_to(root / "cat" / "circle.png")
    (root / "cat" / "nowhere.png").symlink_to(root / "cat" / "gone.png")
    (root / "elsewhere").symlink_to(secret.parent, target_is_directory=True)
    (root / "dog" / "up").symlink_to(root, target_is_directory=True)
    contents = look(root)
    assert sum(counts(contents)["cat"]) == 3
    assert set(contents.left_out) == {
        "elsewhere: a link that leads out of the folder",
        "cat/circle.png: a link that leads nowhere",
        "cat/nowhere.png: a link that leads nowhere",
        "cat/outside.png: a link that leads out of the folder",
        "dog/up: a folder inside of a class is not looked into",
    }


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_no_image_and_nobody_waits_for_it(tmp_path: Path) -> None:
    fill(tmp_path, cat=2, dog=2)
    os.mkfifo(tmp_path / "cat" / "pipe.png")
    assert look(tmp_path).left_out == ("cat/pipe.png: no ordinary file",)


def test_a_place_that_is_no_folder_of_classes_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    for place, said in {
        "nowhere": "does not exist",
        "file": "is no folder",
        "empty": "found no folders",
        "zero\0byte": "can be no folder's name",
        "a" * 5000: "cannot be read",
    }.items():
        with pytest.raises((DataNotFoundError, DataUnreadableError), match=said):
            look(tmp_path / place)
    with pytest.raises((DataNotFoundError, DataUnreadableError)):
        look(tmp_path / "circle")
    (tmp_path / "texts" / "a").mkdir(parents=True)
    (tmp_path / "texts" / "b").mkdir()
    (tmp_path / "texts" / "a" / "a.txt").write_text("")
    with pytest.raises(DataNotFoundError, match="no images in the folders of"):
        look(tmp_path / "texts")
    picture(tmp_path / "empty" / "lonely" / "a.png")
    with pytest.raises(DataNotFoundError, match="found only one folder, lonely"):
        look(tmp_path / "empty")


def test_a_folder_that_cannot_be_listed_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(place: Path) -> None:
        raise PermissionError(13, "Permission denied", str(place))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataUnreadableError, match="cannot be read: Permission denied"):
        look(tmp_path)


def test_too_many_classes_or_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, cat=2, dog=2, owl=3)
    monkeypatch.setattr(folders, "MOST_CLASSES", 2)
    with pytest.raises(DataDamagedError, match="holds 3 folders; at most 2 classes"):
        look(tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(folders, "MOST_FILES", 5)
    with pytest.raises(DataDamagedError, match="more than 5 files"):
        look(tmp_path)


def test_names_that_are_no_text_are_shown_as_far_as_they_are(tmp_path: Path) -> None:
    fill(tmp_path, cat=2, dog=2)
    try:
        Path(os.fsdecode(os.fsencode(tmp_path / "cat") + b"/\xff.txt")).write_bytes(b"")
        Path(os.fsdecode(os.fsencode(tmp_path / "cat") + b"/\xfe.png")).write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes only Unicode")
    contents = look(tmp_path)
    assert contents.left_out == ("cat/�.txt: no image, by its name",)
    assert len(contents.stamp(("cat",))) == 64
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")).mkdir()
    with pytest.raises(DataDamagedError, match="rename these folders: �"):
        look(tmp_path)


def test_the_stamp_follows_content_and_classes(tmp_path: Path) -> None:
    fill(tmp_path, cat=3, dog=3, owl=3)
    stamps = [look(tmp_path).stamp(classes) for classes in (("cat", "dog"), ("dog", "cat"), ("cat", "dog"))]
    assert stamps[0] == stamps[2] != stamps[1]
    os.utime(tmp_path / "owl" / "0.png", (1, 1))
    assert look(tmp_path).stamp(("cat", "dog")) == stamps[0]
    os.utime(tmp_path / "cat" / "0.png", (1, 1))
    assert look(tmp_path).stamp(("cat", "dog")) != stamps[0]


@pytest.mark.parametrize(
    ("classes", "source", "target"),
    [
        (2, (0, 1), (0, 1)),
        (3, (0, 1), (1, 2)),
        (4, (0, 1), (2, 3)),
        (5, (0, 1), (2, 3, 4)),
        (10, (0, 1, 2, 3, 4), (5, 6, 7, 8, 9)),
    ],
)
def test_the_first_half_of_the_classes_is_the_source(
    classes: int, source: tuple[int, ...], target: tuple[int, ...]
) -> None:
    assert (halves(classes).source, halves(classes).target) == (source, target)
