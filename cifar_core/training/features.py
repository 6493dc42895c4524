"""Stored features: the part of a network before the cut, computed once for each image instead of in every epoch."""

import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
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
        kept = [(spec.shape, spec.dtype) for spec in self.specs]
        decides = [self.source, len(self.places), self.cut.contents, kept, keras.__version__, tf.__version__]
        return hashlib.sha256(json.dumps(decides).encode()).hexdigest()


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
        return Decision(
            False,
            "No stored features: augmentation makes other images in every epoch. A number of augmented copies of each "
            "image would allow them.",
        )
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
        written = store.writing(
            key,
            wanted.specs,
            count,
            label=wanted.label,
            source=wanted.source,
            contents=wanted.cut.contents,
            should_stop=should_stop,
        )
        with written as writer, ExitStack() as held:
            if writer is not None:
                model, given, writer.by = _origin(store, wanted, held, say, writer.by)
                before, began, first = _compiled(model), time.perf_counter(), writer.done
                size = max(1, min(BATCH, BATCH_BYTES // (4 * largest_values(model))))
                while writer.done < count and not should_stop():
                    batch = given(slice(writer.done, writer.done + size))
                    writer.put([value.numpy() for value in before(*map(tf.constant, batch))])
                    speed = (writer.done - first) / (time.perf_counter() - began)
                    progress(writer.done, count, (count - writer.done) / speed)
    return None


Given = Callable[[slice], Sequence[NDArray[Any]]]


def _origin(
    store: FeatureStore, wanted: Wanted, held: ExitStack, say: Callable[[str], None], by: str
) -> tuple[keras.Model, Given, str]:
    """Return what remains to be computed, and what from: the images, or stored features of fewer layers.

    And who has then computed all of it: who computes now (`by`), or "" where those are another's.
    """
    model, seconds, nearest = wanted.cut.prefix, seconds_for_image(wanted.cut.prefix), None
    for kept in store.kept_of(wanted.source):
        behind = wanted.cut.behind(kept.contents)
        if behind is None or [spec.dtype for spec in kept.specs] != [each.dtype for each in behind.inputs]:
            continue  # of other layers or weights, or kept in half the size
        needed = seconds_for_image(behind) + sum(spec.bytes for spec in kept.specs) / FROM_MEMORY
        if needed < seconds:
            model, seconds, nearest = behind, needed, kept
    if nearest is not None:
        with contextlib.suppress(DataDamagedError):
            if (found := store.open(nearest.key, nearest.specs, len(wanted.places))) is not None:
                held.enter_context(found)
                say(f"They were computed from stored features of fewer layers ({nearest.label}).")
                return model, lambda part: [array[part] for array in found.arrays], by if found.by == by else ""
    return wanted.cut.prefix, lambda part: [wanted.images[wanted.places[part]]], by


def _compiled(model: keras.Model) -> Any:
    """The model as one graph, for any number of images. Keras's predict would gather the results in memory."""
    signature = [tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype) for tensor in model.inputs]

    def compute(*values: tf.Tensor) -> list[tf.Tensor]:
        flat: list[tf.Tensor] = keras.tree.flatten(model(values if len(values) > 1 else values[0], training=False))
        return flat

    return tf.function(compute, input_signature=signature)


def in_tensorflow(arrays: Sequence[NDArray[Any]]) -> tuple[tf.Tensor, ...]:
    """Hand memory-mapped arrays to TensorFlow without copying them into memory."""
    return tuple(tf.experimental.dlpack.from_dlpack(array.__dlpack__()) for array in arrays)


def megabytes(size: int) -> str:
    """Return a size for people."""
    return f"{size / 1e6:,.{0 if size >= 1e7 else 1}f} MB"
