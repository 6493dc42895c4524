"""The race: runs of several strategies on one clock, accuracy against seconds, each line labelled at its end.

Each label shows what its line looks like, so that colours need not be told apart.

The clock starts where training on the target classes does: what all strategies share before costs them all the same.
The specification stays equal from tick to tick, as in `curves`; only the rows of its named datasets change.
"""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

import pandas as pd

from cifar_core.analysis import colours
from cifar_core.analysis.labels import of_all, others_features
from cifar_core.analysis.wording import duration, percent
from cifar_core.experiment.beginning import source_phases
from cifar_core.experiment.measured import PhaseHistory, Run

_LINE = 1.85  # height of a label, of its letters
_FONT, _LEAST_FONT = 12, 10  # pixels
_LETTERS = 29  # the chart is so many times as wide as its letters are high: the longest label has room
_HEIGHT, _MOST_HEIGHT = 400, 480  # pixels, with small letters and with large ones
_SAMPLE = "clamp(width / 16, 20, 34)"  # pixels, of a line before its label
_ROOM = 1.85  # for the labels, of the longest line

_DRAWN = ["strategy", "seed", "phase_name", "epoch", "x", "y"]

Racers = Mapping[str, Sequence[tuple[Run, Sequence[PhaseHistory]]]]
"""The runs of each strategy, by its title, with what they have measured."""


def lines(racers: Racers) -> pd.DataFrame:
    """Return the validation accuracies of every run on target classes: strategy, seed, phase_name, epoch, x, y; phase
    and step, which say at which point of which phase; kept; ended, whether the run came to the end of its phases.

    x are seconds since training on the target began, storing features included; epoch counts from there, too. A phase
    that stopped early has a last row, at its last second, of the epoch whose weights it `kept`.
    """
    rows: list[tuple[str, int, str, int, float, float, int, int, bool, bool]] = []
    for title, runs in racers.items():
        for run, histories in runs:
            start, ended, before = tuning_starts(run, histories), _has_ended(run, histories), 0
            for history in (each for each in histories if _on_target(run, each)):
                points = [(done.epoch, False, done.epoch, done.at, done.val_accuracy) for done in history.epochs]
                if history.before and not before:
                    points.insert(0, (0, False, 0, history.before.at, history.before.val_accuracy))
                if (best := history.result) and best is not history.epochs[-1]:
                    last = history.epochs[-1].at
                    points.append((len(history.epochs) + 1, True, best.epoch, last, best.val_accuracy))
                of_phase = title, run.seed, history.name
                rows += [
                    (*of_phase, before + epoch, at - start, accuracy, history.index, step, kept, ended)
                    for step, kept, epoch, at, accuracy in points
                ]
                before += len(history.epochs)
    found = pd.DataFrame(rows, columns=[*_DRAWN, "phase", "step", "kept", "ended"])
    return found[found["y"].notna()]


def _has_ended(run: Run, histories: Sequence[PhaseHistory]) -> bool:
    """Whether the last phase has all its epochs, or as many as early stopping found enough: so far, in a replay."""
    last, phases = max(histories, key=lambda history: history.index, default=None), run.experiment.phases
    return last is not None and last.index == len(phases) - 1 and last.is_complete(phases[-1].epochs)


def _first_target(run: Run) -> int:
    """The first phase on target classes; where none is, all of them count."""
    first = source_phases(run.experiment)
    return first if first < len(run.experiment.phases) else 0


def _on_target(run: Run, history: PhaseHistory) -> bool:
    return history.index >= _first_target(run)


def tuning_starts(run: Run, histories: Sequence[PhaseHistory]) -> float:
    """Return the seconds a run had trained when it came to the target classes."""
    return _last_at(history for history in histories if not _on_target(run, history))


def tuning_seconds(run: Run, histories: Sequence[PhaseHistory]) -> float:
    """Return the seconds that a run has trained on the target classes."""
    return _last_at(histories) - tuning_starts(run, histories)


def _last_at(histories: Iterable[PhaseHistory]) -> float:
    return max((epoch.at for history in histories for epoch in history.epochs), default=0.0)


