"""Estimates follow from what has run, and say when nothing has."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cifar_core.analysis.estimate import Estimate, Estimates, in_words, multiply_adds, work
from cifar_core.experiment.experiment import Data, Experiment
from cifar_core.experiment.measured import Epoch, Measured, PhaseHistory
from cifar_core.experiment.recipes import RECIPES, with_random_weights
from cifar_core.experiment.settings import apply, smoke
from tests.analysis.made_up import make_run

BEGAN = datetime(2026, 11, 21, tzinfo=UTC)
A = RECIPES["a-initial"].experiment


def ran(experiment: Experiment, *, epoch: float = 20.0, images: int = 25_000, **fields: Any) -> Measured:
    """A run whose epochs each took `epoch` seconds, the first, which compiles, ten times as many."""
    run, _ = make_run()
    histories = tuple(
        PhaseHistory(
            index,
            phase.name,
            epochs=tuple(
                Epoch(number, 1.0, 0.5, 1.0, 0.5, 1e-3, epoch * (10 if number == 1 else 1), 1.0, images, 1.0)
                for number in range(1, phase.epochs + 1)
            ),
        )
        for index, phase in enumerate(experiment.phases)
    )
    return replace(run, experiment=experiment, **fields), histories


def test_multiply_adds_are_those_of_the_layers() -> None:
    (network,) = A.networks
    # Two convolutions and three dense layers, biases counted like weights.
    forward = 896 * 32 * 32 + 9_248 * 30 * 30 + 921_728 + 16_512 + 645
    assert multiply_adds(network) == (forward, 3 * forward - 896 * 32 * 32)


def test_a_frozen_network_is_only_computed_forward_up_to_its_head() -> None:
    network = RECIPES["a-ft1"].experiment.networks[1]
    forward, training = multiply_adds(network)
    assert training == forward + 645


def test_the_multiply_adds_of_inception_are_those_of_its_publication() -> None:
    # Szegedy et al. 2015 give InceptionV3 at 299 pixels 5.7 billion multiply-adds, its top included.
    forward, _ = multiply_adds(apply(RECIPES["d1"].experiment, ["input_side=299"]).networks[0])
    assert forward == pytest.approx(5.7e9, rel=0.02)


def test_where_nothing_has_run_nothing_is_estimated() -> None:
    assert Estimates([]).of(A) is None
    assert "unknown" in in_words(None)


def test_a_phase_that_ran_before_takes_as_long_again_whatever_its_images_and_first_epoch() -> None:
    on_fewer = apply(A, ["data.name=sample", "phases.0.epochs=3"])
    found = Estimates([ran(on_fewer, epoch=4.0, images=5000)]).of(A)
    assert found is not None
    assert found.seconds == pytest.approx(10 * 4.0 * 5)
    assert not found.measured


def test_the_pace_is_that_of_the_phase_that_computes_most_nearly_as_much() -> None:
    known = [ran(A, epoch=20.0), ran(RECIPES["c2a"].experiment, epoch=1000.0, images=50_000)]
    found = Estimates(known).of(RECIPES["c2a"].experiment)
    assert found is not None
    assert found.seconds == pytest.approx(50 * 1000.0)


def test_the_same_experiment_done_before_is_the_best_estimate() -> None:
    took = ran(A, started=BEGAN, finished=BEGAN + timedelta(minutes=7))
    assert Estimates([took]).of(A) == Estimate(420.0, measured=True)


def test_from_other_weights_the_same_takes_as_long() -> None:
    learned = RECIPES["c2e-frozen"].experiment
    took = ran(with_random_weights(learned), started=BEGAN, finished=BEGAN + timedelta(minutes=7))
    assert Estimates([took]).of(learned) == Estimate(420.0, measured=True)


def test_quick_looks_other_hardware_and_stored_features_tell_nothing_about_the_pace() -> None:
    quick = ran(smoke(apply(A, ["phases.0.epochs=3"])), images=100)
    assert Estimates([quick]).of(A) is None
    two_phases = RECIPES["a-ft1"].experiment
    without, stored = ran(two_phases), ran(two_phases, seconds={"extract": 3.0})
    assert Estimates([without]).of(A) == Estimates([stored]).of(A)
    assert Estimates([without]).of(two_phases) != Estimates([stored]).of(two_phases)
    elsewhere = ran(A, environment={"hardware": "a GPU"}, created=BEGAN - timedelta(days=1))
    here = ran(Experiment(data=Data(), phases=A.phases), images=10, environment={"hardware": "2 cores"}, created=BEGAN)
    assert Estimates([elsewhere, here]).of(A) is None
    assert Estimates([elsewhere, here]).hardware == "2 cores"


def test_of_several_the_estimate_is_their_sum_and_unknown_where_one_is_unknown() -> None:
    took = Estimates([ran(A, started=BEGAN, finished=BEGAN + timedelta(minutes=7))])
    whole = took.of_all([A, A])
    assert whole == Estimate(840.0, measured=True)
    other = RECIPES["a-ft1"].experiment
    both, alone = took.of_all([A, other]), took.of(other)
    assert both is not None and alone is not None
    assert (both.seconds, both.measured) == (420.0 + alone.seconds, False)
    assert Estimates([]).of_all([A]) is None


def test_experiments_are_ordered_by_seconds_where_these_are_known_and_else_by_work() -> None:
    took = Estimates([ran(A, started=BEGAN, finished=BEGAN + timedelta(minutes=7))])
    assert took.size(A) == 420.0
    assert Estimates([]).size(A) == work(A)


def test_there_is_always_an_order_by_what_there_is_to_compute() -> None:
    assert work(A) < work(RECIPES["a-ft2"].experiment) < work(RECIPES["c2a"].experiment)


@pytest.mark.parametrize(
    ("seconds", "measured", "words"),
    [
        (20, True, "about 1 min, as it took here"),
        (720, False, "roughly 12 min, estimated from what has run here"),
        (3 * 3600 + 1000, False, "roughly 3.3 h, estimated from what has run here"),
    ],
)
def test_estimates_are_told_no_more_exactly_than_they_are_known(seconds: float, measured: bool, words: str) -> None:
    assert in_words(Estimate(seconds, measured)) == words


def own(*changes: str) -> Experiment:
    """An experiment on five classes of the user's own images, validated on those for testing."""
    data = {"name": "folder", "location": "pets", "classes": tuple("abcde"), "image_side": 32}
    split = {"source": (0, 1, 2, 3, 4), "target": (0, 1)}
    return apply(Experiment.parse({**A.model_dump(), "data": data, "split": split}), changes)


