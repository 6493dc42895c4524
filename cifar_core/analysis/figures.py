"""Figures that stand still, in Plotly. Each takes a table that another function computed, and only draws it.

All have a transparent background, no text below 12 px, and take `dark` for the theme they stand on.
"""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from cifar_core.analysis import colours, wording
from cifar_core.analysis.metrics import shares
from cifar_core.analysis.samples import busiest, most_confused
from cifar_core.experiment.measured import LayerChange

# Sequential in lightness alone, so safe for the colour-blind; the theme's background is the low end.
_SCALES = (("#F4F8FB", "#08306B"), ("#16202C", "#C6E2F5"))

_DIVERGING = (("#B35806", "#F7F7F7", "#08519C"), ("#F2A65A", "#16202C", "#7CBCF5"))
MOST_CLASSES = 100
"""Classes whose cells can be told apart in a matrix: of more, it shows those that are confused most."""
_MOST_WITH_NUMBERS = 20  # classes; of more, only colours can be seen
_MOST_LETTERS = 16  # of a class, for which room is kept beside a matrix before Plotly has measured it
CELLS = ("counts", "row %", "column %")
"""What a confusion matrix can show."""

_BETWEEN_BARS = ("#FFFFFF", "#111111")
# pixels that a run takes in a bar chart, its name included
_ROW = 60

# entry of the timing ledger: title, place in the palette (None: grey), hatching
_LEDGER: dict[str, tuple[str, int | None, str]] = {
    "queue": ("waiting in the queue", None, "/"),
    "start": ("process start", None, ""),
    "data": ("data", 3, ""),
    "build": ("building the network", 5, ""),
    "extract": ("stored features", 6, ""),
    "first_step": ("first step", 1, ""),
    "steps": ("training steps", 0, ""),
    "validation": ("validation", 4, ""),
    "evaluation": ("evaluation", 2, ""),
    "saving": ("saving", None, "."),
}


def figure_of(dark: bool, *, height: int, **layout: Any) -> go.Figure:
    """Return an empty figure as all of these begin.

    Streamlit hands every figure to Plotly twice, the second time with copies of everything. Plotly then draws it again
    unless it has no template, which it never takes for equal, and says that its data are those of before.
    """
    axis = {"gridcolor": colours.GRID[dark], "zerolinecolor": colours.GRID[dark], "zerolinewidth": 2, "ticks": ""}
    axis |= {"automargin": True, "title": {"font": {"size": 13}, "standoff": 15}}
    figure = go.Figure(
        layout={
            "template": "none",
            "datarevision": 0,
            "autotypenumbers": "strict",
            "height": height,
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"size": 13, "color": colours.TEXT[dark]},
            "hoverlabel": {"font": {"size": 13}, "align": "left"},
            "modebar": {
                "bgcolor": "rgba(0,0,0,0)",
                "color": colours.FAINT[dark],
                "activecolor": colours.TEXT[dark],
            },
            "xaxis": axis,
            "yaxis": axis | {"ticksuffix": " "},
            **layout,
        }
    )
    figure.layout.template = None
    return figure


def name_above_bars(figure: go.Figure, names: Sequence[str], values: Sequence[str] = ()) -> None:
    """Write each bar's name above it: beside it, a run's name would leave no room for bars on a phone.

    Its value, if any, comes first: a long name is cut off there.
    """
    figure.update_traces(width=0.42, selector={"type": "bar"})
    figure.update_yaxes(
        categoryorder="array", categoryarray=list(names), autorange="reversed", showticklabels=False, showgrid=False
    )
    above = {
        "x": 0,
        "xref": "paper",
        "xanchor": "left",
        "yshift": _ROW * 0.38,
        "showarrow": False,
        "font": {"size": 12},
    }
    figure.update_layout(
        annotations=[
            {"text": f"<b>{value}</b> {name}" if value else name, "y": name, **above}
            for name, value in zip_longest(names, values)
        ]
    )


