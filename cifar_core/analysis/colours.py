"""How runs look: colours safe for the colour-blind, legible on both themes, the same wherever a run is drawn.

Beside its colour each line has a dash, or a shape of its points where dashes mean something else.
"""

from collections.abc import Sequence
from functools import lru_cache

# Okabe & Ito (2008), the hues that stand out on white and on dark first. As published, some fall below the
# contrast of 3:1 that WCAG 2.1 (1.4.11) asks of lines: those are darker for the light theme, or lighter for the dark.
_OKABE_ITO = (
    ("#0072B2", "#2F9BDB"),  # blue
    ("#D55E00", "#E8772A"),  # vermillion
    ("#009E73", "#10B588"),  # bluish green
    ("#B85F90", "#CC79A7"),  # reddish purple
    ("#B27B00", "#E69F00"),  # orange
    ("#3590C4", "#8CCDF2"),  # sky blue
    ("#948B00", "#F0E442"),  # yellow
    ("#000000", "#FFFFFF"),  # black, or what is opposite to the background
)
_GREY = ("#767676", "#A0A0A0")

# of lines, in pixels: drawn and left out in turn; what is solid has one of its own, too, as Vega-Lite wants
DASHES = ((1, 0), (6, 4), (10, 3, 2, 3), (13, 4), (10, 3, 2, 3, 2, 3), (3, 7), (13, 3, 5, 3), (2, 2))
# of points, as Vega calls them
SHAPES = (
    "circle",
    "square",
    "triangle-up",
    "diamond",
    "triangle-down",
    "triangle-right",
    "triangle-left",
    "cross",
)

TEXT = ("#31333F", "#FAFAFA")
FAINT = ("#6B6E7B", "#A8ABB5")
GRID = ("rgba(49,51,63,0.12)", "rgba(250,250,250,0.14)")


def palette(dark: bool) -> tuple[str, ...]:
    """Return the eight colours of runs, as #RRGGBB."""
    return tuple(pair[dark] for pair in _OKABE_ITO)


def grey(dark: bool) -> str:
    """Return the colour of a baseline, as #RRGGBB."""
    return _GREY[dark]


def run_colours(ids: Sequence[str], baseline: str | None = None, *, dark: bool = False) -> dict[str, str]:
    """Return a colour for every run id: grey for the baseline, the others in the order given.

    A ninth colour starts the palette again: more than eight lines are not told apart by colour anyway.
    """
    return _in_order(ids, baseline, palette(dark), grey(dark))


def run_shapes(ids: Sequence[str], baseline: str | None = None) -> dict[str, str]:
    """Return the shape of every run id's points: the last one for the baseline, the others in the order given."""
    return _in_order(ids, baseline, SHAPES, SHAPES[-1])


def run_dashes(ids: Sequence[str], baseline: str | None = None) -> dict[str, str]:
    """Return the dash of every run id's line, for Plotly: dots for the baseline, the others in the order given."""
    patterns = ["solid", *(",".join(f"{length}px" for length in dash) for dash in DASHES[1:])]
    return _in_order(ids, baseline, patterns, "dot")


def _in_order(ids: Sequence[str], baseline: str | None, looks: Sequence[str], of_baseline: str) -> dict[str, str]:
    others = [id for id in ids if id != baseline]
    result = {id: looks[place % len(looks)] for place, id in enumerate(others)}
    return {id: result.get(id, of_baseline) for id in ids}


def mixed(low: str, high: str, share: float) -> str:
    """Return the colour that far from `low` (share 0) to `high` (1), all as #RRGGBB."""
    channels = zip(_channels(low), _channels(high), strict=True)
    return "#" + "".join(f"{round(start + share * (end - start)):02X}" for start, end in channels)


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours #RRGGBB, 1 to 21 (WCAG 2.1, relative luminance)."""
    brighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


@lru_cache  # a matrix of many classes asks for every cell, and has few colours
def readable_on(background: str) -> str:
    """Return black or white, whichever stands out more; the better one always has a contrast above 4.5."""
    return max(("#000000", "#FFFFFF"), key=lambda text: contrast(text, background))


def _channels(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[place : place + 2], 16) for place in (1, 3, 5))


def _luminance(colour: str) -> float:
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (channel / 255 for channel in _channels(colour))
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
