"""One batch of CIFAR-10, in either of its official forms, from bytes to arrays."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cifar_core.data.errors import DataDamagedError
from cifar_core.data.unpickle import unpickle

Batch = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""Images uint8 (n, 32, 32, 3) and labels int64 (n,)."""

SIDE = 32
PIXELS = SIDE * SIDE * 3
AGAIN = "Unpack it again from the official archive, or let Transfer Lab download CIFAR-10."


def largest_batch(rows: int) -> int:
    """Bytes that a batch of so many images can take in its most wasteful form, with room to spare."""
    return 2 * rows * PIXELS + 256 * rows + 65_536


def read_python_batch(content: bytes, *, file: str, rows: int, classes: int) -> Batch:
    """A batch of `cifar-10-python`: a pickled dict with `data`, uint8 (rows, 3072), and `labels`.

    Raises DataDamagedError or DataUnsafeError, naming `file`, for anything but `rows` images of `classes` classes.
    """
    if not content:
        raise DataDamagedError(f"{file} is empty. {AGAIN}")
    batch = unpickle(content, file=file, max_steps=40 * rows + 1000)
    if not isinstance(batch, dict):
        raise DataDamagedError(
            f"{file} is no CIFAR-10 batch: expected a dict with data and labels, found {_kind(batch)}. {AGAIN}"
        )
    missing = [field for field in ("data", "labels") if field not in batch]
    if missing:
        held = ", ".join(sorted(batch)[:8]) or "nothing"
        raise DataDamagedError(f"{file} is no CIFAR-10 batch: {' and '.join(missing)} missing, found {held}. {AGAIN}")
    data = batch["data"]
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape != (rows, PIXELS):
        raise DataDamagedError(
            f"The images in {file} have another shape: expected uint8 ({rows}, {PIXELS}), found {_kind(data)}. {AGAIN}"
        )
    return _images(data), _labels(batch["labels"], file=file, rows=rows, classes=classes)


def read_binary_batch(content: bytes, *, file: str, rows: int, classes: int) -> Batch:
    """A batch of `cifar-10-binary`: for each image one byte of label, then 3,072 of pixels.

    Raises DataDamagedError, naming `file`, for anything but `rows` images of `classes` classes.
    """
    expected = rows * (PIXELS + 1)
    if len(content) != expected:
        raise DataDamagedError(
            f"{file} has another size: expected {expected:,} bytes ({rows:,} images), found {len(content):,}. {AGAIN}"
        )
    records = np.frombuffer(content, np.uint8).reshape(rows, PIXELS + 1)
    return _images(records[:, 1:]), _labels(records[:, 0], file=file, rows=rows, classes=classes)


def _images(flat: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Rows of red, green and blue planes to (n, 32, 32, 3)."""
    return np.ascontiguousarray(flat.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1))


def _labels(labels: Any, *, file: str, rows: int, classes: int) -> NDArray[np.int64]:
    if isinstance(labels, list) and all(type(label) is int for label in labels):
        numbers = labels
    elif isinstance(labels, np.ndarray) and labels.ndim == 1:
        numbers = labels.tolist()
    else:
        raise DataDamagedError(
            f"The labels in {file} should be whole numbers in a list, found {_kind(labels)}. {AGAIN}"
        )
    if len(numbers) != rows:
        raise DataDamagedError(f"{file} holds {len(numbers):,} labels for {rows:,} images. {AGAIN}")
    wrong = next((label for label in numbers if not 0 <= label < classes), None)
    if wrong is not None:
        raise DataDamagedError(f"{file} holds the label {wrong}: expected 0 to {classes - 1}. {AGAIN}")
    return np.array(numbers, dtype=np.int64)


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}"
    return f"a {type(value).__name__}"
