"""Single images: which ones a network confuses, which surprise it, which two networks tell apart differently.

Images are named by their row in the predictions, so that tables, captions and pictures of them can be drawn from it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cifar_core.analysis import wording
from cifar_core.analysis.metrics import confusion, shares
from cifar_core.analysis.predictions import Predictions

Rows = NDArray[np.int64]

GROUPS = ("both right", "only the first", "only the second", "both wrong")
"""How two networks can agree on an image."""

_EPSILON = 1e-7


@dataclass(frozen=True)
class Selection:
    """Images worth a look: what they are called, what that means in a sentence, and which rows they are, in order."""

    title: str
    meaning: str
    choose: Callable[[Predictions], Rows]


def cell(predictions: Predictions, true: str, predicted: str) -> Rows:
    """Return the images in one cell of the confusion matrix, most confident first."""
    told = np.flatnonzero(
        (_names(predictions)[predictions.labels] == true) & (_names(predictions)[predictions.predicted] == predicted)
    )
    return _sorted(told, -predictions.probabilities[told].max(axis=1))


def cell_of_any(predictions: Mapping[str, Predictions], true: str, predicted: str) -> tuple[Rows, dict[str, int]]:
    """Return the images (numbers) that at least one network has in this cell of its confusion matrix, those first on
    which they differ most in the probability of the true class; and how many each has, by its name.
    """
    of_each = {name: found.images[cell(found, true, predicted)] for name, found in predictions.items()}
    numbers = np.unique(np.concatenate(list(of_each.values())))
    asked = [(found, rows_of(found, numbers)) for found in predictions.values()]
    of_truth = np.stack([np.where(rows >= 0, _of_truth(found)[rows], np.nan) for found, rows in asked])
    gaps = np.nanmax(of_truth, axis=0) - np.nanmin(of_truth, axis=0)
    return _sorted(numbers, -gaps), {name: len(images) for name, images in of_each.items()}


def surprising(predictions: Predictions) -> Rows:
    """Return the mistakes, those made with most probability first."""
    wrong = np.flatnonzero(~predictions.correct)
    return _sorted(wrong, -predictions.probabilities[wrong].max(axis=1))


def worst(predictions: Predictions) -> Rows:
    """Return all images, the highest loss (the least probability of the true class) first."""
    return _sorted(np.arange(predictions.n), _of_truth(predictions))


def suspects(predictions: Predictions) -> Rows:
    """Return images whose label may be wrong, most suspicious first: confident learning (Northcutt et al. 2021).

    An image is suspected where another class reaches the probability that its own images are given on average (the
    mean self-confidence of that class), and its label's class does not lead among the classes that do. They are
    ranked by how much more probable that class is than the label.
    """
    found, of_truth = predictions.probabilities, _of_truth(predictions)
    images = np.bincount(predictions.labels, minlength=found.shape[1])
    usual = np.bincount(predictions.labels, of_truth, found.shape[1]) / np.maximum(images, 1)
    reached = np.where((found >= usual) & (images > 0), found, -1.0)
    other = reached.argmax(axis=1)
    rows = np.flatnonzero((reached.max(axis=1) >= 0) & (other != predictions.labels))
    return _sorted(rows, of_truth[rows] - found[rows, other[rows]])


SELECTIONS = (
    Selection("confident mistakes", "The mistakes made with the most probability.", surprising),
    Selection("highest loss", "The images whose true class was given the least probability.", worst),
    Selection(
        "likely label errors",
        "Another class reaches the probability that its own images get on average, and the label does not "
        "(confident learning, Northcutt et al. 2021). A suspicion: the network may also just be wrong.",
        suspects,
    ),
)


def answers(predictions: Predictions, rows: Rows) -> pd.DataFrame:
    """Return a row per image: image (its number), true, predicted, probability, true_probability, loss."""
    of_truth = _of_truth(predictions)[rows].astype(float)
    return pd.DataFrame(
        {
            "image": predictions.images[rows],
            "true": _names(predictions)[predictions.labels[rows]],
            "predicted": _names(predictions)[predictions.predicted[rows]],
            "probability": predictions.probabilities[rows].max(axis=1).astype(float),
            "true_probability": of_truth,
            "loss": -np.log(np.clip(of_truth, _EPSILON, 1 - _EPSILON)),
        }
    )


def top_classes(predictions: Predictions, row: int, most: int = 3) -> str:
    """Return the most probable classes of an image: "dog 93 %, cat 5 %, deer 1 %"."""
    probabilities = predictions.probabilities[row]
    return ", ".join(
        f"{predictions.class_names[output]} {wording.percent(float(probabilities[output]), 0)}"
        for output in np.argsort(-probabilities, kind="stable")[:most]
    )


def true_class(predictions: Predictions, row: int) -> str:
    """Return the name of an image's label."""
    name: str = predictions.class_names[predictions.labels[row]]
    return name


