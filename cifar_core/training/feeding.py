"""Images in memory as uint8, gathered batch by batch: what Keras's fit is fed with.

Bytes are a quarter of float32 and are scaled inside the model; gathering by a given order makes the order of the
images a stream of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from cifar_core.data.arrays import Images
from cifar_core.data.split import select
from cifar_core.experiment.experiment import Experiment, Phase
from cifar_core.training.augmenting import augment
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

    def in_order(self, *, one_hot: int | None = None) -> tf.data.Dataset:
        """Return batches of (images, labels) in the order in which they are kept, for evaluation.

        Labels are int32 (n,), or float32 (n, one_hot) for a loss that wants so many probabilities.
        """
        return _batches(
            self,
            tf.range(len(self)),
            EVALUATION_BATCH,
            lambda step, images, labels: (images, labels if one_hot is None else tf.one_hot(labels, one_hot)),
        )


@dataclass(frozen=True, eq=False)
class Feed:
    """What one phase trains and is judged on."""

    train: Examples
    validation: Examples
    test: Examples
    validation_is_test: bool


class Shuffled:
    """Training batches as a phase wants them, in an order that is set anew for every epoch.

    Images are augmented. Labels are int32 (n,), or float32 (n, outputs) where the phase learns one-hot. With balanced
    classes there are weights (n,) beside them, by which the loss counts; a mixed image has a mixed weight.
    """

    def __init__(self, examples: Examples, phase: Phase, outputs: int):
        self._order = tf.Variable(np.arange(len(examples)), trainable=False)
        self._augmenting = tf.Variable(np.int64(0), trainable=False)
        weights = _balanced(examples.labels.numpy(), outputs) if phase.class_weights == "balanced" else None

        def prepared(step: tf.Tensor, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, ...]:
            if phase.learns_one_hot:
                labels = tf.one_hot(labels, outputs)
            if phase.augmentation:
                images, labels = augment(images, labels, phase.augmentation, tf.stack([self._augmenting, step]))
            if weights is None:
                return images, labels
            by_label = tf.linalg.matvec(labels, weights) if phase.learns_one_hot else tf.gather(weights, labels)
            return images, labels, by_label

        self.batches = _batches(examples, self._order, phase.batch_size, prepared)
        self.images = len(examples)

    def shuffle(self, seed: int, phase: int, epoch: int) -> None:
        """Draw the order of an epoch from the stream (seed, phase, epoch), and begin its stream of augmentation."""
        generator = np.random.default_rng(stream(seed, "order", phase, epoch))
        self._order.assign(generator.permutation(self.images))
        self._augmenting.assign(stream(seed, "augment", phase, epoch))


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

    def examples(split: str, indices: NDArray[np.int64]) -> Examples:
        pixels, labels = (
            (images.train_images, images.train_labels) if split == "train" else (images.test_images, images.test_labels)
        )
        return Examples(tf.constant(pixels[indices]), tf.constant(output_of[labels[indices]]), indices)

    test = examples("test", chosen.test)
    validation = test if chosen.validation_in == "test" else examples("train", chosen.validation)
    return Feed(examples("train", chosen.train), validation, test, chosen.validation_in == "test")


def _balanced(labels: NDArray[np.int32], outputs: int) -> NDArray[np.float32]:
    """Return a weight for each output, (outputs,): n / (classes * n of the class), as scikit-learn's "balanced"."""
    counts = np.bincount(labels, minlength=outputs)
    return (len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))).astype(np.float32)


def _batches(
    examples: Examples,
    order: tf.Tensor | tf.Variable,
    size: int,
    prepared: Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tuple[tf.Tensor, ...]],
) -> tf.data.Dataset:
    images, labels = examples.images, examples.labels

    def batch(step: tf.Tensor) -> tuple[tf.Tensor, ...]:
        chosen = order[step * size : (step + 1) * size]
        return prepared(step, tf.gather(images, chosen), tf.gather(labels, chosen))

    steps = -(-len(examples) // size)
    return tf.data.Dataset.range(steps).map(batch)
