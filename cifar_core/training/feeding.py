"""Images in memory as uint8, or stored features of them, gathered batch by batch: what a network is fed with.

Bytes are a quarter of float32 and are scaled inside the model; gathering by a given order makes the order of the
images a stream of its own.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import psutil
import tensorflow as tf
from numpy.typing import NDArray

from cifar_core.data.arrays import Images
from cifar_core.data.errors import SelectionError
from cifar_core.data.split import select
from cifar_core.experiment.experiment import Experiment, Phase
from cifar_core.training.augmenting import augment, copies
from cifar_core.training.streams import stream

EVALUATION_BATCH = 500


@dataclass(frozen=True, eq=False)
class Examples:
    """Images with labels int32 (n,): the output that is right for each image.

    `indices` (n,) are the images' places in their `split` of the data set. `values` hold what a model is given: the
    images themselves, uint8 (m, height, width, channels), or their stored features, (m, …), a tensor for each that
    crosses the cut. `rows` (n,) says where in them each image is; of so many augmented `copies` of each (0: they are
    the images themselves), where the first is: the others follow at distances of m / copies.
    """

    values: tuple[tf.Tensor, ...]
    rows: NDArray[np.int64]
    labels: tf.Tensor
    indices: NDArray[np.int64]
    split: Literal["train", "test"]
    copies: int = 0

    def __len__(self) -> int:
        """Number of images."""
        return len(self.indices)

    def in_order(self, *, one_hot: int | None = None, batch_size: int = EVALUATION_BATCH) -> tf.data.Dataset:
        """Return batches of (values, labels) in the order of the indices, for evaluation.

        Labels are int32 (n,), or float32 (n, one_hot) for a loss that wants so many probabilities.
        """
        rows = tf.constant(self.rows)

        def batch(step: tf.Tensor) -> tuple[Any, tf.Tensor]:
            values, labels = self.gather(rows, tf.range(len(self))[step * batch_size : (step + 1) * batch_size])
            return values, labels if one_hot is None else tf.one_hot(labels, one_hot)

        return tf.data.Dataset.range(-(-len(self) // batch_size)).map(batch)

    def gather(self, rows: tf.Tensor | tf.Variable, chosen: tf.Tensor) -> tuple[Any, tf.Tensor]:
        """Return the values and labels of the chosen examples, where `rows` (n,) says in which row each one's are."""
        places = tf.gather(rows, chosen)
        found = (tf.gather(values, places) for values in self.values)
        # Values that are kept in half the size are used in full.
        given = tuple(tf.cast(each, tf.float32) if each.dtype == tf.float16 else each for each in found)
        return given if len(given) > 1 else given[0], tf.gather(self.labels, chosen)


@dataclass(frozen=True, eq=False)
class Feed:
    """What one phase trains and is judged on."""

    train: Examples
    validation: Examples
    test: Examples
    validation_is_test: bool


