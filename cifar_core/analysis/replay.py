"""A run's training once more, epoch by epoch: what the network made of a few validation images after each."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from cifar_core.analysis import colours, wording
from cifar_core.analysis.figures import figure_of
from cifar_core.analysis.predictions import Predictions
from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.measured import Moment
from cifar_core.experiment.wording import output_names

_MOST_LINES = 24  # classes; of more, single lines cannot be followed
_DASHES = ("solid", "dash", "dot")


def predictions(moment: Moment, experiment: Experiment) -> Predictions:
    """Return what the network made of the images at a moment, as all predictions are."""
    names = output_names(experiment, moment.phase)
    return Predictions(moment.probabilities.astype(np.float32), moment.labels.astype(np.int64), moment.images, names)


def title(moment: Moment, experiment: Experiment) -> str:
    """Return "base, before any step" or "base, epoch 3"."""
    name = experiment.phases[moment.phase].name
    return f"{name}, epoch {moment.epoch}" if moment.epoch else f"{name}, before any step"


def accuracies(moments: Sequence[Moment], experiment: Experiment) -> pd.DataFrame:
    """Return a row per moment and class of it: phase (from 0), epoch (over all phases), phase_epoch, class, n (images
    of it), right, accuracy.
    """
    rows = []
    before: dict[int, int] = {}
    for moment in moments:  # an early end makes a phase shorter than planned
        before[moment.phase] = max(before.get(moment.phase, 0), moment.epoch)
    for moment in moments:
        names = output_names(experiment, moment.phase)
        told = moment.probabilities.argmax(axis=1) == moment.labels
        n = np.bincount(moment.labels, minlength=len(names))
        right = np.bincount(moment.labels, told, len(names))
        epoch = sum(epochs for phase, epochs in before.items() if phase < moment.phase) + moment.epoch
        rows += [
            (moment.phase, epoch, moment.epoch, names[output], int(n[output]), int(right[output]))
            for output in np.flatnonzero(n)
        ]
    found = pd.DataFrame(rows, columns=["phase", "epoch", "phase_epoch", "class", "n", "right"])
    return found.assign(accuracy=found["right"] / found["n"])


def shown(found: pd.DataFrame, moment: Moment) -> pd.DataFrame:
    """Return the rows of one moment of `accuracies` as a reader sees them, all classes together last."""
    rows = found[(found["phase"] == moment.phase) & (found["phase_epoch"] == moment.epoch)]
    told = [(row["class"], row["right"], row["n"]) for row in rows.to_dict("records")]
    told.append(("all", int(rows["right"].sum()), int(rows["n"].sum())))
    return pd.DataFrame(
        [(name, f"{right:,} of {n:,}", wording.percent(right / n)) for name, right, n in told],
        columns=["class", "right", "accuracy"],
    )


def accuracy_lines(
    found: pd.DataFrame, moment: Moment, experiment: Experiment, *, split: str, dark: bool = False
) -> go.Figure:
    """Draw `accuracies` over the epochs, a line per class and one for all, phases marked, and a rule at a moment.

    A line ends with its phase, as phases may differ in classes.
    """
    hues = colours.palette(dark)[:-1]  # the last, black or white, is for all classes
    lines, rules, names = [], [], []
    for phase, rows in found.groupby("phase"):
        by_class = dict(iter(rows.groupby("class", sort=False)))
        for place, (name, own) in enumerate(by_class.items() if len(by_class) <= _MOST_LINES else ()):
            lines.append(_line(own, str(name), hues[place % len(hues)], _DASHES[place // len(hues) % len(_DASHES)]))
        every = rows.groupby(["epoch", "phase_epoch"], as_index=False)[["right", "n"]].sum()
        lines.append(_line(every.assign(accuracy=every["right"] / every["n"]), "all", colours.TEXT[dark], "solid"))
        begins = float(rows["epoch"].min())
        rules.append(_rule(begins, color=colours.FAINT[dark], width=1))
        text = {"text": experiment.phases[int(str(phase))].name, "showarrow": False, "font": {"size": 12}}
        names.append({"x": begins, "xanchor": "left", "y": 1, "yref": "paper", "yanchor": "bottom", **text})
    now = found[(found["phase"] == moment.phase) & (found["phase_epoch"] == moment.epoch)]["epoch"].iloc[0]
    rules.append(_rule(float(now), color=colours.TEXT[dark], width=2, dash="dot"))
    first = {line["name"]: place for place, line in reversed(tuple(enumerate(lines)))}
    figure = figure_of(dark, height=420, margin={"l": 8, "r": 8, "t": 64, "b": 8}, shapes=rules, annotations=names)
    # All at once: one by one, Plotly takes twice as long.
    figure.add_traces([{**line, "showlegend": first[line["name"]] == place} for place, line in enumerate(lines)])
    n = len(moment.images)
    figure.update_layout(
        title={"text": f"accuracy by class, {split} images, n = {n:,}", "font": {"size": 14}, "x": 0},
        legend={"orientation": "h", "y": -0.2, "yanchor": "top", "x": 0, "font": {"size": 12}},
    )
    last = max(float(found["epoch"].max()), 1.0)
    figure.update_xaxes(title_text="epoch", range=[-0.03 * last, 1.03 * last], zeroline=False)
    figure.update_yaxes(range=[-2, 102], ticksuffix=" %")
    return figure


def _rule(x: float, **line: Any) -> dict[str, Any]:
    return {"type": "line", "x0": x, "x1": x, "xref": "x", "y0": 0, "y1": 1, "yref": "y domain", "line": line}


def _line(rows: pd.DataFrame, name: str, hue: str, dash: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "x": rows["epoch"].tolist(),
        "y": (100 * rows["accuracy"]).tolist(),
        "customdata": [f"{right:,} of {n:,}" for right, n in zip(rows["right"], rows["n"], strict=True)],
        "hovertemplate": f"{name}, epoch %{{x}}: %{{y:.1f}} (%{{customdata}})<extra></extra>",
        "mode": "lines+markers",
        "line": {"color": hue, "dash": dash, "width": 3 if name == "all" else 1.5},
        "marker": {"size": 6 if name == "all" else 4},
        "name": name,
        "legendgroup": name,
    }
