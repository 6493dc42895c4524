from pathlib import Path

import numpy as np
import pytest

from cifar_core.analysis.predictions import Predictions, PredictionsError, load


def test_what_is_saved_comes_back_equal(tmp_path: Path, predictions: Predictions) -> None:
    predictions.save(tmp_path / "test.npz")
    back = load(tmp_path / "test.npz")
    assert back.class_names == predictions.class_names
    assert back.probabilities.dtype == np.float32
    for name in ("probabilities", "labels", "images"):
        assert np.array_equal(getattr(back, name), getattr(predictions, name))


def test_saving_replaces_the_old_file_and_leaves_nothing_else_behind(tmp_path: Path, predictions: Predictions) -> None:
    (tmp_path / "test.npz").write_bytes(b"old")
    predictions.save(tmp_path / "test.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["test.npz"]
    assert load(tmp_path / "test.npz").n == predictions.n


def test_a_failed_save_keeps_the_old_file(
    tmp_path: Path, predictions: Predictions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    (tmp_path / "test.npz").write_bytes(b"old")
    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError, match="no space"):
        predictions.save(tmp_path / "test.npz")
    assert (tmp_path / "test.npz").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half an archive", b"not an archive at all"])
def test_a_damaged_file_gives_a_sentence_that_names_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "test.npz").write_bytes(content)
    with pytest.raises(PredictionsError, match=r"test\.npz: these predictions cannot be read"):
        load(tmp_path / "test.npz")


def test_a_missing_file_gives_a_sentence_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(PredictionsError, match="there are no predictions here"):
        load(tmp_path / "test.npz")


def test_pickled_content_is_refused(tmp_path: Path) -> None:
    zero = np.zeros(1)
    objects = np.array([{}], dtype=object)
    np.savez(tmp_path / "test.npz", probabilities=objects, labels=zero, images=zero, class_names=zero)
    with pytest.raises(PredictionsError, match="cannot be read"):
        load(tmp_path / "test.npz")


@pytest.mark.parametrize(
    ("probabilities", "labels", "images", "message"),
    [
        (np.zeros((0, 2)), [], [], "at least one row"),
        (np.zeros((2, 3)), [0, 1], [0, 1], "one per class name"),
        (np.zeros((2, 2)), [0], [0, 1], "labels: expected 2"),
        (np.zeros((2, 2)), [0, 1], [0], "images: expected 2"),
        (np.zeros((2, 2)), [0, 2], [0, 1], "from 0 to 1"),
        (np.full((2, 2), np.nan), [0, 1], [0, 1], "diverged"),
    ],
)
def test_predictions_that_cannot_be_are_refused(
    probabilities: np.ndarray, labels: list[int], images: list[int], message: str
) -> None:
    with pytest.raises(PredictionsError, match=message):
        Predictions(probabilities, np.array(labels), np.array(images), ("a", "b"))
