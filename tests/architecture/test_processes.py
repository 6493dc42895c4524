"""Processes that must stay apart."""

import subprocess
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
    command = [sys.executable, "-m", "pytest", f"-n{AT_A_TIME}", str(ROOT / "tests" / "training"), *same_order]
    worker = Worker(tmp_path / "log.txt", command)
    try:
        while not worker.wait(60):
            pass
        if worker.exit_code():
            pytest.fail(f"{' '.join(command)}\n\n{worker.log.read_text('utf-8', 'replace')}", pytrace=False)
    finally:
        worker.end(grace=5)


def test_training_tests_are_not_mixed_with_others() -> None:
    mixed = subprocess.run(
        [sys.executable, "-m", "pytest", "-n0", "tests/training", "tests/experiment", "--collect-only"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert mixed.returncode == pytest.ExitCode.USAGE_ERROR
    assert "tests/training needs a process of its own" in mixed.stderr


def test_the_process_of_the_app_never_imports_keras() -> None:
    """Everything but the worker and the training: Streamlit clears Keras's session after every script run."""
    program = """
import importlib, pkgutil, sys, cifar_core
apart = ("cifar_core.training", "cifar_core.worker", "cifar_core.__main__")
modules = pkgutil.walk_packages(cifar_core.__path__, "cifar_core.")
names = [module.name for module in modules if not module.name.startswith(apart)]
for name in names:
    importlib.import_module(name)
print(len(names), *sorted({"tensorflow", "keras"} & sys.modules.keys()))
"""
    imported = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert imported.returncode == 0, imported.stderr
    count, *forbidden = imported.stdout.split()
    assert int(count) > 20
    assert forbidden == []
