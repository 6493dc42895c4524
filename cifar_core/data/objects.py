"""How each class of the built-in sample is drawn: one function a class.

Every function receives the pen and a `Look`: two colours and three numbers in [0, 1] that vary its build from
picture to picture. `OBJECTS` names them; the names are the classes of the data set's row.
"""

from collections.abc import Callable
from dataclasses import dataclass

from cifar_core.data.drawing import Floats, Pen, both, either, without


@dataclass(frozen=True)
class Look:
    """What varies between two pictures of one class.

    `main`, `second` and `dark` are colours (n, 3, 1, 1); `tall`, `wide` and `detail` are (n, 1, 1) in [0, 1].
    """

    main: Floats
    second: Floats
    dark: Floats
    tall: Floats
    wide: Floats
    detail: Floats


def mug(pen: Pen, look: Look) -> None:
    """A cup with a band and a handle on one side."""
    width, height = 0.42 + 0.14 * look.wide, 0.55 + 0.2 * look.tall
    pen.paint(pen.ring(-0.2 + width, -0.02, 0.24 + 0.12 * look.detail, 0.1), look.main)
    body = pen.box(-0.2, 0.0, width, height, 0.12)
    pen.paint(body, look.main)
    pen.paint(both(body, pen.box(-0.2, -0.1, 1.0, 0.16)), look.second)
    pen.paint(pen.oval(-0.2, height - 0.08, width - 0.07, 0.1), look.dark)


def key(pen: Pen, look: Look) -> None:
    """A ring, a shaft and a bit of two teeth."""
    radius = 0.26 + 0.1 * look.wide
    tip = 0.75 + 0.2 * look.tall
    shaft = pen.line((-0.3, 0.0), (tip, 0.0), 0.09)
    first = pen.box(tip - 0.03, -0.2, 0.09, 0.12 + 0.14 * look.detail)
    second = pen.box(tip - 0.32, -0.18, 0.09, 0.12 + 0.08 * look.wide)
    pen.paint(either(shaft, first, second), look.main)
    pen.paint(pen.ring(-0.58, 0.0, radius, 0.12), look.main)
    pen.paint(pen.ring(-0.58, 0.0, radius, 0.035), look.second)


def leaf(pen: Pen, look: Look) -> None:
    """A pointed blade with a midrib and veins, on a stalk."""
    breadth = 0.34 + 0.2 * look.wide
    radius = (0.85 * 0.85 + breadth * breadth) / (2 * breadth)
    offset = radius - breadth
    blade = both(pen.disc(offset, 0.12, radius), pen.disc(-offset, 0.12, radius))
    pen.paint(pen.line((0.0, -0.5), (0.15 * look.detail, -1.05), 0.07), look.second)
    pen.paint(blade, look.main)
    veins = pen.line((0.0, -0.8), (0.0, 0.7), 0.045)
    for height in (-0.4, -0.05, 0.3):
        tip = height + 0.2 + 0.12 * look.tall
        veins = either(veins, *(pen.line((0.0, height), (side, tip), 0.035) for side in (-0.4, 0.4)))
    pen.paint(both(veins, blade), look.second)


def umbrella(pen: Pen, look: Look) -> None:
    """A scalloped canopy over a stick with a hook."""
    reach = 0.8 + 0.15 * look.wide
    foot = -0.55 - 0.15 * look.tall
    hook = both(pen.ring(0.16, foot, 0.16, 0.065), pen.below(foot))
    pen.paint(either(pen.line((0.0, 0.85), (0.0, foot), 0.06), hook), look.second)
    canopy = both(pen.oval(0.0, 0.02, reach, 0.65 + 0.15 * look.tall), pen.above(0.02))
    panel = reach / 3
    for place in (-2 * panel, 0.0, 2 * panel):
        canopy = without(canopy, pen.oval(place, 0.02, panel, 0.15))
    pen.paint(canopy, look.main)
    pen.paint(both(canopy, pen.oval(0.0, 0.02, panel, 0.8)), look.second, 0.3 + 0.6 * look.detail)


def house(pen: Pen, look: Look) -> None:
    """Walls, a gable roof with a chimney, a door and a window."""
    width = 0.52 + 0.16 * look.wide
    pen.paint(pen.box(0.4, 0.5, 0.1, 0.3), look.dark)
    pen.paint(pen.box(0.0, -0.4, width, 0.5), look.main)
    pen.paint(pen.wedge(0.75 + 0.25 * look.tall, 0.05, width + 0.25), look.second)
    pen.paint(pen.box(-0.22, -0.6, 0.15, 0.3), look.dark)
    pen.paint(pen.box(0.25, -0.35, 0.14, 0.1 + 0.06 * look.detail), look.dark)


