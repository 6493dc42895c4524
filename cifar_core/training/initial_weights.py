"""Weights that a backbone starts from: ImageNet's, a file's or another run's.

Files are read as arrays by layer; nothing in them is ever executed, and no model is loaded from them.
"""

import io
import lzma
import math
import re
import shutil
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import keras
import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from cifar_core.data import weights
from cifar_core.experiment.applications import BaseLayer
from cifar_core.experiment.backbones import Application, Backbone
from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.network import NetworkLayer

MOST_UNPACKED, SMALL_ENOUGH = 20, 64_000_000
"""Weights hardly get smaller by packing: a file that claims so many times its size, and so many bytes, is a bomb."""
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
    try:
        kept = read_weights(path)
    except WeightsError as error:
        if experiment.initial_weights.source != "imagenet":
            raise
        raise WeightsError(
            f"{error} Perhaps its download was cut off: delete {path}, and the next run downloads it anew."
        ) from error
    layers = [layer for layer in backbone_layers(experiment) if model.get_layer(layer.name).weights]
    found = _matched(kept, layers)
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

    Nothing outside of the file is read, whatever links it holds, and not much more than its size is taken up.

    Raises:
        WeightsError: when it is none, or damaged.
    """
    try:
        room = _Room(max(SMALL_ENOUGH, MOST_UNPACKED * path.stat().st_size))
        with _opened(path, room) as (file, order):
            if "layer_names" in file.attrs or "model_weights" in file:
                found = _read_older(_inner(file, "model_weights") if "model_weights" in file else file, room)
            else:
                found = sorted(_read_vars(file, room), key=lambda own: order.get(own.name, len(order)))
        if not found:
            raise ValueError("it holds no layer with weights")
        return found
    except _DAMAGED as error:
        raise WeightsError(
            f"{path} could not be read as Keras weights ({error}). Expected a file that Keras wrote: .weights.h5, "
            ".keras, or .h5."
        ) from error


_DAMAGED = (
    *(OSError, EOFError, LookupError, ValueError, TypeError, AttributeError, RuntimeError, MemoryError, OverflowError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)
"""What `zipfile` and `h5py` raise for files that are no weights."""


class _Room:
    """What reading a file may still take up, in bytes."""

    def __init__(self, left: int):
        self._left = left

    def take(self, size: int, what: str) -> None:
        """Count something before it is read."""
        self._left -= size
        if self._left < 0:
            raise ValueError(f"{what} claims {size:,} bytes, far more than the file can hold")


@contextmanager
def _opened(path: Path, room: _Room) -> Iterator[tuple[h5py.File, dict[str, int]]]:
    """The weights in a file, with the places of the layers that a `.keras` file names in order."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in ("model.weights.h5", "config.json"):
                room.take(archive.getinfo(name).file_size, name)  # zipfile delivers no more than this
            names = re.findall(r'"name": "([^"]+)"', archive.read("config.json").decode())
            with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
                yield file, {name: place for place, name in reversed(list(enumerate(names)))}
    else:
        with h5py.File(path) as file:
            yield file, {}


def _read_older(file: h5py.Group, room: _Room) -> list[LayerWeights]:
    layers = []
    for name in map(_text, file.attrs["layer_names"]):
        layer = _inner(file, name)
        arrays = [_array(layer, _text(weight), room) for weight in layer.attrs["weight_names"]]
        if arrays:
            layers.append(LayerWeights(name, arrays))
    return layers


def _read_vars(file: h5py.Group, room: _Room) -> list[LayerWeights]:
    layers: list[LayerWeights] = []

    def visit(place: str, group: object) -> None:
        inner = place.startswith("layers/") and place.endswith("/vars")
        if inner and isinstance(group, h5py.Group) and len(group):
            arrays = [_array(group, str(index), room) for index in range(len(group))]
            layers.append(LayerWeights(_text(group.attrs.get("name", place.split("/")[-2])), arrays))

    file.visititems(visit)
    return layers


