"""The networks that a run has kept: its model, and how it stood between two phases."""

import zipfile
from pathlib import Path

import keras

from cifar_core.data.files import replacing
from cifar_core.experiment.experiment import Experiment
from cifar_core.training.checkpoint import load, restore_weights
from cifar_core.training.networks import build


class NoNetworkError(RuntimeError):
    """A run whose network cannot be looked into. The message says why."""


def keep_network(model: keras.Model, path: Path) -> None:
    """Keep a network in a file, at once or not at all; plain Keras loads it.

    Without the optimizer, which nothing goes on with: the file is smaller.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        keras.Model(model.input, model.output, name=model.name).save(part)


def kept_network(path: Path) -> keras.Model:
    """Return the network in a file that a run has kept.

    Raises:
        NoNetworkError: where there is none, or it cannot be read.
    """
    if not path.exists():
        raise NoNetworkError("This run has kept no model: it ended before there was one.")
    try:
        return keras.models.load_model(path, compile=False)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise NoNetworkError(f"The model of this run cannot be read ({error}).") from error


def network_before(path: Path, experiment: Experiment, phase: int, seed: int) -> keras.Model:
    """Return the network as it was before a phase, the second (1) or a later one, from the file for the end before it.

    Raises:
        CheckpointError: when what was kept is damaged.
        NoNetworkError: when it was not kept.
    """
    if not path.exists():
        raise NoNetworkError(f"This run has not kept its network as it was before {experiment.phases[phase].name}.")
    model = build(experiment, phase - 1, seed)
    restore_weights(load(path), model)
    return model
