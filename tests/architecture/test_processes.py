"""Processes that must stay apart."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


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
