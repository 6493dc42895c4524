"""Train an experiment: its phases in order, everything reported while it is measured."""

import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from cifar_core.data.arrays import Images
from cifar_core.data.errors import DataNotStoredError
from cifar_core.data.feature_store import FeatureStore
from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.measured import CHECKPOINT, Before
from cifar_core.training.callbacks import Measure, Reporter, Stoppable, StopRequested
from cifar_core.training.checkpoint import (
    GoOn,
    KeepEachEpoch,
    Position,
    end_of_phase,
    load,
    restore_weights,
    save,
    standing,
)
from cifar_core.training.executions import executions, steps_per_execution, worth_compiling
from cifar_core.training.feeding import Examples, Feed, Shuffled, feed, in_copies
from cifar_core.training.followed import Follow
from cifar_core.training.initial_weights import initialize
from cifar_core.training.ledger import Ledger
from cifar_core.training.networks import build
from cifar_core.training.optimizers import compile_for, early_stopping, schedule
from cifar_core.training.proof import changes, snapshot
from cifar_core.training.shortcut import Shortcut, Steps, find_shortcut


@dataclass(frozen=True, eq=False)
class Trained:
    """The model as the last phase left it, with that phase's images. `stopped`: it was ended on request.

    `shortcut` leads around the frozen layers where the phase was trained on stored features.
    """

    model: keras.Model
    feed: Feed
    stopped: bool
    shortcut: Shortcut | None = None


def train(
    experiment: Experiment,
    images: Images,
    seed: int,
    reporter: Reporter,
    ledger: Ledger,
    *,
    weights: Path | None = None,
    features: FeatureStore | None = None,
    folder: Path | None = None,
    seconds_before: float = 0.0,
) -> Trained:
    """Run the experiment's phases. `weights` is the file of the initial weights, where they come from one.

    The same experiment, seed and machine give the same measurements, bit for bit. With a `folder` for checkpoints,
    training goes on from where they stand, as if it had not been cut off; `seconds_before` were trained by then.

    Where layers are frozen from the image on, and it saves time, `features` keeps what they make of the images, and
    the rest trains on that: the same training up to rounding.

    Raises:
        CheckpointError: when a checkpoint is damaged.
        TrainingDivergedError: when a loss is no longer finite.
        FrozenLayerMovedError: when freezing did not hold.
        WeightsError: when the initial weights cannot be had or do not fit.
        cifar_core.data.errors.SelectionError: when there are too few images.
    """
    clock = time.perf_counter() - seconds_before
    begin = Position(0, 0) if folder is None else standing(folder)
    model, phase_feed, shortcut = None, None, None
    if folder is not None and begin.phase > 0:
        ledger.switch("build")
        model = build(experiment, begin.phase - 1, seed)
        restore_weights(load(folder / end_of_phase(begin.phase - 1)), model)
    for index, phase in enumerate(experiment.phases[begin.phase :], begin.phase):
        ledger.switch("data")
        if phase_feed is None or phase.train_on != experiment.phases[index - 1].train_on or phase.head is not None:
            phase_feed = feed(experiment, index, images, seed)
        ledger.switch("build")
        model = build(experiment, index, seed, previous=model)
        if index == 0:
            initialize(model, experiment, weights, reporter.preparing)
        try:
            begun = begin.epoch if index == begin.phase else 0
            given = replace(phase_feed, train=in_copies(phase_feed.train, phase, index, seed))
            shortcut, why = find_shortcut(model, experiment, index, given, images, features, reporter)
            with ExitStack() as held:
                way = model, given.train, given.validation
                asked = time.perf_counter()
                if shortcut is not None:
                    ledger.switch("extract")
                    try:
                        progress = Steps(reporter)
                        stored = shortcut.around(given.train, given.validation, progress=progress)
                        way = shortcut.rest, *held.enter_context(stored)
                        why = " ".join([why, *shortcut.told])
                    except DataNotStoredError as error:
                        shortcut, why = None, f"No stored features: {error}"
                reporter.phase(index, phase.name)
                took = time.perf_counter() - asked if shortcut is not None else 0.0
                reporter.features(index, why, took, of_others=shortcut is not None and shortcut.of_others)
                _train_phase(experiment, index, model, *way, seed, reporter, ledger, clock, folder, begun)
            if folder is not None and index < len(experiment.phases) - 1:
                ledger.switch("saving")
                save(folder / end_of_phase(index), Position(index, phase.epochs), model.layers)
                reporter.phase_ended(index)
        except StopRequested:
            return Trained(model, phase_feed, stopped=True)
    assert model is not None and phase_feed is not None
    return Trained(model, phase_feed, stopped=False, shortcut=shortcut)


