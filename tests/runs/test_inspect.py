"""Questions of pages to a worker: answered with arrays, or in words."""

import sys
from pathlib import Path

import numpy as np
import pytest

from cifar_core.runs.inspect import InspectionFailed, augmented
from tests.runs.helpers import EXPERIMENT

ANSWER = """
import json, sys, numpy
question = json.loads(sys.stdin.readline())
assert question["inspect"] == "augmentation"
assert json.loads(question["experiment"])["phases"]
images = numpy.full((1, 2, 2, 3), question["seed"], "uint8")
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def failure(home: Path, command: list[str], seconds: float = 30) -> str:
    with pytest.raises(InspectionFailed) as failed:
        augmented(home, EXPERIMENT, 0, seed=7, seconds=seconds, command=command)
    return str(failed.value)


def test_the_answer_is_what_the_worker_wrote(tmp_path: Path) -> None:
    code = f"{ANSWER}\nnumpy.savez(question['result'], images=images, changed=images[:, None])"
    found = augmented(tmp_path, EXPERIMENT, 0, seed=7, command=python(code))
    assert (found.images == 7).all()
    assert found.changed.shape == (1, 1, 2, 2, 3)
    assert found.changed.dtype == np.uint8


def test_what_the_worker_says_in_words_is_passed_on(tmp_path: Path) -> None:
    code = f"{ANSWER}\nnumpy.savez(question['result'], error=numpy.array('There are no images.'))"
    assert failure(tmp_path, python(code)) == "There are no images."


def test_a_worker_that_fails_is_described_with_its_last_words(tmp_path: Path) -> None:
    said = failure(tmp_path, python("raise SystemExit('the network fell over')"))
    assert "stopped with an error (exit code 1)" in said
    assert said.endswith("the network fell over")


def test_a_worker_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    assert "took longer than 1 s" in failure(tmp_path, python("import time; time.sleep(600)"), seconds=1)


def test_a_worker_that_cannot_be_started_is_said_so(tmp_path: Path) -> None:
    assert "could not be started" in failure(tmp_path, ["/nowhere/python"])


def test_nothing_stays_in_the_home(tmp_path: Path) -> None:
    failure(tmp_path, python("pass"))
    assert list(tmp_path.iterdir()) == []
