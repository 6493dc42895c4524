"""Room on the disk: what runs keep, what they take meanwhile, and whether it is there."""

import math
import shutil
from collections.abc import Sequence
from pathlib import Path

from cifar_core.experiment.experiment import Experiment

SPARE_BYTES = 200e6
NO_ROOM = "There is too little room on the disk: delete old runs on the Results page first."
_VALUE = 4
_LABEL_AND_PLACE = 16
_WITH_OPTIMIZER = 3  # at most: Adam remembers two values of each that it trains


def bytes_kept(experiment: Experiment) -> float:
    """Return what a run keeps: the network at the end of every phase, and its predictions.

    Without the predictions for the user's own images, whose number only their folder knows.
    """
    outputs = experiment.networks[-1].outputs
    networks = sum(network.total for network in experiment.networks)
    return _VALUE * networks + (_VALUE * outputs + _LABEL_AND_PLACE) * _predicted(experiment)


def bytes_while_training(experiment: Experiment) -> float:
    """Return what a run's checkpoints take at most until it has ended: the one to go on from, and the next one."""
    values = (
        _WITH_OPTIMIZER * network.trainable + (network.total if phase.early_stopping is not None else 0)
        for phase, network in zip(experiment.phases, experiment.networks, strict=True)
    )
    return 2 * _VALUE * max(values)


def free_bytes(home: Path) -> int:
    """Return the room on the disk that runs are kept on."""
    return shutil.disk_usage(next(parent for parent in (home, *home.parents) if parent.exists())).free


def has_room(home: Path, experiments: Sequence[Experiment]) -> bool:
    """Whether the disk has room for what such runs take, one after the other, and some to spare."""
    meanwhile = max(map(bytes_while_training, experiments), default=0)
    return free_bytes(home) > SPARE_BYTES + sum(map(bytes_kept, experiments)) + meanwhile


def _predicted(experiment: Experiment) -> float:
    """How many images the final network is asked about."""
    dataset, most = experiment.dataset, experiment.data.per_class or math.inf
    on_test = experiment.validation.on == "test"
    validated = 0 if on_test else experiment.validation.share * min(dataset.train_per_class, most)
    return len(experiment.classes_of(experiment.phases[-1])) * (min(dataset.test_per_class, most) + validated)
