from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cifar_core.data import Images, select
from cifar_core.data.errors import DataError, SelectionError
from cifar_core.experiment.datasets import DATASETS

Drawn = Literal["random", "last"]


def images(train_per_class: int = 20, test_per_class: int = 6) -> Images:
    """Images without content: selecting looks at labels only."""
    rng = np.random.default_rng(0)
    train = rng.permutation(np.repeat(np.arange(10), train_per_class))
    test = rng.permutation(np.repeat(np.arange(10), test_per_class))
    nothing = np.zeros((0, 32, 32, 3), np.uint8)
    return Images(DATASETS["cifar10"], nothing, train, nothing, test, "fingerprint", "made for tests", True)


@given(
    classes=st.lists(st.integers(0, 9), min_size=1, max_size=10, unique=True),
    share=st.floats(0.01, 0.9),
    per_class=st.none() | st.integers(2, 30),
    seed=st.integers(0, 2**32),
)
def test_sides_are_disjoint_balanced_and_of_the_chosen_classes(
    classes: list[int], share: float, per_class: int | None, seed: int
) -> None:
    try:
        chosen = select(images(), classes, per_class=per_class, validation_share=share, seed=seed)
    except SelectionError:
        assert round(share * min(per_class or 20, 20)) >= min(per_class or 20, 20)
        return
    known = images()
    count = min(per_class or 20, 20)
    assert not set(chosen.train) & set(chosen.validation)
    assert chosen.validation_in == "train"
    apart = max(1, round(share * count))
    for label in range(10):
        wanted = label in classes
        assert (known.train_labels[chosen.train] == label).sum() == wanted * (count - apart)
        assert (known.train_labels[chosen.validation] == label).sum() == wanted * apart
        assert (known.test_labels[chosen.test] == label).sum() == wanted * min(count, 6)
    for indices in (chosen.train, chosen.validation, chosen.test):
        assert indices.dtype == np.int64
        assert (np.diff(indices) > 0).all()


def test_the_same_seed_chooses_the_same_and_another_seed_others() -> None:
    first, again, other = (select(images(), [1, 2], seed=seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.validation, again.validation)
    assert not np.array_equal(first.validation, other.validation)


def test_a_class_is_divided_the_same_whatever_stands_beside_it() -> None:
    known = images()
    alone, beside = select(known, [3], seed=1), select(known, [7, 3, 0], seed=1)
    of_three = beside.validation[known.train_labels[beside.validation] == 3]
    np.testing.assert_array_equal(alone.validation, of_three)


def test_images_per_class_are_the_first_ones_whatever_the_seed() -> None:
    known = images()
    for seed in (0, 1):
        chosen = select(known, [4], per_class=5, seed=seed)
        both = np.sort(np.concatenate([chosen.train, chosen.validation]))
        np.testing.assert_array_equal(both, np.flatnonzero(known.train_labels == 4)[:5])
        np.testing.assert_array_equal(chosen.test, np.flatnonzero(known.test_labels == 4)[:5])


def test_more_images_per_class_than_there_are_means_all() -> None:
    chosen = select(images(), [4], per_class=1000)
    assert (len(chosen.train) + len(chosen.validation), len(chosen.test)) == (20, 6)


def test_validating_on_the_test_images_sets_nothing_apart() -> None:
    chosen = select(images(), [0, 1], validate_on_test=True, validation_share=0)
    assert chosen.validation_in == "test"
    assert len(chosen.train) == 40
    np.testing.assert_array_equal(chosen.validation, chosen.test)


@given(share=st.floats(0.05, 0.5), seed=st.integers(0, 2**32), drawn=st.sampled_from(["random", "last"]))
def test_a_share_of_all_images_is_as_large_however_it_is_drawn(share: float, seed: int, drawn: Drawn) -> None:
    chosen = select(images(), [1, 2, 3], validation_share=share, seed=seed, drawn=drawn)
    assert abs(len(chosen.validation) - share * 60) <= 1
    together = np.sort(np.concatenate([chosen.train, chosen.validation]))
    np.testing.assert_array_equal(together, np.flatnonzero(np.isin(images().train_labels, [1, 2, 3])))
    assert chosen.train.dtype == chosen.validation.dtype == np.int64


def test_a_random_share_follows_the_seed_and_not_the_order_of_the_classes() -> None:
    first, again, other = (
        select(images(), classes, seed=seed, validation_share=0.3, drawn="random")
        for classes, seed in (([1, 2], 5), ([2, 1], 5), ([1, 2], 6))
    )
    np.testing.assert_array_equal(first.validation, again.validation)
    assert not np.array_equal(first.validation, other.validation)
    counts = np.bincount(images().train_labels[first.validation])
    assert counts[1] != counts[2]


def test_the_last_share_is_what_keras_takes() -> None:
    chosen = select(images(), [4, 9, 2], validation_share=0.3, drawn="last")
    known = np.flatnonzero(np.isin(images().train_labels, [4, 9, 2]))
    np.testing.assert_array_equal(chosen.train, known[: int(60 * (1 - 0.3))])
    np.testing.assert_array_equal(chosen.validation, known[int(60 * (1 - 0.3)) :])


def test_a_last_share_that_takes_a_whole_class_is_refused() -> None:
    in_order = replace(images(), train_labels=np.repeat(np.arange(10), 20))
    with pytest.raises(SelectionError, match=r"20 training images of truck, 20 would be for validation.*of each class"):
        select(in_order, [8, 9], validation_share=0.5, drawn="last")


@pytest.mark.parametrize(
    ("classes", "options", "words"),
    [
        ([], {}, "No class was chosen"),
        ([0, 10], {}, "classes 0 to 9; received 10"),
        ([-1], {}, "received -1"),
        ([2, 2], {}, "chosen twice: bird, bird"),
        ([0], {"per_class": 0}, "at least 1, received 0"),
        ([0], {"per_class": 1}, "Of the 1 training images of airplane, 1 would be for validation"),
        ([0], {"validation_share": 0}, "between 0 and 1"),
        ([0], {"validation_share": 1.0}, "between 0 and 1"),
        ([0], {"validation_share": 0.99}, "none would be left to train on"),
        ([0], {"validation_share": float("nan")}, "between 0 and 1"),
        ([0], {"validation_share": 1e-20, "drawn": "last"}, "not one image to validate on"),
        ([0], {"validation_share": 0.99, "drawn": "last"}, "none would be left to train on"),
        ([0], {"validation_share": 0.99, "drawn": "random"}, "none would be left to train on"),
        ([0], {"seed": -1}, "A seed is a whole number from 0 on"),
    ],
)
def test_a_choice_that_leaves_nothing_to_work_with_is_refused_in_a_sentence(
    classes: list[int], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(SelectionError, match=words) as caught:
        select(images(), classes, **options)
    assert isinstance(caught.value, DataError)
    assert isinstance(caught.value, ValueError)


def test_a_class_without_an_image_is_named() -> None:
    known = images()
    with pytest.raises(SelectionError, match="no test image of truck"):
        select(replace(known, test_labels=known.test_labels[known.test_labels != 9]), [8, 9])
    with pytest.raises(SelectionError, match="no training image of ship"):
        select(replace(known, train_labels=known.train_labels[known.train_labels != 8]), [8, 9])
