"""Stored features: the part of a network before the cut, computed once for each image instead of in every epoch."""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np
import psutil
import tensorflow as tf
from numpy.typing import NDArray

from cifar_core.data.errors import DataDamagedError
from cifar_core.data.feature_store import Features, FeatureStore, Spec
from cifar_core.training.cost import largest_values, seconds_for_image
from cifar_core.training.cut import Cut

BATCH = 256
BATCH_BYTES = 1 << 29
"""What the largest tensor of a batch may take: images of 512 pixels a side would fill the memory otherwise."""
FROM_MEMORY, FROM_DISK = 1e9, 1e8
"""Bytes a second that features are gathered at, roughly: where they fit into memory, and where they do not."""
SECONDS_TO_SET_UP = 0.5
"""What stored features cost, however few images there are."""


@dataclass(frozen=True)
class Decision:
    """Whether a phase trains on stored features, and why, in a sentence."""

    used: bool
    why: str


@dataclass(frozen=True, eq=False)
class Wanted:
    """Features to be had: of which cut, of which images, kept in which type.

    The images are those of `images`, uint8 (m, height, width, channels), at the `places` (n,). `source` says exactly
    which these are; equal sources must mean equal images. `label` says it to people.
    """

    cut: Cut
    images: NDArray[np.uint8]
    places: NDArray[np.int64]
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
        return len(self.places) * sum(spec.bytes for spec in self.specs)

    @cached_property
    def key(self) -> str:
        """Hash everything that decides the features: images, layers, weights, cut, type, and who computes."""
        total = hashlib.sha256(self.source.encode())
        total.update(json.dumps([self.cut.description, [(spec.shape, spec.dtype) for spec in self.specs]]).encode())
        total.update(f"{len(self.places)} {keras.__version__} {tf.__version__}".encode())
        for weight in self.cut.prefix.weights:
            total.update(np.ascontiguousarray(weight.numpy()).data)
        return total.hexdigest()


def source_of(fingerprint: str, split: str, indices: NDArray[np.int64]) -> str:
    """Name images by their data set's fingerprint, the split they are in and their places there."""
    return f"{fingerprint} {split} {hashlib.sha256(np.ascontiguousarray(indices, '<i8').data).hexdigest()}"


def decide(
    cut: Cut | None,
    images: int,
    epochs: int,
    budget: int,
    *,
    augmented: bool,
    bytes_per_image: int = 0,
    missing: int | None = None,
) -> Decision:
    """Choose between stored features and the ordinary way, for training and validation images together.

    Features of `missing` images, of all where it is None, are still to be computed. `budget` is in bytes;
    `bytes_per_image` is what features take as they are kept, if not as the network computes them. The sentence of a
    decision for stored features ends with where they come from: see `Shortcut`.
    """
    if cut is None:
        return Decision(False, "No stored features: no frozen layer stands before the first one that trains or draws.")
    if augmented:
        return Decision(False, "No stored features: augmentation makes other images in every epoch.")
    size = images * (bytes_per_image or cut.bytes_per_image)
    if size > budget:
        return Decision(
            False,
            f"No stored features: they would take {megabytes(size)}, and {megabytes(budget)} are allowed.",
        )
    missing = images if missing is None else missing
    computing = (epochs * images - missing) * seconds_for_image(cut.prefix)
    passes = epochs + missing / images  # over the features: what is computed is written first
    handling = passes * size / (FROM_MEMORY if size < psutil.virtual_memory().total / 2 else FROM_DISK)
    if computing < handling + SECONDS_TO_SET_UP:
        return Decision(
            False,
            f"No stored features: computing and reading them would take longer than they save in {epochs} "
            f"epoch{'s' if epochs > 1 else ''}.",
        )
    return Decision(True, f"Stored features after {cut.layers[-1]}: {megabytes(size)} for {images:,} images.")


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
        cifar_core.data.errors.DataNotStoredError: when the disk or the budget has no room, and when half-size storage
            cannot hold the values.
    """
    key, count = wanted.key, len(wanted.places)
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
                size = max(1, min(BATCH, BATCH_BYTES // (4 * largest_values(wanted.cut.prefix))))
                while writer.done < count and not should_stop():
                    batch = wanted.images[wanted.places[writer.done : writer.done + size]]
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


def megabytes(size: int) -> str:
    """Return a size for people."""
    return f"{size / 1e6:,.{0 if size >= 1e7 else 1}f} MB"
