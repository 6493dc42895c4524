"""Augmentation: what each change does to images, and that its draws follow from their address alone."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from cifar_core.experiment.augmentation import Augmentation, Colour, Crop, Cutout, Flip, Mixup
from cifar_core.training.augmenting import GREY, augment, examples
from cifar_core.training.feeding import Shuffled, feed
from tests.training.makers import experiment, images, phase, run

EVERY: tuple[Augmentation, ...] = (Flip(), Crop(padding=4), Cutout(size=6), Colour(strength=0.5), Mixup(alpha=1.0))
PIXELS = images().train_images[:20]
LABELS = np.eye(20, dtype=np.float32)


def changed(
    pixels: NDArray[np.uint8], *augmentation: Augmentation, seed: tuple[int, int] = (3, 4)
) -> NDArray[np.uint8]:
    labels = np.eye(len(pixels), dtype=np.float32)
    found: NDArray[np.uint8] = augment(tf.constant(pixels), tf.constant(labels), augmentation, tf.constant(seed))[0]
    return np.asarray(found)


def mixed(pixels: NDArray[np.uint8], alpha: float) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    labels = tf.constant(np.eye(len(pixels), dtype=np.float32))
    found = augment(tf.constant(pixels), labels, [Mixup(alpha=alpha)], tf.constant([3, 4]))
    return found[0].numpy(), found[1].numpy()


@pytest.mark.parametrize("change", EVERY, ids=lambda change: change.kind)
def test_a_change_follows_from_its_address_alone(change: Augmentation) -> None:
    first = changed(PIXELS, change)
    assert first.dtype == np.uint8
    assert first.shape == PIXELS.shape
    assert np.array_equal(changed(PIXELS, change), first)
    assert not np.array_equal(changed(PIXELS, change, seed=(3, 5)), first)
    assert not np.array_equal(changed(PIXELS, change, seed=(4, 4)), first)


@pytest.mark.parametrize("change", EVERY[:-1], ids=lambda change: change.kind)
def test_each_image_of_a_batch_gets_draws_of_its_own(change: Augmentation) -> None:
    copies = changed(np.repeat(PIXELS[:1], 20, axis=0), change)
    assert len(np.unique(copies, axis=0)) >= 2


def test_about_half_of_the_images_are_mirrored() -> None:
    pixels = np.repeat(PIXELS, 20, axis=0)
    found = changed(pixels, Flip())
    mirrored = [np.array_equal(new, old[:, ::-1]) for new, old in zip(found, pixels, strict=True)]
    kept = [np.array_equal(new, old) for new, old in zip(found, pixels, strict=True)]
    assert np.array_equal(mirrored, np.logical_not(kept))
    assert 0.4 < np.mean(mirrored) < 0.6


@pytest.mark.parametrize("padding", [1, 4, 31])
def test_a_crop_is_a_window_of_the_image_with_mirrored_borders(padding: int) -> None:
    for new, old in zip(changed(PIXELS, Crop(padding=padding)), PIXELS, strict=True):
        wide = np.pad(old, ((padding, padding), (padding, padding), (0, 0)), mode="reflect")
        windows = np.lib.stride_tricks.sliding_window_view(wide, old.shape)[:, :, 0]
        assert (windows == new).all((2, 3, 4)).any()


def test_a_crop_may_reach_further_than_the_image_is_wide() -> None:
    assert set(np.unique(changed(PIXELS[:1], Crop(padding=128)))) <= set(np.unique(PIXELS[:1]))


def test_a_cutout_is_a_grey_square_that_may_stick_out() -> None:
    white = np.full((200, 32, 32, 3), 255, np.uint8)
    areas = []
    for image in changed(white, Cutout(size=6)):
        rows, columns = (np.flatnonzero((image[..., 0] == GREY).any(axis)) for axis in (1, 0))
        assert (image[np.ix_(rows, columns)] == GREY).all()
        assert (image == 255).sum() + 3 * len(rows) * len(columns) == image.size
        assert 3 <= min(len(rows), len(columns)) <= max(len(rows), len(columns)) <= 6
        areas.append(len(rows) * len(columns))
    assert np.mean(np.array(areas) == 36) > 0.5
    assert min(areas) < 36


def test_colours_change_by_at_most_the_strength() -> None:
    grey = np.full((200, 8, 8, 3), 100, np.uint8)
    found = changed(grey, Colour(strength=0.3))
    assert np.ptp(found, axis=(1, 2, 3)).max() <= 1  # no contrast and no saturation to change
    assert 70 <= found.min() < 80 < 120 < found.max() <= 130


def test_colours_stay_between_black_and_white() -> None:
    half = np.zeros((50, 8, 8, 3), np.uint8)
    half[:, :4] = 255
    found = changed(half, Colour(strength=1.0))
    assert (found[:, :4].astype(int).mean((1, 2, 3)) >= found[:, 4:].astype(int).mean((1, 2, 3))).all()


@pytest.mark.parametrize("alpha", [1e-3, 0.2, 1.0, 10.0])
def test_mixed_labels_sum_to_one_and_share_as_the_pixels_do(alpha: float) -> None:
    pixels = np.arange(0, 200, 10, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    found, labels = mixed(pixels, alpha)
    assert labels.sum(1) == pytest.approx(1)
    assert (labels >= 0).all()
    assert found[:, 0, 0, 0] == pytest.approx(labels @ pixels[:, 0, 0, 0], abs=0.5001)
    assert (np.count_nonzero(labels, axis=1) <= 2).all()


def test_shares_are_the_betas() -> None:
    _, labels = mixed(np.zeros((2000, 1, 1, 3), np.uint8), 0.2)
    shares = np.diag(labels)
    assert shares.mean() == pytest.approx(0.5, abs=0.03)
    assert shares.var() == pytest.approx(1 / (4 * (2 * 0.2 + 1)), rel=0.05)


def test_mixing_comes_last_wherever_it_is_listed() -> None:
    white = np.full((50, 16, 16, 3), 255, np.uint8)
    values = np.unique(changed(white, Mixup(alpha=5), Cutout(size=8)))
    assert set(values) - {GREY, 255}  # squares were there to be mixed


def test_a_batch_of_one_is_mixed_with_itself() -> None:
    found, labels = mixed(PIXELS[:1], 1.0)
    assert np.abs(found.astype(int) - PIXELS[:1]).max() <= 1
    assert labels == pytest.approx(1)


def epoch_of(address: tuple[int, int, int], **fields: Any) -> list[NDArray[Any]]:
    described = phase(batch_size=10, **fields)
    batches = Shuffled(feed(experiment(described), 0, images(), seed=0).train, described, 3)
    batches.shuffle(*address)
    return [np.concatenate(parts) for parts in zip(*batches_of(batches), strict=True)]


def batches_of(batches: Shuffled) -> list[tuple[NDArray[Any], ...]]:
    return [tuple(part.numpy() for part in batches.batch(step)) for step in tf.range(batches.steps, dtype=tf.int64)]


def test_an_epoch_is_augmented_by_seed_phase_and_epoch_alone() -> None:
    first = epoch_of((0, 0, 1), augmentation=EVERY)
    assert all(np.array_equal(*pair) for pair in zip(first, epoch_of((0, 0, 1), augmentation=EVERY), strict=True))
    plain = epoch_of((0, 0, 1))[0]
    for other in ((0, 0, 2), (0, 1, 1), (1, 0, 1)):
        assert not np.array_equal(epoch_of(other, augmentation=EVERY)[0], first[0])
    assert not np.array_equal(first[0], plain)
    assert first[1].shape == (27, 3)


def test_what_an_epoch_draws_depends_on_no_epoch_before_it() -> None:
    described = phase(batch_size=10, augmentation=EVERY)
    batches = Shuffled(feed(experiment(described), 0, images(), seed=0).train, described, 3)
    for epoch in (1, 2):
        batches.shuffle(0, 0, epoch)
        second = [pixels for pixels, _ in batches_of(batches)]
    assert np.array_equal(np.concatenate(second), epoch_of((0, 0, 2), augmentation=EVERY)[0])


def test_batches_without_options_are_the_images_and_their_labels() -> None:
    chosen = feed(experiment(phase()), 0, images(), seed=0).train
    pixels, labels = epoch_of((0, 0, 1))
    order = {bytes(image.numpy()): int(label) for image, label in zip(chosen.values[0], chosen.labels, strict=True)}
    assert [order[image.tobytes()] for image in pixels] == list(labels)


def test_training_on_augmented_images_repeats_bit_for_bit_and_leaves_validation_as_it_is() -> None:
    described = experiment(phase(augmentation=EVERY))
    one, again, plain = run(described)[1], run(described)[1], run(experiment(phase(label_smoothing=1e-12)))[1]
    assert one.history(0) == again.history(0)
    assert one.history(0)[2:] != plain.history(0)[2:]
    assert one.history(0)[:2] == pytest.approx(plain.history(0)[:2])  # before any step: the same validation


def test_examples_are_copies_as_training_would_change_them() -> None:
    found = examples(PIXELS[:3], EVERY[:-1], seed=5, copies=4)
    assert found.shape == (3, 4, 32, 32, 3)
    assert found.dtype == np.uint8
    assert len(np.unique(found[0], axis=0)) == 4
    assert np.array_equal(found, examples(PIXELS[:3], EVERY[:-1], seed=5, copies=4))
    assert np.array_equal(examples(PIXELS[:3], (), seed=5)[:, 0], PIXELS[:3])
