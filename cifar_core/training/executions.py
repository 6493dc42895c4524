"""How many steps Keras executes at once: calls between Python and TensorFlow cost as much as a small step."""

import keras

from cifar_core.training.cost import seconds_for_image

SECONDS = 0.2
"""An execution may take so long: after each, the callbacks report, and hear of a request to stop."""
MOST = 32
"""More at once saves nothing that could be measured."""
FEWEST_IN_AN_EPOCH = 4
"""So often an epoch is reported at least, where it has so many steps."""
BACK = 3
"""A step takes about so many times as long as its forward part."""


def steps_per_execution(model: keras.Model, batch_size: int, steps: int, *, by_step: bool = False) -> int:
    """Return how many of an epoch's `steps` to execute at once.

    The training is the same for any number: the steps are, and what a callback hears are means since the epoch began.
    `by_step` is for callbacks that act before each step, as a learning rate does that changes by step.
    """
    if by_step:
        return 1
    seconds = BACK * batch_size * seconds_for_image(model)
    return max(1, min(MOST, steps // FEWEST_IN_AN_EPOCH, int(SECONDS / seconds)))
