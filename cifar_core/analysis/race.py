"""The race: runs of several strategies on one clock, accuracy against seconds, each line labelled at its end.

Each label shows what its line looks like, so that colours need not be told apart.

The clock starts where training on the target classes does: what all strategies share before costs them all the same.
The specification stays equal from tick to tick, as in `curves`; only the rows of its named datasets change.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from cifar_core.analysis import colours
from cifar_core.analysis.labels import others_features
from cifar_core.analysis.wording import duration, percent
from cifar_core.experiment.beginning import source_phases
from cifar_core.experiment.measured import PhaseHistory, Run

_LINE = 1.85  # height of a label, of its letters
_FONT, _LEAST_FONT = 12, 10  # pixels
_LETTERS = 29  # the chart is so many times as wide as its letters are high: the longest label has room
_HEIGHT, _MOST_HEIGHT = 400, 480  # pixels, with small letters and with large ones
_SAMPLE = "clamp(width / 16, 20, 34)"  # pixels, of a line before its label
_ROOM = 1.85  # for the labels, of the longest line

Racers = Mapping[str, Sequence[tuple[Run, Sequence[PhaseHistory]]]]
"""The runs of each strategy, by its title, with what they have measured."""


def lines(racers: Racers) -> pd.DataFrame:
    """Return the validation accuracies of every run on target classes: strategy, seed, phase_name, epoch, x, y.

    x are seconds since training on the target began, storing features included; epoch counts from there, too.
    """
    rows: list[tuple[str, int, str, int, float, float]] = []
    for title, runs in racers.items():
        for run, histories in runs:
            start, first, epoch = tuning_starts(run, histories), _first_target(run), 0
            for history in (each for each in histories if each.index >= first):
                if history.before and not epoch:
                    rows.append(
                        (title, run.seed, history.name, 0, history.before.at - start, history.before.val_accuracy)
                    )
                for done in history.epochs:
                    epoch += 1
                    rows.append((title, run.seed, history.name, epoch, done.at - start, done.val_accuracy))
    found = pd.DataFrame(rows, columns=["strategy", "seed", "phase_name", "epoch", "x", "y"])
    return found[found["y"].notna()]


def _first_target(run: Run) -> int:
    """The first phase on target classes; where none is, all of them count."""
    first = source_phases(run.experiment)
    return first if first < len(run.experiment.phases) else 0


def tuning_starts(run: Run, histories: Sequence[PhaseHistory]) -> float:
    """Return the seconds a run had trained when it came to the target classes."""
    return _last_at(history for history in histories if history.index < _first_target(run))


def tuning_seconds(run: Run, histories: Sequence[PhaseHistory]) -> float:
    """Return the seconds that a run has trained on the target classes."""
    return _last_at(histories) - tuning_starts(run, histories)


def _last_at(histories: Iterable[PhaseHistory]) -> float:
    return max((epoch.at for history in histories for epoch in history.epochs), default=0.0)


def about(racers: Racers) -> str:
    """Return what the lines of the race are, and where its clock starts, in words."""
    said = ["Thick lines are means over seeds, thin ones single seeds."]
    before = max((tuning_starts(*each) for runs in racers.values() for each in runs), default=0.0)
    if before:
        said.append(
            "The clock starts with the target classes; the training before, which all but “from scratch” share, took "
            f"{duration(before)}."
        )
    return " ".join(filter(None, [*said, left_out(racers)]))


def left_out(racers: Racers) -> str:
    """Return what is not in the seconds of the race, in a sentence; "" for nothing."""
    return others_features(
        {
            title: [(run, tuple(each for each in phases if each.index >= _first_target(run))) for run, phases in runs]
            for title, runs in racers.items()
        }
    )


def means(rows: pd.DataFrame) -> pd.DataFrame:
    """Return each strategy's line: the mean over those of its seeds that have come farthest, epoch by epoch.

    Columns: strategy, epoch, x, y, n.
    """
    if rows.empty:
        return pd.DataFrame(columns=["strategy", "epoch", "x", "y", "n"])
    reached = rows.groupby(["strategy", "seed"])["epoch"].transform("max")
    farthest = reached == reached.groupby(rows["strategy"]).transform("max")
    grouped = rows[farthest].groupby(["strategy", "epoch"], sort=False)
    return grouped.agg(x=("x", "mean"), y=("y", "mean"), n=("seed", "nunique")).reset_index()


def ends(rows: pd.DataFrame, label_height: float = _LINE * _FONT / _HEIGHT) -> pd.DataFrame:
    """Return where each line ends, and its label right of all lines: strategy, x, y, label, label_x, label_y.

    A label takes the share `label_height` of the accuracy axis.
    """
    last = means(rows).sort_values("epoch").groupby("strategy", sort=False).tail(1).sort_values("y", ascending=False)
    heights: list[float] = []
    for y in last["y"]:
        heights.append(min(y, heights[-1] - label_height) if heights else min(y, 1 - label_height / 2))
    if heights and heights[-1] < 0.0:
        heights = [height - heights[-1] for height in heights]
    labels = [f"{title} {percent(y)}" for title, y in zip(last["strategy"], last["y"], strict=True)]
    return last[["strategy", "x", "y"]].assign(label=labels, label_x=1.03 * rows["x"].max(), label_y=heights)


def chart(racers: Racers, *, dark: bool = False, font: int = _FONT, longest: float | None = None) -> dict[str, Any]:
    """Return a Vega-Lite specification of the race, its data as named data frames.

    Thin lines are single seeds, thick ones their means; the accuracy axis reaches from 0 to 100 %, the other to the
    longest line, or to `longest` seconds. Letters are `font` pixels high where the chart is wide enough for it.
    """
    rows = lines(racers)
    longest = longest or (float(rows["x"].max()) if len(rows) else 1.0)
    height = min(round(_HEIGHT * font / _FONT), _MOST_HEIGHT)
    letters = {"expr": f"clamp(width / {_LETTERS}, {_LEAST_FONT}, {font})"}
    colour, dash = (
        {
            "field": "strategy",
            "type": "nominal",
            "legend": None,
            "scale": {"domain": list(racers), "range": [looks[place % len(looks)] for place in range(len(racers))]},
        }
        for looks in (colours.palette(dark), [list(each) for each in colours.DASHES])
    )
    x = {
        "field": "x",
        "type": "quantitative",
        "title": "seconds of training on the target classes",
        "scale": {"zero": True, "nice": False},
        "axis": {"format": ",~f", "tickCount": 8},
    }
    y = {
        "field": "y",
        "type": "quantitative",
        "title": "validation accuracy",
        "scale": {"domain": [0, 1]},
        "axis": {"format": ".0%", "tickCount": 6},
    }
    tooltip = [
        {"field": "strategy", "type": "nominal"},
        {"field": "seed", "type": "quantitative"},
        {"field": "phase_name", "type": "nominal", "title": "phase"},
        {"field": "epoch", "type": "quantitative"},
        {"field": "x", "type": "quantitative", "title": "seconds", "format": ".1f"},
        {"field": "y", "type": "quantitative", "title": "validation accuracy", "format": ".1%"},
    ]
    at_label = {"x": {**x, "field": "label_x"}, "y": {**y, "field": "label_y"}}
    text = {
        "type": "text",
        "align": "left",
        "baseline": "middle",
        "dx": {"expr": f"{_SAMPLE} + 4"},
        "fontSize": letters,
    }
    return {
        "height": height,
        "datasets": {
            "seeds": rows,
            "means": means(rows),
            "ends": ends(rows, _LINE * font / height),
            "room": pd.DataFrame({"x": [longest * _ROOM]}),
        },
        "layer": [
            {"data": {"name": "room"}, "mark": {"type": "point", "opacity": 0}, "encoding": {"x": x}},
            {
                "data": {"name": "seeds"},
                "mark": {"type": "line", "strokeWidth": 1, "opacity": 0.45, "point": {"size": 22, "opacity": 0.8}},
                "encoding": {"x": x, "y": y, "color": colour, "detail": {"field": "seed", "type": "nominal"}},
            },
            {
                "data": {"name": "means"},
                "mark": {"type": "line", "strokeWidth": 3},
                "encoding": {"x": x, "y": y, "color": colour, "strokeDash": dash},
            },
            {
                "data": {"name": "ends"},
                "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1},
                "encoding": {"x": x, "y": y, "color": colour},
            },
            {
                "data": {"name": "ends"},
                "mark": {"type": "rule", "strokeDash": [1, 3], "opacity": 0.8},
                "encoding": {"x": x, "y": y, "x2": {"field": "label_x"}, "y2": {"field": "label_y"}, "color": colour},
            },
            {
                "data": {"name": "ends"},
                "mark": {"type": "rule", "strokeWidth": 3, "x2Offset": {"expr": _SAMPLE}},
                "encoding": {**at_label, "x2": {"field": "label_x"}, "color": colour, "strokeDash": dash},
            },
            {
                "data": {"name": "ends"},
                "mark": text,
                "encoding": {**at_label, "color": colour, "text": {"field": "label", "type": "nominal"}},
            },
            {
                "data": {"name": "seeds"},
                "mark": {"type": "point", "filled": True, "size": 400, "opacity": 0},
                "encoding": {"x": x, "y": y, "tooltip": tooltip},
            },
        ],
        "config": {"axis": {"labelFontSize": letters, "titleFontSize": letters, "gridColor": colours.GRID[dark]}},
    }
