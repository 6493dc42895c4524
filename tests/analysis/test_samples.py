from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cifar_core.analysis.metrics import confusion, shares
from cifar_core.analysis.predictions import Predictions
from cifar_core.analysis.samples import (
    GROUPS,
    SELECTIONS,
    agreement,
    agreement_counts,
    answers,
    by_confusion,
    cell,
    cell_of_any,
    confused_pairs,
    difference,
    groups_in_words,
    hierarchy,
    most_confused,
    occurring,
    rows_of,
    surprising,
    suspects,
    top_classes,
    true_class,
    what_each_says,
    worst,
)
from tests.analysis.made_up import predicted

anything = st.builds(
    predicted, n=st.integers(1, 60), outputs=st.integers(2, 6), right=st.floats(0, 1), seed=st.integers(0, 9999)
)


def given_to(probabilities: list[list[float]], labels: list[int], images: list[int] | None = None) -> Predictions:
    names = ("cat", "dog", "bird")[: len(probabilities[0])]
    numbers = np.arange(len(labels)) + 10 if images is None else np.array(images)
    return Predictions(np.array(probabilities), np.array(labels), numbers, names)


FOUR = given_to([[0.6, 0.4], [0.1, 0.9], [0.3, 0.7], [0.2, 0.8]], [1, 1, 0, 0])


@given(anything)
def test_the_cells_hold_every_image_once_and_as_many_as_they_count(predictions: Predictions) -> None:
    counts = confusion(predictions)
    rows = {(true, told): cell(predictions, true, told) for true in counts.index for told in counts.columns}
    assert sorted(row for own in rows.values() for row in own) == list(range(predictions.n))
    for (true, told), own in rows.items():
        assert len(own) == counts.loc[true, told]
        sure = predictions.probabilities[own].max(axis=1)
        assert (np.diff(sure) <= 0).all()


def test_mistakes_come_most_confident_first_and_the_worst_by_their_loss() -> None:
    assert surprising(FOUR).tolist() == [3, 2, 0]
    assert worst(FOUR).tolist() == [3, 2, 0, 1]
    assert answers(FOUR, surprising(FOUR)[:2])["image"].tolist() == [13, 12]


def test_the_table_of_images_tells_probabilities_and_loss() -> None:
    (row,) = answers(FOUR, np.array([3])).to_dict("records")
    assert (row["true"], row["predicted"]) == ("cat", "dog")
    assert row["probability"] == pytest.approx(0.8)
    assert row["loss"] == pytest.approx(-np.log(0.2))
    assert top_classes(FOUR, 3) == "dog 80 %, cat 20 %"
    assert true_class(FOUR, 3) == "cat"


def test_a_label_is_suspected_where_another_class_is_as_sure_as_it_is_of_its_own_images() -> None:
    # Dogs get 0.8 on average; image 10 is labelled cat, and gets 0.9 as a dog. Image 11 gets only 0.6 as one.
    found = given_to([[0.1, 0.9], [0.4, 0.6], [0.9, 0.1], [0.2, 0.8], [0.2, 0.8]], [0, 0, 0, 1, 1])
    assert suspects(found).tolist() == [0]


def test_a_class_without_images_is_suspected_nowhere() -> None:
    assert suspects(given_to([[0.1, 0.2, 0.7], [0.2, 0.7, 0.1]], [0, 1])).tolist() == []


@given(anything)
def test_every_selection_chooses_images_and_says_what_it_means(predictions: Predictions) -> None:
    for selection in SELECTIONS:
        rows = selection.choose(predictions)
        assert len(set(rows.tolist())) == len(rows) <= predictions.n
        assert selection.meaning.endswith(".")


@given(anything)
def test_confused_pairs_are_the_largest_cells_off_the_diagonal(predictions: Predictions) -> None:
    pairs = confused_pairs(predictions, 100)
    assert pairs["images"].sum() == (~predictions.correct).sum()
    assert pairs["images"].is_monotonic_decreasing
    assert (pairs["true"] != pairs["predicted"]).all()


def counts_of(cells: list[list[int]]) -> pd.DataFrame:
    names = list("abcdefgh")[: len(cells)]
    return pd.DataFrame(cells, index=names, columns=names)


def test_classes_that_are_confused_are_put_side_by_side() -> None:
    counts = counts_of([[8, 0, 2, 0], [0, 7, 0, 3], [2, 0, 8, 0], [0, 3, 1, 6]])
    first, second, last = hierarchy(counts)
    assert (first.one, first.other) == (("b",), ("d",))
    assert (second.one, second.other) == (("a",), ("c",))
    assert [first.share, second.share] == pytest.approx([0.3, 0.2])
    assert last.share == pytest.approx(0.05 / 4)
    ordered = by_confusion(counts)
    assert list(ordered.index) == list(ordered.columns) == ["a", "c", "b", "d"]
    assert ordered.to_numpy().tolist() == [[8, 2, 0, 0], [2, 8, 0, 0], [0, 0, 7, 3], [0, 1, 3, 6]]


@given(classes=st.integers(2, 12), seed=st.integers(0, 9999))
def test_the_hierarchy_is_scipys_average_linkage(classes: int, seed: int) -> None:
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    cells = np.random.default_rng(seed).integers(1, 1_000_000, (classes, classes))  # so many that no two are alike
    rows = shares(pd.DataFrame(cells)).to_numpy()
    apart = 1 - (rows + rows.T) / 2
    np.fill_diagonal(apart, 0)
    expected = linkage(squareform(apart), "average")[:, 2]
    assert [1 - merge.share for merge in hierarchy(pd.DataFrame(cells))] == pytest.approx(expected)


