from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

from cifar_core.training.executions import MOST, executions, steps_per_execution, worth_compiling
from cifar_core.training.feeding import Examples, Shuffled
from tests.training.makers import phase


def network(units: int) -> keras.Model:
    return keras.Sequential([keras.Input((1000,)), keras.layers.Dense(units)])


@pytest.mark.parametrize(
    ("units", "steps", "expected"), [(10, 391, MOST), (10_000, 391, 4), (200_000, 391, 1), (10, 60, 15), (10, 3, 1)]
)
def test_short_steps_are_executed_together_and_long_ones_alone(units: int, steps: int, expected: int) -> None:
    assert steps_per_execution(network(units), 64, steps) == expected


def test_what_changes_by_step_hears_every_step() -> None:
    assert steps_per_execution(network(10), 64, 391, by_step=True) == 1


@pytest.fixture
def classifier() -> Callable[[], keras.Model]:
    def made() -> keras.Model:
        keras.utils.set_random_seed(1)
        parts = [keras.layers.Dense(8), keras.layers.Dropout(0.5), keras.layers.Dense(3, activation="softmax")]
        model = keras.Sequential([keras.Input((5,)), *parts])
        model.compile("rmsprop", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    return made


def everything() -> tuple[tf.Tensor, tf.Tensor]:
    generator = np.random.default_rng(0)
    return tf.constant(generator.random((70, 5), np.float32)), tf.constant(generator.integers(0, 3, 70))


def seventy() -> Shuffled:
    """Seventy examples in batches of eight, in their own order."""
    values, labels = everything()
    return Shuffled(Examples((values,), np.arange(70), labels, np.arange(70), "train"), phase(batch_size=8), 3)


@pytest.mark.parametrize("together", [1, 4, 32])
def test_the_training_is_that_of_keras_however_many_steps_are_executed_at_once(
    classifier: Callable[[], keras.Model], together: int
) -> None:
    batches, plain, model = seventy(), classifier(), classifier()
    values, labels = everything()
    expected = plain.fit(values, labels, 8, 3, shuffle=False, verbose=0).history
    with executions(model, batches, together) as elements:
        assert len(elements) == -(-9 // together)
        assert model.fit(elements, epochs=3, shuffle=False, verbose=0).history == expected


def test_a_model_is_left_as_it_was(classifier: Callable[[], keras.Model]) -> None:
    model, batches = classifier(), seventy()
    with executions(model, batches, 4) as elements:
        model.fit(elements, shuffle=False, verbose=0)
    assert "train_step" not in vars(model)
    model.fit(tf.zeros((4, 5)), tf.zeros(4), verbose=0)
    assert int(model.optimizer.iterations) == 9 + 1


@pytest.mark.parametrize(("units", "steps", "expected"), [(10, 391, False), (100, 391 * 30, True), (10_000, 391, True)])
def test_an_update_is_compiled_where_that_saves_more_than_it_takes(units: int, steps: int, expected: bool) -> None:
    assert worth_compiling(network(units), steps) is expected


def test_an_update_of_many_variables_takes_longer_to_compile() -> None:
    few, many = keras.Sequential([keras.Input((400,))]), keras.Sequential([keras.Input((40,))])
    few.add(keras.layers.Dense(400))
    for _ in range(100):
        many.add(keras.layers.Dense(40))
    assert few.count_params() < many.count_params()
    assert worth_compiling(few, 2_000)
    assert not worth_compiling(many, 2_000)
