import time
from pathlib import Path

import numpy as np
import pytest

from cifar_core.data import Images, open_images
from cifar_core.data import sample as drawn
from cifar_core.data.objects import OBJECTS
from cifar_core.experiment.datasets import DATASETS
from cifar_core.experiment.experiment import Data

FINGERPRINT = "09f63a3fe8e04784a0e12b7f83718f3bed4b090a4310505b82d4a1a16fdd2bc2"


def test_the_sample_is_what_its_row_says(sample: Images) -> None:
    assert sample.train_images.shape == (10_000, 32, 32, 3)
    assert sample.test_images.shape == (2_000, 32, 32, 3)
    assert np.bincount(sample.train_labels).tolist() == [1000] * 10
    assert np.bincount(sample.test_labels).tolist() == [200] * 10
    assert sample.dataset.synthetic
    assert sample.provenance == "Synthetic: drawn by Transfer Lab."


def test_its_classes_have_names_of_their_own() -> None:
    row = DATASETS["sample"]
    assert set(row.classes) == set(OBJECTS)
    assert not set(row.classes) & set(DATASETS["cifar10"].classes)


def test_the_same_pictures_are_drawn_every_time_and_everywhere(sample: Images) -> None:
    assert sample.fingerprint == FINGERPRINT, "a change to the drawings needs a new sample.VERSION, and this hash"


def test_drawing_again_gives_the_same_bytes(sample: Images) -> None:
    pictures, labels = drawn.draw(DATASETS["sample"], "test")
    np.testing.assert_array_equal(pictures, sample.test_images)
    np.testing.assert_array_equal(labels, sample.test_labels)


def test_it_is_drawn_once_and_then_opened(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started, heard = time.process_time(), []
    first = open_images(Data(name="sample"), home=home, progress=lambda done, total: heard.append((done, total)))
    assert time.process_time() - started < 5
    assert heard[-1] == (12_000, 12_000)
    monkeypatch.delattr(drawn, "draw")
    assert open_images(Data(name="sample"), home=home).fingerprint == first.fingerprint
    assert isinstance(first.train_images, np.memmap)


def test_the_first_images_of_a_class_are_no_special_ones(sample: Images) -> None:
    first = np.sort([np.flatnonzero(sample.train_labels == label)[0] for label in range(10)])
    assert first[-1] < 100
    assert (sample.train_labels[:1000] != np.sort(sample.train_labels[:1000])).any()


def test_no_two_pictures_are_the_same(sample: Images) -> None:
    everything = np.concatenate([sample.train_images, sample.test_images])
    assert len({picture.tobytes() for picture in everything}) == 12_000


def test_no_class_can_be_told_by_its_mean_colour_or_brightness(sample: Images) -> None:
    means = np.array([sample.train_images[sample.train_labels == label].mean((0, 1, 2)) for label in range(10)])
    assert np.ptp(means, axis=0).max() < 25  # of 255; single pictures differ by far more
