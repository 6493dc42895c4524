"""A guess first: which starting network promises most for the target classes, and what came of it.

A starting network is what runs had when they came to the target classes: several runs may share one.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from cifar_core.analysis import colours, wording
from cifar_core.analysis.comparison import same_test_images
from cifar_core.analysis.figures import figure_of, name_above_bars
from cifar_core.analysis.groups import in_tries
from cifar_core.analysis.labels import SEPARATOR, of_all
from cifar_core.experiment.backbones import BACKBONES
from cifar_core.experiment.beginning import fingerprint, source_phases
from cifar_core.experiment.experiment import Data, Experiment
from cifar_core.experiment.images_now import ImagesNow
from cifar_core.experiment.measured import Run, State
from cifar_core.experiment.wording import class_list, what_trains

FEWEST = 3
"""Starting networks below which nothing is said about how guesses and outcomes agree."""
_SHUFFLES = 5000


@dataclass(frozen=True)
class Source:
    """A starting network: what decides it, what it is called, and where it is to be had.

    That is ("run", the id of one that has kept it) or ("imagenet", the backbone).
    """

    key: str
    title: str
    start: tuple[str, str]

    @property
    def name(self) -> str:
        """What a link calls it: by the id of its run, or "imagenet:" and the backbone."""
        kind, which = self.start
        return which if kind == "run" else f"{kind}:{which}"


def key_of(run: Run, runs: Mapping[str, Run]) -> str | None:
    """Return what decides the network that a run had when it came to the target classes, or None.

    That is its own phases on source classes, the run that it started from, or ImageNet's weights. `runs` are all runs.
    """
    experiment, before = run.experiment, source_phases(run.experiment)
    if before:
        return _own_key(run, before)
    initial = experiment.initial_weights
    if initial.source == "imagenet":
        return _imagenet_key(experiment.backbone)
    other = runs.get(initial.run or "")
    if other is not None and source_phases(other.experiment) == len(other.experiment.phases):
        return key_of(other, runs)
    return None


def _own_key(run: Run, before: int) -> str:
    """What decides the network after a run's first phases: all that they train, the seed, and the images."""
    return f"{fingerprint(run.experiment, before)} {run.seed} {run.environment.get('fingerprint')}"


def _imagenet_key(backbone: str) -> str:
    return f"imagenet {backbone}"


def sources(runs: Sequence[Run], base: Experiment, backbones: Sequence[str] = ()) -> dict[str, Source]:
    """Return the starting networks by what decides them, for images of the size of the base's.

    Those of runs that are done, the newest first, then ImageNet's of `backbones`.
    """
    found: dict[str, Run] = {}
    for run in runs:
        before = source_phases(run.experiment)
        if run.state is State.DONE and before and run.experiment.image_shape == base.image_shape:
            found.setdefault(_own_key(run, before), run)
    parts = {key: _parts(run) for key, run in found.items()}
    shared = set.intersection(*(set(own) for own in parts.values())) if len(parts) > 1 else set()
    names = {
        key: SEPARATOR.join([own[0], *(part for part in own[1:] if part not in shared)]) for key, own in parts.items()
    }
    several = [name for name, times in Counter(names.values()).items() if times > 1]
    of_runs = [
        Source(key, f"{names[key]} ({run.id})" if names[key] in several else names[key], ("run", run.id))
        for key, run in found.items()
    ]
    of_imagenet = [
        Source(_imagenet_key(name), f"{BACKBONES[name].title}, ImageNet", ("imagenet", name)) for name in backbones
    ]
    return {source.key: source for source in (*of_runs, *of_imagenet)}


def keys_of(names: Sequence[str], known: Mapping[str, Source], runs: Sequence[Run]) -> dict[str, str]:
    """Return the keys of starting networks (`sources`) by what a link calls them, where they are here.

    Of several runs that share one, any may name it: newer ones may have come since. `runs` are all runs.
    """
    every = {run.id: run for run in runs}
    named = {source.name: key for key, source in known.items()}
    found = {name: named.get(name) or (key_of(every[name], every) if name in every else None) for name in names}
    return {name: key for name, key in found.items() if key is not None and key in known}


