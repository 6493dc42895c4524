"""A run's training once more, epoch by epoch: what the network made of a few validation images after each."""

from collections.abc import Sequence

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
    figure = figure_of(dark, height=420, margin={"l": 8, "r": 8, "t": 64, "b": 8})
    hues = colours.palette(dark)[:-1]  # the last, black or white, is for all classes
    for phase, rows in found.groupby("phase"):
        classes = list(dict.fromkeys(rows["class"]))
        for place, name in enumerate(classes if len(classes) <= _MOST_LINES else []):
            own = rows[rows["class"] == name]
            _line(figure, own, str(name), hues[place % len(hues)], _DASHES[place // len(hues) % len(_DASHES)], phase)
        every = rows.groupby(["epoch", "phase_epoch"], as_index=False)[["right", "n"]].sum()
        _line(figure, every.assign(accuracy=every["right"] / every["n"]), "all", colours.TEXT[dark], "solid", phase)
    for phase, rows in found.groupby("phase"):
        begins, name = float(rows["epoch"].min()), experiment.phases[int(str(phase))].name
        figure.add_vline(begins, line={"color": colours.FAINT[dark], "width": 1})
        figure.add_annotation(
            x=begins, y=1, yref="paper", text=name, showarrow=False, xanchor="left", yanchor="bottom", font={"size": 12}
        )
    now = found[(found["phase"] == moment.phase) & (found["phase_epoch"] == moment.epoch)]["epoch"].iloc[0]
    figure.add_vline(float(now), line={"color": colours.TEXT[dark], "width": 2, "dash": "dot"})
    n = len(moment.images)
    figure.update_layout(
        title={"text": f"accuracy by class, {split} images, n = {n:,}", "font": {"size": 14}, "x": 0},
        legend={"orientation": "h", "y": -0.2, "yanchor": "top", "x": 0, "font": {"size": 12}},
    )
    last = max(float(found["epoch"].max()), 1.0)
    figure.update_xaxes(title_text="epoch", range=[-0.03 * last, 1.03 * last], zeroline=False)
    figure.update_yaxes(range=[-2, 102], ticksuffix=" %")
    return figure


def _line(figure: go.Figure, rows: pd.DataFrame, name: str, hue: str, dash: str, phase: object) -> None:
    figure.add_scatter(
        x=rows["epoch"].tolist(),
        y=(100 * rows["accuracy"]).tolist(),
        customdata=[f"{right:,} of {n:,}" for right, n in zip(rows["right"], rows["n"], strict=True)],
        hovertemplate=f"{name}, epoch %{{x}}: %{{y:.1f}} (%{{customdata}})<extra></extra>",
        mode="lines+markers",
        line={"color": hue, "dash": dash, "width": 3 if name == "all" else 1.5},
        marker={"size": 6 if name == "all" else 4},
        name=name,
        legendgroup=name,
        showlegend=all(trace.name != name for trace in figure.data),
    )
