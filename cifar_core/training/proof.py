"""Proof of freezing: how far each layer moved in a phase, measured on its weights."""

import keras
import numpy as np
from numpy.typing import NDArray

from cifar_core.experiment.measured import LayerChange
from cifar_core.experiment.network import Network

Weights = dict[str, list[tuple[bool, NDArray[np.float32]]]]


class FrozenLayerMovedError(RuntimeError):
    """A layer that was to stay as it was has changed: the run's meaning is gone."""


def snapshot(model: keras.Model) -> Weights:
    """Copy each layer's weights; the flag is False for statistics such as BatchNorm's moving averages."""
    return {
        layer.name: [
            (not any(weight is statistic for statistic in _statistics(layer)), weight.numpy().copy())
            for weight in layer.weights
        ]
        for layer in model.layers
        if layer.weights
    }


def changes(network: Network, before: Weights, after: Weights) -> list[LayerChange]:
    """Return the L2 norm of every layer's change, in the order of the network.

    Raises:
        FrozenLayerMovedError: naming the frozen layers that moved.
    """
    rows = []
    for layer in network.layers:
        if layer.name in before:
            pairs = [
                (learned, old, new)
                for (learned, old), (_, new) in zip(before[layer.name], after[layer.name], strict=True)
            ]
            statistics = [(old, new) for learned, old, new in pairs if not learned]
            rows.append(
                LayerChange(
                    layer.name,
                    not layer.trainable,
                    _norm([new - old for learned, old, new in pairs if learned]),
                    _norm([old for learned, old, _ in pairs if learned]),
                    _norm([new - old for old, new in statistics]) if statistics else None,
                )
            )
    moved = [row.layer for row in rows if row.frozen and (row.change or row.statistics)]
    if moved:
        raise FrozenLayerMovedError(
            f"Frozen layers changed while training: {', '.join(moved)}. Expected no change at all. The run's "
            "numbers do not describe the freeze depth it names; please report this with the run's experiment."
        )
    return rows


def _statistics(layer: keras.layers.Layer) -> list[keras.Variable]:
    trainable = layer.trainable
    layer.trainable = True  # a frozen layer lists all its weights as non-trainable: ask while it is not
    try:
        return list(layer.non_trainable_weights)
    finally:
        layer.trainable = trainable


def _norm(parts: list[NDArray[np.float32]]) -> float:
    return float(np.sqrt(sum(float(np.square(part, dtype=np.float64).sum()) for part in parts)))
