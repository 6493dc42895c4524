"""From networks as data to Keras models."""

import keras
import numpy as np

from cifar_core.experiment.applications import BaseLayer
from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.layers import (
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool,
    Layer,
    MaxPool,
    Relu,
)
from cifar_core.training.applications import base
from cifar_core.training.optimizers import compile_for
from cifar_core.training.streams import stream


def keras_layer(layer: Layer) -> keras.layers.Layer:
    """Return the Keras layer that a layer as data describes."""
    common = {"name": layer.name}
    match layer:
        case Conv():
            return keras.layers.Conv2D(
                layer.filters,
                layer.kernel,
                padding=layer.padding,
                activation=layer.activation,
                kernel_regularizer=_penalty(layer.l2),
                **common,
            )
        case MaxPool():
            return keras.layers.MaxPooling2D(layer.size, **common)
        case Dropout():
            return keras.layers.Dropout(layer.rate, **common)
        case Flatten():
            return keras.layers.Flatten(**common)
        case Dense():
            return keras.layers.Dense(
                layer.units, activation=layer.activation, kernel_regularizer=_penalty(layer.l2), **common
            )
        case BatchNorm():
            return keras.layers.BatchNormalization(**common)
        case Relu():
            return keras.layers.ReLU(**common)
        case GlobalAveragePool():
            return keras.layers.GlobalAveragePooling2D(**common)


def _penalty(l2: float) -> keras.regularizers.Regularizer | None:
    return keras.regularizers.L2(l2) if l2 else None


def build(experiment: Experiment, phase: int, seed: int, previous: keras.Model | None = None) -> keras.Model:
    """Return the model of a phase, compiled afresh: from raw pixels, uint8 (n, height, width, channels), to
    probabilities (n, outputs).

    New layers are initialized from the stream (seed, phase); all others take over the weights of `previous`, the
    model of the phase before. The optimizer starts anew in every phase, as it does when a Keras script recompiles.
    """
    network = experiment.networks[phase]
    keras.utils.set_random_seed(stream(seed, "weights", phase))
    pixels = keras.Input(experiment.image_shape, dtype="uint8", name="pixels")
    values = _prepared(experiment, pixels)
    if experiment.backbone_row.application is not None:
        values = base(experiment.backbone_row, values).output
    for layer in network.layers:
        if not isinstance(layer.layer, BaseLayer):
            values = keras_layer(layer.layer)(values)
    model = keras.Model(pixels, values, name=experiment.backbone.replace("-", "_"))
    for layer in network.layers:
        model.get_layer(layer.name).trainable = layer.trainable
    if previous is not None:
        for layer in network.layers:
            if layer.since < phase:
                model.get_layer(layer.name).set_weights(previous.get_layer(layer.name).get_weights())
    compile_for(experiment.phases[phase], network, model)
    return model


def _prepared(experiment: Experiment, pixels: keras.KerasTensor) -> keras.KerasTensor:
    """Return what the network sees of the pixels: scaled, and resized where it must be.

    Scaled first: Keras's resizing would round bytes back to bytes.
    """
    scale = experiment.pixel_scale
    values = keras.ops.flip(pixels, axis=-1) if scale.reverse else pixels
    values = keras.layers.Rescaling(scale.scale, scale.offset, name="rescale")(values)
    if experiment.input_shape == experiment.image_shape:
        return values
    height, width, _ = experiment.input_shape
    return keras.layers.Resizing(height, width, interpolation="bilinear", name="resize")(values)


def reset_random_layers(model: keras.Model, seed: int, phase: int, epoch: int) -> None:
    """Put the generator of every layer that draws (Dropout) to the start of its stream for this epoch."""
    generators = [variable for variable in model.variables if variable.name == "seed_generator_state"]
    for position, state in enumerate(generators):
        state.assign(np.array([stream(seed, "layers", phase, epoch, position), 0]))
