"""Drawing many small pictures at once with signed distances.

A shape is an array of signed distances, negative inside, one value a pixel; painting turns it into coverage,
so edges are smooth without any supersampling. Only additions, products, square roots, minima and maxima are
used on pixels: operations whose float32 results are the same on every platform.
"""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

# float32 throughout; numpy's type hints, unlike numpy, widen float32 beside a Python float.
Floats: TypeAlias = NDArray[np.floating[Any]]
Number: TypeAlias = float | Floats


class Pen:
    """A stack of n pictures, the coordinates of one object in each, and the colours to paint with.

    `u` and `v` are (n, size, size): every pixel in its object's own frame, where the object fills about
    [-1, 1]² and v points up. `sharpness` is (n, 1, 1): pixels per unit of that frame.
    `pictures` is (n, 3, size, size) in [0, 1] and is painted in place.
    """

    def __init__(self, pictures: Floats, u: Floats, v: Floats, sharpness: Floats) -> None:
        self.pictures, self.u, self.v, self.sharpness = pictures, u, v, sharpness

    def paint(self, distance: Floats, colour: Floats, opacity: Number = 1.0) -> None:
        """Cover the inside of a shape with one colour (n, 3, 1, 1) for each picture."""
        coverage = np.clip(0.5 - distance * self.sharpness, 0, 1) * opacity
        for channel in range(3):  # one at a time: half the memory traffic of all three at once
            plane = self.pictures[:, channel]
            plane += coverage * (colour[:, channel] - plane)

    def disc(self, x: Number, y: Number, radius: Number) -> Floats:
        """Distance to a disc around (x, y)."""
        u, v = self.u - x, self.v - y
        distance: Floats = np.sqrt(u * u + v * v) - radius
        return distance

    def oval(self, x: Number, y: Number, width: Number, height: Number) -> Floats:
        """Distance (approximate away from the edge) to an ellipse of half axes `width` and `height`."""
        u, v = (self.u - x) / width, (self.v - y) / height
        distance: Floats = (np.sqrt(u * u + v * v) - 1) * np.minimum(width, height)
        return distance

    def ring(self, x: Number, y: Number, radius: Number, thickness: Number) -> Floats:
        """Distance to a ring: a circle drawn with a stroke of half width `thickness`."""
        return np.abs(self.disc(x, y, radius)) - thickness

    def box(self, x: Number, y: Number, width: Number, height: Number, rounding: float = 0.0) -> Floats:
        """Distance to a box of half sides `width` and `height`, corners rounded by `rounding`."""
        across = np.abs(self.u - x) - width + rounding
        along = np.abs(self.v - y) - height + rounding
        outside_u, outside_v = np.maximum(across, 0), np.maximum(along, 0)
        corner = np.sqrt(outside_u * outside_u + outside_v * outside_v)
        distance: Floats = corner + np.minimum(np.maximum(across, along), 0) - rounding
        return distance

    def line(self, start: tuple[Number, Number], end: tuple[Number, Number], thickness: Number) -> Floats:
        """Distance to a straight stroke with round ends and half width `thickness`."""
        (ax, ay), (bx, by) = start, end
        du, dv = bx - ax, by - ay
        u, v = self.u - ax, self.v - ay
        along = np.clip((u * du + v * dv) / (du * du + dv * dv), 0, 1)
        u, v = u - along * du, v - along * dv
        distance: Floats = np.sqrt(u * u + v * v) - thickness
        return distance

    def above(self, y: Number) -> Floats:
        """Distance to everything above the height y."""
        return y - self.v

    def below(self, y: Number) -> Floats:
        """Distance to everything below the height y."""
        return self.v - y

    def wedge(self, peak: Number, foot: float, half_width: Number) -> Floats:
        """Distance to a triangle with its tip at (0, peak) and its base at height `foot`."""
        rise = peak - foot
        slant = np.sqrt(rise * rise + half_width * half_width)
        side = (np.abs(self.u) * rise + (self.v - peak) * half_width) / slant
        return both(side, foot - self.v)


def both(first: Floats, second: Floats) -> Floats:
    """The part that two shapes share."""
    return np.maximum(first, second)


def either(first: Floats, *others: Floats) -> Floats:
    """Several shapes as one."""
    for other in others:
        first = np.minimum(first, other)
    return first


def without(shape: Floats, hole: Floats) -> Floats:
    """A shape with another cut out of it."""
    return np.maximum(shape, -hole)