def test_the_users_own_images_are_counted_class_by_class() -> None:
    known = [ran(A, epoch=20.0)]
    counted = Estimates(known, lambda data: [(5000, 1000)] * 5)
    of_as_many, of_recipe = counted.of(own()), counted.of(A)
    assert of_as_many is not None and of_recipe is not None
    assert of_as_many.seconds == pytest.approx(of_recipe.seconds)
    few = counted.of(own("data.per_class=500"))
    assert few is not None
    # Training takes nearly three times the work of validation; both are cut to 500 images of each class.
    assert few.seconds == pytest.approx(10 * 20.0 * (3 * 500 + 500) / (3 * 5000 + 1000), rel=0.02)
    uneven = Estimates(known, lambda data: [(5000, 1000), (5000, 1000), (1, 1), (1, 1), (1, 1)])
    both, two = uneven.of(own()), uneven.of(own("split.source=0,1"))
    assert both is not None and two is not None
    assert both.seconds == pytest.approx(two.seconds, rel=1e-3)


def test_how_long_images_take_that_nobody_has_counted_is_unknown() -> None:
    assert Estimates([ran(A)]).of(own()) is None
    assert Estimates([ran(own())]).of(A) is None


def test_a_share_set_apart_for_validation_is_taken_from_the_users_own_images() -> None:
    counted = Estimates([ran(A, epoch=20.0)], lambda data: [(5000, 1000)] * 5)
    on_test = counted.of(own())
    on_share = counted.of(own('validation={"on":"train share","share":0.5}'))
    assert on_test is not None and on_share is not None
    assert on_share.seconds < 0.8 * on_test.seconds


def test_more_images_of_a_class_than_there_are_take_no_longer_than_all_of_them() -> None:
    known = Estimates([ran(A)])
    assert known.of(apply(A, ["data.per_class=90000"])) == known.of(apply(A, ["data.per_class=5000"]))
