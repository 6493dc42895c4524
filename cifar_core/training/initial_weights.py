"""Weights that a backbone starts from: ImageNet's, a file's or another run's.

Files are read as arrays by layer; nothing in them is ever executed, and no model is loaded from them.
"""

import io
import re
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import keras
import numpy as np
from numpy.typing import NDArray

from cifar_core.data import weights
from cifar_core.experiment.applications import BaseLayer
from cifar_core.experiment.backbones import Backbone
from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.network import NetworkLayer

SECONDS_BETWEEN_LOOKS = 0.5
MISMATCHES_NAMED = 8


class WeightsError(RuntimeError):
    """Weights that cannot be had or do not fit. The message says which, what was expected, and what to do."""


@dataclass(frozen=True, eq=False)
class LayerWeights:
    """The arrays that a file keeps for one layer, in Keras's order."""

    name: str
    arrays: list[NDArray[np.float32]]


def initialize(model: keras.Model, experiment: Experiment, path: Path | None, say: Callable[[str], None]) -> str:
    """Give the backbone's layers in the first phase's model their initial weights, and say whose they are.

    `path` is the file for the sources "file" and "run". `say` hears what is being waited for.

    Raises:
        WeightsError: when the weights cannot be had, or do not fit, layer by layer. Nothing was changed then.
    """
    match experiment.initial_weights.source:
        case "random":
            return ""
        case "imagenet":
            path = imagenet_file(experiment.backbone_row, say)
            origin = f"ImageNet ({path.name})"
        case "file":
            assert path is not None
            origin = f"the file {path.name}"
        case "run":
            assert path is not None
            origin = f"the run {experiment.initial_weights.run}"
    layers = [layer for layer in backbone_layers(experiment) if model.get_layer(layer.name).weights]
    found = _matched(read_weights(path), layers)
    problems = [problem for layer, own in zip(layers, found, strict=True) if (problem := _misfit(model, layer, own))]
    if problems:
        more = len(problems) - MISMATCHES_NAMED
        raise WeightsError(
            f"The weights of {origin} do not fit {experiment.backbone_row.title} at "
            f"{experiment.input_shape[0]}×{experiment.input_shape[1]} pixels. "
            + " ".join(problems[:MISMATCHES_NAMED])
            + (f" And {more} layers more." if more > 0 else "")
            + " Choose weights of the same network and input size, or start from random weights."
        )
    for layer, own in zip(layers, found, strict=True):
        assert own is not None
        model.get_layer(layer.name).set_weights(own.arrays)
    return origin


def backbone_layers(experiment: Experiment) -> list[NetworkLayer]:
    """Return the layers of the first phase's network that belong to its backbone."""
    own = {id(layer) for layer, _ in experiment.backbone_row.layers()}
    return [layer for layer in experiment.networks[0].layers if id(layer.layer) in own]


def read_weights(path: Path) -> list[LayerWeights]:
    """Read a Keras weights file: `.weights.h5`, `.keras`, or the older `.h5`.

    Raises:
        WeightsError: when it is none, or damaged.
    """
    try:
        with _opened(path) as (file, order):
            if "layer_names" in file.attrs or "model_weights" in file:
                return _read_older(file.get("model_weights", file))
            return sorted(_read_vars(file), key=lambda own: order.get(own.name, len(order)))
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, zipfile.BadZipFile) as error:
        raise WeightsError(
            f"{path} could not be read as Keras weights ({error}). Expected a file that Keras wrote: .weights.h5, "
            ".keras, or .h5."
        ) from error


@contextmanager
def _opened(path: Path) -> Iterator[tuple[h5py.File, dict[str, int]]]:
    """The weights in a file, with the places of the layers that a `.keras` file names in order."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
            names = re.findall(r'"name": "([^"]+)"', archive.read("config.json").decode())
            yield file, {name: place for place, name in reversed(list(enumerate(names)))}
    else:
        with h5py.File(path) as file:
            yield file, {}


def _read_older(file: h5py.Group) -> list[LayerWeights]:
    layers = []
    for name in map(_text, file.attrs["layer_names"]):
        arrays = [np.asarray(file[name][_text(weight)]) for weight in file[name].attrs["weight_names"]]
        if arrays:
            layers.append(LayerWeights(name, arrays))
    return layers


def _read_vars(file: h5py.Group) -> list[LayerWeights]:
    layers: list[LayerWeights] = []

    def visit(place: str, group: object) -> None:
        inner = place.startswith("layers/") and place.endswith("/vars")
        if inner and isinstance(group, h5py.Group) and len(group):
            arrays = [np.asarray(group[str(index)]) for index in range(len(group))]
            layers.append(LayerWeights(_text(group.attrs.get("name", place.split("/")[-2])), arrays))

    file.visititems(visit)
    return layers


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _matched(found: list[LayerWeights], layers: list[NetworkLayer]) -> list[LayerWeights | None]:
    """By name where all names are there; otherwise in order: Keras numbers unnamed layers by what it built before."""
    by_name = {own.name: own for own in found}
    if len(found) < len(layers) or all(layer.name in by_name for layer in layers):
        return [by_name.get(layer.name) for layer in layers]
    return list(found[: len(layers)])


def _misfit(model: keras.Model, layer: NetworkLayer, own: LayerWeights | None) -> str:
    expected = [tuple(weight.shape) for weight in model.get_layer(layer.name).weights]
    if own is None:
        return f"{layer.name}: expected {_shapes(expected)}, found nothing."
    received = [array.shape for array in own.arrays]
    return "" if received == expected else f"{layer.name}: expected {_shapes(expected)}, received {_shapes(received)}."


def _shapes(shapes: list[tuple[int, ...]]) -> str:
    return ", ".join("×".join(map(str, shape)) for shape in shapes)


def imagenet_file(backbone: Backbone, say: Callable[[str], None]) -> Path:
    """Return the file of Keras's ImageNet weights, downloaded by Keras where it is not there yet.

    Raises:
        WeightsError: saying what to download, from where and into which folder, when it cannot be had.
    """
    application = backbone.application
    assert application is not None and application.imagenet
    path = weights.imagenet_file(application)
    if path.exists():
        return path
    about = sum(4 * layer.weights for layer, _ in backbone.layers() if isinstance(layer, BaseLayer)) / 1e6
    with _watched(path, lambda done: say(f"downloading ImageNet weights, {done / 1e6:.0f} of about {about:.0f} MB")):
        try:
            getattr(keras.applications, application.builder)(include_top=False, weights="imagenet")
        except Exception as error:  # Keras raises plain Exception where a download fails
            address = re.search(r"https?://[^\s]+(?=:)", str(error))
            raise WeightsError(
                f"The ImageNet weights of {backbone.title} are not on this computer and could not be downloaded. "
                f"Download {address.group() if address else application.imagenet} elsewhere and put it into "
                f"{path.parent} as {path.name}; or start from random weights. ({error})"
            ) from error
    return path


@contextmanager
def _watched(path: Path, say: Callable[[int], None]) -> Iterator[None]:
    """Tell how much of a file is there, while it grows."""
    done = threading.Event()

    def look() -> None:
        while not done.wait(SECONDS_BETWEEN_LOOKS):
            say(path.stat().st_size if path.exists() else 0)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
