"""Train an experiment: its phases in order, everything reported while it is measured."""

import time
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from cifar_core.data.arrays import Images
from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.measured import Before
from cifar_core.training.callbacks import Measure, Reporter, StopRequested
from cifar_core.training.feeding import Examples, Feed, Shuffled, feed
from cifar_core.training.ledger import Ledger
from cifar_core.training.networks import build
from cifar_core.training.proof import changes, snapshot


@dataclass(frozen=True, eq=False)
class Trained:
    """The model as the last phase left it, with that phase's images. `stopped`: it was ended on request."""

    model: keras.Model
    feed: Feed
    stopped: bool


def train(experiment: Experiment, images: Images, seed: int, reporter: Reporter, ledger: Ledger) -> Trained:
    """Run the experiment's phases.

    The same experiment, seed and machine give the same measurements, bit for bit.

    Raises:
        TrainingDivergedError: when a loss is no longer finite.
        FrozenLayerMovedError: when freezing did not hold.
        cifar_core.data.errors.SelectionError: when there are too few images.
    """
    clock = time.perf_counter()
    model, phase_feed = None, None
    for index, phase in enumerate(experiment.phases):
        ledger.switch("data")
        if phase_feed is None or phase.train_on != experiment.phases[index - 1].train_on or phase.head is not None:
            phase_feed = feed(experiment, index, images, seed)
        ledger.switch("build")
        model = build(experiment, index, seed, previous=model)
        try:
            reporter.phase(index, phase.name)
            _train_phase(experiment, index, model, phase_feed, seed, reporter, ledger, clock)
        except StopRequested:
            return Trained(model, phase_feed, stopped=True)
    assert model is not None and phase_feed is not None
    return Trained(model, phase_feed, stopped=False)


def _train_phase(
    experiment: Experiment,
    index: int,
    model: keras.Model,
    phase_feed: Feed,
    seed: int,
    reporter: Reporter,
    ledger: Ledger,
    clock: float,
) -> None:
    ledger.switch("validation")
    loss, accuracy = model.evaluate(phase_feed.validation.in_order(), verbose=0)
    reporter.before(index, Before(loss, accuracy, time.perf_counter() - clock))
    before = snapshot(model)
    batches = Shuffled(phase_feed.train, experiment.phases[index].batch_size)
    try:
        model.fit(
            batches.batches,
            epochs=experiment.phases[index].epochs,
            validation_data=phase_feed.validation.in_order(),
            callbacks=[Measure(reporter, ledger, experiment, index, seed, batches, clock)],
            shuffle=False,  # the batches have an order of their own
            verbose=0,
        )
    finally:  # a phase that was stopped is to show the proof of its freezing too
        reporter.changes(index, changes(experiment.networks[index], before, snapshot(model)))


def probabilities(model: keras.Model, examples: Examples) -> NDArray[np.float32]:
    """Return the model's probabilities, float32 (n, outputs), in the order of the examples."""
    predicted: NDArray[np.float32] = model.predict(examples.in_order(), verbose=0)
    return predicted
