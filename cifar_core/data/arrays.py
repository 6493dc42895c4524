"""Data sets as memory-mapped arrays on disk: how they are written, at once or not at all, and opened again.

One folder holds one data set: two `.npy` of images, two of labels and `about.json`. A folder is filled under
another name and renamed when it is complete, so whatever carries its proper name is whole.
"""

import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from cifar_core.data.errors import DataDamagedError, DataNotStoredError
from cifar_core.data.files import write_json
from cifar_core.experiment.datasets import DATASETS, DataSet

FORMAT = 2
_ABOUT = "about.json"
_UNFINISHED = "unfinished-"


@dataclass(frozen=True)
class About:
    """What is kept beside the arrays: how many rows they have, and what `Images` says of the other fields.

    `classes` and `image_shape` are kept of the user's own images only: the others have them in their table row.
    """

    dataset: str
    fingerprint: str
    provenance: str
    official: bool
    train: int
    test: int
    classes: tuple[str, ...] = ()
    image_shape: tuple[int, ...] = ()
    left_out: tuple[str, ...] = ()
    format: int = FORMAT


@dataclass(frozen=True, eq=False)
class Images:
    """A data set that is open: images memory-mapped and read-only, shared by all who open it.

    Images are uint8 (n, *dataset.image_shape); labels are int64 (n,), indices into `dataset.classes`.
    `fingerprint` is a hash of exactly these arrays, and of the names of the user's own classes; `provenance` says
    in words where they come from. `official` is False only for files that did not meet the publisher's checksums or
    could not be compared with them. `left_out` lists the files of a user's folder that hold no usable image, each
    with the reason: the first thousand of them.
    """

    dataset: DataSet
    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]
    fingerprint: str
    provenance: str
    official: bool
    left_out: tuple[str, ...] = ()


class Writer:
    """Writes one data set into a folder, parts in any order, as many rows as come. Use as a context manager."""

    def __init__(self, folder: Path, dataset: DataSet) -> None:
        self._folder, self._dataset = folder, dataset
        self._files = ExitStack()
        self._open: dict[str, tuple[BinaryIO, int, int]] = {}
        self._rows = {"train": 0, "test": 0}

    def __enter__(self) -> Self:
        for name, (shape, dtype) in _expected(self._dataset, **self._rows).items():
            file = self._files.enter_context((self._folder / f"{name}.npy").open("wb"))
            _write_header(file, shape, dtype)
            self._open[name] = file, file.tell(), math.prod(shape[1:]) * np.dtype(dtype).itemsize
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def put(self, side: str, start: int, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
        """Store images and labels of `side` "train" or "test" from row `start` on.

        Written as a file and not through a memory map: a full disk is then an error instead of a crash.
        """
        if not len(labels):
            return  # of some files in a row, none could be read
        for name, part in ((f"{side}_images", images), (f"{side}_labels", labels.astype("<i8"))):
            file, header, row = self._open[name]
            file.seek(header + start * row)
            file.write(np.ascontiguousarray(part).data.cast("B"))
        self._rows[side] = max(self._rows[side], start + len(labels))

    def finish(self, **about: Any) -> str:
        """Bring everything to the disk, add what is known about the data, and return its fingerprint.

        The fingerprint is the same for the same images, labels and classes, whatever they were read from.
        """
        own: dict[str, Any] = {}
        if not DATASETS[self._dataset.name].classes:
            own = {"classes": self._dataset.classes, "image_shape": self._dataset.image_shape}
        for name, (shape, dtype) in _expected(self._dataset, **self._rows).items():
            file, *_ = self._open[name]
            file.seek(0)
            _write_header(file, shape, dtype)  # as long as before: numpy leaves room for the number of rows to grow
            file.flush()
            os.fsync(file.fileno())
        total = hashlib.sha256(self._dataset.name.encode())
        total.update(json.dumps(own).encode() if own else b"")
        for name in self._open:
            with (self._folder / f"{name}.npy").open("rb") as written:
                total.update(hashlib.file_digest(written, "sha256").digest())
        fingerprint = total.hexdigest()
        about |= self._rows | own
        write_about(self._folder, About(dataset=self._dataset.name, fingerprint=fingerprint, **about))
        return fingerprint


def open_arrays(folder: Path) -> Images | None:
    """The data set in a folder, or None where there is none. Takes milliseconds: nothing is read but labels.

    Raises DataDamagedError when the folder does not hold what it says.
    """
    try:
        known = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        dataset = DATASETS[known["dataset"]]
        # Format 1 knew only data sets whose rows of the table say how many images they have.
        about = About(**{"train": dataset.train_size, "test": dataset.test_size} | known)
        if about.format not in (1, FORMAT):
            raise ValueError(f"kept in format {about.format}, this version reads {FORMAT}")
        if not dataset.classes:
            height, width, channels = about.image_shape
            dataset = replace(dataset, classes=tuple(about.classes), image_shape=(height, width, channels))
        expected = _expected(dataset, about.train, about.test)
        arrays = {name: _mapped(folder / f"{name}.npy", *kind) for name, kind in expected.items()}
    except FileNotFoundError as error:
        if not folder.exists():
            return None
        raise _spoilt(folder, f"{error.filename} is missing") from error
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise _spoilt(folder, str(error)) from error
    labels = {name: np.array(arrays.pop(name)) for name in ("train_labels", "test_labels")}
    for values in labels.values():
        values.setflags(write=False)
    return Images(
        dataset=dataset,
        **arrays,
        **labels,
        fingerprint=about.fingerprint,
        provenance=about.provenance,
        official=about.official,
        left_out=tuple(about.left_out),
    )


@contextmanager
def locked(home: Path) -> Iterator[Path]:
    """The folder for data under `home`, held by one process or thread at a time while it writes there.

    What an interrupted process left unfinished is removed. Raises DataNotStoredError when nothing can be written.
    """
    folder = home / "data"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "lock")
        lock.acquire()
    except OSError as error:
        raise not_stored(folder, error) from error
    try:
        for left in folder.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(left, ignore_errors=True)
        yield folder
    finally:
        lock.release()


