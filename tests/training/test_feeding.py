from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_sample_weight

from cifar_core.data.errors import SelectionError
from cifar_core.experiment.augmentation import Mixup
from cifar_core.experiment.experiment import ClassSplit, Data, Validation
from cifar_core.training.feeding import Examples, Shuffled, feed, in_copies
from cifar_core.training.streams import stream
from tests.training.makers import experiment, images, phase, tuning


def everything(examples: Examples) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    return examples.values[0].numpy(), examples.labels.numpy()


def steps_of(batches: Shuffled) -> tf.Tensor:
    return tf.range(batches.steps, dtype=tf.int64)


def epoch_of(batches: Shuffled) -> NDArray[np.uint8]:
    return np.concatenate([batches.batch(step)[0].numpy() for step in steps_of(batches)])


def test_labels_count_the_classes_of_the_phase_in_the_order_of_its_outputs() -> None:
    target = feed(experiment(), 1, images(), seed=0)
    classes = images().train_labels[target.train.indices]
    assert [(5, 3, 9).index(index) for index in classes] == list(target.train.labels.numpy())


def test_labels_stay_as_they_are_for_outputs_of_the_whole_data_set() -> None:
    described = experiment(phase(), phase("b", "target", outputs="data set"))
    target = feed(described, 1, images(), seed=0)
    for examples, labels in ((target.train, images().train_labels), (target.test, images().test_labels)):
        assert set(examples.labels.numpy()) == {3, 5, 9}
        assert np.array_equal(examples.labels.numpy(), labels[examples.indices])


def test_a_kept_head_calls_new_classes_by_their_place() -> None:
    described = experiment(phase(), tuning(), split=ClassSplit(source=(0, 1, 2), target=(9, 8)))
    assert set(feed(described, 1, images(), seed=0).train.labels.numpy()) == {0, 1}


def test_images_go_with_their_labels() -> None:
    chosen = feed(experiment(), 0, images(), seed=0)
    assert np.array_equal(everything(chosen.train)[0], images().train_images[chosen.train.indices])
    assert np.array_equal(everything(chosen.test)[0], images().test_images[chosen.test.indices])


def test_training_and_validation_share_no_image() -> None:
    chosen = feed(experiment(), 0, images(), seed=0)
    assert not set(chosen.train.indices) & set(chosen.validation.indices)
    assert len(chosen.train) + len(chosen.validation) == 36
    assert not chosen.validation_is_test


def test_validation_on_the_test_images_is_flagged() -> None:
    chosen = feed(experiment(validation=Validation(on="test")), 0, images(), seed=0)
    assert chosen.validation_is_test
    assert chosen.validation is chosen.test
    assert len(chosen.train) == 36


def test_too_few_images_are_refused_in_a_sentence() -> None:
    described = experiment(validation=Validation(share=0.9), data=Data(per_class=2))
    with pytest.raises(SelectionError, match="none would be left to train on"):
        feed(described, 0, images(), seed=0)


def test_an_epoch_shows_every_image_once_the_last_batch_short() -> None:
    chosen = feed(experiment(), 0, images(), seed=0).train
    batches = Shuffled(chosen, phase(batch_size=10), 3)
    batches.shuffle(0, 0, 1)
    assert [len(batches.batch(step)[1]) for step in steps_of(batches)] == [10, 10, 7]
    assert sorted(epoch_of(batches).sum((1, 2, 3))) == sorted(everything(chosen)[0].sum((1, 2, 3)))


def test_the_order_follows_from_seed_phase_and_epoch_alone() -> None:
    batches = Shuffled(feed(experiment(), 0, images(), seed=0).train, phase(batch_size=10), 3)
    orders = []
    for address in ((0, 0, 1), (0, 0, 2), (0, 1, 1), (1, 0, 1), (0, 0, 1)):
        batches.shuffle(*address)
        orders.append(epoch_of(batches))
    assert np.array_equal(orders[0], orders[-1])
    assert not any(np.array_equal(orders[0], other) for other in orders[1:-1])


def test_evaluation_keeps_the_order() -> None:
    chosen = feed(experiment(), 0, images(), seed=0).test
    pixels = np.concatenate([pixels.numpy() for pixels, _ in chosen.in_order()])
    assert np.array_equal(pixels, everything(chosen)[0])


def imbalanced(**fields: Any) -> tuple[NDArray[np.int32], NDArray[Any], NDArray[np.float32]]:
    """Ten images of three of five outputs, and the labels and weights of one batch of them."""
    right = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 3], np.int32)
    made = Examples((tf.zeros((10, 8, 8, 3), tf.uint8),), np.arange(10), tf.constant(right), np.arange(10), "train")
    batches = Shuffled(made, phase(class_weights="balanced", batch_size=10, **fields), 5)
    _, labels, weights = batches.batch(steps_of(batches)[0])
    return right, labels.numpy(), weights.numpy()


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    right, labels, weights = imbalanced()
    expected = compute_sample_weight("balanced", right)
    assert np.array_equal(labels, right)
    assert weights == pytest.approx(expected)
    assert weights.sum() == pytest.approx(10)


def test_one_hot_labels_weigh_as_numbers_do() -> None:
    right, labels, weights = imbalanced(label_smoothing=0.1)
    assert np.array_equal(labels, np.eye(5)[right])  # the loss smooths them
    assert weights == pytest.approx(compute_sample_weight("balanced", right))


def test_a_mixed_image_has_a_mixed_weight() -> None:
    _, labels, weights = imbalanced(augmentation=(Mixup(alpha=1.0),))
    of_class = {0: 10 / (3 * 6), 1: 10 / (3 * 3), 3: 10 / 3}
    assert weights == pytest.approx(sum(labels[:, output] * weight for output, weight in of_class.items()))


def test_validation_is_one_hot_where_the_loss_wants_it_and_never_weighed() -> None:
    chosen = feed(experiment(), 0, images(), seed=0).validation
    _, labels = next(chosen.in_order(one_hot=4).as_numpy_iterator())
    assert np.array_equal(labels, np.eye(4)[chosen.labels])


def test_an_epoch_draws_one_of_the_copies_of_each_image() -> None:
    copied = phase(augmentation=[{"kind": "colour"}], augmented_copies=4)
    originals = feed(experiment(), 0, images(), seed=0).train
    given = in_copies(originals, copied, index=0, seed=1)
    copies = given.values[0].numpy().reshape(4, len(originals), 32, 32, 3)
    assert not np.array_equal(copies[0], copies[1])
    batches = Shuffled(given, copied, 3)
    epochs = []
    for epoch in (1, 2):
        batches.shuffle(1, 0, epoch)
        order = np.random.default_rng(stream(1, "order", 0, epoch)).permutation(len(originals))
        seen = np.empty_like(copies[0])
        seen[order] = epoch_of(batches)
        for place, image in enumerate(seen):
            assert any(np.array_equal(image, copy) for copy in copies[:, place])
        epochs.append(seen)
    assert not np.array_equal(*epochs)
    assert np.array_equal(in_copies(originals, copied, 0, 1).values[0], given.values[0])
    assert not np.array_equal(in_copies(originals, copied, 0, 2).values[0], given.values[0])


def test_more_copies_than_fit_into_the_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=100_000))
    copied = phase(augmentation=[{"kind": "flip"}], augmented_copies=9)
    with pytest.raises(SelectionError, match=r"9 copies of 27 images take 1 MB .* Set augmented_copies lower"):
        in_copies(feed(experiment(), 0, images(), seed=0).train, copied, 0, 1)
