import keras
import numpy as np
import pytest

from cifar_core.training.executions import MOST, SECONDS, steps_per_execution


@pytest.mark.parametrize(
    ("seconds_per_step", "steps", "expected"), [(0.001, 391, MOST), (0.05, 391, 4), (3.0, 391, 1), (0.0, 5, 5)]
)
def test_short_steps_are_executed_together_and_long_ones_alone(
    seconds_per_step: float, steps: int, expected: int
) -> None:
    assert steps_per_execution(seconds_per_step, steps) == expected
    assert expected == 1 or expected * seconds_per_step <= SECONDS


def test_what_changes_by_step_hears_every_step() -> None:
    assert steps_per_execution(0.001, 391, by_step=True) == 1


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
