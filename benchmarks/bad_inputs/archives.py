"""CIFAR-10: batches and archives."""

import gzip
import io
import os
import pickle
import random
import shutil
import struct
import tarfile
import zipfile
import zlib
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bad_inputs.inputs import Input
from benchmarks.bad_inputs.nasty import NASTY, damaged, some_value
from cifar_core.data import batches, sources
from cifar_core.experiment.datasets import DATASETS

SMALL = replace(DATASETS["cifar10"], train_per_class=1, test_per_class=1)
ROWS = SMALL.train_size // 5
"""Images in a batch of a CIFAR-10 as small as can be."""


@cache
def _batch(number: int, protocol: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (ROWS, 3072), dtype=np.uint8)
    return pickle.dumps({"data": pixels, "labels": [place % 10 for place in range(ROWS)]}, protocol)


class _Calls:
    """Pickles to a call."""

    def __init__(self, function: Any, *arguments: Any):
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def _hostile_pickle(draws: random.Random) -> bytes:
    """A pickle that runs something, or claims to be huge."""
    calls: list[Any] = [os.system, eval, exec, __import__, open, getattr, np.load, shutil.rmtree, zlib.decompress]
    huge = struct.pack("<Q", 1 << draws.randrange(33, 60))
    return draws.choice(
        (
            pickle.dumps({"data": _Calls(draws.choice(calls), "touch executed")}, draws.choice((2, 4, 5))),
            b"cos\nsystem\n(S'touch executed'\ntR.",
            b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x05touch\x85R.",
            b"(S'touch executed'\nios\nsystem\n.",
            b"\x80\x04\x8e" + huge + b"x.",
            b"\x80\x04\x8d" + huge + b"x.",
            b"\x80\x04\x95" + huge + b"}.",
            b"\x80\x02}" + b"\x85" * draws.choice((10, 100_000)) + b"K\x01s.",
            b"\x80\x02" + b"]" * draws.choice((10, 100_000)) + b".",
            b"\x80\x02" + b"(" * 1000 + b"t" * 1000 + b".",
            b"\x80\x02]q\x00" + b"h\x00h\x00\x86" * 100 + b".",
            b"\x80\x04\x8c\x01x\x94" + b"h\x00h\x00\x86\x94" * 60 + b".",
        )
    )


def batch_file(draws: random.Random, place: Path) -> Input:
    match draws.randrange(5):
        case 0:
            content = _hostile_pickle(draws)
        case 1:
            odd: dict[Any, Any] = {"data": some_value(draws), "labels": some_value(draws)} | {
                draws.choice(NASTY): some_value(draws)
            }
            try:
                content = pickle.dumps(odd, draws.choice((0, 1, 2, 4, 5)))
            except RecursionError:
                content = b"\x80\x02" + b"]" * 2000 + b"a" * 1999 + b"."
        case _:
            content = damaged(draws, _batch(draws.randrange(3), draws.choice((2, 3, 4, 5))))

    def give() -> str | None:
        batches.read_python_batch(content, file="data_batch_3", rows=ROWS, classes=10)
        return None

    return Input(give, "data_batch_3", repr(content[:300]))


def archive(draws: random.Random, place: Path) -> Input:
    path = place / "given.tar.gz"
    match draws.randrange(4):
        case 0:
            path.write_bytes(damaged(draws, _good_archive(draws.choice(("w", "w:gz")))))
        case 1:
            path.write_bytes(_hostile_archive(draws))
        case 2:
            _folder_of_batches(draws, path)
        case _:
            inner = damaged(draws, gzip.decompress(_good_archive("w:gz")))
            path.write_bytes(gzip.compress(inner, 1))

    def give() -> str | None:
        for _ in sources.read(sources.locate(path), SMALL):
            pass
        return None

    return Input(give, r"given\.tar\.gz", f"{path.name}, {path.lstat().st_size} bytes")


@cache
def _good_archive(mode: str) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode=mode) as tar:  # type: ignore[call-overload]  # one of two modes
        for number, name in enumerate(sources.PYTHON):
            _add(tar, f"cifar-10-batches-py/{name}", _batch(number % 3, 2))
    return written.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes, **fields: Any) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for key, value in fields.items():
        setattr(member, key, value)
    tar.addfile(member, io.BytesIO(content))


def _hostile_archive(draws: random.Random) -> bytes:
    written = io.BytesIO()
    match draws.randrange(7):
        case 0:  # points outside, or is a link, a device, a pipe
            with tarfile.open(fileobj=written, mode="w:gz") as tar:
                name = draws.choice(("../../data_batch_1", "/tmp/data_batch_1", "a/../../data_batch_1", "data_batch_1"))
                kind = draws.choice(
                    (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE)
                )
                _add(tar, name, b"", type=kind, linkname=draws.choice(("/etc/passwd", "../x", "data_batch_1")))
        case 1:  # hostile batches
            with tarfile.open(fileobj=written, mode="w:gz") as tar:
                for name in sources.PYTHON:
                    _add(tar, name, _hostile_pickle(draws))
        case 2:  # a bomb
            head = tarfile.TarInfo(draws.choice(("filler", "data_batch_1")))
            head.size = 1 << draws.randrange(30, 45)
            bomb = gzip.compress(bytes(1 << 20), 9) * draws.choice((1, 30))
            written.write(gzip.compress(head.tobuf()) + bomb)
        case 3:
            written.write(gzip.compress(tarfile.TarInfo("a").tobuf() * draws.choice((5, 1100))))
        case 4:
            link = tarfile.TarInfo("././@LongLink")
            link.type = draws.choice((tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.GNUTYPE_SPARSE))
            link.size = draws.choice((1, 1 << 40))
            written.write(gzip.compress((link.tobuf() + bytes(512)) * draws.choice((1, 1200))))
        case 5:  # a batch twice, or of both forms
            with tarfile.open(fileobj=written, mode="w") as tar:
                for name in (*sources.PYTHON, draws.choice((*sources.PYTHON, *sources.BINARY))):
                    _add(tar, f"x/{name}", _batch(1, 2))
        case _:  # a zip file, with names that lead outside
            with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("../../data_batch_1", bytes(100_000))
    return written.getvalue()


def _folder_of_batches(draws: random.Random, path: Path) -> None:
    path.mkdir()
    spoilt = draws.choice(list(sources.PYTHON))
    for name in sources.PYTHON:
        (path / name).write_bytes(_batch(1, 2))
    (path / spoilt).unlink()
    match draws.randrange(6):
        case 0:
            (path / spoilt).mkdir()
        case 1:
            (path / spoilt).symlink_to("/dev/zero")
        case 2:
            os.mkfifo(path / spoilt)
        case 3:
            with (path / spoilt).open("wb") as file:
                file.truncate(10**12)
        case 4:
            (path / spoilt).write_bytes(damaged(draws, _batch(1, 2)))