class Shuffled:
    """Training batches as a phase wants them, in an order that is set anew for every epoch.

    Images are augmented, or a copy of each is drawn. Labels are int32 (n,), or float32 (n, outputs) where the phase
    learns one-hot. With balanced classes there are weights (n,) beside them, by which the loss counts; a mixed image
    has a mixed weight.
    """

    def __init__(self, examples: Examples, phase: Phase, outputs: int):
        self._order = tf.Variable(np.arange(len(examples)), trainable=False)
        self._augmenting = tf.Variable(np.int64(0), trainable=False)
        self._examples, self._rows = examples, tf.Variable(examples.rows, trainable=False)
        self._phase, self._outputs = phase, outputs
        self._weights = _balanced(examples.labels.numpy(), outputs) if phase.class_weights == "balanced" else None
        self.images, self.steps = len(examples), -(-len(examples) // phase.batch_size)

    def batch(self, step: tf.Tensor) -> tuple[Any, ...]:
        """Return the values and labels of the epoch's step of that number, int64, and weights where there are any."""
        phase, size = self._phase, self._phase.batch_size
        with tf.device("CPU"):  # whatever trains: the images stay where they are
            chosen = self._order[step * size : (step + 1) * size]
            values, labels = self._examples.gather(self._rows, chosen)
            if phase.learns_one_hot:
                labels = tf.one_hot(labels, self._outputs)
            if phase.augmentation and phase.augmented_copies is None:
                values, labels = augment(values, labels, phase.augmentation, tf.stack([self._augmenting, step]))
            if self._weights is None:
                return values, labels
            weights = self._weights
            by_label = tf.linalg.matvec(labels, weights) if phase.learns_one_hot else tf.gather(weights, labels)
            return values, labels, by_label

    def shuffle(self, seed: int, phase: int, epoch: int) -> None:
        """Draw the order and the copies of an epoch from its streams (seed, phase, epoch); begin its augmentation's."""
        generator = np.random.default_rng(stream(seed, "order", phase, epoch))
        self._order.assign(generator.permutation(self.images))
        self._augmenting.assign(stream(seed, "augment", phase, epoch))
        if (copies := self._examples.copies) > 1:
            drawn = np.random.default_rng(stream(seed, "copies", phase, epoch)).integers(0, copies, self.images)
            self._rows.assign(self._examples.rows + drawn * (self._examples.values[0].shape[0] // copies))


def feed(experiment: Experiment, phase: int, images: Images, seed: int) -> Feed:
    """Choose the images of a phase, and give each the label of its output.

    Raises:
        cifar_core.data.errors.SelectionError: when the data set's images do not suffice.
    """
    chosen = select(
        images,
        experiment.classes_of(experiment.phases[phase]),
        per_class=experiment.data.per_class,
        validation_share=experiment.validation.share,
        drawn=experiment.validation.drawn,
        validate_on_test=experiment.validation.on == "test",
        seed=seed,
    )
    output_of = np.full(experiment.class_count, -1, np.int32)
    for output, index in enumerate(experiment.output_classes(phase)):
        if index is not None:
            output_of[index] = output

    def examples(split: Literal["train", "test"], indices: NDArray[np.int64]) -> Examples:
        pixels, labels = (
            (images.train_images, images.train_labels) if split == "train" else (images.test_images, images.test_labels)
        )
        values, rows = (tf.constant(pixels[indices]),), np.arange(len(indices))
        return Examples(values, rows, tf.constant(output_of[labels[indices]]), indices, split)

    test = examples("test", chosen.test)
    validation = test if chosen.validation_in == "test" else examples("train", chosen.validation)
    return Feed(examples("train", chosen.train), validation, test, chosen.validation_in == "test")


def in_copies(examples: Examples, phase: Phase, index: int, seed: int) -> Examples:
    """Return the training images of a phase as it is given them: in augmented copies, where it wants so many.

    Raises:
        cifar_core.data.errors.SelectionError: when the copies would not fit into the memory.
    """
    if phase.augmented_copies is None:
        return examples
    images = examples.values[0].numpy()[examples.rows]
    free = psutil.virtual_memory().available
    if 2 * phase.augmented_copies * images.nbytes > free:
        megabytes = 2 * phase.augmented_copies * images.nbytes / 1e6
        raise SelectionError(
            f"{phase.augmented_copies} copies of {len(images):,} images take {megabytes:,.0f} MB of memory to make, "
            f"and {free / 1e6:,.0f} MB are free. Set augmented_copies lower, or train on fewer images."
        )
    made = copies(images, phase.augmentation, phase.augmented_copies, stream(seed, "copies", index))
    values, rows = (tf.constant(made),), np.arange(len(images))
    return replace(examples, values=values, rows=rows, copies=phase.augmented_copies)


def _balanced(labels: NDArray[np.int32], outputs: int) -> NDArray[np.float32]:
    """Return a weight for each output, (outputs,): n / (classes * n of the class), as scikit-learn's "balanced"."""
    counts = np.bincount(labels, minlength=outputs)
    return (len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))).astype(np.float32)
