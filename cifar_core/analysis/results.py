"""What a run's results say in sentences and tables, as a reader sees them: shares in percent, classes by name."""

from collections.abc import Mapping, Sequence

import pandas as pd

from cifar_core.analysis.figures import MOST_CLASSES, change_table, ledger_table
from cifar_core.analysis.metrics import METRICS, confusion, per_class
from cifar_core.analysis.predictions import Predictions
from cifar_core.analysis.samples import Rows, answers, confused_pairs, hierarchy, occurring
from cifar_core.analysis.wording import count, interval
from cifar_core.data.folders import shortened
from cifar_core.experiment.measured import LayerChange, Run

MOST_NAMED = 20  # classes of a group


def accuracy(found: Mapping[str, float]) -> str:
    """Return the accuracy of `metrics.measure` with its interval and the number of images."""
    return interval(found["accuracy"], found["accuracy_low"], found["accuracy_high"], int(found["n"]))


def report(predictions: Predictions) -> pd.DataFrame:
    """Return `metrics.per_class` in percent."""
    return _percent(per_class(predictions), "precision", "recall", "f1")


def every_metric(found: Mapping[str, float]) -> pd.DataFrame:
    """Return all of `metrics.measure`: metric, value (which no narrow column breaks), meaning."""
    rows = [(row.title, row.show(found[row.name]).replace(" ", "\N{NO-BREAK SPACE}"), row.meaning) for row in METRICS]
    return pd.DataFrame(rows, columns=["metric", "value", "meaning"])


def matrix_table(matrix: pd.DataFrame, value: str = "images") -> pd.DataFrame:
    """Return a matrix of classes as it is, or of more classes than are drawn the rows of `samples.occurring`."""
    return matrix if len(matrix) <= MOST_CLASSES else occurring(matrix, value)


def pairs(predictions: Predictions) -> pd.DataFrame:
    """Return `samples.confused_pairs` in percent."""
    return _percent(confused_pairs(predictions), "share")


def groups_of_classes(predictions: Predictions) -> pd.DataFrame:
    """Return `samples.hierarchy` as far as classes are confused: these, with these, confused (%); the first of many."""
    rows = [
        (shortened(merge.one, MOST_NAMED), shortened(merge.other, MOST_NAMED), 100 * merge.share)
        for merge in hierarchy(confusion(predictions))
        if merge.share
    ]
    return pd.DataFrame(rows, columns=["these", "with these", "confused"])


def cell_in_words(images: int, true: str, predicted: str) -> str:
    """Return how many images are in a cell of the confusion matrix, and in which order they stand."""
    return f"{count(images, 'image')} of {true}, predicted as {predicted}{', most confident first' if images else ''}."


def single_images(predictions: Predictions, rows: Rows) -> pd.DataFrame:
    """Return `samples.answers` in percent."""
    return _percent(answers(predictions, rows), "probability", "true_probability")


def layer_changes(changes: Sequence[LayerChange]) -> pd.DataFrame:
    """Return how far each layer moved: layer, frozen, change, relative (in words)."""
    return change_table(changes)[["layer", "frozen", "change", "text"]].rename(columns={"text": "relative"})


def ledger(run: Run) -> pd.DataFrame:
    """Return where a run's seconds went: title, seconds, share (%)."""
    return _percent(ledger_table({run.name: run.seconds})[["title", "seconds", "share"]], "share")


def origin(run: Run) -> str:
    """Return where a run's images come from, and on what it was computed."""
    environment = run.environment
    versions = ", ".join(f"{name} {version}" for name, version in environment.get("versions", {}).items())
    return f"{environment.get('provenance', '')} {environment.get('hardware', '')} · {versions}"


def _percent(table: pd.DataFrame, *columns: str) -> pd.DataFrame:
    return table.assign(**{name: 100 * table[name] for name in columns})
