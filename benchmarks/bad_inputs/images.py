"""Images, and folders of them."""

import io
import os
import random
import re
import struct
import zlib
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.bad_inputs.inputs import Input, LastResortError
from benchmarks.bad_inputs.nasty import NASTY, damaged
from cifar_core.data import folders, pictures
from cifar_core.experiment.experiment import Data


def image(draws: random.Random, place: Path) -> Input:
    """One bad image among good ones, in a folder of images per class: it must be listed by its name."""
    suffix = draws.choice((".png", ".jpg", ".gif", ".bmp", ".webp", ".tif"))
    for name in ("cats", "dogs"):
        (place / name).mkdir()
        for number in range(3):
            (place / name / f"{number}.png").write_bytes(_good_image("PNG"))
    bad = place / "cats" / f"bad{suffix}"
    bad.write_bytes(_bad_image(draws))
    data = Data.parse({"name": "folder", "location": str(place), "classes": ["cats", "dogs"], "image_side": 8})

    def give() -> str | None:
        left_out = pictures.read_all(folders.look(place), data.dataset, lambda *_: None)
        if any(each.endswith(f": {pictures.LAST_RESORT}") for each in left_out):
            raise LastResortError("\n".join(left_out))
        return "\n".join(left_out) or None

    return Input(give, re.escape(bad.name), f"{bad.name}: {bad.read_bytes()[:200]!r}")


@cache
def _good_image(form: str) -> bytes:
    written = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (20, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(written, form)
    return written.getvalue()


def _bad_image(draws: random.Random) -> bytes:
    form = draws.choice(pictures.FORMATS)
    match draws.randrange(9):
        case 0:
            width, height = draws.choice(
                ((100_000, 100_000), (2**31 - 1, 2**31 - 1), (1, 2**31 - 1), (0, 0), (60_000, 1000))
            )
            return _png(width, height, zlib.compress(bytes(1000)))
        case 1:
            side = draws.choice((7072, 20_000))
            return _png(side, side, _zeros(7072 * (3 * 7072 + 1)))  # whole for the first, which is just too large
        case 2:
            return b"BM" + struct.pack(
                "<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 2**31 - 1, -(2**31), 1, 24, 0, 0, 0, 0, 0, 0
            )
        case 3:
            return b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0xF7, 0, 0) + draws.randbytes(200)
        case 4:
            return draws.choice((b"", b"\x89PNG", b"%PDF-1.4", b"<svg xmlns='x'/>", b"RIFF", b"II*\0", b"\xff\xd8\xff"))
        case 5:
            return b"%!PS-Adobe-3.0 EPSF\n%%BoundingBox: 0 0 1 1\n(touch executed) (w) file\n"
        case _:
            return damaged(draws, _good_image(form))


def _png(width: int, height: int, packed: bytes) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


@cache
def _zeros(count: int) -> bytes:
    packer = zlib.compressobj(1)
    return b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(count >> 20)), packer.flush()])


def folder(draws: random.Random, place: Path) -> Input:
    """A folder that should hold a folder of images per class, and does not."""
    from cifar_core.data.catalogue import data_at, open_images
    from cifar_core.home import home

    root = place / "mine"
    root.mkdir()
    named: str = str(root)
    match draws.randrange(9):
        case 0:
            named = draws.choice([each for each in NASTY if each not in ("~", "/proc/self/mem")])
        case 1:
            (root / "only one").mkdir()
        case 2:
            for name in ("a", "b"):
                (root / name).symlink_to(draws.choice(("/etc", "/", "..", "a", "/proc/self/fd")))
        case 3:
            for name in ("train/a", "train/b", "test/a", "test/c"):
                (root / name).mkdir(parents=True)
                (root / name / "x.png").write_bytes(_good_image("PNG"))
        case 4:
            for number in range(1001):
                (root / f"class {number}").mkdir()
        case 5:
            for raw in (b"\xff\xfe", b"\xe9t\xe9"):
                os.mkdir(os.path.join(os.fsencode(root), raw))  # noqa: PTH102, PTH118 - names that are no text
                Path(os.fsdecode(os.path.join(os.fsencode(root), raw, b"x.png"))).write_bytes(b"")  # noqa: PTH118
        case 6:
            for name in ("a", "b"):
                (root / name).mkdir()
                for number in range(3):
                    (root / name / f"{number}.png").write_bytes(_bad_image(draws))
        case 7:
            for name in ("a", "b"):
                (root / name).mkdir()
                os.mkfifo(root / name / "x.png")
                os.mkfifo(root / name / "y.png")
        case _:
            named = str(root / draws.choice(("nowhere", "x" * 300, "a/b/c")))

    def give() -> str | None:
        open_images(data_at(named), home=home())
        return None

    shown = re.escape(str(Path(named))[:40]) if named else "No folder"  # "//" is "/" in a path
    return Input(give, f"{shown}|Left out: [ab]/", repr(named)[:300])
