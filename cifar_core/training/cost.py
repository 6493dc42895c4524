"""What a model probably takes for an image: counted and not measured, so that equal runs decide alike."""

import math

import keras

OPERATIONS_PER_SECOND = 1e11
VALUES_PER_SECOND = 1e9
"""About what two cores do: decides only how to compute the same thing."""


def operations(model: keras.Model) -> int:
    """Return the multiplications and additions for one image: two for each use of a weight.

    A layer uses each of its weights once at every place of its output, as convolutions and dense layers do.
    """
    total: int = sum(
        2 * math.prod(weight.shape) * math.prod(layer.output.shape[1:-1])
        for layer in model.layers
        for weight in layer.weights[:1]
    )
    return total


def seconds_for_image(model: keras.Model) -> float:
    """Estimate the wall seconds of one image among many, forward alone."""
    return operations(model) / OPERATIONS_PER_SECOND + sum(_sizes(model)) / VALUES_PER_SECOND


def largest_values(model: keras.Model) -> int:
    """Return the number of values of the largest tensor that one image becomes."""
    return max(_sizes(model))


def _sizes(model: keras.Model) -> list[int]:
    tensors = keras.tree.flatten([layer.output for layer in model.layers])
    return [math.prod(tensor.shape[1:]) for tensor in tensors]