def _parts(run: Run) -> list[str]:
    """What a starting network is, part by part: backbone, classes, how it was trained, seed."""
    experiment = run.experiment
    before = experiment.phases[: source_phases(experiment)]
    how = ", then ".join(
        f"{wording.count(phase.epochs, 'epoch')} of {phase.optimizer} at {phase.learning_rate:g}" for phase in before
    )
    return [
        experiment.backbone,
        class_list(experiment, experiment.split.source),
        how,
        "all images" if experiment.data.per_class is None else f"{experiment.data.per_class} per class",
        f"seed {run.seed}",
    ]


def outcomes(runs: Sequence[Run], base: Experiment, images: ImagesNow | None = None) -> dict[str, dict[str, list[Run]]]:
    """Return the runs that were fine-tuned on the base's target classes and images: by way of tuning, then by key.

    `images` are the base's as they are now, where something can be said of them; otherwise the newest such run's. Runs
    of one way differ in their starting networks alone. Ways are sentences, the one with most networks first.
    """
    every = {run.id: run for run in runs}
    found: dict[tuple[str, str], dict[str, list[Run]]] = {}
    first = None
    for run in runs:
        experiment, key = run.experiment, key_of(run, every)
        after = experiment.phases[source_phases(experiment) :]
        if key is None or run.state is not State.DONE or not run.metrics.get("test") or not after:
            continue
        if after[-1].train_on != "target" or set(experiment.split.target) != set(base.split.target):
            continue
        if _anywhere(experiment.data) != _anywhere(base.data) or not (images is None or images.are_of(run)):
            continue
        first = first or run
        if same_test_images(run, first):
            found.setdefault(_way(experiment), {}).setdefault(key, []).append(run)
    ways = sorted(found, key=lambda way: -len(found[way]))
    sentences = [sentence for sentence, _ in ways]
    return {
        f"{way[0]} ({sentences[:place].count(way[0]) + 1})" if sentences.count(way[0]) > 1 else way[0]: found[way]
        for place, way in enumerate(ways)
    }


def _anywhere(data: Data) -> Data:
    """What experiments mean by data, wherever the files are."""
    return data.model_copy(update={"location": None})


def _way(experiment: Experiment) -> tuple[str, str]:
    """What an experiment does on the target classes, in words and exactly; what it freezes by what trains."""
    before = source_phases(experiment)
    after = list(enumerate(experiment.phases))[before:]
    sentence = ", then ".join(
        f"{what_trains(experiment, index)}, {wording.count(phase.epochs, 'epoch')} of {phase.optimizer} at "
        f"{phase.learning_rate:g}"
        for index, phase in after
    )
    settings = [phase.model_dump(mode="json", exclude={"name", "freeze", "head"}) for _, phase in after]
    return sentence, json.dumps(settings, sort_keys=True)


def table(
    titles: Mapping[str, str], guesses: Mapping[str, Mapping[str, Any]], outcomes: Mapping[str, Sequence[Run]]
) -> pd.DataFrame:
    """Return a row per starting network that has a guess, the best first: index its key; title, logme, leep, images,
    features, seconds, accuracy (the mean of its outcomes, NaN without), runs (how many), flags (what to say of them).
    """
    rows = []
    for key, guess in guesses.items():
        accuracies = [float(run.metrics["test"]["accuracy"]) for run in outcomes.get(key, ())]
        mean = float(np.mean(accuracies)) if accuracies else math.nan
        own = {name: guess[name] for name in ("logme", "leep", "images", "features", "seconds")}
        came = {"accuracy": mean, "runs": len(accuracies), "flags": of_all(outcomes.get(key, ()))}
        rows.append({"key": key, "title": titles[key], **own, **came})
    columns = ["key", "title", "logme", "leep", "images", "features", "seconds", "accuracy", "runs", "flags"]
    return pd.DataFrame(rows, columns=columns).set_index("key").sort_values("logme", ascending=False)


