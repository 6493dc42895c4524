"""Curves of groups of runs that differ in their seeds alone: the mean of all seeds in a band of their spread."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from cifar_core.analysis import colours
from cifar_core.analysis.curves import X_TITLES, Measure, X
from cifar_core.analysis.figures import figure_of
from cifar_core.analysis.history import epoch_rows
from cifar_core.experiment.measured import Measured

_SEEN_THROUGH = (0.16, 0.22)  # bands, on light and on dark


def lines(groups: Mapping[str, Sequence[Measured]], measure: Measure = "accuracy", x: X = "epoch") -> pd.DataFrame:
    """Return validation after every epoch of every seed: group, seed, phase, phase_name, phase_epoch, epoch, x, y."""
    rows = [
        (title, run.seed, row.phase, row.phase_name, row.phase_epoch, row.epoch, float(getattr(row, x)), value)
        for title, runs in groups.items()
        for run, histories in runs
        for row in epoch_rows(histories)
        if (value := row.val_accuracy if measure == "accuracy" else row.val_loss) == value
    ]
    columns = ["group", "seed", "phase", "phase_name", "phase_epoch", "epoch", "x", "y"]
    return pd.DataFrame(rows, columns=columns)


def means(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a row per group and epoch that all of its seeds have: group, phase, phase_name, phase_epoch, epoch, x,
    mean, spread (the standard deviation over seeds, NaN of a single one), n (seeds).
    """
    keys = ["group", "phase", "phase_name", "phase_epoch"]
    grouped = rows.groupby(keys, sort=False).agg(
        epoch=("epoch", "mean"), x=("x", "mean"), mean=("y", "mean"), spread=("y", "std"), n=("seed", "nunique")
    )
    found = grouped.reset_index()
    every = found["group"].map(rows.groupby("group")["seed"].nunique())
    return found[found["n"] == every].reset_index(drop=True)


def table(groups: Mapping[str, Sequence[Measured]], x: X = "epoch") -> pd.DataFrame:
    """Return what `figure` draws of both measures, a row per group and epoch: group, phase, epoch (of the phase), the
    mean x, seeds, accuracy and its spread (%), loss and its spread.
    """
    keys = ["group", "phase", "phase_name", "phase_epoch"]
    accuracy, loss = (means(lines(groups, measure, x)).set_index(keys) for measure in ("accuracy", "loss"))
    found = accuracy[["x", "n"]].rename(columns={"n": "seeds"})
    found = found.drop(columns="x") if x == "epoch" else found.rename(columns={"x": x})
    for name, unit, rows, scale in (("accuracy, %", "± points", accuracy, 100), ("loss", "±", loss, 1)):
        found = found.assign(**{name: scale * rows["mean"], unit: scale * rows["spread"]})
    found = found.reset_index().drop(columns="phase")
    return found.rename(columns={"phase_name": "phase", "phase_epoch": "epoch"}).round(3)


def figure(
    groups: Mapping[str, Sequence[Measured]],
    measure: Measure = "accuracy",
    x: X = "epoch",
    *,
    places: Sequence[str] = (),
    baseline: str | None = None,
    dark: bool = False,
) -> go.Figure:
    """Draw the means with a band of ± one standard deviation, and every seed as a thin line.

    Lines end with their phase. Each group has a colour, a dash and a shape of points; those of the `baseline`, a
    group's title, are grey and dotted. The others have those of their `places` (see `groups.places`).
    """
    rows = lines(groups, measure, x)
    mean, scale, decimals = means(rows), *((100, 1) if measure == "accuracy" else (1, 3))
    drawn = figure_of(dark, height=380 + 22 * len(groups), margin={"l": 60, "r": 8, "t": 8, "b": 52})
    places = places or list(groups)
    hues = colours.run_colours(places, baseline, dark=dark)
    dashes, shapes = colours.run_dashes(places, baseline), colours.run_shapes(places, baseline)
    traces: list[dict[str, Any]] = []  # one by one, the figure would check all of itself each time
    # The baseline on top and dotted: first phases are often shared.
    for title in sorted(groups, key=lambda title: title == baseline):
        hue = hues[title]
        red, green, blue = (int(hue[place : place + 2], 16) for place in (1, 3, 5))
        lines_apart = [own for _, own in rows[rows["group"] == title].groupby(["seed", "phase"])]
        traces.append(
            dict(
                type="scatter",
                x=[x for own in lines_apart for x in (*own["x"], None)],
                y=[y for own in lines_apart for y in (*(scale * own["y"]), None)],
                mode="lines",
                line={"color": hue, "width": 1},
                opacity=0.5,
                hoverinfo="skip",
                showlegend=False,
            )
        )
        for place, (_, own) in enumerate(mean[mean["group"] == title].groupby("phase")):
            low, high = (scale * (own["mean"] + side * own["spread"]) for side in (-1, 1))
            if own["spread"].notna().all():
                traces.append(
                    dict(
                        type="scatter",
                        x=[*own["x"], *own["x"][::-1]],
                        y=[*high, *low[::-1]],
                        mode="lines",
                        fill="toself",
                        fillcolor=f"rgba({red},{green},{blue},{_SEEN_THROUGH[dark]})",
                        line={"width": 0},
                        hoverinfo="skip",
                        showlegend=False,
                    )
                )
            traces.append(
                dict(
                    type="scatter",
                    x=own["x"].tolist(),
                    y=(scale * own["mean"]).tolist(),
                    name=f"{title} (n = {own['n'].iloc[0]})",
                    mode="lines+markers",
                    line={"color": hue, "width": 3, "dash": dashes[title]},
                    marker={"size": 7, "symbol": shapes[title]},  # Plotly calls them as Vega does
                    legendgroup=title,
                    showlegend=not place,
                    customdata=[
                        f"{name}, epoch {epoch}" + ("" if spread != spread else f", ± {scale * spread:.{decimals}f}")
                        for name, epoch, spread in zip(
                            own["phase_name"], own["phase_epoch"], own["spread"], strict=True
                        )
                    ],
                    hovertemplate=f"{title}<br>%{{customdata}}<br>%{{y:.{decimals}f}}<extra></extra>",
                )
            )
    drawn.add_traces(traces)
    one_below_the_other = {"orientation": "h", "entrywidthmode": "fraction", "entrywidth": 1.0, "font": {"size": 12}}
    drawn.update_layout(legend=one_below_the_other | {"y": 1.02, "yanchor": "bottom", "x": 0})
    drawn.update_xaxes(title_text=X_TITLES[x], rangemode="tozero")
    drawn.update_yaxes(range=[0, 100] if measure == "accuracy" else None, rangemode="tozero")
    drawn.update_yaxes(title_text=f"validation {measure}" + (", %" if measure == "accuracy" else ""))
    return drawn
