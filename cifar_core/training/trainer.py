"""Train an experiment: its phases in order, everything reported while it is measured."""

import time
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from cifar_core.data.arrays import Images
from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.measured import Before
from cifar_core.training.callbacks import Measure, Reporter, StopRequested
from cifar_core.training.feeding import Examples, Feed, Shuffled, feed
from cifar_core.training.initial_weights import initialize
from cifar_core.training.ledger import Ledger
from cifar_core.training.networks import build
from cifar_core.training.optimizers import early_stopping, schedule
from cifar_core.training.proof import changes, snapshot


@dataclass(frozen=True, eq=False)
class Trained:
    """The model as the last phase left it, with that phase's images. `stopped`: it was ended on request."""

    model: keras.Model
    feed: Feed
    stopped: bool


def train(
    experiment: Experiment,
    images: Images,
    seed: int,
    reporter: Reporter,
    ledger: Ledger,
    weights: Path | None = None,
) -> Trained:
    """Run the experiment's phases. `weights` is the file of the initial weights, where they come from one.

    The same experiment, seed and machine give the same measurements, bit for bit.

    Raises:
        TrainingDivergedError: when a loss is no longer finite.
        FrozenLayerMovedError: when freezing did not hold.
        WeightsError: when the initial weights cannot be had or do not fit.
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
        if index == 0:
            initialize(model, experiment, weights, reporter.preparing)
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
    phase, outputs = experiment.phases[index], experiment.networks[index].outputs
    validation = phase_feed.validation.in_order(one_hot=outputs if phase.learns_one_hot else None)
    ledger.switch("validation")
    loss, accuracy = model.evaluate(validation, verbose=0)
    reporter.before(index, Before(loss, accuracy, time.perf_counter() - clock))
    before = snapshot(model)
    batches = Shuffled(phase_feed.train, phase, outputs)
    stopping = early_stopping(phase)
    watching = [Measure(reporter, ledger, experiment, index, seed, batches, clock)]
    watching += schedule(phase, len(batches.batches)) + ([stopping] if stopping else [])
    try:
        model.fit(
            batches.batches,
            epochs=phase.epochs,
            validation_data=validation,
            callbacks=watching,
            shuffle=False,  # the batches have an order of their own
            verbose=0,
        )
    finally:  # a phase that was stopped is to show the proof of its freezing too
        reporter.changes(index, changes(experiment.networks[index], before, snapshot(model)))
    if stopping is not None:
        reporter.kept(index, stopping.best_epoch + 1)


def probabilities(model: keras.Model, examples: Examples) -> NDArray[np.float32]:
    """Return the model's probabilities, float32 (n, outputs), in the order of the examples."""
    predicted: NDArray[np.float32] = model.predict(examples.in_order(), verbose=0)
    return predicted