def shown(found: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `table` as a reader sees them; `no.` is the number that stands in the figure."""
    return pd.DataFrame(
        {
            "no.": range(1, len(found) + 1),
            "starting network": found["title"],
            "LogME": found["logme"].map(lambda value: wording.number(value, 3)),
            "LEEP": found["leep"].map(lambda value: wording.number(value, 3)),
            "on": [
                f"{wording.count(images, 'image')}, {wording.count(features, 'feature')}"
                for images, features in zip(found["images"], found["features"], strict=True)
            ],
            "took": found["seconds"].map(wording.duration),
            "test accuracy, mean": [
                f"{wording.percent(mean)} ({wording.count(runs, 'run')})" if runs else wording.MISSING
                for mean, runs in zip(found["accuracy"], found["runs"], strict=True)
            ],
        }
    )


def agreement(found: pd.DataFrame) -> str:
    """Return in words whether guess and outcome rank the networks of `table` alike; nothing is claimed of too few."""
    both = found[found["accuracy"].notna()]
    n = len(both)
    if n < FEWEST:
        return (
            f"{wording.count(n, 'starting network')} with a guess and an outcome: of fewer than {FEWEST}, nothing can "
            "be said about whether they agree."
        )
    guessed, came = (both[name].rank().to_numpy() for name in ("logme", "accuracy"))
    if not np.ptp(guessed) or not np.ptp(came):
        return f"All {n} guesses or outcomes are equal: they rank nothing."
    correlation = _correlation(guessed, came)
    ranks = f"Spearman's rank correlation of guess and outcome is {wording.number(correlation, 2)} (n = {n})"
    if correlation <= 0:
        return f"{ranks}: here the guess did not rank the networks as they turned out."
    likely = _by_shuffling(guessed, came)
    return f"{ranks}; shuffled at random, ranks would agree so well {in_tries(likely)}: " + (
        "so few leave open whether the guess helps." if likely > 0.05 else "more than chance explains."
    )


def _correlation(one: NDArray[Any], other: NDArray[Any]) -> float:
    return float(np.corrcoef(one, other)[0, 1])


def _by_shuffling(guessed: NDArray[Any], came: NDArray[Any]) -> float:
    """The share of orders of `came` that agree with `guessed` at least as well: of all orders where they are few."""
    n = len(came)
    if math.factorial(n) <= _SHUFFLES * 2:
        orders = np.array(list(permutations(range(n))))
    else:
        orders = np.random.default_rng(0).permuted(np.tile(np.arange(n), (_SHUFFLES, 1)), axis=1)
    products = came[orders] @ (guessed - guessed.mean())  # all have the same means and deviations
    return float((products >= came @ (guessed - guessed.mean()) - 1e-9).mean())


def guess_figure(found: pd.DataFrame, *, dark: bool = False) -> go.Figure:
    """Draw the LogME of each starting network of `table`, the best first."""
    names = [f"{number}. {title}" for number, title in enumerate(found["title"], 1)]
    figure = figure_of(dark, height=100 + 60 * len(found), margin={"l": 8, "r": 16, "t": 16, "b": 8})
    least, most = float(found["logme"].min()), float(found["logme"].max())
    left = least - 0.3 * max(most - least, 0.01)  # no bar may begin at 0, which means nothing here
    hue = colours.palette(dark)[0]
    figure.add_bar(
        orientation="h",
        y=names,
        base=left,
        x=(found["logme"] - left).tolist(),
        text=[f"<b>{wording.number(value, 3)}</b>" for value in found["logme"]],
        textposition="inside",
        insidetextanchor="start",
        textfont={"size": 13, "color": colours.readable_on(hue)},
        marker={"color": hue},
        hovertemplate="%{y}: LogME %{text}<extra></extra>",
    )
    figure.update_xaxes(title_text="LogME, not from 0: higher promises a better transfer", range=[left, None])
    name_above_bars(figure, names)
    return figure


def outcome_figure(found: pd.DataFrame, *, dark: bool = False) -> go.Figure:
    """Draw measured accuracy against the guess, for the networks of `table` that have both, numbered as there."""
    numbered = found.assign(number=range(1, len(found) + 1))
    both = numbered[numbered["accuracy"].notna()]
    figure = figure_of(dark, height=360, margin={"l": 8, "r": 16, "t": 16, "b": 8}, showlegend=False)
    figure.add_scatter(
        x=both["logme"].tolist(),
        y=(100 * both["accuracy"]).tolist(),
        mode="markers+text",
        text=[f"<b>{number}</b>" for number in both["number"]],
        textposition="middle right",
        textfont={"size": 14},
        marker={"size": 13, "color": colours.palette(dark)[0]},
        customdata=[
            f"{title}<br>LogME {logme:.3f}<br>{wording.percent(mean)}, {wording.count(runs, 'run')}"
            for title, logme, mean, runs in zip(
                both["title"], both["logme"], both["accuracy"], both["runs"], strict=True
            )
        ],
        hovertemplate="%{customdata}<extra></extra>",
    )
    figure.update_xaxes(title_text="LogME, before training on the target classes")
    figure.update_yaxes(title_text="accuracy on the test images, %")
    return figure
