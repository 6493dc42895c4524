"""Makes tiny CIFAR-10 files in all official forms, and pickles byte by byte."""

import io
import pickle
import struct
import tarfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cifar_core.experiment.experiment import Data

ROWS = 10
NAMES = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]


def cifar10(location: Path | str | None = None) -> Data:
    return Data(name="cifar10", location=None if location is None else str(location))


def pixels(position: int, rows: int = ROWS) -> NDArray[np.uint8]:
    """The planes of batch `position`, uint8 (rows, 3072); different for every batch."""
    return np.random.default_rng(position).integers(0, 256, (rows, 3072), dtype=np.uint8)


def labels(position: int, rows: int = ROWS) -> list[int]:
    return [(number + position) % 10 for number in range(rows)]


def batch(position: int, rows: int = ROWS, **changes: Any) -> dict[Any, Any]:
    return {"data": pixels(position, rows), "labels": labels(position, rows), **changes}


def short_string(text: bytes) -> bytes:
    return b"U" + bytes([len(text)]) + text


def python2_pickle(position: int, rows: int = ROWS) -> bytes:
    """A batch as Python 2 and its numpy wrote it: protocol 2, byte strings, `numpy.core.multiarray`."""
    content = pixels(position, rows).tobytes()
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85q\x04"
        + short_string(b"b")
        + b"\x87Rq\x05"
        + b"(K\x01K"
        + bytes([rows])
        + b"M\x00\x0c\x86cnumpy\ndtype\nq\x06"
        + short_string(b"u1")
        + b"K\x00K\x01\x87Rq\x07(K\x03"
        + short_string(b"|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
        + struct.pack("<i", len(content))
        + content
        + b"tb"
    )
    numbers = b"]q\x08(" + b"".join(b"K" + bytes([label]) for label in labels(position, rows)) + b"e"
    fields = [
        short_string(b"batch_label") + short_string(b"training batch"),
        short_string(b"labels") + numbers,
        short_string(b"data") + array,
        short_string(b"filenames") + b"](" + short_string(b"a.png") * rows + b"e",
    ]
    return b"\x80\x02}q\x01(" + b"".join(fields) + b"u."


def pickled(position: int, protocol: int = 2, **changes: Any) -> bytes:
    return pickle.dumps(batch(position, **changes), protocol=protocol)


def binary(position: int, rows: int = ROWS) -> bytes:
    first = np.array(labels(position, rows), dtype=np.uint8)[:, None]
    return np.concatenate([first, pixels(position, rows)], axis=1).tobytes()


def python_files() -> dict[str, bytes]:
    return {name: python2_pickle(position) for position, name in enumerate(NAMES)}


def binary_files() -> dict[str, bytes]:
    return {f"{name}.bin": binary(position) for position, name in enumerate(NAMES)}


def fill(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def archive(
    path: Path,
    files: dict[str, bytes],
    *,
    inside: str = "cifar-10-batches-py/",
    mode: Literal["w:gz", "w"] = "w:gz",
) -> Path:
    """An archive whose members come in another order than the batches, as in the official ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") if mode == "w:gz" else tarfile.open(path, "w") as tar:
        for name, content in sorted(files.items(), reverse=True):
            add(tar, f"{inside}{name}", content)
    return path


def add(tar: tarfile.TarFile, name: str, content: bytes = b"", **fields: Any) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for field, value in fields.items():
        setattr(member, field, value)
    tar.addfile(member, io.BytesIO(content))


def expected_images(position: int) -> NDArray[np.uint8]:
    """What a batch's pixels are as images, computed the slow way."""
    flat = pixels(position)
    images = np.empty((len(flat), 32, 32, 3), np.uint8)
    for channel in range(3):
        images[..., channel] = flat[:, channel * 1024 : (channel + 1) * 1024].reshape(-1, 32, 32)
    return images
