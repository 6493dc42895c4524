"""The tests of tests/training, which have Keras in their process."""

import sys
from pathlib import Path

import pytest

from cifar_core.runs.processes import Worker

ROOT = Path(__file__).parents[2]

AT_A_TIME = 2
"""Processes of tests/training: each waits for the other's imports, builds and disk."""


def test_training_passes_its_tests_in_processes_of_its_own(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """As workers are: apart, and at lower priority than those who wait."""
    seed = request.config.getoption("randomly_seed", default=None)
    same_order = [f"--randomly-seed={seed}"] if isinstance(seed, int) else []
    chosen = ["-m", request.config.getoption("markexpr")]
    side_by_side = [f"-n{AT_A_TIME}", "--dist=worksteal"]  # by modules, one would have 36 of 220 seconds nothing to do
    folder = str(ROOT / "tests" / "training")
    command = [sys.executable, "-m", "pytest", folder, *side_by_side, *chosen, *same_order]
    worker = Worker(tmp_path / "log.txt", command)
    try:
        while not worker.wait(60):
            pass
        if worker.exit_code():
            pytest.fail(f"{' '.join(command)}\n\n{worker.log.read_text('utf-8', 'replace')}", pytrace=False)
    finally:
        worker.end(grace=5)
