import pytest
from hypothesis import given

from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.recipes import RECIPES
from cifar_core.experiment.settings import apply
from cifar_core.experiment.wording import class_list, run_name, trained_share, what_trains
from tests.experiment.makers import frozen, plain
from tests.experiment.strategies import experiments

FT2 = RECIPES["a-ft2"].experiment


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        ((0, 1, 2, 3, 4), "airplane … deer"),
        ((8, 9), "ship, truck"),
        ((0, 2, 4), "airplane, bird, deer"),
        ((4, 3, 2), "deer, cat, bird"),
        (tuple(range(10)), "all 10 classes"),
    ],
)
def test_classes_are_listed_as_a_person_would(classes: tuple[int, ...], said: str) -> None:
    assert class_list(FT2, classes) == said


def test_what_trains_is_said_in_blocks() -> None:
    assert [what_trains(FT2, phase) for phase in range(3)] == [
        "everything",
        "output only",
        "dense_1 to output",
    ]
    assert what_trains(frozen("all_but_block", block="conv_2"), 0) == "conv_2 only"


def test_the_share_that_trains_is_said_with_what_the_rest_keeps() -> None:
    assert trained_share(FT2, 0) == "All 949,029 parameters train."
    assert trained_share(FT2, 1) == (
        "645 of 949,029 parameters train (0.07 %); the rest stays as learned on dog … truck."
    )
    assert trained_share(FT2, 2) == (
        "938,885 of 949,029 parameters train (99 %); the rest stays as learned on dog … truck."
    )
    assert "as it was initialized, at random" in trained_share(frozen("first_layers", count=1), 0)


def test_frozen_layers_that_were_never_trained_are_not_called_learned() -> None:
    fresh_head = apply(
        FT2,
        [
            'phases.1.head={"from_layer":"dense_2","layers":[{"kind":"dense","units":10}]}',
            'phases.1.freeze={"rule":"all_but_last_layers","count":1}',
        ],
    )
    assert "except for 1,290 that were never trained and stay random" in trained_share(fresh_head, 1)


def test_what_was_trained_twice_is_said_in_order() -> None:
    twice = apply(FT2, ['phases.1.freeze={"rule":"nothing"}'])
    assert "as learned on dog … truck, then airplane … deer." in trained_share(twice, 2)


def test_a_run_of_a_recipe_carries_its_title() -> None:
    assert run_name(FT2, 7) == "A, fine-tuning 2 after 1 · seed 7"
    assert run_name(apply(FT2, ["data.per_class=20"]), 7) == "A, fine-tuning 2 after 1 · 20 per class · seed 7"


def test_a_run_of_ones_own_is_named_by_what_it_does() -> None:
    assert run_name(Experiment.parse(plain()), 0) == "two-conv · mug … house · everything in base · seed 0"
    changed = apply(FT2, ["phases.2.epochs=1"])
    assert run_name(changed, 1) == (
        "two-conv · dog … truck → airplane … deer · dense_1 to output in fine-tune 2 · seed 1"
    )


@given(experiments())
def test_every_experiment_can_be_put_in_words(experiment: Experiment) -> None:
    assert run_name(experiment, 0).endswith("seed 0")
    for phase in range(len(experiment.phases)):
        assert what_trains(experiment, phase)
        assert trained_share(experiment, phase)
