"""Guesses how well a network will transfer, from what it makes of the target's images before any training on them."""

import numpy as np
from numpy.typing import NDArray

_MOST_ITERATIONS = 1000
_CLOSE_ENOUGH = 1e-8
_TINY = 1e-12


def logme(features: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Return the LogME of features (n, d) for labels (n,): higher promises a better transfer (You et al. 2021).

    That is how probable a linear model on the features makes the labels, for each class against the others: the
    logarithm of its evidence, maximized over the precisions of its weights and of its noise, averaged over images and
    classes. It needs no training and does not depend on the features' scale; the evidence averages over all weights, so
    that more features are no advantage by themselves.

    Raises:
        ValueError: where there are no two classes, or not as many labels as features.
    """
    if len(features) != len(labels) or len(np.unique(labels)) < 2:
        raise ValueError(
            f"LogME compares two classes or more: expected a label for each of the {len(features)} rows of features, "
            f"received {len(labels)} labels of {len(np.unique(labels))} classes."
        )
    values = np.asarray(features, dtype=np.float64).reshape(len(features), -1)
    of_class = (labels[:, None] == np.unique(labels)).astype(np.float64)
    # Squared singular values, and how much of each class lies along them: of the smaller of the two Gram matrices.
    if values.shape[1] <= values.shape[0]:
        squares, vectors = np.linalg.eigh(values.T @ values)
        along = vectors.T @ (values.T @ of_class)
        spanned = squares > _TINY * max(squares[-1], _TINY)
        squares, along = squares[spanned], along[spanned] ** 2 / squares[spanned, None]
    else:
        squares, vectors = np.linalg.eigh(values @ values.T)
        spanned = squares > _TINY * max(squares[-1], _TINY)
        squares, along = squares[spanned], (vectors.T @ of_class)[spanned] ** 2
    lengths = (of_class**2).sum(axis=0)
    return float(np.mean([_evidence(squares, *each, len(labels)) for each in zip(along.T, lengths, strict=True)]))


def _evidence(squares: NDArray[np.float64], along: NDArray[np.float64], length: float, n: int) -> float:
    """The largest log evidence per image of one target vector, of squared `length`, by MacKay's fixed point.

    `squares` are the features' squared singular values, `along` the target's squared components along them.
    """
    outside, ratio = max(length - float(along.sum()), 0.0), 1.0  # of the precisions: weights' over noise's
    for _ in range(_MOST_ITERATIONS):
        used = float((squares / (squares + ratio)).sum())  # effective number of weights
        weights = float((squares * along / (squares + ratio) ** 2).sum())
        residual = float((along * (ratio / (squares + ratio)) ** 2).sum()) + outside
        precision, noise = used / max(weights, _TINY), max(n - used, _TINY) / max(residual, _TINY)
        before, ratio = ratio, precision / noise
        if abs(ratio - before) <= _CLOSE_ENOUGH * before:
            break
    weights = float((squares * along / (squares + ratio) ** 2).sum())
    residual = float((along * (ratio / (squares + ratio)) ** 2).sum()) + outside
    volume = float(np.log(ratio / (squares + ratio)).sum())
    return float(0.5 * (n * np.log(noise / (2 * np.pi)) + volume - noise * residual - precision * weights) / n)


def leep(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Return the LEEP of a source network's probabilities (n, source classes) for labels (n,) (Nguyen et al. 2020).

    The mean logarithm of how probable each label is, when it is told from the source classes alone by how often they
    went together: at most 0, and higher promises a better transfer.
    """
    given = np.asarray(probabilities, dtype=np.float64)
    of_class = (labels[:, None] == np.unique(labels)).astype(np.float64)
    together = given.T @ of_class
    told = given @ (together / np.maximum(together.sum(axis=1, keepdims=True), _TINY))
    return float(np.log(np.maximum((told * of_class).sum(axis=1), _TINY)).mean())
