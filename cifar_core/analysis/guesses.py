"""Which strategy wins, or from which depth on? What the viewers of a lecture guess, and what came of it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from cifar_core.analysis import colours, transfer_map
from cifar_core.analysis.plan import Found, groups
from cifar_core.analysis.verdict import Outcome, caveats
from cifar_core.analysis.wording import count, percent
from cifar_core.experiment.transfer_map import Point, TransferMap

_FONT = 12  # pixels
NOWHERE = "at no depth"
_BAR = 3.2  # height of a bar and the gap to the next, of the letters


def tally(guesses: Mapping[str, str], titles: Iterable[str]) -> dict[str, int]:
    """Return how many viewers guess each title, in the order of the titles; `guesses` are titles by viewer."""
    found = dict.fromkeys(titles, 0)
    for guess in guesses.values():
        if guess in found:
            found[guess] += 1
    return found


def chart(tallied: Mapping[str, int], *, dark: bool = False, font: int = _FONT) -> dict[str, Any]:
    """Return a Vega-Lite specification of the guesses as bars, in the colours that the race gives the titles.

    Only its named data set changes as guesses come in. Letters are `font` pixels high where there is room.
    """
    total, hues = sum(tallied.values()), colours.palette(dark)
    rows = pd.DataFrame(
        [
            (title, guesses, f"{guesses} ({percent(guesses / total, 0)})" if total else "0")
            for title, guesses in tallied.items()
        ],
        columns=["strategy", "guesses", "label"],
    )
    letters = {"expr": f"clamp(width / 30, {_FONT}, {font})"}
    y = {
        "field": "strategy",
        "type": "nominal",
        "sort": None,
        "scale": {"domain": list(tallied), "padding": 0},
        "axis": None,
    }
    x = {"field": "guesses", "type": "quantitative", "axis": None, "scale": {"domainMin": 0, "nice": False}}
    colour = {
        "field": "strategy",
        "type": "nominal",
        "legend": None,
        "scale": {"domain": list(tallied), "range": [hues[place % len(hues)] for place in range(len(tallied))]},
    }
    words = {"type": "text", "align": "left", "baseline": "middle", "fontSize": letters, "color": colours.TEXT[dark]}
    low, high = round(0.6 * font), -round(0.8 * font)  # the bar, and above it its name
    return {
        "height": round(_BAR * font * len(tallied)),
        "datasets": {"guesses": rows, "room": pd.DataFrame({"guesses": [1.35 * max([1, *tallied.values()])]})},
        "layer": [
            {"data": {"name": "room"}, "mark": {"type": "point", "opacity": 0}, "encoding": {"x": x}},
            {
                "data": {"name": "guesses"},
                "mark": {"type": "bar", "height": {"band": 0.35}, "yOffset": low},
                "encoding": {"x": x, "y": y, "color": colour},
            },
            {
                "data": {"name": "guesses"},
                "mark": {**words, "dx": 6, "yOffset": low},
                "encoding": {"x": x, "y": y, "text": {"field": "label", "type": "nominal"}},
            },
            {
                "data": {"name": "guesses"},
                "mark": {**words, "yOffset": high},
                "encoding": {"x": {"value": 0}, "y": y, "text": {"field": "strategy", "type": "nominal"}},
            },
        ],
        "config": {"view": {"stroke": None}},
    }


def depths(map: TransferMap) -> list[str]:
    """Return the answers to the question from which depth on frozen layers of A cost accuracy."""
    return [f"{Point('AnB', depth).title}: up to {block}" for depth, block in enumerate(map.blocks, 1)] + [NOWHERE]


def depth_outcome(map: TransferMap, rows: pd.DataFrame, runs: Found) -> Outcome | None:
    """Return which of `depths` is right, by a map's `transfer_map.table` and its runs by title and seed.

    None where that is open: not every depth is measured yet, baseB has learned nothing, or what freezing costs at some
    depth is gone at the deepest.
    """
    if not transfer_map.has_learned(map, rows):
        return None
    own, worse = transfer_map.below_base(rows, "AnB")
    lasting = transfer_map.lasting(own, worse)
    if len(own) < len(map.blocks) or (worse and not lasting):
        return None
    right = depths(map)[own.index(lasting[0])] if lasting else NOWHERE
    compared = groups({title: runs[title] for title in ("baseB", *own)})
    return Outcome((right,), transfer_map.findings(map, rows)[0], " ".join(caveats(compared)))


def guessed(tallied: Mapping[str, int], winners: Sequence[str]) -> str:
    """Return how many guessed the winner, or one of them, in a sentence."""
    total, right = sum(tallied.values()), sum(tallied.get(winner, 0) for winner in winners)
    if not total:
        return "Nobody guessed."
    what = "it" if len(winners) == 1 else "one of the two"
    return f"{right:,} of {count(total, 'viewer')} guessed {what} ({percent(right / total, 0)})."
