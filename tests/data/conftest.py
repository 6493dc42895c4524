"""A CIFAR-10 of sixty images, and no data from the outside, for every test of the data tier."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from cifar_core.data import Images, open_images
from cifar_core.data.sources import keras_cache
from cifar_core.experiment.datasets import DATASETS
from cifar_core.experiment.experiment import Data

REAL_KERAS_CACHE = keras_cache()
REAL_CIFAR10 = DATASETS["cifar10"]


def skip(reason: str) -> NoReturn:
    """Skip a test, or fail it where TRANSFER_LAB_NO_SKIPS=1 says that everything must be there."""
    if os.environ.get("TRANSFER_LAB_NO_SKIPS") == "1":
        pytest.fail(f"would be skipped: {reason}")
    pytest.skip(reason)


@pytest.fixture(autouse=True)
def small_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Ten images a batch, an empty Keras cache, no proxies."""
    monkeypatch.setitem(DATASETS, "cifar10", replace(REAL_CIFAR10, train_per_class=5, test_per_class=1))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Images]:
    """The built-in sample, drawn once for all tests."""
    yield open_images(Data(name="sample"), home=tmp_path_factory.mktemp("sample"))
