"""Where a run stands between two epochs, in a file: enough to go on as if nothing had happened.

Every random stream of a run is addressed by (seed, phase, epoch), so weights, the optimizer's variables and what
callbacks remember are all there is to keep. Files hold plain arrays; nothing in them is ever executed.
"""

import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from cifar_core.data.files import replacing
from cifar_core.experiment.measured import CHECKPOINT

REMEMBERED: dict[type, tuple[str, ...]] = {
    keras.callbacks.EarlyStopping: ("best", "best_epoch", "wait", "best_weights"),
    keras.callbacks.ReduceLROnPlateau: ("best", "wait", "cooldown_counter"),
}
"""What Keras's callbacks know of earlier epochs."""


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be read or does not fit the network. The message says which file."""


@dataclass(frozen=True)
class Position:
    """Where in an experiment: in which phase, counted from 0, and after how many of its epochs."""

    phase: int
    epoch: int


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A position with what is needed to go on from it, as arrays by name."""

    position: Position
    arrays: Mapping[str, NDArray[Any]]

    def is_of(self, fitted: keras.Model) -> bool:
        """Whether the same layers were being fitted: all of a network, or what is behind its frozen ones."""
        return list(self.arrays["fitted"]) == _fitted(fitted)


def save(
    path: Path,
    position: Position,
    layers: Sequence[keras.layers.Layer],
    optimizer: keras.optimizers.Optimizer | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    fitted: Sequence[str] = (),
) -> None:
    """Keep a position with the weights of some layers, at once or not at all.

    Without an optimizer it is the end of a phase, whose successor starts a new one. `fitted` are the layers that
    optimizer and callbacks know.
    """
    arrays: dict[str, Any] = {"position": np.array([position.phase, position.epoch]), "fitted": np.array(fitted, str)}
    for layer in layers:
        arrays |= {f"layer/{layer.name}/{place}": weight for place, weight in enumerate(layer.get_weights())}
    if optimizer is not None:
        arrays |= {f"optimizer/{place}": variable.numpy() for place, variable in enumerate(optimizer.variables)}
    for callback in callbacks:
        for attribute in REMEMBERED.get(type(callback), ()):
            arrays |= _remembered(f"callback/{type(callback).__name__}/{attribute}", getattr(callback, attribute))
    with replacing(path) as part, part.open("wb") as file:
        np.savez(file, **arrays)
        file.flush()
        os.fsync(file.fileno())


def _remembered(name: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if isinstance(value, list):
        return {f"{name}/{place}": array for place, array in enumerate(value)}
    return {name: value}


def load(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        CheckpointError: when the file is damaged or not there.
    """
    with _told(path), np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
        return Checkpoint(_position(arrays.pop("position")), arrays)


def end_of_phase(phase: int) -> str:
    """Return the name of the file for the end of a phase."""
    return f"phase-{phase}.npz"


def standing(folder: Path) -> Position:
    """Return where the checkpoints in a folder let training begin: at the start where there is none.

    Raises:
        CheckpointError: when a checkpoint is damaged.
    """
    ended = [int(path.stem.removeprefix("phase-")) for path in folder.glob(end_of_phase(0).replace("0", "*"))]
    phase = max(ended, default=-1) + 1
    path = folder / CHECKPOINT
    if path.exists():
        with _told(path), np.load(path, allow_pickle=False) as file:
            position = _position(file["position"])
        if position.phase == phase:
            return position
    return Position(phase, 0)


def _position(array: NDArray[Any]) -> Position:
    phase, epoch = (int(value) for value in array)
    return Position(phase, epoch)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"The checkpoint {path.name} cannot be used ({error}). Start the experiment again as a new run."
        ) from error


def restore_weights(checkpoint: Checkpoint, model: keras.Model) -> None:
    """Give the model's layers the weights that the checkpoint has for them.

    Raises:
        CheckpointError: naming the layer that does not fit.
    """
    for layer in model.layers:
        weights = _numbered(checkpoint.arrays, f"layer/{layer.name}/")
        if not weights:
            continue
        if [tuple(weight.shape) for weight in layer.weights] != [weight.shape for weight in weights]:
            raise CheckpointError(f"The checkpoint does not fit the layer {layer.name}. Start the run again.")
        layer.set_weights(weights)


class GoOn(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Puts optimizer and callbacks where the checkpoint left them, after `fit` has reset them. To stand last."""

    def __init__(self, checkpoint: Checkpoint, callbacks: Sequence[keras.callbacks.Callback]):
        super().__init__()
        self._arrays, self._callbacks = checkpoint.arrays, callbacks

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Go on from the checkpoint."""
        for variable, value in zip(self.model.optimizer.variables, _numbered(self._arrays, "optimizer/"), strict=True):
            variable.assign(value)
        for callback in self._callbacks:
            for attribute in REMEMBERED.get(type(callback), ()):
                name = f"callback/{type(callback).__name__}/{attribute}"
                several = _numbered(self._arrays, f"{name}/")
                if several or name in self._arrays:
                    setattr(callback, attribute, several or self._arrays[name].item())


class KeepEachEpoch(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Saves a checkpoint after every epoch. To stand behind whatever else acts on an epoch's end."""

    def __init__(
        self,
        path: Path,
        phase: int,
        epochs: int,
        layers: Sequence[keras.layers.Layer],
        callbacks: Sequence[keras.callbacks.Callback],
    ):
        super().__init__()
        self._path, self._phase, self._epochs = path, phase, epochs
        self._layers, self._callbacks = layers, callbacks

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Save. A phase that ends early here has no epoch left to go on with."""
        done = self._epochs if self.model.stop_training else epoch + 1
        save(
            self._path,
            Position(self._phase, done),
            self._layers,
            self.model.optimizer,
            self._callbacks,
            _fitted(self.model),
        )


def _fitted(model: keras.Model) -> list[str]:
    return [layer.name for layer in model.layers if layer.weights]


def _numbered(arrays: Mapping[str, NDArray[Any]], prefix: str) -> list[NDArray[Any]]:
    found = {
        int(place): array
        for name, array in arrays.items()
        if name.startswith(prefix) and (place := name.removeprefix(prefix)).isdecimal()
    }
    return [found[place] for place in sorted(found)]
