"""What predictions are worth: one function and one row of METRICS per metric, by scikit-learn and SciPy.

These two are imported only where something is measured, once at the end of a run: they take a second and 70 MB, which
pages, which show what was measured, do without.

Averages over classes ("macro", "weighted") take the classes that occur among the labels or are predicted. An output
that never occurs and is never predicted (system E keeps ten outputs for five classes) is not a class here, and does
not drag the average down; one that never occurs but is predicted counts, with a recall of 0.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from cifar_core.analysis import wording
from cifar_core.analysis.predictions import Predictions

_EPSILON = 1e-7  # keras.config.epsilon(), which Keras clips probabilities to


@dataclass(frozen=True)
class Metric:
    """One number about predictions: how it is called, what it means in a sentence, how it is shown and computed."""

    name: str
    title: str
    meaning: str
    show: Callable[[float], str]
    compute: Callable[[Predictions], float]


def _loss(predictions: Predictions) -> float:
    probabilities = predictions.probabilities.astype(np.float64)
    probabilities /= np.maximum(probabilities.sum(axis=1, keepdims=True), _EPSILON)
    of_truth = probabilities[np.arange(predictions.n), predictions.labels]
    return float(-np.log(np.clip(of_truth, _EPSILON, 1 - _EPSILON)).mean())


def _accuracy(predictions: Predictions) -> float:
    return float(predictions.correct.mean())


def wilson(correct: int, n: int) -> tuple[float, float]:
    """Return the 95 % Wilson interval of a share of `correct` among `n` ≥ 1 (Wilson 1927)."""
    from scipy.stats import binomtest

    found = binomtest(correct, n).proportion_ci(0.95, method="wilson")
    return max(0.0, float(found.low)), min(1.0, float(found.high))


def _bound(predictions: Predictions, *, side: int) -> float:
    return wilson(int(predictions.correct.sum()), predictions.n)[side]


def _average(predictions: Predictions, *, average: str, which: int) -> float:
    from sklearn.metrics import precision_recall_fscore_support

    found = precision_recall_fscore_support(predictions.labels, predictions.predicted, average=average, zero_division=0)
    return float(found[which])


def _thresholded(predictions: Predictions, *, which: int) -> float:
    from sklearn.metrics import precision_recall_fscore_support

    one_hot = np.eye(len(predictions.class_names), dtype=bool)[predictions.labels]
    found = precision_recall_fscore_support(
        one_hot.ravel(), (predictions.probabilities > 0.5).ravel(), average="binary", zero_division=0
    )
    return float(found[which])


def _chance(predictions: Predictions) -> float:
    return 1 / len(np.unique(predictions.labels))


_PERCENT = wording.percent
METRICS: tuple[Metric, ...] = (
    Metric("n", "Images", "How many images were classified.", wording.number, lambda found: found.n),
    Metric("accuracy", "Accuracy", "Share of the images given their right class.", _PERCENT, _accuracy),
    Metric(
        "accuracy_low",
        "Accuracy, lower end",
        "Lower end of the 95 % interval of the accuracy: what so many images leave open (Wilson).",
        _PERCENT,
        partial(_bound, side=0),
    ),
    Metric(
        "accuracy_high",
        "Accuracy, upper end",
        "Upper end of the 95 % interval of the accuracy: what so many images leave open (Wilson).",
        _PERCENT,
        partial(_bound, side=1),
    ),
    Metric("chance", "Chance", "Accuracy of guessing, each class as often as the others.", _PERCENT, _chance),
    Metric(
        "loss",
        "Loss",
        "Mean cross-entropy: how little probability the right classes were given; 0 is best.",
        wording.loss,
        _loss,
    ),
    *(
        Metric(
            f"{average}_{name}",
            f"{title}, {average}",
            meaning,
            _PERCENT,
            partial(_average, average=average, which=which),
        )
        for average, how in (
            ("macro", "mean over the classes, each counted alike"),
            ("weighted", "mean over the classes, weighted by their number of images"),
        )
        for which, (name, title, meaning) in enumerate(
            (
                (
                    "precision",
                    "Precision",
                    f"Of the images given a class, the share that belong to it: {how}.",
                ),
                ("recall", "Recall", f"Of the images of a class, the share that were found: {how}."),
                ("f1", "F1", f"Harmonic mean of a class's precision and recall: {how}."),
            )
        )
    ),
    Metric(
        "thresholded_precision",
        "Precision at 0.5",
        "Of all probabilities above 0.5, the share that stand at the right class (Keras's Precision()).",
        _PERCENT,
        partial(_thresholded, which=0),
    ),
    Metric(
        "thresholded_recall",
        "Recall at 0.5",
        "Share of the images whose right class was given more than 0.5 (Keras's Recall()).",
        _PERCENT,
        partial(_thresholded, which=1),
    ),
    Metric(
        "thresholded_f1",
        "F1 at 0.5",
        "Harmonic mean of precision and recall at 0.5; not the F1 of the most probable class.",
        _PERCENT,
        partial(_thresholded, which=2),
    ),
)


def measure(predictions: Predictions, known: Mapping[str, float] | None = None) -> dict[str, float]:
    """Return every metric by name, ready for JSON: shares from 0 to 1, the loss in nats, `n` as an integer.

    What a run's worker has measured before can be given as `known`; only metrics invented since are computed then.
    """
    known = known or {}
    return {row.name: known[row.name] if row.name in known else row.compute(predictions) for row in METRICS}


def _present(predictions: Predictions) -> list[int]:
    return [int(index) for index in np.union1d(predictions.labels, predictions.predicted)]


def per_class(predictions: Predictions) -> pd.DataFrame:
    """Return one row per class that occurs or is predicted: class, precision, recall, f1, n (images of it)."""
    counts = confusion(predictions)
    cells = counts.to_numpy()
    right, told, n = np.diag(cells), cells.sum(axis=0), cells.sum(axis=1)
    return pd.DataFrame(
        {
            "class": list(counts.index),
            "precision": right / np.maximum(told, 1),
            "recall": right / np.maximum(n, 1),
            "f1": 2 * right / (told + n),
            "n": n,
        }
    )


def confusion(predictions: Predictions) -> pd.DataFrame:
    """Return counts: a row per true class, a column per predicted class, of those that occur or are predicted."""
    present = _present(predictions)
    names = [predictions.class_names[index] for index in present]
    counts = np.zeros((len(predictions.class_names),) * 2, dtype=np.int64)
    np.add.at(counts, (predictions.labels, predictions.predicted), 1)
    return pd.DataFrame(
        counts[np.ix_(present, present)], pd.Index(names, name="true"), pd.Index(names, name="predicted")
    )


def shares(counts: pd.DataFrame, of: str = "row %") -> pd.DataFrame:
    """Return a confusion matrix as shares, 0 to 1, of the true ("row %") or the predicted classes ("column %").

    A class that does not occur there has zeros.
    """
    if of == "column %":
        return shares(counts.T).T
    totals: Any = counts.sum(axis=1)
    return counts.div(totals.where(totals > 0, 1), axis=0)