def test_one_class_alone_has_no_order() -> None:
    assert by_confusion(counts_of([[3]])).to_numpy().tolist() == [[3]]


def test_column_shares_add_up_over_the_true_classes() -> None:
    counts = counts_of([[3, 1], [1, 0]])
    assert shares(counts, "column %").to_numpy().tolist() == [[0.75, 1], [0.25, 0]]
    assert shares(counts).to_numpy().tolist() == [[0.75, 0.25], [1, 0]]


def test_the_difference_of_two_runs_is_in_shares_of_the_true_class() -> None:
    right = given_to([[0.9, 0.1], [0.1, 0.9]], [0, 1])
    wrong = given_to([[0.9, 0.1], [0.9, 0.1]], [0, 1])
    found = difference(wrong, right)
    assert found is not None
    assert found.to_numpy().tolist() == [[0, 0], [-1, 1]]


def test_runs_with_other_outputs_have_no_difference() -> None:
    assert difference(FOUR, given_to([[0.8, 0.1, 0.1]], [0])) is None


def test_images_are_found_by_their_numbers() -> None:
    found = given_to([[0.9, 0.1]] * 3, [0, 0, 0], images=[30, 10, 20])
    assert rows_of(found, np.array([10, 15, 20, 30, 40])).tolist() == [1, -1, 2, 0, -1]


def test_agreement_groups_shared_images_and_begins_with_the_largest_difference() -> None:
    one = given_to([[0.9, 0.1], [0.65, 0.35], [0.2, 0.8], [0.3, 0.7]], [0, 0, 0, 0], images=[1, 2, 3, 4])
    other = given_to([[0.1, 0.9], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]], [0, 0, 0, 0], images=[4, 1, 2, 9])
    found = agreement(one, other)
    assert found["image"].tolist() == [4, 1, 2]
    assert found["group"].tolist() == ["both wrong", "both right", "both right"]
    assert found["gap"].tolist() == pytest.approx([-0.2, -0.1, 0.05])
    assert agreement_counts(found)["images"].tolist() == [2, 0, 0, 1]


def test_only_one_of_two_networks_is_right() -> None:
    one = given_to([[0.9, 0.1], [0.2, 0.8]], [0, 0])
    found = agreement(one, given_to([[0.2, 0.8], [0.9, 0.1]], [0, 0]))
    assert dict(zip(found["image"], found["group"], strict=True)) == {10: GROUPS[1], 11: GROUPS[2]}


def test_images_with_other_labels_are_not_shared() -> None:
    assert agreement(given_to([[0.9, 0.1]], [0]), given_to([[0.9, 0.1]], [1])).empty


def test_two_networks_are_named_where_they_agree_and_where_not() -> None:
    assert list(groups_in_words("head", "deep").items()) == list(
        zip(GROUPS, ("both right", "head alone", "deep alone", "both wrong"), strict=True)
    )


def test_below_an_image_stands_its_class_and_what_each_network_that_saw_it_says() -> None:
    one, other = given_to([[0.9, 0.1], [0.2, 0.8]], [0, 0]), given_to([[0.4, 0.6], [0.9, 0.1]], [0, 0])
    fewer = replace(other, probabilities=other.probabilities[:1], labels=other.labels[:1], images=other.images[:1])
    said = what_each_says({"A": one, "B": fewer}, np.array([11, 10]))
    first, second = one.class_names
    assert said(0) == f"{first}\nA: {second} 80 %"
    assert said(1) == f"{first}\nA: {first} 90 %\nB: {second} 60 %"


def test_a_cell_of_several_networks_has_the_images_of_each_the_most_disputed_first() -> None:
    one = given_to([[0.4, 0.6], [0.1, 0.9], [0.9, 0.1]], [0, 0, 0])  # 10 and 11 are cats taken for dogs
    other = given_to([[0.3, 0.7], [0.8, 0.2], [0.2, 0.8]], [0, 0, 0], [10, 11, 13])  # 10 and 13
    images, counts = cell_of_any({"A": one, "B": other}, "cat", "dog")
    assert images.tolist() == [11, 10, 13]  # 0.7 apart, 0.1 apart, seen by one alone
    assert counts == {"A": 2, "B": 2}
    assert cell_of_any({"A": one, "B": other}, "bird", "dog")[0].tolist() == []


def test_the_classes_of_the_heaviest_cells_are_the_busiest_and_others_fill_up() -> None:
    matrix = counts_of([[9, 0, 0, 2], [0, 9, 0, 0], [3, 0, 9, 0], [0, 0, 0, 9]])
    assert most_confused([matrix], 2) == ["a", "c"] and most_confused([matrix], 3) == ["a", "c", "d"]
    assert most_confused([counts_of([[1, 0, 0], [0, 1, 0], [0, 0, 1]])], 2) == ["a", "b"]
    assert most_confused([matrix, 9 * counts_of([[0, 0], [1, 0]])], 2) == ["a", "b"]  # of both together
    assert occurring(matrix - 2 * matrix.T, "n")["n"].iloc[:3].tolist() == [-9, -9, -9]
    rows = occurring(matrix, "n")
    assert list(rows["true"]) == ["a", "b", "c", "d", "c", "a"] and rows["n"].sum() == matrix.to_numpy().sum()
