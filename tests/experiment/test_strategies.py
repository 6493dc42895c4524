"""Strategies differ in what they do on target classes, and in nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cifar_core.experiment.experiment import Data, Experiment
from cifar_core.experiment.recipes import RECIPES, recipe
from cifar_core.experiment.record import ExperimentError
from cifar_core.experiment.settings import apply, changed
from cifar_core.experiment.strategies import STRATEGIES, Choices, blocks_of, usual_last
from cifar_core.experiment.wording import what_trains

BASE = apply(recipe("a-ft1").experiment, ['phases.1.head={"from_layer":"output"}', "phases.1.epochs=10"])
TRANSFERRED = [name for name in STRATEGIES if name != "scratch"]


def trains(experiment: Experiment) -> list[str]:
    return [what_trains(experiment, phase) for phase in range(len(experiment.phases))]


def epochs(experiment: Experiment) -> list[int]:
    return [phase.epochs for phase in experiment.phases]


@pytest.mark.parametrize(
    ("name", "trained", "took"),
    [
        ("head", ["everything", "output only"], [10, 10]),
        ("last-layers", ["everything", "dense_1 to output"], [10, 10]),
        ("last-block", ["everything", "dense_2 to output"], [10, 10]),
        ("everything", ["everything", "everything"], [10, 10]),
        (
            "gradual",
            ["everything", "output only", "dense_2 to output", "dense_1 to output", "conv_2 to output", "everything"],
            [10, 1, 1, 1, 1, 6],
        ),
        ("lp-ft", ["everything", "output only", "everything"], [10, 5, 5]),
        ("one-block", ["everything", "output only", "conv_1 only"], [10, 5, 5]),
        ("scratch", ["everything"], [10]),
    ],
)
def test_a_strategy_trains_what_it_says_for_as_many_epochs_as_the_base(
    name: str, trained: list[str], took: list[int]
) -> None:
    experiment = STRATEGIES[name].experiment(BASE)
    assert trains(experiment) == trained
    assert epochs(experiment) == took


@pytest.mark.parametrize("name", TRANSFERRED)
@pytest.mark.parametrize("base", list(RECIPES))
def test_strategies_of_every_recipe_share_all_until_the_target_classes(base: str, name: str) -> None:
    given = RECIPES[base].experiment
    experiment = STRATEGIES[name].experiment(given)
    assert experiment.split == given.split
    everything = STRATEGIES["everything"].experiment(given)
    shared = len(everything.phases) - 1
    assert experiment.phases[:shared] == everything.phases[:shared]
    assert sum(phase.epochs for phase in experiment.phases) == sum(phase.epochs for phase in everything.phases)


@pytest.mark.parametrize("name", list(STRATEGIES))
@pytest.mark.parametrize("base", list(RECIPES))
def test_every_layer_of_a_new_head_trains_at_some_time(base: str, name: str) -> None:
    experiment = STRATEGIES[name].experiment(RECIPES[base].experiment)
    last = len(experiment.phases) - 1
    new = {layer.name for layer in experiment.networks[last].layers if layer.since and layer.params}
    trained = {
        layer.name
        for network in experiment.networks[1:]
        for layer in network.layers
        if layer.trainable and layer.params
    }
    assert new <= trained


def test_from_scratch_knows_nothing_and_sees_only_the_target_classes() -> None:
    experiment = STRATEGIES["scratch"].experiment(RECIPES["c3"].experiment)
    assert experiment.initial_weights.source == "random"
    assert len(experiment.phases) == 1


def test_head_only_of_system_a_is_its_first_fine_tuning() -> None:
    a = recipe("a-ft1").experiment
    assert STRATEGIES["head"].experiment(a) == a


def test_a_head_of_several_layers_trains_as_a_whole() -> None:
    e = recipe("e").experiment
    assert trains(STRATEGIES["head"].experiment(e)) == ["everything", "dense_1 to output"]
    assert blocks_of(e) == ["conv_1", "conv_2", "conv_3"]


def test_a_base_that_only_learns_the_source_is_given_a_fine_tuning() -> None:
    experiment = STRATEGIES["everything"].experiment(recipe("a-initial").experiment)
    assert [phase.train_on for phase in experiment.phases] == ["source", "target"]


def test_with_weights_learned_elsewhere_there_is_no_training_on_the_source() -> None:
    assert epochs(STRATEGIES["everything"].experiment(recipe("c3").experiment)) == [10]


def test_how_many_layers_and_which_block_can_be_chosen() -> None:
    last = STRATEGIES["last-layers"].experiment(BASE, Choices(last=1))
    assert last.networks == STRATEGIES["head"].experiment(BASE).networks
    one = STRATEGIES["one-block"].experiment(BASE, Choices(block="dense_1"))
    assert trains(one)[-1] == "dense_1 only"
    with pytest.raises(ExperimentError, match="dense_9"):
        STRATEGIES["one-block"].experiment(BASE, Choices(block="dense_9"))


def test_the_usual_last_layers_are_the_last_two_blocks() -> None:
    assert usual_last(BASE) == 5  # dense_1, dropout_2, dense_2, dropout_3, output


@given(st.integers(1, 12), st.sampled_from(TRANSFERRED))
def test_however_few_epochs_there_are_every_strategy_is_an_experiment(count: int, name: str) -> None:
    base = apply(BASE, [f"phases.1.epochs={count}"])
    took = epochs(STRATEGIES[name].experiment(base))[1:]
    assert min(took) >= 1
    assert sum(took) == max(count, len(took))


def test_an_experiment_with_other_fields_is_checked_anew() -> None:
    assert BASE.networks  # worked out before the change, and not to be taken over
    other = changed(BASE, backbone="three-conv", data=Data(name="sample"))
    assert other.networks[0].layers[0].layer == other.backbone_row.blocks[0].layers[0]
    with pytest.raises(ExperimentError, match="backbone"):
        changed(BASE, backbone="four-conv")


def test_every_row_says_what_it_does_and_who_proposed_it() -> None:
    for name, row in STRATEGIES.items():
        assert row.id == name
        assert row.sentence.endswith(".") and any(character.isdigit() for character in row.source)
