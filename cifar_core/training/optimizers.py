"""How a phase learns: its loss, its optimizer, and the learning rate over its epochs."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from cifar_core.experiment.experiment import Phase
from cifar_core.experiment.network import Network
from cifar_core.experiment.schedules import Plateau


def compile_for(phase: Phase, network: Network, model: keras.Model, *, one_kernel: bool = False) -> None:
    """Give a model, or a part of it that ends in its outputs, the phase's loss and a new optimizer.

    With `one_kernel` an update is compiled into one, where TensorFlow can do so: equal up to rounding.
    """
    accuracy = keras.metrics.CategoricalAccuracy if phase.learns_one_hot else keras.metrics.SparseCategoricalAccuracy
    model.compile(
        optimizer=optimizer(phase, network, model, one_kernel=one_kernel),
        loss=loss(phase),
        metrics=[accuracy("accuracy")],
    )


def loss(phase: Phase) -> keras.losses.Loss:
    """Return the cross-entropy; where the phase learns one-hot, of labels as probabilities (n, outputs).

    As everywhere in Keras, validation is measured with the same loss, smoothed labels included.
    """
    if phase.learns_one_hot:
        return keras.losses.CategoricalCrossentropy(label_smoothing=phase.label_smoothing)
    return keras.losses.SparseCategoricalCrossentropy()


def optimizer(
    phase: Phase, network: Network, model: keras.Model, *, one_kernel: bool = False
) -> keras.optimizers.Optimizer:
    """Return the phase's optimizer for the trainable variables of `model`, all of whose layers are the network's.

    With a `block_rate_factor` below 1, the k-th block before the output layer's has factor**k of the learning rate,
    frozen blocks counted too; Adam's and RMSprop's averages of the gradients are not scaled. AdamW's decay is scaled
    with the rate, as with PyTorch's parameter groups: factor 0.5 is that block's AdamW at half the rate.
    """
    options: dict[str, Any] = {"learning_rate": phase.learning_rate, "global_clipnorm": phase.clip_norm}
    kind = {
        "rmsprop": keras.optimizers.RMSprop,
        "adam": keras.optimizers.Adam,
        "adamw": keras.optimizers.AdamW,
        "sgd": keras.optimizers.SGD,
    }[phase.optimizer]
    if phase.optimizer in ("sgd", "rmsprop"):
        options["momentum"] = phase.momentum
    if phase.block_rate_factor < 1:
        if phase.optimizer == "adamw":
            kind = keras.optimizers.Adam  # AdamW is Adam with the decay, which moves into the step
        kind = _with_factors(kind, _factors(phase, network, model), phase.weight_decay)
    elif phase.optimizer == "adamw":
        options["weight_decay"] = phase.weight_decay
    if one_kernel and _can_compile():
        kind = _in_one_kernel(kind)
    return kind(**options)


def _factors(phase: Phase, network: Network, model: keras.Model) -> list[float]:
    """Return the factor of each of the model's trainable variables, in their order."""
    blocks = reversed(network.blocks)
    of_layer = {layer: phase.block_rate_factor**k for k, block in enumerate(blocks) for layer in block.layers}
    of_variable = {id(variable): layer.name for layer in model.layers for variable in layer.trainable_variables}
    return [of_layer[of_variable[id(variable)]] for variable in model.trainable_variables]


def _with_factors(
    kind: type[keras.optimizers.Optimizer], factors: Sequence[float], decay: float
) -> type[keras.optimizers.Optimizer]:
    """Return the optimizer's class with a factor on the rate of each variable, and decay at that rate.

    Scaled gradients would not do: Adam and RMSprop divide their size out again.
    """

    class WithFactors(kind):  # type: ignore[misc]  # Keras ships no types
        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            rate = ops.multiply(learning_rate, factors[self._get_variable_index(variable)])
            if decay:
                self.assign_sub(variable, ops.multiply(variable, ops.multiply(decay, rate)))
            super().update_step(gradient, variable, rate)

    return WithFactors


def _in_one_kernel(kind: type[keras.optimizers.Optimizer]) -> type[keras.optimizers.Optimizer]:
    """Return the optimizer's class, its update of all variables compiled into one kernel by XLA.

    Keras makes a dozen kernels for each variable, each of which reads and writes all of it. XLA rounds once where a
    product is added to something.
    """

    class InOneKernel(kind):  # type: ignore[misc]  # Keras ships no types
        def apply(self, grads: Any, trainable_variables: Any = None) -> None:
            if not self.built:
                self.build(trainable_variables)  # what is compiled may not make variables
            update = super().apply
            tf.function(lambda: update(grads, trainable_variables), jit_compile=True, autograph=False)()

    return InOneKernel


@cache
def _can_compile() -> bool:
    """Whether this TensorFlow was built with XLA."""
    try:
        tf.function(lambda: tf.zeros(()), jit_compile=True)()
    except tf.errors.OpError:
        return False
    return True


def schedule(phase: Phase, steps: int) -> list[keras.callbacks.Callback]:
    """Return what sets the learning rate while a phase of so many steps an epoch trains: nothing for a constant rate.

    To stand behind whatever records the rate of an epoch, since a plateau is acted upon when the epoch has ended.
    """
    if isinstance(phase.schedule, Plateau):
        plan = phase.schedule
        return [
            keras.callbacks.ReduceLROnPlateau("val_loss", factor=plan.factor, patience=plan.patience, min_delta=0.0)
        ]
    return [] if phase.schedule.kind == "constant" else [_Scheduled(phase, steps)]


class _Scheduled(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Sets the rate from the position in the phase alone, so that a phase that is continued goes on as it would."""

    def __init__(self, phase: Phase, steps: int):
        super().__init__()
        self._phase, self._steps, self._epoch = phase, steps, 0

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Remember which epoch it is."""
        self._epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Set the rate of the epoch, or of the step where it changes by step."""
        if batch == 0 or self._phase.schedule.changes_by == "step":
            share = self._phase.schedule.share(self._epoch + batch / self._steps, self._phase.epochs)
            self.model.optimizer.learning_rate = self._phase.learning_rate * share


def early_stopping(phase: Phase) -> keras.callbacks.EarlyStopping | None:
    """Return what ends the phase and puts the weights of its `best_epoch` (from 0) back, or None.

    The best epoch is the last that improved on the best before by more than `smallest_gain`. Its weights are put
    back too when the phase was not ended early.
    """
    if (rule := phase.early_stopping) is None:
        return None
    return keras.callbacks.EarlyStopping(
        rule.watch,
        min_delta=rule.smallest_gain,
        patience=rule.patience,
        mode="min" if rule.watch == "val_loss" else "max",
        restore_best_weights=True,
    )
