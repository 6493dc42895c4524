"""Stored features: the part of a network before the cut, computed once for each image instead of in every epoch."""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from cifar_core.data.errors import DataDamagedError
from cifar_core.data.feature_store import Features, FeatureStore, Spec
from cifar_core.training.cut import Cut

BATCH = 256
TRIAL = 64
READ_BYTES_PER_SECOND = 1e9
"""What a batch of features costs to be gathered, roughly: only decides whether features are worth their while."""


@dataclass(frozen=True)
class Decision:
    """Whether a phase trains on stored features, and why, in a sentence."""

    used: bool
    why: str


@dataclass(frozen=True, eq=False)
class Wanted:
    """Features to be had: of which cut, of which images, uint8 (n, height, width, channels), kept in which type.

    `source` says exactly which images these are; equal sources must mean equal images. `label` says it to people.
    """

    cut: Cut
    images: NDArray[np.uint8]
    source: str
    label: str
    half: bool = False

    @property
    def specs(self) -> tuple[Spec, ...]:
        """How the cut's tensors are kept. `half` halves what is float32, and nothing else."""
        return tuple(
            Spec(shape, "float16" if self.half and dtype == "float32" else dtype)
            for shape, dtype in zip(self.cut.shapes, self.cut.dtypes, strict=True)
        )

    @property
    def bytes(self) -> int:
        """Size of the features."""
        return len(self.images) * sum(spec.bytes for spec in self.specs)

    def key(self) -> str:
        """Hash everything that decides the features: images, layers, weights, cut, type, and who computes."""
        total = hashlib.sha256(self.source.encode())
        total.update(json.dumps([self.cut.description, [(spec.shape, spec.dtype) for spec in self.specs]]).encode())
        total.update(f"{len(self.images)} {keras.__version__} {tf.__version__}".encode())
        for weight in self.cut.prefix.weights:
            total.update(np.ascontiguousarray(weight.numpy()).data)
        return total.hexdigest()


def source_of(fingerprint: str, split: str, indices: NDArray[np.int64]) -> str:
    """Name images by their data set's fingerprint, the split they are in and their places there."""
    return f"{fingerprint} {split} {hashlib.sha256(np.ascontiguousarray(indices, '<i8').data).hexdigest()}"


def decide(
    cut: Cut | None, images: int, epochs: int, budget: int, *, augmented: bool, seconds_per_image: float = np.inf
) -> Decision:
    """Choose between stored features and the ordinary way, for training and validation images together.

    `seconds_per_image` is what the layers before the cut take for one image: see `seconds_before_cut`.
    """
    if cut is None:
        return Decision(False, "No stored features: no frozen layer stands before the first one that trains or draws.")
    size = images * cut.bytes_per_image
    if augmented:
        return Decision(False, "No stored features: augmentation makes other images in every epoch.")
    if size > budget:
        return Decision(
            False,
            f"No stored features: they would take {_megabytes(size)}, and {_megabytes(budget)} are allowed.",
        )
    computing = images * seconds_per_image
    handling = size / READ_BYTES_PER_SECOND
    saved = (epochs - 1) * computing - (epochs + 1) * handling
    if saved <= 0:
        return Decision(
            False,
            f"No stored features: computing and reading them would take longer than they save in {epochs} "
            f"epoch{'s' if epochs > 1 else ''}.",
        )
    return Decision(True, f"Stored features: {_megabytes(size)} after {cut.layers[-1]}.")


def seconds_before_cut(cut: Cut, images: NDArray[np.uint8]) -> float:
    """Measure what the layers before the cut take for one image, on a few images. Compiling them is not counted."""
    trial = tf.constant(images[:TRIAL])
    before = _compiled(cut.prefix)
    before(trial)
    began = time.perf_counter()
    before(trial)
    return (time.perf_counter() - began) / len(trial)


def features(
    store: FeatureStore,
    wanted: Wanted,
    *,
    progress: Callable[[int, int, float | None], None] = lambda done, images, eta: None,
    should_stop: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = lambda sentence: None,
) -> Features | None:
    """Open stored features, or compute and store them first; None when a stop was asked for.

    `progress` hears (images done, images in all, seconds to go). `say` hears what a person should know: that stored
    features were damaged, for example. What a stop or a crash left unfinished is continued.

    Raises:
        cifar_core.data.errors.DataNotStoredError: when the disk or the budget has no room.
        ValueError: when half-size storage cannot hold the values.
    """
    key, count = wanted.key(), len(wanted.images)
    while not should_stop():
        try:
            found = store.open(key, wanted.specs, count)
        except DataDamagedError as damage:
            say(str(damage))
            found = None
        if found is not None:
            return found
        with store.writing(key, wanted.specs, count, label=wanted.label, should_stop=should_stop) as writer:
            if writer is not None:
                before, began, first = _compiled(wanted.cut.prefix), time.perf_counter(), writer.done
                while writer.done < count and not should_stop():
                    batch = wanted.images[writer.done : writer.done + BATCH]
                    writer.put([value.numpy() for value in before(tf.constant(batch))])
                    speed = (writer.done - first) / (time.perf_counter() - began)
                    progress(writer.done, count, (count - writer.done) / speed)
    return None


def _compiled(model: keras.Model) -> Any:
    """The model as one graph, for any number of images. Keras's predict would gather the results in memory."""
    signature = [tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype) for tensor in model.inputs]
    return tf.function(lambda images: keras.tree.flatten(model(images, training=False)), input_signature=signature)


def in_tensorflow(arrays: Sequence[NDArray[Any]]) -> tuple[tf.Tensor, ...]:
    """Hand memory-mapped arrays to TensorFlow without copying them into memory."""
    return tuple(tf.experimental.dlpack.from_dlpack(array.__dlpack__()) for array in arrays)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.{0 if size >= 1e7 else 1}f} MB"
