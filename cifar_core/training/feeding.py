"""Images in memory as uint8, gathered batch by batch: what Keras's fit is fed with.

Bytes are a quarter of float32 and are scaled inside the model; gathering by a given order makes the order of the
images a stream of its own.
"""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from cifar_core.data.arrays import Images
from cifar_core.data.split import select
from cifar_core.experiment.experiment import Experiment
from cifar_core.training.streams import stream

EVALUATION_BATCH = 500


@dataclass(frozen=True, eq=False)
class Examples:
    """Images uint8 (n, height, width, channels) with labels int32 (n,): the output that is right for each image.

    `indices` (n,) are the images' places in their split of the data set.
    """

    images: tf.Tensor
    labels: tf.Tensor
    indices: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of images."""
        return len(self.indices)

    def in_order(self) -> tf.data.Dataset:
        """Return batches of (images, labels) in the order in which they are kept, for evaluation."""
        return _batches(self, tf.range(len(self)), EVALUATION_BATCH)


@dataclass(frozen=True, eq=False)
class Feed:
    """What one phase trains and is judged on."""

    train: Examples
    validation: Examples
    test: Examples
    validation_is_test: bool


class Shuffled:
    """Training batches in an order that is set anew for every epoch."""

    def __init__(self, examples: Examples, batch_size: int):
        self._order = tf.Variable(np.arange(len(examples)), trainable=False)
        self.batches = _batches(examples, self._order, batch_size)
        self.images = len(examples)

    def shuffle(self, seed: int, phase: int, epoch: int) -> None:
        """Draw the order of an epoch from the stream (seed, phase, epoch)."""
        generator = np.random.default_rng(stream(seed, "order", phase, epoch))
        self._order.assign(generator.permutation(self.images))


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
        validate_on_test=experiment.validation.on == "test",
        seed=seed,
    )
    output_of = np.full(experiment.class_count, -1, np.int32)
    for output, index in enumerate(experiment.output_classes(phase)):
        if index is not None:
            output_of[index] = output

    def examples(split: str, indices: NDArray[np.int64]) -> Examples:
        pixels, labels = (
            (images.train_images, images.train_labels) if split == "train" else (images.test_images, images.test_labels)
        )
        return Examples(tf.constant(pixels[indices]), tf.constant(output_of[labels[indices]]), indices)

    test = examples("test", chosen.test)
    validation = test if chosen.validation_in == "test" else examples("train", chosen.validation)
    return Feed(examples("train", chosen.train), validation, test, chosen.validation_in == "test")


def _batches(examples: Examples, order: tf.Tensor | tf.Variable, size: int) -> tf.data.Dataset:
    images, labels = examples.images, examples.labels

    def batch(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        chosen = order[step * size : (step + 1) * size]
        return tf.gather(images, chosen), tf.gather(labels, chosen)

    steps = -(-len(examples) // size)
    return tf.data.Dataset.range(steps).map(batch)
