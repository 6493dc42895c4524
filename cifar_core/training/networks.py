"""From networks as data to Keras models."""

import keras
import numpy as np

from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.layers import Conv, Dense, Dropout, Flatten, Layer, MaxPool
from cifar_core.training.streams import stream


def keras_layer(layer: Layer, *, trainable: bool = True) -> keras.layers.Layer:
    """Return the Keras layer that a layer as data describes."""
    common = {"name": layer.name, "trainable": trainable}
    match layer:
        case Conv():
            return keras.layers.Conv2D(
                layer.filters, layer.kernel, padding=layer.padding, activation=layer.activation, **common
            )
        case MaxPool():
            return keras.layers.MaxPooling2D(layer.size, **common)
        case Dropout():
            return keras.layers.Dropout(layer.rate, **common)
        case Flatten():
            return keras.layers.Flatten(**common)
        case Dense():
            return keras.layers.Dense(layer.units, activation=layer.activation, **common)


def build(experiment: Experiment, phase: int, seed: int, previous: keras.Model | None = None) -> keras.Model:
    """Return the model of a phase, compiled afresh: from raw pixels, uint8 (n, height, width, channels), to
    probabilities (n, outputs).

    New layers are initialized from the stream (seed, phase); all others take over the weights of `previous`, the
    model of the phase before. The optimizer starts anew in every phase, as it does when a Keras script recompiles.
    """
    network, settings = experiment.networks[phase], experiment.phases[phase]
    keras.utils.set_random_seed(stream(seed, "weights", phase))
    pixels = keras.Input(experiment.image_shape, dtype="uint8", name="pixels")
    values = keras.layers.Rescaling(experiment.backbone_row.pixel_scale, name="rescale")(pixels)
    for layer in network.layers:
        values = keras_layer(layer.layer, trainable=layer.trainable)(values)
    model = keras.Model(pixels, values, name=experiment.backbone.replace("-", "_"))
    if previous is not None:
        for layer in network.layers:
            if layer.since < phase:
                model.get_layer(layer.name).set_weights(previous.get_layer(layer.name).get_weights())
    model.compile(
        optimizer=keras.optimizers.get(
            {"class_name": settings.optimizer, "config": {"learning_rate": settings.learning_rate}}
        ),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def reset_random_layers(model: keras.Model, seed: int, phase: int, epoch: int) -> None:
    """Put the generator of every layer that draws (Dropout) to the start of its stream for this epoch."""
    generators = [variable for variable in model.variables if variable.name == "seed_generator_state"]
    for position, state in enumerate(generators):
        state.assign(np.array([stream(seed, "layers", phase, epoch, position), 0]))
