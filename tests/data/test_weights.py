"""Whether ImageNet weights are there is seen without Keras."""

from pathlib import Path

import pytest

from cifar_core.data.errors import DataNotFoundError
from cifar_core.data.weights import imagenet_folder, missing_weights, weights_file
from cifar_core.experiment.recipes import RECIPES, with_random_weights


def test_only_what_needs_imagenet_weights_lacks_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    needs = RECIPES["d1"].experiment
    file = missing_weights(needs)
    assert file is not None
    assert file.parent == imagenet_folder() == tmp_path / "models"
    assert missing_weights(with_random_weights(needs)) is None
    assert missing_weights(RECIPES["e"].experiment) is None
    file.parent.mkdir()
    file.touch()
    assert missing_weights(needs) is None


@pytest.mark.parametrize("path", ["", "/dev/zero", "~nobody-here/w.h5", "x" * 5000, "a\0b", "."])
def test_what_is_no_file_of_weights_is_named(path: str) -> None:
    with pytest.raises(DataNotFoundError):
        weights_file(path)


def test_a_file_of_weights_is_found(tmp_path: Path) -> None:
    (tmp_path / "w.h5").touch()
    assert weights_file(str(tmp_path / "w.h5")) == tmp_path / "w.h5"
