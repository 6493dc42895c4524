"""How Keras executes the steps of a small network, whose arithmetic takes less time than what goes on around it."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf

from cifar_core.training.cost import seconds_for_image
from cifar_core.training.feeding import Shuffled

SECONDS = 0.2
"""An execution may take so long: after each, the callbacks report, and hear of a request to stop."""
MOST = 32
"""More at once saves nothing that could be measured."""
FEWEST_IN_AN_EPOCH = 4
"""So often an epoch is reported at least, where it has so many steps."""
BACK = 3
"""A step takes about so many times as long as its forward part."""
SECONDS_TO_COMPILE, SECONDS_TO_COMPILE_VARIABLE = 0.3, 0.01
"""What it takes to compile an optimizer's update, and what more for each variable that it updates, roughly."""
SECONDS_FOR_VALUE = 2e-9
"""What a compiled update saves for each value that trains, roughly."""


def steps_per_execution(model: keras.Model, batch_size: int, steps: int, *, by_step: bool = False) -> int:
    """Return how many of an epoch's `steps` to execute at once: each call from Python costs as much as a small step.

    The training is the same for any number: the steps are, and what a callback hears are means since the epoch began.
    `by_step` is for callbacks that act before each step, as a learning rate does that changes by step.
    """
    if by_step:
        return 1
    seconds = BACK * batch_size * seconds_for_image(model)
    return max(1, min(MOST, steps // FEWEST_IN_AN_EPOCH, int(SECONDS / seconds)))


@contextmanager
def executions(model: keras.Model, batches: Shuffled, together: int) -> Iterator[tf.data.Dataset]:
    """Let the model's `fit` take what is yielded, an element for each execution, and train so many batches in each.

    Keras's own `steps_per_execution` takes every batch from a pipeline that runs in another thread: to draw it in the
    step itself saves a fifth of a small one.
    """

    def execution(first: tf.Tensor) -> dict[str, tf.Tensor]:
        def one(step: tf.Tensor) -> tf.Tensor:
            type(model).train_step(model, batches.batch(step))
            return step + 1

        tf.while_loop(lambda step: step < tf.minimum(first + together, batches.steps), one, [first])
        results: dict[str, tf.Tensor] = model.get_metrics_result()
        return results

    model.train_step = execution
    try:
        yield tf.data.Dataset.range(0, batches.steps, together)
    finally:
        del model.train_step
        model.train_function = None  # it holds the images


def worth_compiling(model: keras.Model, steps: int) -> bool:
    """Whether so many steps of a phase save the time that it takes to compile the optimizer's update."""
    variables = model.trainable_variables
    values: int = sum(math.prod(variable.shape) for variable in variables)
    return steps * values * SECONDS_FOR_VALUE > SECONDS_TO_COMPILE + SECONDS_TO_COMPILE_VARIABLE * len(variables)
