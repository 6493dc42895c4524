"""How long an experiment will take here: an estimate from what has run here, and from nothing else.

What a phase computes is counted in multiply-adds: a layer uses each of its weights once at every place of its output.
How fast they go here is taken from the measured phase that computes most nearly as much for an image, since small
networks reach fewer of them a second than large ones. For a phase that has run before, that is its own pace.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from cifar_core.experiment.experiment import Data, Experiment
from cifar_core.experiment.measured import Measured, PhaseHistory, Run, State
from cifar_core.experiment.network import Network
from cifar_core.experiment.recipes import with_random_weights

_FEWEST_IMAGES = 1000
"""Epochs of fewer training images tell how long an epoch takes to begin and end, not how fast it is."""

Counts = Sequence[tuple[int, int]]
"""How many images there are of each class, in the order of the labels: to train on, and to test on."""


@dataclass(frozen=True)
class Estimate:
    """Seconds that an experiment will probably take. `measured`: the same has run here before."""

    seconds: float
    measured: bool


class Estimates:
    """How long experiments will take on the computer that the latest of these runs was computed on.

    `hardware` names it: this one, as far as the runs can tell. Where the first weights come from changes no times.
    `count` counts the images of a data set that does not know its numbers: the user's own.
    """

    def __init__(self, runs: Sequence[Measured], count: Callable[[Data], Counts | None] = lambda data: None):
        self._count = count
        newest_first = sorted(runs, key=lambda measured: measured[0].created, reverse=True)
        named = [str(run.environment["hardware"]) for run, _ in newest_first if run.environment.get("hardware")]
        self.hardware = named[0] if named else ""
        here = [(run, phases) for run, phases in newest_first if run.environment.get("hardware") == self.hardware]
        self._took: dict[Experiment, Estimate] = {}
        for run, _ in here:
            if run.state is State.DONE and not run.resumed and run.started and run.finished:
                took = Estimate((run.finished - run.started).total_seconds(), measured=True)
                self._took.setdefault(with_random_weights(run.experiment), took)
        self._paces = [pace for run, phases in here for pace in self._known_paces(run, phases)]

    def of(self, experiment: Experiment) -> Estimate | None:
        """Return what the experiment took the last time, else an estimate from other phases.

        None without any, and where nobody knows how many images there are.
        """
        if took := self._took.get(with_random_weights(experiment)):
            return took
        counts = self._counts(experiment.data)
        if not self._paces or counts is None:
            return None
        seconds = 0.0
        for index, phase in enumerate(experiment.phases):
            _, for_an_image = multiply_adds(experiment.networks[index])
            in_an_epoch = _epoch(experiment, index, *_images(experiment, index, counts))
            seconds += phase.epochs * in_an_epoch * self._pace(for_an_image)
        return Estimate(seconds, measured=False)

    def of_all(self, experiments: Iterable[Experiment]) -> Estimate | None:
        """Return an estimate for one after the other; None where one of them has none."""
        known = [self.of(experiment) for experiment in experiments]
        every = [each for each in known if each]
        if len(every) < len(known):
            return None
        return Estimate(sum(each.seconds for each in every), all(each.measured for each in every))

    def size(self, experiment: Experiment) -> float:
        """Return what to order experiments by: seconds, or what there is to compute where nothing has run yet."""
        expected = self.of(experiment)
        return expected.seconds if expected else work(experiment)

    def _pace(self, for_an_image: float) -> float:
        _, seconds = min(self._paces, key=lambda known: abs(math.log(known[0] / for_an_image)))
        return seconds

    def _known_paces(self, run: Run, histories: Sequence[PhaseHistory]) -> Iterator[tuple[float, float]]:
        """For each phase, the multiply-adds of a training image and the seconds of one multiply-add.

        The first epoch of a phase is left out, which also compiles; so are frozen phases of runs that stored features:
        they skip work. An estimate therefore takes stored features into account only where the same experiment is done.
        """
        for history in histories:
            network = run.experiment.networks[history.index]
            frozen = any(layer.params and not layer.trainable for layer in network.layers)
            steady = [epoch for epoch in history.epochs[1:] if epoch.images >= _FEWEST_IMAGES]
            if not steady or (frozen and "extract" in run.seconds):
                continue
            if (counts := self._counts(run.experiment.data)) is not None:
                _, validated = _images(run.experiment, history.index, counts)
                in_an_epoch = _epoch(run.experiment, history.index, steady[0].images, validated)
                yield multiply_adds(network)[1], median(epoch.seconds for epoch in steady) / in_an_epoch

    def _counts(self, data: Data) -> Counts | None:
        return _of_row(data) or self._count(data)


def multiply_adds(network: Network) -> tuple[float, float]:
    """Return the multiply-adds that one image takes in validation and in training.

    Training goes back as well: from the output to the first layer that trains, and once more for the weights that do.
    """
    uses = [(layer.params - layer.statistics) * math.prod(layer.output_shape[:-1]) for layer in network.layers]
    trains = [layer.trained > 0 for layer in network.layers]
    back = sum(uses[trains.index(True) + 1 :])
    return sum(uses), sum(uses) + back + sum(use for use, trained in zip(uses, trains, strict=True) if trained)


def work(experiment: Experiment) -> float:
    """Return the multiply-adds of all epochs of all phases; infinitely many where the user's own images are."""
    if not (counts := _of_row(experiment.data)):
        return math.inf
    return sum(
        phase.epochs * _epoch(experiment, index, *_images(experiment, index, counts))
        for index, phase in enumerate(experiment.phases)
    )


def length(estimate: Estimate | None) -> str:
    """Return how long something will take, no more exactly than it is known."""
    if estimate is None:
        return "time unknown"
    minutes = estimate.seconds / 60
    time = "1 min" if minutes < 1 else f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
    return f"{'about' if estimate.measured else 'roughly'} {time}"


def in_words(estimate: Estimate | None) -> str:
    """Return how long something will take, and how that is known."""
    if estimate is None:
        return "how long it takes is unknown until something has run here"
    return f"{length(estimate)}, {'as it took here' if estimate.measured else 'estimated from what has run here'}"


def _of_row(data: Data) -> Counts:
    """What a data set's row knows; nothing of the user's own images."""
    row = data.dataset
    return [(row.train_per_class, row.test_per_class)] * len(row.classes) if row.train_per_class else []


def _images(experiment: Experiment, phase: int, counts: Counts) -> tuple[float, float]:
    """Training and validation images of an epoch of a phase."""
    most = experiment.data.per_class or math.inf
    of_classes = [counts[index] for index in experiment.classes_of(experiment.phases[phase])]
    train, test = (sum(min(count, most) for count in side) for side in zip(*of_classes, strict=True))
    if experiment.validation.on == "test":
        return train, test
    return train * (1 - experiment.validation.share), train * experiment.validation.share


def _epoch(experiment: Experiment, phase: int, images: float, validated: float) -> float:
    """Multiply-adds of an epoch of so many training and validation images."""
    validation, training = multiply_adds(experiment.networks[phase])
    return images * training + validated * validation