def confusion_figure(
    counts: pd.DataFrame,
    split: str,
    *,
    values: str = "counts",
    title: str = "",
    dark: bool = False,
    top: float = 0,
    classes: Sequence[str] = (),
) -> go.Figure:
    """Draw a confusion matrix (see `metrics.confusion`): rows are the true classes, columns the predicted ones.

    `values` is one of CELLS; `split` names the images ("test", "validation"); `top` makes the colour scale reach at
    least so many counts, so that matrices side by side share one. A click selects a cell: the customdata of its point
    are the true and the predicted class. Of more than MOST_CLASSES, the `classes` are drawn, without any those confused
    most; numbers are of all.

    Raises:
        ValueError: for other `values`.
    """
    if values not in CELLS:
        raise ValueError(f"values: expected one of {', '.join(CELLS)}, received {values!r}.")
    names = _drawn(counts, classes or most_confused([counts], MOST_CLASSES))
    shown = (counts if values == "counts" else 100 * shares(counts, values)).loc[names, names]
    highest = 100.0 if values != "counts" else max(top, float(counts.to_numpy().max()), 1.0)
    totals = counts.sum(axis=1)[names].tolist()
    words = [
        f"{wording.number(count)} of {wording.number(total)}, {wording.percent(count / max(total, 1))}"
        for row, total in zip(counts.loc[names, names].to_numpy().tolist(), totals, strict=True)
        for count in row
    ]
    what = {"counts": "counts", "row %": "% of the true class", "column %": "% of the predicted class"}[values]
    heading = f"{title}<br>" if title else ""
    text = f"{heading}{split} images, n = {int(counts.to_numpy().sum()):,}, {what}{_of_all(names, counts)}"
    return matrix_figure(shown, words, (0, highest), "{:.0f}", text, dark=dark)


def difference_figure(difference: pd.DataFrame, one: str, other: str, *, dark: bool = False) -> go.Figure:
    """Draw the difference of two confusion matrices (see `samples.difference`) in points, the second minus the first.

    Blue is more, orange is less; on the diagonal more is better, elsewhere less.
    """
    names = busiest(difference.abs(), MOST_CLASSES) if len(difference) > MOST_CLASSES else list(difference.index)
    points = 100 * difference.loc[names, names]
    words = [wording.points(value / 100) for value in points.to_numpy().ravel().tolist()]
    reach = max(1.0, float(points.abs().to_numpy().max()))
    text = f"{other}<br>minus {one}, points of the true class{_of_all(names, difference)}"
    return matrix_figure(points, words, (-reach, reach), "{:+.0f}", text, dark=dark)


def _drawn(counts: pd.DataFrame, classes: Sequence[str]) -> list[str]:
    """Which classes of a matrix are drawn: those chosen, where it has too many."""
    names, chosen = list(counts.index), set(classes)
    return names if len(names) <= MOST_CLASSES else [name for name in names if name in chosen]


def _of_all(names: Sequence[str], matrix: pd.DataFrame) -> str:
    """What a title says where not all classes are drawn."""
    of_all = f"<br>{len(names)} of {len(matrix):,} classes, where most of it happens"
    return of_all if len(names) < len(matrix) else ""


