"""Random changes to batches of training images, each image with draws of its own.

Every draw is addressed by a seed of two numbers (the stream of the epoch, the batch's place in it) and the change's
place in the list: the same address gives the same images, whatever was drawn before. Images stay bytes, so what a
change computes is rounded to them.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from cifar_core.experiment.augmentation import Augmentation, Colour, Crop, Cutout, Flip, Mixup
from cifar_core.training.streams import stream

GREY = 128
_AT_ONCE = 1000


# AutoGraph cannot read `match`, and is not needed: nothing here depends on a tensor's value.
@tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]  # TensorFlow ships no types
def augment(
    images: tf.Tensor, labels: tf.Tensor, augmentation: Sequence[Augmentation], seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the changed batch: in the order of `augmentation`, but mixup last.

    `images` are uint8 (n, height, width, 3) and stay so; `labels` (n, …) are touched by mixup alone, for which they
    must be float32 (n, outputs). `seed` is int (2,).
    """
    seeds = tf.random.split(seed, num=max(1, len(augmentation)))
    for position, change in sorted(enumerate(augmentation), key=lambda each: each[1].kind == "mixup"):
        match change:
            case Flip():
                images = _flip(images, seeds[position])
            case Crop():
                images = _crop(images, change.padding, seeds[position])
            case Cutout():
                images = _cutout(images, change.size, seeds[position])
            case Colour():
                images = _colour(images, change.strength, seeds[position])
            case Mixup():
                images, labels = _mixup(images, labels, change.alpha, seeds[position])
    return images, labels


def copies(images: NDArray[np.uint8], augmentation: Sequence[Augmentation], count: int, seed: int) -> NDArray[np.uint8]:
    """Return all images changed, and behind them all changed another way, `count` times: uint8 (count * n, …)."""
    made = np.empty((count * len(images), *images.shape[1:]), np.uint8)
    for number, begin in enumerate(range(0, len(made), len(images))):
        for first in range(0, len(images), _AT_ONCE):
            some = tf.constant(images[first : first + _AT_ONCE])
            drawn = tf.constant([seed, number * len(images) + first])
            changed, _ = augment(some, tf.zeros((len(some), 1)), augmentation, drawn)
            made[begin + first : begin + first + len(some)] = changed.numpy()
    return made


def examples(
    images: NDArray[np.uint8], augmentation: Sequence[Augmentation], seed: int, copies: int = 6
) -> NDArray[np.uint8]:
    """Return each image changed several times, as training would: uint8 (n, copies, height, width, 3)."""
    no_labels = tf.zeros((len(images), 1))
    changed = [
        augment(tf.constant(images), no_labels, augmentation, tf.constant([stream(seed, "examples"), copy]))[0].numpy()
        for copy in range(copies)
    ]
    return np.stack(changed, axis=1)


def _flip(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    return tf.image.stateless_random_flip_left_right(images, seed)  # each image of a batch by itself


def _crop(images: tf.Tensor, padding: int, seed: tf.Tensor) -> tf.Tensor:
    """Take from each image the window that an image padded by reflection would show there."""
    shape = tf.shape(images)
    shifts = tf.random.stateless_uniform((shape[0], 2), seed, -padding, padding + 1, tf.int32)
    for axis in (1, 2):
        last = shape[axis] - 1
        places = shifts[:, axis - 1, None] + tf.range(last + 1)
        mirrored = tf.abs((places + last) % (2 * last) - last)  # to and fro between 0 and last, however far out
        images = tf.gather(images, mirrored, axis=axis, batch_dims=1)
    return images


def _cutout(images: tf.Tensor, size: int, seed: tf.Tensor) -> tf.Tensor:
    """The square's centre is anywhere in the image."""
    shape = tf.shape(images)
    middles = tf.random.stateless_uniform((shape[0], 2), seed) * tf.cast(shape[1:3], tf.float32)
    tops = tf.cast(middles, tf.int32) - size // 2
    rows, columns = (
        (tf.range(shape[axis]) >= tops[:, axis - 1, None]) & (tf.range(shape[axis]) < tops[:, axis - 1, None] + size)
        for axis in (1, 2)
    )
    painted = rows[:, :, None, None] & columns[:, None, :, None]
    return tf.where(painted, tf.constant(GREY, images.dtype), images)


def _colour(images: tf.Tensor, strength: float, seed: tf.Tensor) -> tf.Tensor:
    """Brightness, then contrast about the image's mean grey, then saturation about each pixel's grey."""
    factors = tf.random.stateless_uniform((tf.shape(images)[0], 3), seed, 1 - strength, 1 + strength)
    brightness, contrast, saturation = (factors[:, number, None, None, None] for number in range(3))
    values = tf.cast(images, tf.float32) * brightness
    mean = tf.reduce_mean(tf.image.rgb_to_grayscale(values), axis=(1, 2, 3), keepdims=True)
    values = mean + (values - mean) * contrast
    grey = tf.image.rgb_to_grayscale(values)
    return _to_bytes(grey + (values - grey) * saturation)


def _mixup(images: tf.Tensor, labels: tf.Tensor, alpha: float, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mix each image with the one before it in the batch, which is in random order already; shares are Beta's."""
    share = _beta(alpha, tf.shape(images)[0], seed)
    mine = share[:, None, None, None]
    values = tf.cast(images, tf.float32)
    mixed = mine * values + (1 - mine) * tf.roll(values, 1, axis=0)
    return _to_bytes(mixed), share[:, None] * labels + (1 - share[:, None]) * tf.roll(labels, 1, axis=0)


def _beta(alpha: float, count: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Draw from Beta(alpha, alpha), float32 (count,).

    Beta is X / (X + Y) of two draws from Gamma(alpha), and Gamma(alpha) is Gamma(alpha + 1) * U**(1 / alpha). In
    logarithms, since for small alpha both draws are often too small for a float.
    """
    for_gamma, for_uniform = tf.unstack(tf.random.split(seed, num=2))
    gamma = tf.random.stateless_gamma((count, 2), for_gamma, alpha + 1)
    uniform = 1 - tf.random.stateless_uniform((count, 2), for_uniform)  # above 0
    logarithms = tf.math.log(gamma) + tf.math.log(uniform) / alpha
    return tf.sigmoid(logarithms[:, 0] - logarithms[:, 1])


def _to_bytes(values: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.round(tf.clip_by_value(values, 0.0, 255.0)), tf.uint8)
