"""Processes that must stay apart."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


MODULES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "tests" / "training").glob("test_*.py"))
AT_A_TIME = 2
"""Each waits for the other's imports, builds and disk."""

Passing = dict[str, "Future[subprocess.CompletedProcess[str]]"]


@pytest.fixture(scope="module")
def passing(request: pytest.FixtureRequest) -> Iterator[Passing]:
    """Each module of tests/training, under way in a process of its own: many models in one slow it down."""
    seed = request.config.getoption("randomly_seed", default=None)
    same_order = [f"--randomly-seed={seed}"] if isinstance(seed, int) else []

    def run(module: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-n0", module, *same_order],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    chosen = [
        item.callspec.params["module"]  # type: ignore[attr-defined]
        for item in request.session.items
        if _is_of_training(item)
    ]
    with ThreadPoolExecutor(AT_A_TIME) as processes:
        yield {module: processes.submit(run, module) for module in chosen}


def _is_of_training(item: pytest.Item) -> bool:
    return getattr(item, "originalname", "") == test_training_passes_its_tests_in_processes_of_its_own.__name__


@pytest.mark.parametrize("module", MODULES)
def test_training_passes_its_tests_in_processes_of_its_own(module: str, passing: Passing) -> None:
    tests = passing[module].result()
    if tests.returncode:
        pytest.fail(f"python -m pytest -n0 {module}\n\n{tests.stdout}", pytrace=False)


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
