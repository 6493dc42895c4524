"""A few validation images, the same in every epoch: what the network makes of them is kept while it trains.

It is taken from the validation that happens anyway, images or stored features, so it costs no pass of its own and
changes nothing about training.
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from cifar_core.experiment.measured import Moment
from cifar_core.training.callbacks import Reporter
from cifar_core.training.feeding import Examples

FOLLOWED = 300
"""Images that are followed, all where there are fewer."""


def evenly(labels: NDArray[np.int32], most: int = FOLLOWED) -> NDArray[np.int64]:
    """Return the places of up to `most` images: one of each class, then a second of each, as long as there are any.

    The same for every run with the same images.
    """
    drawn = np.random.default_rng(0).permutation(len(labels))
    rank = np.zeros(len(labels), np.int64)  # of each image among those of its class
    for label in np.unique(labels):
        own = drawn[labels[drawn] == label]
        rank[own] = np.arange(len(own))
    return np.lexsort((drawn, labels, rank))[:most]


class Follow(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Reports, after each validation, what `fitted` made of the followed images among those that it is judged on.

    To be made when `fitted` is compiled and before it is first evaluated: it listens in on the step of its test, until
    it is told to `leave`.
    """

    def __init__(self, reporter: Reporter, phase: int, validation: Examples, fitted: keras.Model):
        super().__init__()
        self._reporter, self._phase, self._epoch = reporter, phase, 0
        labels = validation.labels.numpy()
        rows = evenly(labels)
        self._images, self._labels = validation.indices[rows], labels[rows]
        places = np.full(len(labels), len(rows))  # images that are not followed share the place behind the others
        places[rows] = np.arange(len(rows))
        self._places = tf.constant(places)
        self._kept = tf.Variable(tf.zeros((len(rows) + 1, fitted.output.shape[-1])), trainable=False)
        self._seen, self._is_test = tf.Variable(0, trainable=False), False
        self._fitted, self._test_step, self._compute_metrics = fitted, fitted.test_step, fitted.compute_metrics
        fitted.test_step, fitted.compute_metrics = self._listening, self._metrics

    def leave(self) -> None:
        """Leave the model as it was: others may evaluate it."""
        self._fitted.test_step, self._fitted.compute_metrics = self._test_step, self._compute_metrics
        self._fitted.test_function = None

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Count epochs from 1; before the first it is epoch 0."""
        self._epoch = epoch + 1

    def on_test_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Validation goes through its images in order, from the first."""
        self._seen.assign(0)

    def on_test_end(self, logs: Mapping[str, float] | None = None) -> None:
        """Report, unless the training diverged, which is told elsewhere."""
        probabilities = self._kept.numpy()[:-1]
        if np.isfinite(probabilities).all():
            self._reporter.followed(Moment(self._phase, self._epoch, self._images, self._labels, probabilities))

    def _listening(self, data: Any) -> Any:
        """Do the step of a test, whose metrics are told the probabilities; training has metrics too."""
        self._is_test = True
        try:
            return self._test_step(data)
        finally:
            self._is_test = False

    def _metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        if self._is_test:
            count = tf.shape(y_pred)[0]
            places = tf.gather(self._places, self._seen + tf.range(count))
            self._kept.scatter_update(tf.IndexedSlices(tf.cast(y_pred, tf.float32), places))
            self._seen.assign_add(count)
        return self._compute_metrics(x, y, y_pred, sample_weight=sample_weight)