def _train_phase(
    experiment: Experiment,
    index: int,
    model: keras.Model,
    fitted: keras.Model,
    train: Examples,
    validation: Examples,
    seed: int,
    reporter: Reporter,
    ledger: Ledger,
    clock: float,
    folder: Path | None,
    begun: int,
) -> None:
    """Train `fitted`, the model or what of it is behind its frozen layers, on examples made for it."""
    phase, network = experiment.phases[index], experiment.networks[index]
    batches = Shuffled(train, phase, network.outputs)
    together = steps_per_execution(fitted, phase.batch_size, batches.steps, by_step=phase.schedule.changes_by == "step")
    # With stored features and without, or rounding would set them apart: by percents where many blocks train.
    one_kernel = worth_compiling(fitted, batches.steps * phase.epochs)
    compile_for(phase, network, fitted, one_kernel=one_kernel)
    fitted.optimizer.build(fitted.trainable_variables)  # a step that makes variables is traced twice
    checkpoint = load(folder / CHECKPOINT) if folder is not None and begun else None
    if checkpoint is not None and not checkpoint.is_of(fitted):
        checkpoint, begun = None, 0  # it was on stored features then, or is now: the phase begins again
    one_hot = network.outputs if phase.learns_one_hot else None
    judged = validation.in_order(one_hot=one_hot)
    follow = Follow(reporter, index, validation, fitted)
    if not begun:
        ledger.switch("validation")
        loss, accuracy = fitted.evaluate(judged, callbacks=[Stoppable(reporter), follow], verbose=0)
        reporter.before(index, Before(loss, accuracy, time.perf_counter() - clock))
    before = snapshot(model)
    stopping = early_stopping(phase)
    watching = [Measure(reporter, ledger, experiment, index, seed, batches, together, model, clock), follow]
    remembering = schedule(phase, batches.steps) + ([stopping] if stopping else [])
    watching += remembering
    if folder is not None:
        layers = [model.get_layer(layer.name) for layer in network.layers if layer.trainable]
        watching.append(KeepEachEpoch(folder / CHECKPOINT, index, phase.epochs, layers, remembering))
        if checkpoint is not None:
            restore_weights(checkpoint, model)
            watching.append(GoOn(checkpoint, remembering))
    try:
        with executions(fitted, batches, together) as elements:
            fitted.fit(
                elements,
                initial_epoch=begun,
                epochs=phase.epochs,
                validation_data=judged,
                callbacks=watching,
                shuffle=False,  # the batches have an order of their own
                verbose=0,
            )
    finally:  # a phase that was stopped is to show the proof of its freezing too
        follow.leave()
        reporter.changes(index, changes(network, before, snapshot(model)))
    if stopping is not None:
        reporter.kept(index, stopping.best_epoch + 1)


def probabilities(trained: Trained, examples: Examples, reporter: Reporter) -> NDArray[np.float32]:
    """Return the model's probabilities, float32 (n, outputs), in the order of the examples of its feed.

    Raises:
        StopRequested: when the reporter asks for a stop meanwhile.
    """
    predicted: NDArray[np.float32]
    stoppable = [Stoppable(reporter)]
    if trained.shortcut is not None:
        try:
            with trained.shortcut.around(examples) as (around,):
                predicted = trained.shortcut.rest.predict(around.in_order(), callbacks=stoppable, verbose=0)
                return predicted
        except DataNotStoredError:
            pass  # the images themselves need no room
    predicted = trained.model.predict(examples.in_order(), callbacks=stoppable, verbose=0)
    return predicted
