import pickle
from typing import Any

import numpy as np
import pytest

from cifar_core.data.batches import read_binary_batch, read_python_batch
from cifar_core.data.errors import DataDamagedError
from tests.data.makers import ROWS, batch, binary, expected_images, labels, pickled, pixels, python2_pickle


def read(content: bytes) -> Any:
    return read_python_batch(content, file="data_batch_4", rows=ROWS, classes=10)


def read_binary(content: bytes) -> Any:
    return read_binary_batch(content, file="data_batch_4.bin", rows=ROWS, classes=10)


def test_both_forms_give_the_same_images_and_labels() -> None:
    for images, classes in (read(python2_pickle(4)), read_binary(binary(4))):
        np.testing.assert_array_equal(images, expected_images(4))
        assert classes.tolist() == labels(4)
        assert (images.dtype, classes.dtype) == (np.uint8, np.int64)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": pixels(4)[:-1]}, "expected uint8 (10, 3072), found uint8 (9, 3072)"),
        ({"data": pixels(4).astype(np.int64)}, "found int64"),
        ({"data": pixels(4).reshape(10, 32, 96)}, "found uint8 (10, 32, 96)"),
        ({"data": [1, 2]}, "found a list"),
        ({"labels": labels(4)[:-1]}, "9 labels for 10 images"),
        ({"labels": [*labels(4)[:-1], 10]}, "the label 10: expected 0 to 9"),
        ({"labels": [*labels(4)[:-1], -1]}, "the label -1: expected 0 to 9"),
        ({"labels": "0123456789"}, "found a str"),
        ({"labels": [True] * 10}, "whole numbers"),
        ({"labels": np.zeros((10, 1), np.int64)}, "whole numbers"),
    ],
)
def test_a_batch_of_another_shape_is_refused_by_name(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(DataDamagedError) as caught:
        read(pickled(4, 4, **changes))
    assert "data_batch_4" in str(caught.value)
    assert words in str(caught.value)


def test_a_pickle_without_labels_is_refused_with_what_it_holds() -> None:
    with pytest.raises(DataDamagedError, match="labels missing, found data, fine_labels"):
        read(pickle.dumps({"data": pixels(4), "fine_labels": labels(4)}))


def test_a_pickle_of_something_else_is_refused() -> None:
    with pytest.raises(DataDamagedError, match="expected a dict with data and labels, found a list"):
        read(pickle.dumps([1, 2, 3]))


def test_an_empty_file_is_refused_by_name() -> None:
    with pytest.raises(DataDamagedError, match="data_batch_4 is empty"):
        read(b"")


@pytest.mark.parametrize("change", [-1, 1, -3073, 3073])
def test_a_truncated_or_longer_binary_batch_is_refused_by_name(change: int) -> None:
    content = (binary(4) + bytes(3073))[: len(binary(4)) + change]
    with pytest.raises(DataDamagedError, match=r"data_batch_4\.bin has another size: expected 30,730 bytes"):
        read_binary(content)


def test_a_binary_label_out_of_range_is_refused() -> None:
    with pytest.raises(DataDamagedError, match=r"data_batch_4\.bin holds the label 200"):
        read_binary(b"\xc8" + binary(4)[1:])


def test_unknown_fields_beside_are_no_trouble() -> None:
    assert len(read(pickle.dumps({**batch(4), "filenames": [b"a.png"], "extra": None}))[0]) == ROWS
