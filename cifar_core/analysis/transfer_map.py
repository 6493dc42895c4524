"""The transfer map as a table and as the figure of Yosinski et al. 2014: accuracy on B over the blocks copied.

See `cifar_core.experiment.transfer_map` for what is trained. It fills in as runs finish.
"""

from collections.abc import Mapping, Sequence
from itertools import takewhile

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from cifar_core.analysis import colours, wording
from cifar_core.analysis.figures import figure_of
from cifar_core.analysis.groups import mean_and_spread, spread
from cifar_core.analysis.labels import of_all
from cifar_core.analysis.plan import Plan
from cifar_core.experiment.measured import Run
from cifar_core.experiment.transfer_map import CURVES, Curve, TransferMap

# place in the palette, dash, symbol: frozen dashed, fine-tuned solid, so that colour is not all that tells them apart
_LOOKS: dict[Curve, tuple[int, str, str]] = {
    "BnB": (0, "dash", "circle-open"),
    "BnB+": (5, "solid", "circle"),
    "AnB": (1, "dash", "diamond-open"),
    "AnB+": (4, "solid", "diamond"),
}
_HEIGHT, _FONT = 460, 13  # pixels


def plan(map: TransferMap, seeds: int) -> Plan:
    """Return the runs of a map. Bases come first; then, block by block, what is copied and what is tuned."""
    return Plan({point.title: experiment for point, experiment in map.experiments.items()}, seeds)


def table(map: TransferMap, found: Mapping[str, Mapping[int, Run]]) -> pd.DataFrame:
    """Return a row per point of the map: point, curve, depth, block, mean, spread, noise, n, waiting, runs, flags.

    `found` are the map's runs as `Plan.runs` gives them. mean and spread are of the test accuracy over the n seeds that
    are done, NaN where there are none; `noise`, the larger of the spread and half the 95 % interval of the test images,
    is what a difference has to exceed; `waiting` counts runs that wait or train; `runs` are the ids of all of them, and
    `flags` what must be said of those that are measured.
    """
    rows = []
    for point in map.experiments:
        runs = found.get(point.title, {})  # with the same classes on both sides, A's are B's
        tested = [run for run in runs.values() if run.metrics.get("test")]
        tests = [run.metrics["test"] for run in tested]
        accuracies = [float(test["accuracy"]) for test in tests]
        halves = [(test["accuracy_high"] - test["accuracy_low"]) / 2 for test in tests]
        rows.append(
            {
                "point": point.title,
                "curve": point.curve,
                "depth": point.depth,
                "block": map.blocks[point.depth - 1] if point.depth else "",
                "mean": float(np.mean(accuracies)) if accuracies else None,
                "spread": spread(accuracies),
                "noise": max(spread(accuracies) or 0.0, *halves) if tests else None,
                "n": len(accuracies),
                "waiting": sum(not run.state.is_finished for run in runs.values()),
                "runs": [runs[seed].id for seed in sorted(runs)],
                "flags": of_all(tested),
            }
        )
    return pd.DataFrame(rows).astype(dict.fromkeys(("mean", "spread", "noise"), float))


