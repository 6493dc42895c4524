"""A folder of images per class: which classes and files it has, and which of them are for testing.

Looks at names, sizes and times of change, and opens no image.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cifar_core.data.errors import DataDamagedError, DataNotFoundError, DataUnreadableError
from cifar_core.experiment.experiment import ClassSplit

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".gif", ".webp", ".tif", ".tiff"})
MOST_CLASSES = 1000
MOST_FILES = 200_000
TEST_SHARE = 0.2
APART = f"Test images: {100 * TEST_SHARE:.0f} % of each class, chosen by their names and the same ones every time"

_TRAIN = "train"
_TEST = ("test", "val", "valid", "validation")
_IGNORED = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx"})
_HOW_TO_LAY_OUT = (
    "Put the images of each class into a folder of its own, named like the class, all of them into one folder "
    "(or into train/ and test/ there), and name that one"
)


@dataclass(frozen=True)
class File:
    """A file that its name calls an image: its path within the folder, bytes, and time of change in nanoseconds."""

    name: str
    size: int
    changed: int


@dataclass(frozen=True)
class FolderContents:
    """What a look at a folder found.

    `classes` are in natural order (class 2 before class 10). `train` and `test` hold the files of each, in an order
    that follows from their names and mixes what was numbered in a row. `split` says in a sentence where the test
    images come from, `left_out` which files are no images, and `problems` why the images cannot be used.
    """

    folder: Path
    classes: tuple[str, ...]
    train: dict[str, tuple[File, ...]]
    test: dict[str, tuple[File, ...]]
    split: str
    left_out: tuple[str, ...]
    problems: tuple[str, ...]

    def files(self, classes: Sequence[str]) -> list[File]:
        """All files of these classes that their names call images."""
        return [file for name in classes for side in (self.train, self.test) for file in side[name]]

    def stamp(self, classes: Sequence[str]) -> str:
        """A hash of the names, sizes and times of change of all files of these classes, in this order."""
        states = [(file.name, file.size, file.changed) for file in self.files(classes)]
        return hashlib.sha256(json.dumps([classes, states, self.left_out]).encode()).hexdigest()


def look(folder: Path) -> FolderContents:
    """Look through a folder of images per class, with or without train/ and test/ (or val/) above the classes.

    Raises DataNotFoundError where there are no such folders, DataUnreadableError where the system refuses, and
    DataDamagedError for more classes or files than are taken; all in a sentence.
    """
    scan = _Scan(folder)
    top = scan.folders("")
    tops = {name.casefold(): name for name in top}
    test = next((tops[name] for name in _TEST if name in tops), None)
    if _TRAIN in tops and test is not None:
        for name in tops.keys() - {_TRAIN, test.casefold()}:
            scan.leave_out(f"{tops[name]}/", f"beside {tops[_TRAIN]}/ and {test}/, which are used")
        return _given_split(scan, tops[_TRAIN], test)
    if list(tops) == [_TRAIN]:
        return _own_split(scan, f"{top[0]}/", scan.folders(f"{top[0]}/"))
    return _own_split(scan, "", top)


def halves(count: int) -> ClassSplit:
    """The split to begin with: the first half of the classes is the source, the other the target, two at least."""
    half = max(2, count // 2)
    return ClassSplit(source=tuple(range(half)), target=tuple(range(min(half, count - 2), count)))


def shortened(names: Iterable[str], most: int = 8) -> str:
    """Names in a row, the first few of very many."""
    listed = list(names)
    more = f" and {len(listed) - most:,} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more


def shown(name: str) -> str:
    """A name from the disk as text that can be shown anywhere, whatever its bytes are."""
    return os.fsencode(name).decode("utf-8", "replace")


def _given_split(scan: "_Scan", train: str, test: str) -> FolderContents:
    sides = {side: scan.folders(f"{side}/") for side in (train, test)}
    classes = _usable(scan.root, sides[train])
    problems = []
    for side, other in ((train, test), (test, train)):
        if only := [name for name in sides[side] if name not in sides[other]]:
            problems.append(f"{side}/ has classes that {other}/ has not: {shortened(only)}.")
    both = [name for name in classes if name in sides[test]]
    files = {side: {name: scan.images(f"{side}/{name}/") for name in both} for side in (train, test)}
    for side, use in ((train, "train"), (test, "test")):
        if empty := [name for name in both if not files[side][name]]:
            problems.append(f"There is no image to {use} on in {side}/ of: {shortened(empty)}.")
    nothing: dict[str, tuple[File, ...]] = dict.fromkeys(classes, ())
    return FolderContents(
        folder=scan.root,
        classes=classes,
        train=nothing | files[train],
        test=nothing | files[test],
        split=f"Test images: those in {test}/",
        left_out=tuple(scan.left_out),
        problems=tuple(problems),
    )


def _own_split(scan: "_Scan", within: str, names: list[str]) -> FolderContents:
    classes = _usable(scan.root, names)
    files = {name: scan.images(f"{within}{name}/") for name in classes}
    if not any(files.values()):
        raise DataNotFoundError(f"There are no images in the folders of {scan.root}. {_HOW_TO_LAY_OUT}.")
    apart = {name: max(1, round(TEST_SHARE * len(found))) for name, found in files.items()}
    problems = []
    if few := [name for name, found in files.items() if len(found) < 2]:
        problems.append(
            f"Each class takes two images at least, one to train on and one to test on; fewer are in: {shortened(few)}."
        )
    return FolderContents(
        folder=scan.root,
        classes=classes,
        train={name: found[apart[name] :] for name, found in files.items()},
        test={name: found[: apart[name]] for name, found in files.items()},
        split=APART,
        left_out=tuple(scan.left_out),
        problems=tuple(problems),
    )


def _usable(root: Path, names: list[str]) -> tuple[str, ...]:
    """Names of classes that an experiment can hold."""
    if len(names) < 2:
        found = f"only one folder, {shown(names[0])}" if names else "no folders"
        raise DataNotFoundError(f"Expected two or more folders of images in {root}, found {found}. {_HOW_TO_LAY_OUT}.")
    if len(names) > MOST_CLASSES:
        raise DataDamagedError(f"{root} holds {len(names):,} folders; at most {MOST_CLASSES:,} classes are taken.")
    if odd := [shown(name) for name in names if shown(name) != name]:
        raise DataDamagedError(
            f"Names of classes in {root} must be valid Unicode; rename these folders: {shortened(odd)}."
        )
    return tuple(names)


class _Scan:
    """A walk through a folder that notes what it passes over."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.left_out: list[str] = []
        self._seen = 0
        try:
            self._inside = root.resolve(strict=True)
            if not root.is_dir():
                raise DataNotFoundError(f"{root} is no folder. {_HOW_TO_LAY_OUT}.")
            os.scandir(root).close()
        except FileNotFoundError as error:
            raise DataNotFoundError(f"{root} does not exist. {_HOW_TO_LAY_OUT}.") from error
        except OSError as error:
            raise DataUnreadableError(f"{root} cannot be read: {error.strerror or error}.") from error
        except (ValueError, RuntimeError) as error:  # a zero byte; links in a circle, before Python 3.13
            raise DataNotFoundError(f"{root} can be no folder's name: {error}.") from error

    def folders(self, within: str) -> list[str]:
        """Names of the folders in a folder, in natural order; images that lie beside them are noted."""
        names = []
        for entry in self._entries(within):
            if entry.is_dir():
                names.append(entry.name)
            elif _suffix(entry.name) in SUFFIXES:
                self.leave_out(f"{within}{entry.name}", "beside the folders of the classes, in none of them")
        return sorted(names, key=_natural)

    def images(self, within: str) -> tuple[File, ...]:
        """The files in a folder that their names call images, in an order that a hash of their names draws."""
        files = []
        for entry in self._entries(within):
            name = f"{within}{entry.name}"
            try:
                if entry.is_dir():
                    self.leave_out(name, "a folder inside of a class is not looked into")
                elif _suffix(entry.name) not in SUFFIXES:
                    self.leave_out(name, "no image, by its name")
                elif not entry.is_file():
                    self.leave_out(name, "no ordinary file")
                else:
                    state = entry.stat()
                    files.append(File(name, state.st_size, state.st_mtime_ns))
            except OSError as error:
                self.leave_out(name, error.strerror or "unreadable")
        return tuple(sorted(files, key=lambda file: lot(file.name)))

    def _entries(self, within: str) -> list["os.DirEntry[str]"]:
        entries = []
        try:
            with os.scandir(self.root / within) as found:
                for entry in found:
                    self._seen += 1
                    if self._seen > MOST_FILES:
                        raise DataDamagedError(f"{self.root} holds more than {MOST_FILES:,} files: too many here.")
                    if not entry.name.startswith(".") and entry.name.casefold() not in _IGNORED:
                        entries.append(entry)
        except OSError as error:
            self.leave_out(within, error.strerror or "unreadable")
        entries.sort(key=lambda entry: entry.name)
        return [entry for entry in entries if not entry.is_symlink() or self._leads_inside(entry, within)]

    def _leads_inside(self, link: "os.DirEntry[str]", within: str) -> bool:
        try:
            inside = Path(link.path).resolve(strict=True).is_relative_to(self._inside)
        except (OSError, RuntimeError):
            self.leave_out(f"{within}{link.name}", "a link that leads nowhere")
            return False
        if not inside:
            self.leave_out(f"{within}{link.name}", "a link that leads out of the folder")
        return inside

    def leave_out(self, name: str, reason: str) -> None:
        """Note a file or folder that is not used."""
        self.left_out.append(f"{shown(name)}: {reason}")


def lot(name: str) -> bytes:
    """A hash that decides the order of files: always the same, and nothing to do with how they are numbered."""
    return hashlib.sha256(os.fsencode(name)).digest()


def _suffix(name: str) -> str:
    return Path(name).suffix.casefold()


def _natural(name: str) -> tuple[list[str | int], str]:
    """Sorts numbers within names by their value."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name.casefold())], name
