"""A process with Keras in it (see tests/conftest.py); importing this package makes it quiet."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"

from cifar_core import limits

os.environ.setdefault(limits.THREADS, "1")  # as many of these processes as processors work side by side
os.environ.update(limits.settings_for_threads())

# isort: split

from cifar_core.runs.store import Store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store, with a supervisor that stays; its workers train on the made images."""
    from tests.training.makers import images  # late: the process that hands out tests to others needs no Keras

    reader, _ = os.pipe()
    monkeypatch.setattr(sys, "stdin", os.fdopen(reader, closefd=False))
    for module in ("job", "questions"):
        monkeypatch.setattr(f"cifar_core.worker.{module}.open_images", lambda *_, **__: images())
    store = Store(tmp_path)
    yield store
    store.close()
