import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from cifar_core.analysis.metrics import (
    METRICS,
    confusion,
    measure,
    per_class,
    wilson,
)
from cifar_core.analysis.predictions import Predictions
from tests.analysis.made_up import predicted

anything = st.builds(
    predicted,
    n=st.integers(1, 60),
    outputs=st.integers(2, 6),
    right=st.floats(0, 1),
    seed=st.integers(0, 9999),
)


def certain(labels: list[int], guesses: list[int], outputs: int, sure: float = 0.9) -> Predictions:
    probabilities = np.full((len(labels), outputs), (1 - sure) / (outputs - 1))
    probabilities[np.arange(len(labels)), guesses] = sure
    names = tuple("abcdefghij"[:outputs])
    return Predictions(probabilities, np.array(labels), np.arange(len(labels)), names)


@given(anything)
def test_metrics_are_ready_for_json_and_in_their_range(predictions: Predictions) -> None:
    found = json.loads(json.dumps(measure(predictions), allow_nan=False))
    assert list(found) == [row.name for row in METRICS]
    for name, value in found.items():
        assert value >= 0
        assert name in ("n", "loss") or value <= 1
    assert found["accuracy_low"] <= found["accuracy"] <= found["accuracy_high"]


@given(anything)
def test_accuracy_is_scikit_learns_and_the_diagonal_of_the_confusion_matrix(predictions: Predictions) -> None:
    counts = confusion(predictions)
    accuracy = measure(predictions)["accuracy"]
    assert accuracy == accuracy_score(predictions.labels, predictions.predicted)
    assert accuracy == pytest.approx(np.trace(counts.to_numpy()) / predictions.n)


@given(anything)
def test_the_confusion_matrix_and_the_report_are_scikit_learns(predictions: Predictions) -> None:
    truth, guess = predictions.labels, predictions.predicted
    present = np.union1d(truth, guess)
    every = confusion_matrix(truth, guess, labels=range(len(predictions.class_names)))
    assert confusion(predictions).to_numpy().tolist() == every[np.ix_(present, present)].tolist()
    expected = precision_recall_fscore_support(truth, guess, zero_division=0)
    for column, values in zip(("precision", "recall", "f1", "n"), expected, strict=True):
        assert per_class(predictions)[column].tolist() == pytest.approx(values.tolist())


@given(anything)
def test_what_was_measured_before_is_not_measured_again(predictions: Predictions) -> None:
    found = measure(predictions)
    invented_since = {name: value for name, value in found.items() if name != "macro_f1"} | {"accuracy": 0.125}
    assert measure(predictions, invented_since) == found | {"accuracy": 0.125}


@given(anything)
def test_rows_of_the_confusion_matrix_add_up_to_the_images_of_the_class(predictions: Predictions) -> None:
    counts = confusion(predictions)
    assert counts.to_numpy().sum() == predictions.n
    assert counts.sum(axis=1).tolist() == per_class(predictions)["n"].tolist()


@given(n=st.integers(1, 10_000), part=st.floats(0, 1))
def test_the_interval_holds_the_share_and_stays_a_share(n: int, part: float) -> None:
    correct = round(part * n)
    low, high = wilson(correct, n)
    assert 0 <= low <= correct / n <= high <= 1


def test_the_interval_is_wilsons() -> None:
    # Newcombe (1998), table I: 81 of 263, 0.2553 to 0.3662.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)


def test_outputs_that_never_occur_do_not_drag_the_macro_average_down() -> None:
    five = certain([0, 1, 2, 3, 4], [0, 1, 2, 3, 4], outputs=5)
    ten = certain([0, 1, 2, 3, 4], [0, 1, 2, 3, 4], outputs=10)
    assert measure(five)["macro_f1"] == measure(ten)["macro_f1"] == 1
    assert len(confusion(ten)) == len(per_class(ten)) == 5


def test_a_class_that_is_predicted_but_never_occurs_counts() -> None:
    predictions = certain([0, 0, 1, 1], [0, 2, 1, 1], outputs=3)
    assert measure(predictions)["macro_recall"] == pytest.approx((0.5 + 1 + 0) / 3)
    assert confusion(predictions).index.tolist() == ["a", "b", "c"]


def test_chance_counts_the_classes_that_occur_not_the_outputs() -> None:
    assert measure(certain([0, 1, 2, 3, 4], [0] * 5, outputs=10))["chance"] == pytest.approx(0.2)


def test_the_loss_is_kerass_cross_entropy() -> None:
    predictions = certain([0, 1], [0, 0], outputs=2, sure=0.9)
    assert measure(predictions)["loss"] == pytest.approx((-np.log(0.9) - np.log(0.1)) / 2, rel=1e-6)
    hopeless = certain([1], [0], outputs=2, sure=1.0)
    assert measure(hopeless)["loss"] == pytest.approx(-np.log(1e-7))


def test_thresholded_metrics_leave_out_what_no_output_is_sure_of() -> None:
    sure, unsure = certain([0, 1], [0, 0], outputs=3), certain([2, 2], [2, 2], outputs=3, sure=0.4)
    both = Predictions(
        np.vstack([sure.probabilities, unsure.probabilities]), np.array([0, 1, 2, 2]), np.arange(4), ("a", "b", "c")
    )
    found = measure(both)
    # Above 0.5 stand two of twelve probabilities, one of them rightly; four images have a right class.
    assert found["thresholded_precision"] == 0.5
    assert found["thresholded_recall"] == 0.25
    assert found["thresholded_f1"] == pytest.approx(2 * 0.5 * 0.25 / 0.75)
    assert found["accuracy"] == 0.75


def test_nothing_above_the_threshold_gives_zero_not_an_error() -> None:
    assert measure(certain([0, 1], [0, 1], outputs=3, sure=0.4))["thresholded_precision"] == 0


def test_every_metric_says_what_it_means_in_a_sentence_and_shows_its_number() -> None:
    found = measure(certain([0, 1], [0, 0], outputs=2))
    for row in METRICS:
        assert row.title
        assert row.meaning.endswith(".")
        assert row.show(found[row.name]) != "–"