@contextmanager
def unfinished(parent: Path, dataset: DataSet, rows: int) -> Iterator[Path]:
    """A folder to fill with so many images; what is still there at the end is removed. Call `settle` to keep it.

    Raises DataNotStoredError when the disk has no room or refuses a write.
    """
    needed = rows * (math.prod(dataset.image_shape) + np.dtype(np.int64).itemsize)
    free = shutil.disk_usage(parent).free
    if free < needed:
        raise DataNotStoredError(
            f"{dataset.title} takes {needed / 1e6:,.0f} MB as arrays, but only {free / 1e6:,.0f} MB are free in "
            f"{parent}. Free some room, or set TRANSFER_LAB_HOME to a folder on another disk."
        )
    folder = None
    try:
        folder = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=parent))
        yield folder
    except OSError as error:
        raise not_stored(parent, error) from error
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def settle(folder: Path, final: Path) -> None:
    """Give a filled folder its proper name, in place of a damaged one that may carry it."""
    if final.exists():
        final.rename(folder.with_name(f"{folder.name}-replaced"))
    folder.rename(final)
    shutil.rmtree(folder.with_name(f"{folder.name}-replaced"), ignore_errors=True)


def write_about(folder: Path, about: About) -> None:
    """Keep what is known about a folder's arrays beside them."""
    write_json(folder / _ABOUT, asdict(about))


def not_stored(where: Path, error: OSError) -> DataNotStoredError:
    """The sentence for a write that the system refused."""
    return DataNotStoredError(
        f"Nothing could be written to {where}: {error.strerror or error}. Free some room or change the folder's "
        "permissions, or set TRANSFER_LAB_HOME to another folder."
    )


def _expected(dataset: DataSet, train: int, test: int) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape and type of each array of a data set, with so many images on either side."""
    return {
        "train_images": ((train, *dataset.image_shape), "|u1"),
        "train_labels": ((train,), "<i8"),
        "test_images": ((test, *dataset.image_shape), "|u1"),
        "test_labels": ((test,), "<i8"),
    }


def _write_header(file: BinaryIO, shape: tuple[int, ...], dtype: str) -> None:
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})


def _mapped(path: Path, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.shape != shape or array.dtype != np.dtype(dtype):
        raise ValueError(f"{path} holds {array.dtype} {array.shape}, expected {dtype} {shape}")
    return array


def _spoilt(folder: Path, reason: str) -> DataDamagedError:
    return DataDamagedError(
        f"The converted data in {folder} is damaged ({reason}). Delete that folder: it is made again from its source."
    )
