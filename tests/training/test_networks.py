"""The pure tables against Keras, and what a phase's model takes over from the one before."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from benchmarks.freeze_grid import patterns
from cifar_core.experiment.backbones import BACKBONES
from cifar_core.experiment.experiment import Experiment, Head, Phase
from cifar_core.experiment.layers import BatchNorm, Conv, Dense, Dropout, GlobalAveragePool, MaxPool, Relu
from cifar_core.experiment.pixels import PIXEL_SCALES
from cifar_core.experiment.recipes import RECIPES
from cifar_core.training.networks import build, reset_random_layers
from tests.training.makers import TINY, UNPUBLISHED, experiment, images, phase, small, thorough_about
from tests.training.makers import run as train


def frozen(backbone: str, freeze: dict[str, Any]) -> Experiment:
    return Experiment.parse({"backbone": backbone, "phases": [{"name": "a", "train_on": "source", "freeze": freeze}]})


@pytest.fixture(scope="module", params=thorough_about(BACKBONES, UNPUBLISHED))
def backbone(request: pytest.FixtureRequest) -> str:
    """Every backbone: its tests come together, so that one network at a time is in memory."""
    return str(request.param)


@pytest.fixture(scope="module")
def built(backbone: str) -> keras.Model:
    """The backbone's network, built once for all tests that need no weights of their own."""
    return build(frozen(backbone, {}), 0, seed=0)


def count(variables: list[keras.Variable]) -> int:
    return sum(int(np.prod(variable.shape)) for variable in variables)


def assert_tables_are_those_of(model: keras.Model, described: Experiment, index: int) -> None:
    network = described.networks[index]
    layers = [layer for layer in model.layers if layer.name not in ("pixels", "rescale", "resize")]
    assert [row.name for row in network.layers] == [layer.name for layer in layers]
    assert [row.layer.keras_type for row in network.layers] == [type(layer).__name__ for layer in layers]
    assert [(None, *row.output_shape) for row in network.layers] == [layer.output.shape for layer in layers]
    assert [row.params for row in network.layers] == [layer.count_params() for layer in layers]
    assert [row.trainable for row in network.layers] == [layer.trainable for layer in layers]
    assert (network.total, network.trainable) == (model.count_params(), count(model.trainable_weights))
    assert network.non_trainable == count(model.non_trainable_weights)


def test_every_freeze_depth_means_the_same_to_keras(backbone: str, built: keras.Model) -> None:
    layers = {layer.name: layer for layer in built.layers}
    for freeze in patterns(backbone, by_layers=True):
        described = frozen(backbone, freeze)
        for row in described.networks[0].layers:
            layers[row.name].trainable = row.trainable
        assert_tables_are_those_of(built, described, 0)


LIKE_OTHERS = ("c2e-frozen", "d2")
"""Recipes with the backbone and the head of another one, whose freeze depths the test above has, too."""


@pytest.mark.parametrize("recipe", thorough_about(RECIPES, LIKE_OTHERS))
def test_every_phase_of_every_recipe_is_built_as_described(recipe: str) -> None:
    described = RECIPES[recipe].experiment
    for index in range(len(described.phases)):
        assert_tables_are_those_of(build(described, index, seed=0), described, index)


def test_every_kind_of_layer_is_built_as_described() -> None:
    layers = (
        Conv(filters=3, kernel=4, padding="same", activation="linear"),
        Dense(units=5),
        MaxPool(size=3),
        Dropout(rate=0),
        Conv(filters=2, kernel=2, l2=0.5),
        BatchNorm(),
        Relu(),
    )
    flat = {"kind": "flatten"}
    described = Experiment.parse(
        {
            "phases": [
                {"name": "a", "train_on": "source", "head": {"from_layer": "conv_1", "layers": [*layers, flat, flat]}}
            ]
        }
    )
    model = build(described, 0, seed=0)
    assert_tables_are_those_of(model, described, 0)
    assert [model.get_layer(name).activation.__name__ for name in ("conv_1", "dense_1", "output")] == [
        "linear",
        "relu",
        "softmax",
    ]


def test_every_backbone_trains_a_step_and_its_saved_model_predicts_the_same(built: keras.Model, tmp_path: Path) -> None:
    for layer in built.layers:
        layer.trainable = True
    built.compile(built.optimizer, built.loss, run_eagerly=True)  # one step is not worth compiling
    pixels, before = images().test_images[:2], built.get_layer("output").get_weights()[0]
    built.train_on_batch(pixels, np.arange(2))
    assert not np.array_equal(built.get_layer("output").get_weights()[0], before)
    keras.Model(built.input, built.output).save(tmp_path / "model.keras")  # as a run keeps it, without its optimizer
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert np.array_equal(loaded(pixels, training=False), built(pixels, training=False))