def confused_pairs(predictions: Predictions, k: int = 10) -> pd.DataFrame:
    """Return the k largest cells off the diagonal: true, predicted, images, share (of the true class, 0 to 1)."""
    counts = confusion(predictions)
    wrong = counts.to_numpy().copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong.ravel(), kind="stable")[: min(k, int(np.count_nonzero(wrong)))]
    true, predicted = np.unravel_index(order, wrong.shape)
    return pd.DataFrame(
        {
            "true": counts.index[true],
            "predicted": counts.columns[predicted],
            "images": wrong[true, predicted],
            "share": shares(counts).to_numpy()[true, predicted],
        }
    )


@dataclass(frozen=True)
class Merge:
    """Two groups of classes that are confused with this share of their images, on average over pairs of classes."""

    one: tuple[str, ...]
    other: tuple[str, ...]
    share: float


def hierarchy(counts: pd.DataFrame) -> list[Merge]:
    """Return how classes group by confusion, the most confused first: average linkage of the mean of both directions.

    The last merge holds all classes, those that are confused side by side.
    """
    rows = shares(counts).to_numpy()
    between, sizes = (rows + rows.T) / 2, np.ones(len(rows))
    mean = between.copy()
    np.fill_diagonal(mean, -1)
    # Of every group, the one that it is confused with most: looking through all pairs for each merge takes long.
    nearest, most = mean.argmax(axis=1), mean.max(axis=1, initial=-1)
    groups: dict[int, tuple[str, ...]] = {place: (str(name),) for place, name in enumerate(counts.index)}
    merges = []
    while len(groups) > 1:
        one = int(most.argmax())
        one, other = sorted((one, int(nearest[one]))) if most[one] > 0 else tuple(groups)[:2]
        merges.append(Merge(groups[one], groups[other], float(mean[one, other])))
        between[one] += between[other]
        between[:, one] += between[:, other]
        sizes[one] += sizes[other]
        groups[one] += groups.pop(other)
        mean[other], mean[:, other], most[other] = -1, -1, -1
        alive = np.fromiter(groups, dtype=np.intp)
        alive = alive[alive != one]
        mean[one, alive] = mean[alive, one] = between[one, alive] / (sizes[one] * sizes[alive])
        closer = alive[(mean[alive, one] > most[alive]) | ((mean[alive, one] == most[alive]) & (one < nearest[alive]))]
        nearest[closer], most[closer] = one, mean[closer, one]
        apart = (nearest[alive] == other) | ((nearest[alive] == one) & (mean[alive, one] < most[alive]))
        anew = np.append(alive[apart & (most[alive] > 0)], one)
        nearest[anew], most[anew] = mean[anew].argmax(axis=1), mean[anew].max(axis=1)
    return merges


def by_confusion(counts: pd.DataFrame) -> pd.DataFrame:
    """Return a confusion matrix with its classes in the order of their hierarchy."""
    if len(counts) < 2:
        return counts
    last = hierarchy(counts)[-1]
    order = [*last.one, *last.other]
    return counts.loc[order, order]


def busiest(weights: pd.DataFrame, most: int) -> list[str]:
    """Return the classes of the heaviest cells of a matrix, so many of them, in the matrix's order.

    Where too few have a weight, the first of the others are among them.
    """
    heavy = weights.to_numpy().ravel()
    order = np.flatnonzero(heavy)
    order = order[np.argsort(-heavy[order], kind="stable")]
    both = np.stack(np.unravel_index(order, weights.shape), axis=1).ravel()
    places = np.concatenate([both, np.arange(len(weights))])
    _, first = np.unique(places, return_index=True)
    chosen = np.sort(places[np.sort(first)[:most]])
    return [weights.index[place] for place in chosen]


def most_confused(matrices: Iterable[pd.DataFrame], most: int) -> list[str]:
    """Return the classes that confusion matrices have confused most, so many of them, in their order."""
    every = list(matrices)
    names = list(dict.fromkeys(name for counts in every for name in counts.index))
    if len(names) <= most:
        return names
    wrong = np.zeros((len(names),) * 2)
    for counts in every:
        wrong += counts.reindex(index=names, columns=names, fill_value=0).to_numpy()
    np.fill_diagonal(wrong, 0)
    return busiest(pd.DataFrame(wrong, names, names), most)