def _inner(group: h5py.Group, path: str) -> h5py.Group | h5py.Dataset:
    """What is at a path, if it is in this very file: a link may lead to any other on the computer."""
    for part in path.split("/"):
        if not isinstance(group, h5py.Group) or not isinstance(group.get(part, getlink=True), h5py.HardLink):
            raise ValueError(f"{path} is not in the file itself")
        group = group[part]
    return group


def _array(group: h5py.Group, path: str, room: _Room) -> NDArray[np.float32]:
    """The numbers at a path; what they are said to take is counted before anything is read."""
    found = _inner(group, path)
    if not isinstance(found, h5py.Dataset) or found.external or found.is_virtual or found.dtype.kind not in "fiu":
        raise ValueError(f"{path} holds no numbers of its own")
    room.take(math.prod(found.shape or (0,)) * found.dtype.itemsize, path)
    return np.asarray(found)


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
    if received == expected:
        return ""
    whose = "" if own.name == layer.name else f" of {own.name}"
    return f"{layer.name}: expected {_shapes(expected)}, received {_shapes(received)}{whose}."


def _shapes(shapes: list[tuple[int, ...]]) -> str:
    return ", ".join("×".join(map(str, shape)) for shape in shapes)


def imagenet_file(backbone: Backbone, say: Callable[[str], None]) -> Path:
    """Return the file of Keras's ImageNet weights, downloaded by Keras where it is not there yet.

    It is downloaded by one process at a time, into a folder of its own: what bears its name is whole. `say` hears how
    much is there, and whatever it raises ends the download.

    Raises:
        WeightsError: saying what to download, from where and into which folder, when it cannot be had.
    """
    application = backbone.application
    assert application is not None and application.imagenet
    path = weights.imagenet_file(application)
    if path.exists():
        return path
    about = sum(4 * layer.weights for layer, _ in backbone.layers() if isinstance(layer, BaseLayer)) / 1e6
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _held(FileLock(path.with_name(f"lock-{path.name}")), say):
            if not path.exists():
                _download(
                    application,
                    path,
                    lambda done: say(f"downloading ImageNet weights, {done:.0f} of about {about:.0f} MB"),
                )
    except OSError as error:
        raise WeightsError(
            f"The ImageNet weights of {backbone.title} are not on this computer and could not be downloaded. "
            f"Download {application.address} elsewhere and put it into {path.parent} as {path.name}; or start from "
            f"random weights. ({error})"
        ) from error
    return path


@contextmanager
def _held(lock: FileLock, say: Callable[[str], None]) -> Iterator[None]:
    """Hold a lock, and tell what is being waited for as long as somebody else does."""
    while True:
        try:
            lock.acquire(timeout=SECONDS_BETWEEN_LOOKS)
            break
        except Timeout:
            say("waiting for ImageNet weights that another run downloads")
    try:
        yield
    finally:
        lock.release()


def _download(application: Application, path: Path, say: Callable[[float], None]) -> None:
    """Let Keras download a file while `say` hears how many MB are there.

    Raises:
        OSError: when it does not arrive, or not as it should be.
    """
    unfinished = f"unfinished-{path.name}-"
    for left in path.parent.glob(f"{unfinished}*"):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    with TemporaryDirectory(prefix=unfinished, dir=path.parent, ignore_cleanup_errors=True) as folder:
        arriving, fetched = Path(folder, path.name), Future[str]()

        def fetch() -> None:
            try:
                fetched.set_result(
                    keras.utils.get_file(
                        path.name,
                        application.address,
                        cache_dir=folder,
                        cache_subdir="",
                        file_hash=application.file_hash,
                    )
                )
            except Exception as error:  # Keras raises plain Exception where a download fails
                fetched.set_exception(error)

        threading.Thread(target=fetch, daemon=True).start()  # which nobody waits for any more when `say` raises
        while not wait([fetched], SECONDS_BETWEEN_LOOKS).done:
            say(_megabytes(arriving))
        if (error := fetched.exception()) is not None:
            raise OSError(str(error)) from error
        arriving.replace(path)


def _megabytes(path: Path) -> float:
    with suppress(OSError):  # it is not there yet, or was removed because it is not as it should be
        return path.stat().st_size / 1e6
    return 0.0