def matrix_figure(
    shown: pd.DataFrame,
    words: Sequence[str],
    reach: tuple[float, float],
    text: str,
    title: str,
    *,
    dark: bool,
    axes: tuple[str, str] = ("true", "predicted"),
) -> go.Figure:
    """Draw a matrix with its numbers in the format `text`; `words` say each cell's, row by row, to whom points at it.

    Colours go from the least to the largest value of `reach`, through the background's where that is around 0.
    """
    scale = _DIVERGING[dark] if reach[0] < 0 else _SCALES[dark]
    names, columns = [str(name) for name in shown.index], [str(name) for name in shown.columns]
    is_small = len(names) <= _MOST_WITH_NUMBERS
    side = 34 if is_small else 14
    colouring = {
        "type": "heatmap",
        "z": shown.to_numpy().tolist(),
        "x": columns,
        "y": names,
        "colorscale": list(scale),
        "zmin": reach[0],
        "zmax": reach[1],
        "showscale": False,
        "xgap": 1,
        "ygap": 1,
        "hoverinfo": "skip",
    }
    values = shown.to_numpy()
    cells = [
        (column, name, _signed(text.format(value)) if is_small else "", said)
        for (name, column, value), said in zip(
            (
                (name, column, value)
                for name, row in zip(names, values.tolist(), strict=True)
                for column, value in zip(columns, row, strict=True)
            ),
            words,
            strict=True,
        )
    ]
    known, place_of = np.unique(values, return_inverse=True)  # few, and each has its ink
    ink_of = [colours.readable_on(_on_scale(scale, value, reach)) for value in known.tolist()]
    inks = [ink_of[place] for place in place_of.ravel().tolist()]
    # Plotly's own text in cells is grey, which is hard to read on half of the scale, and no cell of a heatmap can be
    # selected: so a point stands in every cell, with its number, and has a frame when it is selected.
    numbers = [
        {
            "type": "scatter",
            "mode": "markers+text" if is_small else "markers",
            # Arrays, since Plotly looks into every cell of a list, which takes long for a hundred classes.
            "x": np.array([cell[0] for cell in own], dtype=object),
            "y": np.array([cell[1] for cell in own], dtype=object),
            "text": [cell[2] for cell in own] if is_small else None,
            "customdata": np.array([[cell[1], cell[0], cell[3]] for cell in own], dtype=object).reshape(-1, 3),
            "hovertemplate": f"{axes[0]} %{{y}}<br>{axes[1]} %{{x}}<br>%{{customdata[2]}}<extra></extra>",
            "textfont": {"size": 12, "color": ink},
            "marker": {"symbol": "square-open", "size": side - 6, "color": ink, "opacity": 0, "line": {"width": 2}},
            "selected": {"textfont": {"color": ink}, "marker": {"opacity": 1}},
            "unselected": {"textfont": {"color": ink}, "marker": {"opacity": 0}},
            "cliponaxis": False,
        }
        for ink in ("#000000", "#FFFFFF")
        for own in [[cell for cell, its in zip(cells, inks, strict=True) if its == ink]]
    ]
    longest = min(max(map(len, [*names, *columns]), default=0), _MOST_LETTERS)
    figure = figure_of(
        dark,
        height=170 + side * len(names),
        # About what the names need: Plotly draws a second time when they need more.
        margin={"l": 48 + 6.5 * longest, "r": 8, "t": 64, "b": 52 + 5 * longest},
        title={"text": title, "font": {"size": 14}, "x": 0},
        showlegend=False,
        hovermode="closest",
        hoverdistance=-1,  # anywhere in a cell, its point is meant
        dragmode=False,  # a finger scrolls the page
    )
    figure.add_traces([colouring, *numbers])  # all at once: one by one, Plotly takes longer
    figure.update_xaxes(title_text=axes[1], tickangle=-45, showgrid=False, tickfont={"size": 12}, range=_ends(columns))
    figure.update_yaxes(title_text=axes[0], showgrid=False, tickfont={"size": 12}, range=_ends(names)[::-1])
    return figure


def _signed(text: str) -> str:
    return "0" if text in ("+0", "-0") else text.replace("-", "−")


def _ends(names: Sequence[str]) -> list[float]:
    return [-0.5, len(names) - 0.5]


def _on_scale(scale: Sequence[str], value: float, reach: tuple[float, float]) -> str:
    """The colour of a value on an even scale of two or three colours."""
    place = (value - reach[0]) / (reach[1] - reach[0]) * (len(scale) - 1)
    step = min(int(place), len(scale) - 2)
    return colours.mixed(scale[step], scale[step + 1], place - step)