def occurring(matrix: pd.DataFrame, value: str) -> pd.DataFrame:
    """Return the cells of a matrix that are not 0 as rows, the largest first: true, predicted, and the `value`."""
    found = matrix.to_numpy()
    true, predicted = np.nonzero(found)
    rows = pd.DataFrame(
        {"true": matrix.index[true], "predicted": matrix.columns[predicted], value: found[true, predicted]}
    )
    return rows.sort_values(value, key=lambda values: -values.abs(), kind="stable", ignore_index=True)


def difference(one: Predictions, other: Predictions) -> pd.DataFrame | None:
    """Return the second row-normalized confusion matrix minus the first, −1 to 1; None where outputs differ."""
    if one.class_names != other.class_names:
        return None
    matrices = [shares(confusion(each)) for each in (one, other)]
    present = [name for name in one.class_names if any(name in matrix.index for matrix in matrices)]
    first, second = (matrix.reindex(index=present, columns=present, fill_value=0.0) for matrix in matrices)
    return second - first


def rows_of(predictions: Predictions, images: Rows) -> Rows:
    """Return the row of each image number, −1 where the network was not asked about that image."""
    order = np.argsort(predictions.images, kind="stable")
    place = np.searchsorted(predictions.images, images, sorter=order)
    rows = order[np.minimum(place, predictions.n - 1)]
    return np.where(predictions.images[rows] == images, rows, -1)


def agreement(one: Predictions, other: Predictions) -> pd.DataFrame:
    """Return a row per image that both networks were asked about, under the same label, largest difference first.

    Columns: image, first and second (its row in each), group (one of GROUPS), gap: how much more probability the
    second gave the true class, −1 to 1.
    """
    images = np.intersect1d(one.images, other.images)
    first, second = rows_of(one, images), rows_of(other, images)
    same = _names(one)[one.labels[first]] == _names(other)[other.labels[second]]
    images, first, second = images[same], first[same], second[same]
    group = 3 - 2 * one.correct[first] - other.correct[second]  # 0 for both right, 3 for both wrong
    gap = _of_truth(other)[second] - _of_truth(one)[first]
    found = {"image": images, "first": first, "second": second, "group": np.array(GROUPS, dtype=object)[group]}
    return pd.DataFrame(found | {"gap": gap.astype(float)}).sort_values(
        "gap", key=lambda gaps: -gaps.abs(), kind="stable", ignore_index=True
    )


def agreement_counts(found: pd.DataFrame) -> pd.DataFrame:
    """Return how many images are in each of GROUPS: group, images, share (0 to 1)."""
    images = found["group"].value_counts().reindex(list(GROUPS), fill_value=0)
    return pd.DataFrame(
        {"group": list(GROUPS), "images": images.to_numpy(), "share": (images / max(1, len(found))).to_numpy()}
    )


def groups_in_words(one: str, other: str) -> dict[str, str]:
    """Return GROUPS as they are called for two networks with these names."""
    return dict(zip(GROUPS, ("both right", f"{one} alone", f"{other} alone", "both wrong"), strict=True))


def what_each_says(predictions: Mapping[str, Predictions], numbers: Rows) -> Callable[[int], str]:
    """Return what stands below the image at a place among `numbers`: its class, and what each network takes it for.

    Networks go by their short names; at least one of them was asked about each image.
    """
    rows = {name: rows_of(each, numbers) for name, each in predictions.items()}

    def said(place: int) -> str:
        asked = {name: own[place] for name, own in rows.items() if own[place] >= 0}
        told = [f"{name}: {top_classes(predictions[name], row, 1)}" for name, row in asked.items()]
        first = next(iter(asked))
        return "\n".join([true_class(predictions[first], asked[first]), *told])

    return said


def _names(predictions: Predictions) -> NDArray[np.object_]:
    return np.array(predictions.class_names, dtype=object)


def _of_truth(predictions: Predictions) -> NDArray[np.float32]:
    """The probability of each image's true class, (n,)."""
    of_truth: NDArray[np.float32] = predictions.probabilities[np.arange(predictions.n), predictions.labels]
    return of_truth


def _sorted(rows: NDArray[np.intp], keys: NDArray[np.float32]) -> Rows:
    return np.asarray(rows[np.argsort(keys, kind="stable")], dtype=np.int64)