def bottle(pen: Pen, look: Look) -> None:
    """A body with shoulders, a slim neck, a cap and a label."""
    width = 0.28 + 0.14 * look.wide
    neck = 0.2 + 0.25 * look.tall
    body = pen.box(0.0, -0.38, width, 0.58, 0.16)
    pen.paint(either(body, pen.box(0.0, 0.2 + neck, 0.12, neck + 0.1)), look.main)
    pen.paint(pen.box(0.0, 0.3 + 2 * neck, 0.15, 0.09), look.second)
    pen.paint(both(body, pen.box(0.0, -0.4, 1.0, 0.14 + 0.14 * look.detail)), look.second)


def hammer(pen: Pen, look: Look) -> None:
    """A wooden handle across a head with a flat face and a claw."""
    foot = -0.8 - 0.2 * look.tall
    pen.paint(pen.line((0.0, foot), (0.0, 0.6), 0.1), look.second)
    head = pen.box(0.12, 0.6, 0.38, 0.15 + 0.05 * look.wide)
    face = pen.box(0.56, 0.6, 0.12, 0.24 + 0.06 * look.wide)
    claw = without(pen.disc(-0.2, 0.32, 0.5), pen.disc(-0.35, 0.12, 0.5))
    pen.paint(either(head, face, claw), look.main)


def mushroom(pen: Pen, look: Look) -> None:
    """A domed cap with spots on a stout stalk."""
    reach = 0.68 + 0.22 * look.wide
    pen.paint(pen.box(0.0, -0.42, 0.2 + 0.1 * look.detail, 0.5, 0.12), look.second)
    dome = both(pen.oval(0.0, -0.05, reach, 0.7 + 0.25 * look.tall), pen.above(-0.08))
    pen.paint(dome, look.main)
    spots = either(pen.disc(-0.38, 0.2, 0.14), pen.disc(0.08, 0.45, 0.15), pen.disc(0.45, 0.12, 0.12))
    pen.paint(both(spots, dome), look.second)


def glasses(pen: Pen, look: Look) -> None:
    """Two rimmed lenses, a bridge and the ends of the temples."""
    width, height = 0.34 + 0.06 * look.wide, 0.26 + 0.12 * look.tall
    left, right = pen.oval(-0.47, 0.0, width, height), pen.oval(0.47, 0.0, width, height)
    pen.paint(either(left, right), look.second, 0.2 + 0.6 * look.detail)
    temples = either(
        pen.line((-0.8, 0.08), (-1.0, 0.3 + 0.15 * look.tall), 0.06),
        pen.line((0.8, 0.08), (1.0, 0.3 + 0.15 * look.tall), 0.06),
    )
    bridge = pen.line((-0.15, 0.08), (0.15, 0.08), 0.07)
    pen.paint(either(abs(left) - 0.08, abs(right) - 0.08, bridge, temples), look.main)


def clock(pen: Pen, look: Look) -> None:
    """A round alarm clock: dial, two hands, bells and feet."""
    radius = 0.62 + 0.1 * look.wide
    bells = either(pen.disc(-0.5, 0.62, 0.2), pen.disc(0.5, 0.62, 0.2))
    feet = either(pen.line((-0.4, -0.5), (-0.6, -0.85), 0.09), pen.line((0.4, -0.5), (0.6, -0.85), 0.09))
    pen.paint(either(bells, feet, pen.disc(0.0, 0.0, radius)), look.main)
    pen.paint(pen.disc(0.0, 0.0, radius - 0.16), look.second)
    hour = pen.line((0.0, 0.0), (0.3 * (look.detail - 0.5) + 0.12, 0.12 + 0.12 * look.tall), 0.06)
    minute = pen.line((0.0, 0.0), (0.5 * (look.tall - 0.5), 0.4), 0.05)
    pen.paint(either(hour, minute), look.dark)


OBJECTS: dict[str, Callable[[Pen, Look], None]] = {
    draw.__name__: draw for draw in (mug, key, leaf, umbrella, house, bottle, hammer, mushroom, glasses, clock)
}
