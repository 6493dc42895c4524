"""Where weights are: those that Keras downloaded, and files of the user's. Looked at without Keras."""

from pathlib import Path

from cifar_core.data.catalogue import path_of
from cifar_core.data.errors import DataNotFoundError
from cifar_core.data.sources import keras_home
from cifar_core.experiment.backbones import Application
from cifar_core.experiment.experiment import Experiment


def imagenet_folder() -> Path:
    """The folder where Keras keeps weights; what Keras itself would look in."""
    return keras_home() / "models"


def imagenet_file(application: Application) -> Path:
    """Where Keras keeps the ImageNet weights of a network that has some, once it has downloaded them."""
    return imagenet_folder() / application.imagenet


def weights_file(path: str) -> Path:
    """The file of weights that a person means.

    Raises DataNotFoundError where there is no such file: a folder, a device or a pipe is none.
    """
    file = path_of(path)
    try:
        if file.is_file():
            return file
    except (OSError, ValueError):  # no file can have such a name
        pass
    raise DataNotFoundError(
        f"There is no file {path} on the computer that runs the experiment: name one that holds weights."
    )


def missing_weights(experiment: Experiment) -> Path | None:
    """The file of ImageNet weights that an experiment needs, where it is not on this computer; otherwise None."""
    application = experiment.backbone_row.application
    if experiment.initial_weights.source != "imagenet" or application is None:
        return None
    file = imagenet_file(application)
    return None if file.exists() else file