def about(racers: Racers) -> str:
    """Return what the lines of the race are, and where its clock starts, in words."""
    said = ["Thick lines are means over seeds, thin ones single seeds."]
    every = [history for runs in racers.values() for run, own in runs for history in own if _on_target(run, history)]
    if any(history.kept_epoch is not None for history in every):
        said.append("With early stopping, lines end with what was kept, and seeds that have ended stay in the mean.")
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
            title: [(run, tuple(each for each in phases if _on_target(run, each))) for run, phases in runs]
            for title, runs in racers.items()
        }
    )


def means(rows: pd.DataFrame) -> pd.DataFrame:
    """Return each strategy's line: the mean over its seeds, epoch by epoch of each phase.

    A seed whose phase stopped early stands still, with what it kept, until the others' have ended: so a line ends at
    the means of its seeds' results and seconds. Seeds still under way count once they have come as far as any.
    Columns: strategy, phase_name, epoch (of those that went farthest), kept, x, y, n.
    """
    strategies: dict[str, dict[int, dict[tuple[int, int], Any]]] = {}
    every: Iterable[Any] = rows.itertuples(index=False)
    for row in every:
        strategies.setdefault(row.strategy, {}).setdefault(row.seed, {})[row.phase, row.step] = row
    found = []
    for strategy, seeds in strategies.items():
        reached = {seed: max(own) for seed, own in seeds.items()}
        farthest = max(reached.values())
        counted = {seed: own for seed, own in seeds.items() if reached[seed] == farthest or own[reached[seed]].ended}
        stand: dict[int, Any] = {}
        for place in sorted(set().union(*counted.values())):
            come = {seed: own[place] for seed, own in counted.items() if place in own}
            stand |= come
            last = max(come.values(), key=lambda row: row.epoch)
            x, y = (fmean(getattr(row, each) for row in stand.values()) for each in ("x", "y"))
            found.append((strategy, last.phase_name, last.epoch, last.kept, x, y, len(stand)))
    return pd.DataFrame(found, columns=["strategy", "phase_name", "epoch", "kept", "x", "y", "n"])


def exported(rows: pd.DataFrame, racers: Racers) -> pd.DataFrame:
    """Return the rows of `lines` or of `means` as other programs read them, columns by what they are, with flags."""
    found = rows.drop(columns=["phase", "step", "ended"], errors="ignore")
    found = found.rename(columns={"phase_name": "phase", "x": "seconds", "y": "accuracy", "n": "seeds"})
    by = ["strategy", "seed"] if "seed" in rows else ["strategy"]
    keys = list(rows[by].itertuples(index=False, name=None))
    said = {key: _flags(racers, *key) for key in dict.fromkeys(keys)}
    return found.assign(flags=[said[key] for key in keys])


def _flags(racers: Racers, title: str, seed: int | None = None) -> str:
    """What must be said of the runs of a strategy, or of one of its seeds."""
    runs = [each for each in racers[title] if seed in (None, each[0].seed)]
    return of_all([run for run, _ in runs], {run.id: histories for run, histories in runs})


def shown(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `means` as a reader sees them."""
    return pd.DataFrame(
        {
            "strategy": rows["strategy"],
            "phase": rows["phase_name"] + rows["kept"].map({True: ", kept", False: ""}),
            "epoch": rows["epoch"],
            "training": rows["x"].map(duration),
            "validation accuracy, mean": rows["y"].map(percent),
            "seeds": rows["n"],
        }
    )


def ends(rows: pd.DataFrame, mean: pd.DataFrame, label_height: float = _LINE * _FONT / _HEIGHT) -> pd.DataFrame:
    """Return where each line ends, the `means` of the rows, and its label right of all lines: strategy, x, y, label,
    label_x, label_y.

    A label takes the share `label_height` of the accuracy axis.
    """
    last = mean.groupby("strategy", sort=False).tail(1).sort_values("y", ascending=False)
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
    mean = means(rows)
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
            "seeds": rows[_DRAWN],
            "means": mean,
            "ends": ends(rows, mean, _LINE * font / height),
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
