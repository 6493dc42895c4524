import pytest
from hypothesis import given

from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.recipes import RECIPES
from cifar_core.experiment.settings import apply
from cifar_core.experiment.wording import (
    class_list,
    how_it_trains,
    initial_weights,
    network_input,
    run_name,
    trained_share,
    what_trains,
)
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


def test_a_run_is_named_by_how_it_keeps_features_where_that_is_not_the_usual_way() -> None:
    assert "half-size features" in run_name(apply(FT2, ["features=half"]), 7)
    assert "no stored features" in run_name(apply(FT2, ["features=off"]), 7)


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


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ([], "10 epochs · batch size 64 · rmsprop at 0.001"),
        (["phases.0.epochs=1"], "1 epoch · batch size 64 · rmsprop at 0.001"),
        (
            ["phases.0.optimizer=sgd", "phases.0.momentum=0.9", "phases.0.clip_norm=2"],
            "10 epochs · batch size 64 · sgd at 0.001 · momentum 0.9 · gradient norm at most 2",
        ),
        (
            ["phases.0.optimizer=adamw", "phases.0.weight_decay=0.01", "phases.0.block_rate_factor=0.5"],
            "10 epochs · batch size 64 · adamw at 0.001 · weight decay 0.01 · layer-wise rate factor 0.5",
        ),
        (
            [
                'phases.0.early_stopping={"patience":3}',
                "phases.0.label_smoothing=0.1",
                "phases.0.class_weights=balanced",
            ],
            "10 epochs · batch size 64 · rmsprop at 0.001 · early stopping after 3 epochs by validation loss · "
            "label smoothing 0.1 · balanced class weights",
        ),
        (
            ['phases.0.head={"layers":[{"kind":"dense","units":8,"l2":0.001},{"kind":"dropout","rate":0.5}]}'],
            "10 epochs · batch size 64 · rmsprop at 0.001 · L2 0.001 in the new layers",
        ),
        (
            ['phases.0.augmentation=[{"kind":"flip"},{"kind":"crop","padding":4}]'],
            "10 epochs · batch size 64 · rmsprop at 0.001 · augmentation: flip, crop 4",
        ),
    ],
)
def test_a_line_says_how_a_phase_trains(settings: list[str], said: str) -> None:
    assert how_it_trains(apply(RECIPES["a-initial"].experiment, settings).phases[0]) == said


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        (
            '{"kind":"steps","milestones":[{"after_epochs":3,"factor":0.1},{"after_epochs":6,"factor":0.01}]}',
            "rate × 0.1 after 3, × 0.01 after 6 epochs",
        ),
        ('{"kind":"exponential","factor":0.95}', "rate × 0.95 every epoch"),
        ('{"kind":"cosine"}', "cosine decay to × 0"),
        ('{"kind":"cosine","warm_up":2,"final":0.01}', "cosine decay to × 0.01 after 2 epochs of warm-up"),
        ('{"kind":"plateau"}', "rate × 0.1 after 3 epochs without lower validation loss"),
    ],
)
def test_a_line_says_how_the_learning_rate_goes(schedule: str, said: str) -> None:
    phase = apply(RECIPES["a-initial"].experiment, [f"phases.0.schedule={schedule}"]).phases[0]
    assert how_it_trains(phase) == f"10 epochs · batch size 64 · rmsprop at 0.001 · {said}"


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("a-ft1", "Images of 32×32 pixels; pixel values: divided by 255: 0 to 1."),
        ("d1", "Images of 32×32 pixels are brought to 150×150 (bilinear); pixel values: scaled to −1 to 1."),
    ],
)
def test_a_sentence_says_what_the_network_sees(recipe: str, said: str) -> None:
    assert network_input(RECIPES[recipe].experiment) == said


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ('{"source":"random"}', "Random initial weights."),
        ('{"source":"imagenet"}', "Initial weights learned on ImageNet."),
        ('{"source":"file","path":"/a/b.h5"}', "Initial weights from the file b.h5."),
        ('{"source":"run","run":"abc"}', "Initial weights from run abc."),
    ],
)
def test_a_sentence_says_where_initial_weights_come_from(source: str, said: str) -> None:
    assert initial_weights(apply(RECIPES["d1"].experiment, [f"initial_weights={source}"])) == said