def shown(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `table` as a reader sees them."""
    base = rows.set_index("point")["mean"]["baseB"]
    return pd.DataFrame(
        {
            "point": rows["point"],
            "copied": [
                f"{depth} of {rows['depth'].max()}, up to {block}" if depth else "nothing"
                for depth, block in zip(rows["depth"], rows["block"], strict=True)
            ],
            "test accuracy": [
                _measured(*values)
                for values in zip(rows["mean"], rows["spread"], rows["n"], rows["waiting"], strict=True)
            ],
            "against baseB": [
                wording.points(mean - base) if depth else wording.MISSING
                for mean, depth in zip(rows["mean"], rows["depth"], strict=True)
            ],
        }
    )


def _measured(mean: float, spread: float, seeds: int, waiting: int) -> str:
    if seeds:
        return mean_and_spread(mean, spread, seeds)
    return "waiting" if waiting else wording.MISSING


def figure(
    map: TransferMap,
    rows: pd.DataFrame,
    *,
    chosen: str | None = None,
    whole: pd.DataFrame | None = None,
    dark: bool = False,
    font: int = _FONT,
) -> go.Figure:
    """Draw a map's `table`: a line per curve with the spread over seeds as a band, the baseline as a level band.

    The faint dotted line is what guessing gives. Each marker carries its point's title, for a page to know which was
    clicked; that of the `chosen` one has a ring. While the map fills in, `whole` is the table that it will have, for an
    axis that stands still. Letters are about `font` pixels high.
    """
    palette, names = colours.palette(dark), ["none", *map.blocks]
    drawn = figure_of(dark, height=_HEIGHT + 8 * (font - _FONT))
    base = rows[rows["curve"] == "baseB"].iloc[0]
    if base["n"]:
        _baseline(drawn, base, len(map.blocks), colours.grey(dark))
    for curve, meaning in CURVES.items():
        own = rows[(rows["curve"] == curve) & rows["mean"].notna()]
        place, dash, symbol = _LOOKS[curve]
        _curve(drawn, own, f"{curve}: {meaning}", palette[place], dash, symbol)
    _ring(drawn, rows[rows["point"] == chosen], colours.TEXT[dark])
    chance = 100 / len(map.target.split.target)
    drawn.add_hline(chance, line={"dash": "dot", "width": 1, "color": colours.FAINT[dark]}, layer="below")
    drawn.update_traces(unselected={"marker": {"opacity": 1}})  # the ring alone says what is chosen
    drawn.update_layout(
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0, "font": {"size": font - 1}},
        font={"size": font},
        clickmode="event+select",
        dragmode=False,
    )
    drawn.update_xaxes(
        title={"text": "blocks copied, from the image on", "font": {"size": font}},
        tickvals=list(range(len(names))),
        ticktext=[f"{depth}<br>{name}" for depth, name in enumerate(names)],
        range=[-0.3, len(map.blocks) + 0.3],
        gridcolor=colours.GRID[dark],
        automargin=True,
        fixedrange=True,
    )
    drawn.update_yaxes(
        title={"text": "test accuracy on B, %", "font": {"size": font}},
        range=_range(rows if whole is None else whole),
        gridcolor=colours.GRID[dark],
        zeroline=False,
        automargin=True,
        ticksuffix=" ",
        fixedrange=True,
    )
    return drawn


def _range(rows: pd.DataFrame) -> list[float]:
    """From below the lowest to above the highest, but never so near that tenths of a point look like much."""
    on_target = rows[(rows["curve"] != "baseA") & rows["mean"].notna()]
    if on_target.empty:
        return [0, 100]
    half = on_target["spread"].fillna(0)
    low, high = 100 * (on_target["mean"] - half).min(), 100 * (on_target["mean"] + half).max()
    margin = max(1.0, (10 - (high - low)) / 2, 0.06 * (high - low))
    return [max(0.0, low - margin), min(102.0, high + margin)]


def _baseline(drawn: go.Figure, base: pd.Series, depth: int, grey: str) -> None:
    mean, half = 100 * base["mean"], 100 * (base["spread"] if base["spread"] == base["spread"] else 0.0)
    if half:
        drawn.add_hrect(mean - half, mean + half, fillcolor=grey, opacity=0.2, line_width=0, layer="below")
    drawn.add_scatter(
        x=[0, depth],
        y=[mean, mean],
        mode="lines",
        line={"color": grey, "dash": "dot", "width": 2},
        hoverinfo="skip",
        name="baseB: B from scratch",
        legendgroup="base",
    )
    drawn.add_scatter(
        x=[0],
        y=[mean],
        mode="markers",
        marker={"color": grey, "size": 11, "symbol": "square"},
        customdata=[["baseB", mean_and_spread(base["mean"], base["spread"], base["n"])]],
        hovertemplate="%{customdata[0]}: %{customdata[1]}<extra></extra>",
        name="baseB: B from scratch",
        legendgroup="base",
        showlegend=False,
    )


def _curve(drawn: go.Figure, own: pd.DataFrame, name: str, colour: str, dash: str, symbol: str) -> None:
    repeated = own[own["spread"].notna()]
    if len(repeated) > 1:
        x, mean, half = repeated["depth"], 100 * repeated["mean"], 100 * repeated["spread"]
        drawn.add_scatter(
            x=[*x, *x[::-1]],
            y=[*(mean + half), *(mean - half)[::-1]],
            fill="toself",
            fillcolor=f"rgba({', '.join(str(int(colour[at : at + 2], 16)) for at in (1, 3, 5))}, 0.13)",
            mode="none",
            hoverinfo="skip",
            showlegend=False,
            legendgroup=name,
        )
    drawn.add_scatter(
        x=own["depth"].tolist(),
        y=(100 * own["mean"]).tolist(),
        mode="lines+markers",
        line={"color": colour, "dash": dash, "width": 2.5},
        marker={"color": colour, "size": 11, "symbol": symbol, "line": {"width": 2, "color": colour}},
        customdata=[
            [row["point"], mean_and_spread(row["mean"], row["spread"], row["n"])] for row in own.to_dict("records")
        ],
        hovertemplate="%{customdata[0]}: %{customdata[1]}<extra></extra>",
        name=name,
        legendgroup=name,
    )


def _ring(drawn: go.Figure, row: pd.DataFrame, colour: str) -> None:
    """Mark a point, if it is drawn; clicks and the mouse go through to its own marker."""
    if not row["mean"].notna().any() or row["curve"].iloc[0] == "baseA":
        return
    drawn.add_scatter(
        x=row["depth"].tolist(),
        y=(100 * row["mean"]).tolist(),
        mode="markers",
        marker={"color": colour, "size": 22, "symbol": "circle-open", "line": {"width": 2}},
        hoverinfo="skip",
        showlegend=False,
    )


def exported(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `table` as other programs read them: the ids of a point's runs as one text, blanks between."""
    return rows.assign(runs=rows["runs"].str.join(" "))


def has_learned(map: TransferMap, rows: pd.DataFrame) -> bool | None:
    """Return whether baseB is better than guessing, None before it is measured: else the map says nothing."""
    base = rows.set_index("point").loc["baseB"]
    return bool(base["mean"] - base["noise"] > 1 / len(map.target.split.target)) if base["n"] else None


def below_base(rows: pd.DataFrame, curve: Curve) -> tuple[list[str], list[str]]:
    """Return the points of a curve that are measured, by depth, and those of them below baseB by more than noise."""
    base = rows.set_index("point").loc["baseB"]
    own = rows[(rows["curve"] == curve) & rows["mean"].notna()].sort_values("depth")
    worse = own[base["mean"] - own["mean"] > np.hypot(own["noise"], base["noise"])]
    return list(own["point"]), list(worse["point"])


def lasting(own: Sequence[str], worse: Sequence[str]) -> list[str]:
    """Return those points of a curve, of all of its points by depth, that are worse as every deeper one is, too."""
    return list(takewhile(worse.__contains__, reversed(own)))[::-1]


_MEANINGS: tuple[tuple[Curve, str, str], ...] = (
    ("AnB", "frozen features of A cost B something", "frozen features of A serve B as well as its own training"),
    ("BnB", "B's own frozen features cost something, too", "B's own features can be frozen without loss"),
    ("AnB+", "fine-tuned features of A stay behind", "fine-tuned features of A are no worse than random starts"),
)


def findings(map: TransferMap, rows: pd.DataFrame) -> list[str]:
    """Return what the map says so far, in sentences; nothing before the baseline and a curve have been measured."""
    learned = has_learned(map, rows)
    if learned is None:
        return []
    if not learned:
        return [
            "baseB is no better than guessing: the map says nothing before it has learned longer, or from more images."
        ]
    means, found = rows.set_index("point")["mean"], []
    for curve, loss, none in _MEANINGS:
        own, worse = below_base(rows, curve)
        if not own:
            continue
        worst = min(own, key=lambda point: means[point])
        upto = f"{worst}: {wording.points(means[worst] - means['baseB'])} against baseB"
        if worse and worse == lasting(own, worse):
            found.append(f"From {worse[0]} on, {loss} (at most {upto}).")
        elif worse:
            recovered = [point for point in own[own.index(worse[0]) :] if point not in worse]
            found.append(f"At {wording.listing(worse)} (not at {', '.join(recovered)}), {loss} (at most {upto}).")
        else:
            where = f"At all {len(own)} measured depths" if len(own) > 1 else "At the one measured depth"
            found.append(f"{where}, {none} (lowest {upto}).")
    return found