def confusion_figures(
    matrices: Mapping[str, pd.DataFrame], split: str, *, values: str = "counts", dark: bool = False
) -> list[go.Figure]:
    """Draw a confusion matrix per run title on one colour scale, of the same classes where all have them.

    They are separate figures, so that a page can let them wrap on a narrow screen.
    """
    top = max((float(counts.to_numpy().max()) for counts in matrices.values()), default=0)
    are_alike = len({tuple(counts.index) for counts in matrices.values()}) == 1
    classes = most_confused(matrices.values(), MOST_CLASSES) if are_alike else ()
    return [
        confusion_figure(counts, split, values=values, title=title, dark=dark, top=top, classes=classes)
        for title, counts in matrices.items()
    ]


def ledger_table(ledgers: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """Return the timing ledgers of runs by title: run, entry, title, seconds, share (of the run's seconds).

    Entries stand in the order in which a run goes through them; those not known here come last.
    """
    rows = []
    for run, ledger in ledgers.items():
        total = sum(ledger.values())
        known = [entry for entry in _LEDGER if entry in ledger]
        for entry in [*known, *(entry for entry in ledger if entry not in _LEDGER)]:
            title = _LEDGER[entry][0] if entry in _LEDGER else entry.replace("_", " ")
            rows.append((run, entry, title, float(ledger[entry]), ledger[entry] / total if total else 0.0))
    return pd.DataFrame(rows, columns=["run", "entry", "title", "seconds", "share"])


def ledger_figure(ledgers: Mapping[str, Mapping[str, float]], *, dark: bool = False) -> go.Figure:
    """Draw where the seconds of one or several runs went, as stacked bars on one axis."""
    table = ledger_table(ledgers)
    order = [entry for entry in _LEDGER if entry in set(table["entry"])]
    order += [entry for entry in table["entry"].unique() if entry not in _LEDGER]
    figure = figure_of(
        dark,
        height=76 + _ROW * len(ledgers) + 20 * ((len(order) + 1) // 2),  # beside the margins, a row for each run
        barmode="stack",
        margin={"l": 12, "r": 20, "t": 16, "b": 60 + 20 * ((len(order) + 1) // 2)},
        # Below everything and as wide as everything: two columns on a phone.
        legend={
            "orientation": "h",
            "xref": "container",
            "x": 0,
            "yref": "container",
            "y": 0,
            "yanchor": "bottom",
            "entrywidth": 108,
            "traceorder": "normal",
            "font": {"size": 12},
        },
    )
    for entry in order:
        part = table[table["entry"] == entry]
        _, place, hatching = _LEDGER.get(entry, ("", None, "x"))
        figure.add_bar(
            orientation="h",
            name=part["title"].iloc[0],
            y=part["run"].tolist(),
            x=part["seconds"].tolist(),
            customdata=[
                f"{wording.duration(seconds)}, {wording.percent(share)} of the run"
                for seconds, share in zip(part["seconds"], part["share"], strict=True)
            ],
            hovertemplate="%{fullData.name}: %{customdata}<extra>%{y}</extra>",
            marker={
                "color": colours.grey(dark) if place is None else colours.palette(dark)[place],
                "pattern": {"shape": hatching, "fillmode": "overlay", "size": 10, "solidity": 0.2},
                "line": {"color": _BETWEEN_BARS[dark], "width": 0.5},
            },
        )
    figure.update_xaxes(title_text="seconds", rangemode="tozero", automargin=False)
    name_above_bars(figure, list(ledgers))
    return figure


def change_table(changes: Sequence[LayerChange]) -> pd.DataFrame:
    """Return how far each layer moved: layer, frozen, change, norm, relative, statistics, text.

    `relative` is the norm of the change over the norm before, NaN where the weights were all zero; `statistics`
    is NaN for a layer without BatchNorm statistics.
    """
    rows = []
    for layer in changes:
        relative = layer.change / layer.norm if layer.norm else 0.0 if not layer.change else float("nan")
        if layer.frozen:
            text = "0, frozen" if layer.change == 0 else f"moved by {wording.percent(relative)} although frozen"
        else:
            text = wording.percent(relative) if layer.norm else "from zero"
        rows.append((layer.layer, layer.frozen, layer.change, layer.norm, relative, layer.statistics, text))
    columns = ["layer", "frozen", "change", "norm", "relative", "statistics", "text"]
    return pd.DataFrame(rows, columns=columns).astype({"statistics": float})


def change_sentence(changes: Sequence[LayerChange]) -> str:
    """Return whether the frozen layers of a phase stayed as they were, and how many others trained."""
    frozen = [layer for layer in changes if layer.frozen]
    moved = [layer.layer for layer in frozen if layer.change]
    trained = wording.count(len(changes) - len(frozen), "layer")
    if not frozen:
        return f"nothing was frozen; {trained} trained."
    if moved:
        return f"{wording.listing(moved)} moved although frozen; {trained} trained."
    return f"{wording.count(len(frozen), 'frozen layer')}, moved by exactly 0; {trained} trained."


def change_figure(changes: Sequence[LayerChange], phase: str, *, dark: bool = False) -> go.Figure:
    """Draw how far a phase moved each layer, relative to its weights before: frozen layers stay at exactly 0."""
    table = change_table(changes)
    palette = colours.palette(dark)
    figure = figure_of(dark, height=110 + 30 * len(table), margin={"l": 8, "r": 16, "t": 48, "b": 8})
    figure.add_bar(
        orientation="h",
        y=table["layer"].tolist(),
        x=[0.0 if value != value else 100 * value for value in table["relative"]],
        text=table["text"].tolist(),
        textposition="outside",
        textfont={"size": 12},
        cliponaxis=False,
        marker={"color": [palette[0] if frozen else palette[1] for frozen in table["frozen"]]},
        customdata=[
            f"change {change:.4g}, weights before {norm:.4g}"
            + ("" if statistics != statistics else f", statistics moved {statistics:.4g}")
            for change, norm, statistics in zip(table["change"], table["norm"], table["statistics"], strict=True)
        ],
        hovertemplate="%{y}: %{customdata}<extra></extra>",
    )
    figure.update_layout(title={"text": f"how far “{phase}” moved the weights", "font": {"size": 14}, "x": 0})
    # Room at the right for the texts beside the bars, which autorange does not count.
    longest = 100 * max((value for value in table["relative"] if value == value), default=0)
    figure.update_xaxes(title_text="change, % of the norm before", range=[0, 1.35 * longest or 1])
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure


def accuracy_figure(table: pd.DataFrame, *, baseline: str | None = None, dark: bool = False) -> go.Figure:
    """Draw accuracies with their 95 % intervals, one bar per row of `comparison.table` (the index is the run id) that
    has one.
    """
    every = colours.run_colours([str(id) for id in table.index], baseline, dark=dark)
    table = table[table["accuracy"].notna()]
    hues = [every[str(id)] for id in table.index]
    figure = figure_of(dark, height=120 + _ROW * len(table), margin={"l": 12, "r": 20, "t": 32, "b": 52})
    figure.add_bar(
        orientation="h",
        y=table["run"].tolist(),
        x=(100 * table["accuracy"]).tolist(),
        error_x={
            "type": "data",
            "array": (100 * (table["high"] - table["accuracy"])).tolist(),
            "arrayminus": (100 * (table["accuracy"] - table["low"])).tolist(),
            "color": colours.TEXT[dark],
            "thickness": 2,
        },
        marker={"color": hues},
        customdata=[
            wording.interval(*row)
            for row in zip(*(table[key] for key in ("accuracy", "low", "high", "n")), strict=True)
        ],
        hovertemplate="%{y}: %{customdata}<extra></extra>",
    )
    figure.update_xaxes(title_text="accuracy on the test images, %", range=[0, 100], automargin=False)
    name_above_bars(figure, table["run"].tolist(), [wording.percent(value) for value in table["accuracy"]])
    return figure
