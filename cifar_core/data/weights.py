"""Where Keras keeps weights that it downloaded; looked at without Keras."""

import os
from pathlib import Path

from cifar_core.experiment.experiment import Experiment


def imagenet_folder() -> Path:
    """The folder where Keras keeps weights; what Keras itself would look in."""
    chosen = os.environ.get("KERAS_HOME")
    return (Path(chosen).expanduser() if chosen else Path.home() / ".keras") / "models"


def missing_weights(experiment: Experiment) -> Path | None:
    """The file of ImageNet weights that an experiment needs, where it is not on this computer; otherwise None."""
    application = experiment.backbone_row.application
    if experiment.initial_weights.source != "imagenet" or application is None:
        return None
    file = imagenet_folder() / application.imagenet
    return None if file.exists() else file
