"""Whether ImageNet weights are there is seen without Keras."""

from pathlib import Path

import pytest

from cifar_core.data.weights import imagenet_folder, missing_weights
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
