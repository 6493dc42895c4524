"""What a phase's steps cost the ordinary way, and what they would cost if every layer trained: a few are measured."""

import time
from collections.abc import Callable
from statistics import median

import keras
import tensorflow as tf

from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.measured import StepCosts
from cifar_core.training.executions import executions, steps_per_execution, worth_compiling
from cifar_core.training.feeding import EVALUATION_BATCH, Feed, Shuffled
from cifar_core.training.hardware import hardware
from cifar_core.training.optimizers import compile_for

SECONDS, LEAST = 2.0, 3
"""So long each kind of step is measured, and so often at least."""


def step_costs(model: keras.Model, experiment: Experiment, phase: int, feed: Feed) -> StepCosts:
    """Measure steps of a phase on its own images, nothing stored: with its frozen layers, and with none.

    The model's weights are changed.
    """
    settings, network = experiment.phases[phase], experiment.networks[phase]
    batches = Shuffled(feed.train, settings, network.outputs)
    together = steps_per_execution(model, settings.batch_size, batches.steps)
    one_hot = network.outputs if settings.learns_one_hot else None
    judged = feed.validation.in_order(one_hot=one_hot).take(1)

    def measured(every_layer_trains: bool) -> tuple[float, float, int]:
        for layer in network.layers:
            model.get_layer(layer.name).trainable = every_layer_trains or layer.trainable
        one_kernel = worth_compiling(model, batches.steps * settings.epochs)
        compile_for(settings, network, model, one_kernel=one_kernel)
        with executions(model, batches, together) as elements:
            one = elements.take(1)
            steps, count = _seconds(lambda: model.fit(one, shuffle=False, verbose=0))
        return steps / together, _seconds(_updates(model))[0], count * together

    step, update, count = measured(every_layer_trains=False)
    evaluating, _ = _seconds(lambda: model.evaluate(judged, verbose=0))
    step_of_all, update_of_all, count_of_all = measured(every_layer_trains=True)
    return StepCosts(
        step=step,
        step_of_all=step_of_all,
        update=update,
        update_of_all=update_of_all,
        evaluation=evaluating / min(EVALUATION_BATCH, len(feed.validation)),
        validation_images=len(feed.validation),
        measured_steps=min(count, count_of_all),
        hardware=hardware(),
    )


def _updates(model: keras.Model) -> Callable[[], object]:
    """A step's last part: the optimizer moves the weights, along gradients that are zero."""
    gradients = [tf.zeros(variable.shape) for variable in model.trainable_variables]

    def update() -> None:
        model.optimizer.apply(gradients, model.trainable_variables)

    compiled: Callable[[], object] = tf.function(update)
    return compiled


def _seconds(act: Callable[[], object]) -> tuple[float, int]:
    """Return the median seconds of doing it, once it has been compiled, and how often it was measured."""
    act()
    taken: list[float] = []
    while len(taken) < LEAST or sum(taken) < SECONDS:
        began = time.perf_counter()
        act()
        taken.append(time.perf_counter() - began)
    return median(taken), len(taken)
