"""The built-in sample: ten classes of drawn objects, generated, the same bytes every time.

Nothing is shipped and nothing random is left: every number follows from `VERSION`, the class and the side it
is drawn for. A change to any drawing is a new `VERSION`, so that arrays kept from before are not mistaken
for today's.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cifar_core.data.drawing import Floats, Pen
from cifar_core.data.objects import OBJECTS, Look
from cifar_core.experiment.datasets import DataSet

VERSION = 1

_AT_ONCE = 50  # pictures drawn together: few enough for the processor's cache

# How much the pictures vary. `benchmarks/sample_difficulty.py` measures what these make of the sample.
_PIXELS_PER_UNIT = (10.0, 13.5)  # an object fills about two units
_SHIFT = 3.0  # pixels, either way
_TILT = 0.22  # tangent of half the largest rotation: 25 degrees
_STRETCH = 0.15
_NOISE = 0.1
_OCCLUDED = 0.25  # share of pictures with something in front of the object
_CLUTTERED = 0.4  # share of pictures with something behind it


def draw(
    row: DataSet, side: str, progress: Callable[[int, int], None] | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The pictures, uint8 (n, 32, 32, 3), and labels, int64 (n,), of `side` "train" or "test", classes mixed.

    `progress` hears of images drawn and images in all, both sides together.
    """
    count = row.train_per_class if side == "train" else row.test_per_class
    done = 0 if side == "train" else row.train_size
    labels = np.repeat(np.arange(len(row.classes), dtype=np.int64), count)
    labels = labels[np.random.default_rng([VERSION, *side.encode()]).random(len(labels)).argsort(kind="stable")]
    pictures = np.empty((len(labels), *row.image_shape), np.uint8)
    for label, name in enumerate(row.classes):
        rng = np.random.default_rng([VERSION, label, *side.encode()])
        places = np.flatnonzero(labels == label)
        for start in range(0, count, _AT_ONCE):
            some = places[start : start + _AT_ONCE]
            pictures[some] = _pictures(name, row.image_shape[0], _Dice(rng, len(some)))
        done += count
        if progress is not None:
            progress(done, row.train_size + row.test_size)
    return pictures, labels


@dataclass(frozen=True)
class _Dice:
    """Random numbers for `count` pictures."""

    rng: np.random.Generator
    count: int

    def between(self, low: float, high: float, *shape: int) -> Floats:
        """Numbers in [low, high), float32 (count, *shape); without a shape one a picture, (count, 1, 1)."""
        numbers = self.rng.random((self.count, *(shape or (1, 1))), dtype=np.float32)
        return np.float32(low) + np.float32(high - low) * numbers

    def colour(self, brightness: Floats, saturation: tuple[float, float] = (0.2, 0.9)) -> Floats:
        """Colours (count, 3, 1, 1) of any hue and about the given mean brightness (count, 1, 1, 1)."""
        third = (np.arange(3, dtype=np.float32) / 3)[:, None, None]
        turn = (self.between(0, 1, 1, 1, 1) + third) % 1
        wave = np.abs(turn * 2 - 1) * 2 - 1  # a triangle in [-1, 1], a third of a turn apart for each channel
        strength = self.between(*saturation, 1, 1, 1)
        room = np.minimum(brightness, 1 - brightness) + 0.1
        return np.clip(brightness + wave * strength * room, 0, 1).astype(np.float32)


def _pictures(name: str, size: int, dice: _Dice) -> NDArray[np.uint8]:
    """Pictures of one object, uint8 (n, size, size, 3)."""
    # Which of object and background is the brighter one is a coin toss: no pixel is bright for a class.
    background = dice.between(0, 1, 1, 1, 1)
    dark_ground = background < 0.5

    def contrasting(low: float, high: float) -> Floats:
        away = dice.between(low, high, 1, 1, 1)
        return dice.colour(np.where(dark_ground, away, 1 - away).astype(np.float32))

    pen = _placed(_ground(background, size, dice), size, dice)
    _strike(pen, contrasting(0.3, 0.8), (0.05, 0.2), _CLUTTERED, dice)
    look = Look(
        main=contrasting(0.6, 1.0),
        second=contrasting(0.45, 0.9),
        dark=contrasting(0.0, 0.25),
        tall=dice.between(0, 1),
        wide=dice.between(0, 1),
        detail=dice.between(0, 1),
    )
    OBJECTS[name](pen, look)
    _strike(pen, contrasting(0.2, 0.9), (0.06, 0.14), _OCCLUDED, dice)

    pen.pictures += dice.between(-1, 1, 3, size, size) * dice.between(0, _NOISE, 1, 1, 1)
    return (np.clip(pen.pictures, 0, 1) * 255 + 0.5).astype(np.uint8).transpose(0, 2, 3, 1)


def _ground(brightness: Floats, size: int, dice: _Dice) -> Floats:
    """Backgrounds of the given brightness (n, 1, 1, 1) with soft coloured patches, (n, 3, size, size)."""
    cells = 5
    coarse = dice.between(-1, 1, 3, cells, cells) * dice.between(0.02, 0.3, 1, 1, 1)
    place = np.arange(size, dtype=np.float32) * ((cells - 1) / (size - 1))
    low = np.minimum(place.astype(np.int64), cells - 2)
    part = (place - low).astype(np.float32)
    rows = coarse[:, :, low] * (1 - part[:, None]) + coarse[:, :, low + 1] * part[:, None]
    patches = rows[..., low] * (1 - part) + rows[..., low + 1] * part
    return np.clip(dice.colour(brightness, (0.0, 0.6)) + patches, 0, 1)


def _placed(pictures: Floats, size: int, dice: _Dice) -> Pen:
    """A pen over pictures, each with an object's frame of its own: shifted, tilted, scaled, perhaps mirrored."""
    scale = dice.between(*_PIXELS_PER_UNIT)
    stretch = dice.between(1 - _STRETCH, 1 + _STRETCH)
    # Sine and cosine from the tangent of the half angle: no library's own trigonometry is in the result.
    half = dice.between(-_TILT, _TILT)
    cosine, sine = (1 - half * half) / (1 + half * half), 2 * half / (1 + half * half)
    place = np.arange(size, dtype=np.float32) - (size - 1) / 2
    right = place[None, None, :] - dice.between(-_SHIFT, _SHIFT)
    up = -place[None, :, None] - dice.between(-_SHIFT, _SHIFT)
    mirror = np.where(dice.between(0, 1) < 0.5, -1, 1).astype(np.float32)
    u = mirror * (cosine * right + sine * up) / (scale * stretch)
    v = (cosine * up - sine * right) * stretch / scale
    return Pen(pictures, u.astype(np.float32), v.astype(np.float32), scale)


def _strike(pen: Pen, colour: Floats, thickness: tuple[float, float], share: float, dice: _Dice) -> None:
    """Paint a slanting bar beside the object's middle in a share of the pictures."""
    present = (dice.between(0, 1) < share).astype(np.float32)
    side = np.where(dice.between(0, 1) < 0.5, -1, 1).astype(np.float32)
    x, slope = side * dice.between(0.45, 0.95), dice.between(-0.6, 0.6)
    pen.paint(pen.line((x - slope, -1.5), (x + slope, 1.5), dice.between(*thickness)), colour, present)
