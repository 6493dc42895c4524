"""Curves of runs while they train: tidy tables, and a Vega-Lite chart whose data alone changes from tick to tick.

Streamlit redraws an ECharts chart from nothing whenever its option changes, and a Plotly chart too, which loses the
reader's zoom. A Vega-Lite chart takes new rows for its named datasets and stays as it is, provided the rest of the
specification is equal and Streamlit knows about the zoom. So nothing that grows during a run stands in the
specification, and pages draw it with

    st.vega_lite_chart(live_chart(…), key=…, on_select="rerun", selection_mode=[ZOOM])
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

import pandas as pd

from cifar_core.analysis import colours
from cifar_core.analysis.history import epoch_rows, point_rows, starts
from cifar_core.analysis.labels import chance, guessing_loss, titles
from cifar_core.analysis.wording import loss, percent
from cifar_core.experiment.measured import Measured

Measure = Literal["accuracy", "loss"]
X = Literal["epoch", "seconds", "images"]

ZOOM = "zoom"
ZOOM_HINT = "Ctrl and the wheel (or a pinch) zoom, dragging moves, a double click shows everything."

# pixels
_LEGEND_LINE = 22

X_TITLES = {"epoch": "epoch", "seconds": "seconds of training", "images": "training images seen"}
# what a line shows: the beginning of its column's name
_ROLES = {"training": "", "validation": "val_"}


def lines(runs: Sequence[Measured], measure: Measure = "accuracy", x: X = "epoch") -> pd.DataFrame:
    """Return the points that the lines join: run, role, phase, phase_name, epoch, x, y.

    `role` is "training" or "validation"; a line ends with its phase, since phases may differ in classes. Missing
    values have no row. Accuracy is a share from 0 to 1.
    """
    names = titles([run for run, _ in runs])
    rows = [
        (names[run.id], role, row.phase, row.phase_name, row.epoch, float(getattr(row, x)), y)
        for run, histories in runs
        for row in epoch_rows(histories)
        for role, column in _ROLES.items()
        if math.isfinite(y := getattr(row, column + measure))
    ]
    return pd.DataFrame(rows, columns=["run", "role", "phase", "phase_name", "epoch", "x", "y"])


def dots(runs: Sequence[Measured], measure: Measure = "accuracy", x: X = "epoch") -> pd.DataFrame:
    """Return the training measured between epochs, every point of the histories: run, phase_name, epoch, x, y."""
    names = titles([run for run, _ in runs])
    rows = [
        (names[run.id], row.phase_name, row.epoch, at, y)
        for run, histories in runs
        for row in point_rows(histories)
        if math.isfinite(y := getattr(row, measure)) and math.isfinite(at := float(getattr(row, x)))
    ]
    return pd.DataFrame(rows, columns=["run", "phase_name", "epoch", "x", "y"])


def boundaries(runs: Sequence[Measured], x: X = "epoch") -> pd.DataFrame:
    """Return where phases begin: run, phase_name, x, label. Runs that share a beginning share its row.

    Labels that only some of several runs have are left to the tooltip: they would overlap.
    """
    names = titles([run for run, _ in runs])
    rows: dict[tuple[float, str], list[str]] = {}
    for run, histories in runs:
        for start in starts(histories):
            key = (round(float(getattr(start, x)), 3), start.phase_name)
            rows.setdefault(key, []).append(names[run.id])
    return pd.DataFrame(
        [
            (", ".join(having), name, at, name if len(having) == len(runs) else "")
            for (at, name), having in sorted(rows.items())
        ],
        columns=["run", "phase_name", "x", "label"],
    )


def guessing(runs: Sequence[Measured], measure: Measure = "accuracy") -> pd.DataFrame:
    """Return what guessing would give: y, label; one row per number of classes among the runs' phases."""
    shares = sorted({chance(run, phase) for run, _ in runs for phase in range(len(run.experiment.phases))})
    rows = [
        (share, f"chance {percent(share)}")
        if measure == "accuracy"
        else (guessing_loss(share), f"guessing {loss(guessing_loss(share))}")
        for share in shares
    ]
    return pd.DataFrame(rows, columns=["y", "label"])


