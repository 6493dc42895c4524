"""A user's pictures, of the usual formats, as arrays; or the reasons why not."""

import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from cifar_core.data.errors import DataDamagedError
from cifar_core.data.folders import FolderContents, lot, shortened, shown
from cifar_core.experiment.datasets import DataSet

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
"""What Pillow may try: its other readers are rarer and a larger target."""

MOST_PIXELS = 50_000_000
"""Width times height that is decoded; JPEG, which can be decoded smaller than it is, may have 178 million."""

HOW = "the centred square of each, resized by a Lanczos filter that averages when it reduces"

_AT_ONCE = 64
_READERS = 4
_DAMAGED = "damaged or cut off"
LAST_RESORT = "damaged"
"""The reason where Pillow raised what nobody has seen it raise."""
_RAISED_BY_PILLOW = (
    SyntaxError,
    ValueError,
    LookupError,
    TypeError,
    ArithmeticError,
    EOFError,
    struct.error,
    MemoryError,
)
_TOO_LARGE = f"more than {MOST_PIXELS // 1_000_000} million pixels"

Put = Callable[[str, int, NDArray[np.uint8], NDArray[np.int64]], None]
"""Stores images and labels of the side "train" or "test" from a row on, as `Writer.put` does."""


def read_all(
    contents: FolderContents, dataset: DataSet, put: Put, progress: Callable[[int, int], None] | None = None
) -> list[str]:
    """Read the images of the data set's classes and `put` them; return which files could not be read, and why.

    Classes are mixed, in an order that follows from the files' names. `progress` hears of files read and in all.

    Raises DataDamagedError when no image of some class, to train or to test on, could be read.
    """
    left_out: list[str] = []
    side, done, total = dataset.image_shape[0], 0, len(contents.files(dataset.classes))
    with ThreadPoolExecutor(_READERS) as pool:  # Pillow decodes without Python's lock
        for use, of_class in (("train", contents.train), ("test", contents.test)):
            files = [(file, label) for label, name in enumerate(dataset.classes) for file in of_class[name]]
            files.sort(key=lambda each: lot(each[0].name))
            rows, seen = 0, set[int]()
            for start in range(0, len(files), _AT_ONCE):
                some = files[start : start + _AT_ONCE]
                found = pool.map(partial(read, side=side), [contents.folder / file.name for file, _ in some])
                images, labels = [], []
                for (file, label), image in zip(some, found, strict=True):
                    if isinstance(image, str):
                        left_out.append(f"{shown(file.name)}: {image}")
                    else:
                        images.append(image)
                        labels.append(label)
                put(use, rows, np.array(images, np.uint8).reshape(-1, side, side, 3), np.array(labels, np.int64))
                rows += len(images)
                seen.update(labels)
                done += len(some)
                if progress is not None:
                    progress(done, total)
            if empty := [name for label, name in enumerate(dataset.classes) if label not in seen]:
                raise DataDamagedError(
                    f"No image to {use} on could be read of: {shortened(empty)}. Left out: {shortened(left_out, 3)}."
                )
    return left_out


def read(path: Path | BinaryIO, side: int) -> NDArray[np.uint8] | str:
    """The centred square of a picture, upright, in colour and resized: uint8 (side, side, 3).

    Of several frames the first; what is transparent becomes white. Where the file holds no such picture, the
    reason why: a few words that quote nothing from the file.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            image.draft("RGB", (2 * side, 2 * side))  # JPEG decodes to about the size that is needed, much faster
            if image.width * image.height > MOST_PIXELS:
                return _TOO_LARGE
            return np.array(_square(ImageOps.exif_transpose(image), side))
    except Image.DecompressionBombError:
        return _TOO_LARGE
    except UnidentifiedImageError:
        return "no image, or of a format that is not read"
    except _NoRangeError:
        return "brightness without a known range; save it with 8 bits a channel"
    except OSError as error:
        return error.strerror or _DAMAGED
    except _RAISED_BY_PILLOW:
        return _DAMAGED
    except Exception:  # Pillow has no common error: whatever else it may raise, the other images go on
        return LAST_RESORT


class _NoRangeError(Exception):
    """Numbers of which nobody says how bright they are."""


def _square(image: Image.Image, side: int) -> Image.Image:
    if image.mode in ("I", "F"):
        raise _NoRangeError
    if image.mode.startswith("I;16"):  # Pillow would clip where it should scale
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    short = min(image.size)
    left, top = (image.width - short) / 2, (image.height - short) / 2
    square = image.resize(
        (side, side), Image.Resampling.LANCZOS, box=(left, top, left + short, top + short), reducing_gap=3.0
    )
    if square.mode == "RGBA":
        square = Image.alpha_composite(Image.new("RGBA", square.size, "white"), square).convert("RGB")
    return square
