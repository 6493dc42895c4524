import keras
import numpy as np
import pytest

from cifar_core.training.executions import MOST, steps_per_execution


def network(units: int) -> keras.Model:
    return keras.Sequential([keras.Input((1000,)), keras.layers.Dense(units)])


@pytest.mark.parametrize(
    ("units", "steps", "expected"), [(10, 391, MOST), (10_000, 391, 4), (200_000, 391, 1), (10, 60, 15), (10, 3, 1)]
)
def test_short_steps_are_executed_together_and_long_ones_alone(units: int, steps: int, expected: int) -> None:
    assert steps_per_execution(network(units), 64, steps) == expected


def test_what_changes_by_step_hears_every_step() -> None:
    assert steps_per_execution(network(10), 64, 391, by_step=True) == 1


def test_the_training_is_the_same_however_many_steps_are_executed_at_once() -> None:
    generator = np.random.default_rng(0)
    images, labels = generator.random((70, 5), np.float32), generator.integers(0, 3, 70)
    histories = []
    for together in (1, 4, 32):
        keras.utils.set_random_seed(1)
        parts = [keras.layers.Dense(8), keras.layers.Dropout(0.5), keras.layers.Dense(3, activation="softmax")]
        model = keras.Sequential([keras.Input((5,)), *parts])
        model.compile("rmsprop", "sparse_categorical_crossentropy", metrics=["accuracy"], steps_per_execution=together)
        validation = (images[:20], labels[:20])
        fit = model.fit(images, labels, 8, 3, shuffle=False, verbose=0, validation_data=validation)
        histories.append(fit.history)
    assert histories[0] == histories[1] == histories[2]