def live_chart(
    runs: Sequence[Measured],
    measure: Measure = "accuracy",
    x: X = "epoch",
    *,
    dark: bool = False,
    baseline: str | None = None,
    height: int = 340,
) -> dict[str, Any]:
    """Return a Vega-Lite specification of one or several runs' curves, its data as named data frames.

    Training is solid, validation dashed, in the run's colour (grey for the `baseline` id), its epochs points in the
    run's shape; dots are the training measured between epochs. The x axis reaches from 0 to the planned end when it
    counts epochs. With one run, its colour needs no legend. `height` is in pixels, to which each of several runs
    adds a line of the legend; the width is the container's.
    """
    names = titles([run for run, _ in runs])
    hues = colours.run_colours(list(names), baseline, dark=dark)
    planned = max((sum(phase.epochs for phase in run.experiment.phases) for run, _ in runs), default=1)
    x_axis = {
        "field": "x",
        "type": "quantitative",
        "title": X_TITLES[x],
        "scale": {"domain": [0, planned], "nice": False} if x == "epoch" else {"zero": True, "nice": False},
        "axis": {
            "format": ",~s" if x == "images" else ",~f",
            "tickMinStep": 1,
            "tickCount": 8,
        },
    }
    y_axis = {
        "field": "y",
        "type": "quantitative",
        "title": None,
        "scale": {"domain": [0, 1]} if measure == "accuracy" else {"zero": True},
        "axis": {"format": ".0%" if measure == "accuracy" else ".2~f", "tickCount": 6},
    }
    # Of one domain, so that Vega-Lite makes one legend of both.
    look = {
        channel: {
            "field": "run",
            "type": "nominal",
            "scale": {"domain": list(names.values()), "range": list(each.values())},
            "legend": None if len(runs) < 2 else {"title": None, "orient": "top", "columns": 1, "symbolSize": 110},
        }
        for channel, each in (("color", hues), ("shape", colours.run_shapes(list(names), baseline)))
    }
    place = {"x": x_axis, "y": y_axis}
    return {
        # The legend takes a line per run out of the height.
        "height": height + (_LEGEND_LINE * len(runs) if len(runs) > 1 else 0),
        "datasets": {
            "lines": lines(runs, measure, x),
            "dots": dots(runs, measure, x),
            "boundaries": boundaries(runs, x),
            "guessing": guessing(runs, measure),
        },
        "layer": [
            *_guessing_layers(y_axis, colours.FAINT[dark]),
            *_boundary_layers(x_axis, colours.FAINT[dark]),
            *_curve_layers(place, look, measure, several=len(runs) > 1),
        ],
        "config": {
            "axis": {"labelFontSize": 12, "titleFontSize": 12, "gridColor": colours.GRID[dark]},
            "legend": {
                "labelFontSize": 12,
                "labelLimit": 320,
                "symbolStrokeWidth": 3,
                "symbolSize": 300,
                "symbolOpacity": 1,
            },
        },
    }


def _guessing_layers(y: dict[str, Any], faint: str) -> list[dict[str, Any]]:
    data = {"name": "guessing"}
    label = {
        "type": "text",
        "align": "right",
        "baseline": "top",
        "dx": -4,
        "dy": 4,
        "fontSize": 12,
        "color": faint,
    }
    return [
        {"data": data, "mark": {"type": "rule", "color": faint, "strokeDash": [2, 4]}, "encoding": {"y": y}},
        {
            "data": data,
            "mark": label,
            "encoding": {"y": y, "x": {"value": "width"}, "text": {"field": "label", "type": "nominal"}},
        },
    ]


def _boundary_layers(x: dict[str, Any], faint: str) -> list[dict[str, Any]]:
    data = {"name": "boundaries"}
    rule = {"type": "rule", "color": faint, "strokeWidth": 1.5, "clip": True}
    label = {
        "type": "text",
        "align": "left",
        "baseline": "top",
        "dx": 5,
        "dy": 3,
        "fontSize": 12,
        "color": faint,
    }
    tooltip = [
        {"field": "phase_name", "type": "nominal", "title": "phase begins"},
        {"field": "run", "type": "nominal"},
    ]
    return [
        {"data": data, "mark": rule, "encoding": {"x": x, "tooltip": tooltip}},
        {
            "data": data,
            "mark": {**label, "clip": True},
            "encoding": {"x": x, "y": {"value": 0}, "text": {"field": "label", "type": "nominal"}},
        },
    ]


def _curve_layers(
    place: dict[str, Any], look: dict[str, Any], measure: Measure, *, several: bool
) -> list[dict[str, Any]]:
    dash = {
        "field": "role",
        "type": "nominal",
        "scale": {"domain": list(_ROLES), "range": [[1, 0], [7, 4]]},
        # Beside the names of several runs there is no room on a phone.
        "legend": {"title": None, "orient": "bottom" if several else "top", "symbolType": "stroke"},
    }
    # The wheel alone belongs to the page: it must not get stuck on a chart.
    by_wheel = "wheel![event.ctrlKey || event.metaKey]"
    zoom = {"name": ZOOM, "select": {"type": "interval", "encodings": ["x"], "zoom": by_wheel}, "bind": "scales"}
    line = {**place, "color": look["color"], "strokeDash": dash, "detail": {"field": "phase", "type": "nominal"}}
    return [
        {
            "data": {"name": "dots"},
            "mark": {"type": "circle", "size": 14, "opacity": 0.35, "clip": True},
            "encoding": {**place, "color": look["color"]},
        },
        {
            "data": {"name": "lines"},
            "params": [zoom],
            "mark": {"type": "line", "strokeWidth": 2.5, "clip": True},
            "encoding": line,
        },
        {
            "data": {"name": "lines"},
            "mark": {"type": "point", "filled": True, "size": 60 if several else 36, "opacity": 1, "clip": True},
            "encoding": {**place, **look},
        },
        {  # What the mouse or a finger meets: larger than what is seen.
            "data": {"name": "lines"},
            "mark": {"type": "point", "filled": True, "size": 400, "opacity": 0, "clip": True},
            "encoding": {**place, "tooltip": _tooltip(measure, several)},
        },
    ]


def _tooltip(measure: Measure, several: bool) -> list[dict[str, Any]]:
    shape = ".1%" if measure == "accuracy" else ".3f"
    run = [{"field": "run", "type": "nominal"}] if several else []
    return [
        *run,
        {"field": "role", "type": "nominal", "title": "measured in"},
        {"field": "phase_name", "type": "nominal", "title": "phase"},
        {"field": "epoch", "type": "quantitative", "title": "epoch"},
        {"field": "y", "type": "quantitative", "title": measure, "format": shape},
    ]