@pytest.mark.parametrize(
    "application", thorough_about((name for name, row in BACKBONES.items() if row.application), UNPUBLISHED)
)
def test_the_tables_of_applications_hold_at_any_input_size_whatever_was_built_before(application: str) -> None:
    """An odd side where the smallest is even, and the other way round: padding depends on it."""
    side = 97 + BACKBONES[application].smallest_input[0] % 2
    keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(1, 3), keras.layers.BatchNormalization()])
    described = Experiment.parse({**frozen(application, {}).model_dump(), "input_side": side})
    assert_tables_are_those_of(build(described, 0, seed=0), described, 0)


def test_a_head_can_average_over_the_image() -> None:
    head = {"from_layer": "flatten", "layers": [GlobalAveragePool(), Dense(units=4, l2=0.25)]}
    described = Experiment.parse({"phases": [{"name": "a", "train_on": "source", "head": head}]})
    model = build(described, 0, seed=0)
    assert_tables_are_those_of(model, described, 0)
    assert float(model.get_layer("dense_1").kernel_regularizer.l2) == 0.25


def test_pixels_are_scaled_inside_the_model(backbone: str, built: keras.Model) -> None:
    scaled = keras.Model(built.inputs, built.get_layer("rescale").output)(np.full((1, 32, 32, 3), 255, np.uint8))
    scale = PIXEL_SCALES[BACKBONES[backbone].pixels]
    assert np.allclose(scaled, 255 * np.array(scale.scale) + np.array(scale.offset), atol=1e-4)


@pytest.mark.parametrize("optimizer", ["rmsprop", "adam", "sgd"])
def test_the_optimizer_is_the_phases_own(optimizer: str) -> None:
    model = build(experiment(phase(optimizer=optimizer, learning_rate=0.125)), 0, seed=0)
    assert type(model.optimizer).__name__.lower() == optimizer
    assert float(model.optimizer.learning_rate) == 0.125


def test_a_kept_head_takes_its_weights_along() -> None:
    described = experiment()
    first = build(described, 0, seed=0)
    second = build(described, 1, seed=0, previous=first)
    assert_same_weights(first, second, [layer.name for layer in first.layers])


def test_a_new_head_begins_afresh_and_the_rest_keeps_its_weights() -> None:
    head = Head(from_layer="dense_1", layers=(Dense(units=8, name="dense_1"),))
    described = experiment(phase(), Phase(name="b", train_on="target", head=head))
    first = build(described, 0, seed=0)
    second = build(described, 1, seed=0, previous=first)
    assert_same_weights(first, second, ["conv_1"])
    for name in ("dense_1", "output"):
        assert not np.array_equal(first.get_layer(name).kernel, second.get_layer(name).kernel)


def test_a_phase_begins_with_a_new_optimizer() -> None:
    trained, _ = train(small(epochs=1, optimizer="adam"))
    again = build(small(epochs=1, optimizer="adam"), 0, seed=0, previous=trained.model)
    assert int(trained.model.optimizer.iterations) == 1
    assert int(again.optimizer.iterations) == 0


def test_weights_begin_with_the_seed() -> None:
    kernels = [build(experiment(), 0, seed).get_layer("conv_1").kernel.numpy() for seed in (4, 4, 5)]
    assert np.array_equal(kernels[0], kernels[1])
    assert not np.array_equal(kernels[0], kernels[2])


def test_a_new_head_depends_on_its_phase_and_not_on_what_was_drawn_before() -> None:
    described = experiment(phase(), phase("again"))
    fresh = build(described, 1, seed=0)
    keras.utils.set_random_seed(99)
    after_another = build(described, 1, seed=0, previous=build(described, 0, seed=0))
    assert_same_weights(fresh, after_another, [layer.name for layer in fresh.layers])


def test_dropout_draws_by_seed_phase_and_epoch_alone() -> None:
    model = build(experiment(phase()), 0, seed=0)
    address = (0, 0, 1)
    drawn = masked(model, address)
    assert np.array_equal(masked(model, address), drawn)
    others = [masked(model, other) for other in ((1, 0, 1), (0, 1, 1), (0, 0, 2))]
    assert not any(np.array_equal(other, drawn) for other in others)


def test_two_dropouts_of_a_network_draw_different_masks() -> None:
    layers = (*TINY, Dropout(rate=0.5))
    model = build(experiment(phase(layers=layers)), 0, seed=0)
    reset_random_layers(model, 0, 0, 1)
    ones = np.ones((1, 1000), np.float32)
    first, second = (model.get_layer(f"dropout_{number}")(ones, training=True).numpy() for number in (1, 2))
    assert not np.array_equal(first, second)


def masked(model: keras.Model, address: tuple[int, int, int]) -> Any:
    """What the model's Dropout leaves of ones, drawn from the stream of an address."""
    reset_random_layers(model, *address)
    return model.get_layer("dropout_1")(np.ones((1, 1000), np.float32), training=True).numpy()


def assert_same_weights(one: keras.Model, other: keras.Model, layers: list[str]) -> None:
    for name in layers:
        pairs = zip(one.get_layer(name).get_weights(), other.get_layer(name).get_weights(), strict=True)
        assert all(np.array_equal(mine, yours) for mine, yours in pairs), name
