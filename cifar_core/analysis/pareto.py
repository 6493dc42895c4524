"""What accuracy costs: runs by test accuracy and a cost, and the front of those that none beats in both."""

from collections.abc import Callable, Sequence
from typing import Literal

import pandas as pd
import plotly.graph_objects as go

from cifar_core.analysis import colours, wording
from cifar_core.analysis.comparison import same_test_images
from cifar_core.analysis.figures import figure_of
from cifar_core.analysis.history import images_seen, training_seconds
from cifar_core.analysis.labels import seconds_labels, titles
from cifar_core.experiment.measured import Measured

Cost = Literal["seconds", "parameters", "images"]
COSTS: dict[Cost, str] = {
    "seconds": "seconds of training, all phases",
    "parameters": "trainable parameters of the last phase",
    "images": "training images seen, all phases",
}
_SHOWN: dict[Cost, Callable[[float | None], str]] = {
    "seconds": wording.duration,
    "parameters": wording.number,
    "images": wording.number,
}


def pareto(runs: Sequence[Measured], baseline: str | None = None) -> pd.DataFrame:
    """Return the runs tested on the same images as the baseline (else as the first tested): index id, columns run,
    accuracy, low, high, n, seconds, parameters, images, note (what is not in the seconds).
    """
    tested = [(run, histories) for run, histories in runs if run.metrics.get("test")]
    base = next((run for run, _ in tested if run.id == baseline), tested[0][0] if tested else None)
    names = titles([run for run, _ in runs])
    rows = [
        {
            "id": run.id,
            "run": names[run.id],
            "accuracy": run.metrics["test"]["accuracy"],
            "low": run.metrics["test"]["accuracy_low"],
            "high": run.metrics["test"]["accuracy_high"],
            "n": run.metrics["test"]["n"],
            "seconds": sum(training_seconds(history) for history in histories),
            "parameters": run.experiment.networks[-1].trainable,
            "images": images_seen(histories),
            "note": "; ".join(seconds_labels(histories)),
        }
        for run, histories in tested
        if base is not None and same_test_images(run, base)
    ]
    columns = ["id", "run", "accuracy", "low", "high", "n", *COSTS, "note"]
    return pd.DataFrame(rows, columns=columns).set_index("id")


def front(found: pd.DataFrame, cost: Cost) -> "pd.Series[bool]":
    """Return for each row of `pareto` whether no other run is at least as accurate for less, or better for no more."""
    beaten = [
        bool(
            (
                (found["accuracy"] >= row["accuracy"])
                & (found[cost] <= row[cost])
                & ((found["accuracy"] > row["accuracy"]) | (found[cost] < row[cost]))
            ).any()
        )
        for _, row in found.iterrows()
    ]
    return ~pd.Series(beaten, index=found.index, dtype=bool)


def pareto_table(found: pd.DataFrame, cost: Cost) -> pd.DataFrame:
    """Return the rows as a reader sees them, the cheapest first; `no.` is the number that stands in the figure."""
    ordered = cheapest_first(found.assign(front=front(found, cost)), cost)
    accuracy = [wording.interval(*row) for row in zip(*(ordered[key] for key in _INTERVAL), strict=True)]
    shown = pd.DataFrame(
        {
            "no.": range(1, len(ordered) + 1),
            "run": ordered["run"],
            "test accuracy": accuracy,
            COSTS[cost]: ordered[cost].map(_SHOWN[cost]),
            "on the front": ordered["front"].map({True: "yes", False: "no"}),
        }
    )
    return shown.assign(note=ordered["note"]) if cost == "seconds" and ordered["note"].any() else shown


def in_words(cost: Cost, value: float) -> str:
    """Return a cost with its unit."""
    return _SHOWN[cost](value)


def cheapest_first(found: pd.DataFrame, cost: Cost) -> pd.DataFrame:
    """Return the rows in the order of their numbers."""
    return found.sort_values([cost, "accuracy"], ascending=[True, False])


_INTERVAL = ("accuracy", "low", "high", "n")


def pareto_figure(
    found: pd.DataFrame, cost: Cost, ids: Sequence[str], *, baseline: str | None = None, dark: bool = False
) -> go.Figure:
    """Draw accuracy with its 95 % interval against a cost; the front is a stair, its runs are diamonds.

    Runs carry their numbers of `pareto_table`: names would hide each other. `ids` are those of all runs that are
    compared, which have their colours in this order.
    """
    hues = colours.run_colours(ids, baseline, dark=dark)
    found = cheapest_first(found, cost)
    figure = figure_of(dark, height=420, margin={"l": 8, "r": 16, "t": 16, "b": 8}, showlegend=False)
    on_front = front(found, cost)
    stair = found[on_front].sort_values(cost)
    figure.add_scatter(
        x=stair[cost].tolist(),
        y=(100 * stair["accuracy"]).tolist(),
        mode="lines",
        line={"shape": "hv", "dash": "dot", "color": colours.FAINT[dark]},
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=found[cost].tolist(),
        y=(100 * found["accuracy"]).tolist(),
        mode="markers+text",
        text=[f"<b>{number}</b>" for number in range(1, len(found) + 1)],
        textposition="middle right",
        textfont={"size": 14},
        error_y={
            "type": "data",
            "array": (100 * (found["high"] - found["accuracy"])).tolist(),
            "arrayminus": (100 * (found["accuracy"] - found["low"])).tolist(),
            "color": colours.FAINT[dark],
        },
        marker={
            "size": 13,
            "color": [hues[str(run)] for run in found.index],
            "symbol": ["diamond" if best else "circle" for best in on_front],
        },
        customdata=[
            f"{row[0]}<br>{wording.interval(*row[1:5])}<br>{COSTS[cost]}: {_SHOWN[cost](row[5])}"
            for row in zip(*(found[key] for key in ("run", *_INTERVAL, cost)), strict=True)
        ],
        hovertemplate="%{customdata}<extra></extra>",
    )
    figure.update_xaxes(title_text=COSTS[cost], rangemode="tozero")
    figure.update_yaxes(title_text="accuracy on the test images, %")
    return figure
