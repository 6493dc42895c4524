"""LogME and LEEP against their definitions, computed the slow way."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from cifar_core.analysis.transferability import leep, logme


def made(n: int, d: int, classes: int, apart: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    return random.normal(size=(n, d)) + apart * random.normal(size=(classes, d))[labels], labels


def by_brute_force(features: np.ndarray, labels: np.ndarray) -> float:
    """The evidence is the density of a class's indicator under the normal distribution that the model implies."""
    n, found = len(labels), []
    for label in np.unique(labels):
        target = (labels == label).astype(float)

        def missing(logs: np.ndarray, target: np.ndarray = target) -> float:
            weights, noise = np.exp(-logs)
            covariance = noise * np.eye(n) + weights * features @ features.T
            return -float(multivariate_normal.logpdf(target, np.zeros(n), covariance)) / n

        tries = [minimize(missing, start, method="Nelder-Mead", tol=1e-10) for start in ([0, 0], [3, 2], [-2, 3])]
        found.append(-min(each.fun for each in tries))
    return float(np.mean(found))


@pytest.mark.parametrize(("n", "d", "apart"), [(20, 3, 2.0), (20, 3, 0.3), (12, 12, 1.0), (10, 25, 1.5)], ids=str)
def test_logme_is_the_largest_evidence(n: int, d: int, apart: float) -> None:
    features, labels = made(n, d, 3, apart)
    assert logme(features, labels) == pytest.approx(by_brute_force(features, labels), abs=1e-4)


def test_logme_prefers_features_that_tell_the_classes_apart_and_ignores_their_scale() -> None:
    clear, labels = made(200, 8, 4, 3.0)
    blurred, _ = made(200, 8, 4, 0.2)
    assert logme(clear, labels) > logme(blurred, labels) + 0.1
    assert logme(1000 * clear, labels) == pytest.approx(logme(clear, labels), abs=1e-6)
    assert logme(clear.reshape(200, 2, 2, 2), labels + 5) == pytest.approx(logme(clear, labels))


def test_more_features_that_say_nothing_promise_no_more() -> None:
    clear, labels = made(120, 4, 3, 2.0)
    noise = np.random.default_rng(1).normal(size=(120, 300))
    assert logme(np.hstack([clear, noise]), labels) < logme(clear, labels)


def test_features_that_are_all_zero_or_repeated_have_a_logme() -> None:
    clear, labels = made(30, 3, 3, 2.0)
    assert np.isfinite(logme(np.zeros((30, 3)), labels))
    assert logme(np.hstack([clear, clear]), labels) == pytest.approx(logme(clear, labels), abs=1e-6)


def test_logme_of_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="received 5 labels of 1 classes"):
        logme(np.ones((5, 2)), np.zeros(5, int))


def test_leep_is_the_formula_of_the_paper() -> None:
    random = np.random.default_rng(0)
    probabilities, labels = random.dirichlet(np.ones(4), 30), random.integers(0, 3, 30)
    total = 0.0
    for row, label in zip(probabilities, labels, strict=True):
        conditional = [probabilities[labels == label, z].sum() / probabilities[:, z].sum() for z in range(4)]
        total += np.log(sum(conditional[z] * row[z] for z in range(4)))
    assert leep(probabilities, labels) == pytest.approx(total / 30)


def test_leep_is_nothing_where_each_source_class_stands_for_one_target_class() -> None:
    labels = np.arange(12) % 3
    assert leep(np.eye(5)[[4, 0, 2]][labels], labels) == pytest.approx(0)
    assert leep(np.full((12, 5), 0.2), labels) == pytest.approx(np.log(1 / 3))
