import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cifar_core.data.pictures import read

SIDE = 8
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")


def opened(path: Path, side: int = SIDE) -> NDArray[np.uint8]:
    found = read(path, side)
    assert not isinstance(found, str), found
    assert found.shape == (side, side, 3)
    assert found.dtype == np.uint8
    return found


def saved(folder: Path, image: Image.Image, name: str = "a.png", **options: object) -> Path:
    image.save(folder / name, **options)  # type: ignore[arg-type]
    return folder / name


def striped() -> Image.Image:
    """Three fields side by side, red, green and blue, of 16×16 pixels each."""
    fields = np.zeros((16, 48, 3), np.uint8)
    for position in range(3):
        fields[:, 16 * position : 16 * (position + 1), position] = 255
    return Image.fromarray(fields)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.gif", "a.webp", "a.tiff"])
def test_every_usual_format_is_read_to_the_same_picture(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path, Image.new("RGB", (20, 14), (200, 100, 50)), name)
    np.testing.assert_allclose(opened(path).astype(int), np.broadcast_to((200, 100, 50), (SIDE, SIDE, 3)), atol=6)


def test_the_centred_square_is_taken(tmp_path: Path) -> None:
    for turned in (striped(), striped().transpose(Image.Transpose.ROTATE_90)):
        inner = opened(saved(tmp_path, turned))[1:-1, 1:-1]
        np.testing.assert_allclose(inner.reshape(-1, 3).mean(axis=0), (0, 255, 0), atol=2)


def test_a_reduced_picture_is_averaged_and_not_sampled(tmp_path: Path) -> None:
    checkered = np.indices((256, 256)).sum(axis=0) % 2 * 255
    small = opened(saved(tmp_path, Image.fromarray(checkered.astype(np.uint8))))
    np.testing.assert_allclose(small, 127.5, atol=3)


def test_a_smaller_picture_is_enlarged(tmp_path: Path) -> None:
    assert opened(saved(tmp_path, Image.new("RGB", (1, 3), "white"))).min() == 255


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tiff"])
def test_a_camera_held_sideways_is_respected(tmp_path: Path, name: str) -> None:
    upright = Image.new("RGB", (64, 64), "white")
    upright.paste("black", (0, 0, 64, 32))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    path = saved(tmp_path, upright.transpose(Image.Transpose.ROTATE_90), name, exif=exif)
    turned = opened(path)
    assert turned[:3].mean() < 60 < 200 < turned[5:].mean()


def test_transparent_parts_become_white_whatever_colour_they_hide(tmp_path: Path) -> None:
    image = Image.new("RGBA", (16, 16), (200, 0, 0, 0))
    image.paste((0, 0, 200, 255), (0, 0, 16, 8))
    found = opened(saved(tmp_path, image))
    np.testing.assert_allclose(found[-2:].astype(int), 255, atol=2)
    np.testing.assert_allclose(found[0, 0].astype(int), (0, 0, 200), atol=2)


def test_a_palette_with_a_transparent_colour_is_read(tmp_path: Path) -> None:
    image = Image.new("P", (16, 16), 1)
    image.putpalette([0, 0, 0, 10, 200, 10])
    image.paste(0, (0, 0, 16, 8))
    found = opened(saved(tmp_path, image, transparency=0))
    np.testing.assert_array_equal(found[0, 0], 255)
    np.testing.assert_array_equal(found[-1, 0], (10, 200, 10))


def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path: Path) -> None:
    image = Image.fromarray(np.full((16, 16), 0x8000, np.uint16))
    np.testing.assert_array_equal(opened(saved(tmp_path, image)), 0x80)


@pytest.mark.parametrize("mode", ["L", "LA", "1", "CMYK"])
def test_every_way_to_keep_colours_becomes_red_green_and_blue(tmp_path: Path, mode: str) -> None:
    image = Image.new("RGB", (16, 16), "white").convert(mode)
    found = opened(saved(tmp_path, image, "a.jpg" if mode == "CMYK" else "a.png"))
    assert found.min() >= 250


def test_of_an_animation_the_first_frame_is_taken(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    path = saved(tmp_path, frames[0], "a.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(opened(path)[0, 0], (255, 0, 0))


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_claiming(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims any size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [8_000, 12_000, 60_000])
def test_a_bomb_is_not_unpacked(tmp_path: Path, side: int) -> None:
    (tmp_path / "a.png").write_bytes(png_claiming(side, side))
    assert read(tmp_path / "a.png", SIDE) == "more than 50 million pixels"


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif", "a.webp", "a.tiff", "a.bmp"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_a_file_that_was_cut_off_is_refused_in_words(tmp_path: Path, name: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = saved(tmp_path, Image.fromarray(noise), name)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    reason = read(path, SIDE)
    assert isinstance(reason, str)
    assert reason
    assert str(tmp_path) not in reason


@pytest.mark.parametrize(
    "content", [b"", b"secret words, no image", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\0" + b"\xff" * 40]
)
def test_what_is_no_image_is_refused_and_not_quoted(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    reason = read(tmp_path / "a.png", SIDE)
    assert isinstance(reason, str)
    assert "secret" not in reason


def test_damage_anywhere_never_raises(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    path = tmp_path / "a.png"
    for name in ("b.png", "b.jpg", "b.gif", "b.webp", "b.tiff", "b.bmp"):
        content = bytearray(saved(tmp_path, striped(), name).read_bytes())
        for _ in range(60):
            spoilt = bytearray(content)
            for place in generator.integers(0, len(content), 4):
                spoilt[place] = generator.integers(0, 256)
            path.write_bytes(spoilt)
            read(path, SIDE)


def test_other_formats_are_not_even_tried(tmp_path: Path) -> None:
    path = saved(tmp_path, striped(), "a.ppm").rename(tmp_path / "a.png")
    assert "not read" in str(read(path, SIDE))


def test_numbers_without_a_range_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(np.ones((8, 8), np.float32)), "a.tiff")
    assert "8 bits a channel" in str(read(path, SIDE))


def test_what_the_system_does_not_let_us_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Image, "open", refuse)
    assert read(tmp_path / "a.png", SIDE) == "Permission denied"


def test_a_large_photograph_is_decoded_no_larger_than_needed(tmp_path: Path) -> None:
    fields = np.asarray(striped().resize((480, 160), Image.Resampling.NEAREST))
    path = saved(tmp_path, Image.fromarray(fields), "a.jpg", quality=95)
    with Image.open(path) as whole:
        expected = whole.crop((160, 0, 320, 160)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    np.testing.assert_allclose(opened(path)[1:-1, 1:-1].astype(int), np.asarray(expected)[1:-1, 1:-1], atol=6)
