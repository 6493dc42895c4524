"""Processes that must stay apart."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from cifar_core.runs.processes import Worker

ROOT = Path(__file__).parents[2]

LONGEST = ("networks", "shortcut", "checkpoint", "keras_script")
"""Each heads a share of the modules. A process imports TensorFlow, which takes as long as a small module."""
NAMES = sorted(path.stem.removeprefix("test_") for path in (ROOT / "tests" / "training").glob("test_*.py"))
DEALT = [*LONGEST, *(name for name in NAMES if name not in LONGEST)]
SHARES = [DEALT[first :: len(LONGEST)] for first in range(len(LONGEST))]
AT_A_TIME = 2
"""Each waits for the other's imports, builds and disk."""

Passing = dict[str, "Future[Worker]"]
"""The process of each share, when it has ended, by the share's first module."""


@pytest.fixture(scope="module")
def passing(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Passing]:
    """Each share of tests/training, under way as workers are: apart, and at lower priority than those who wait."""
    seed = request.config.getoption("randomly_seed", default=None)
    same_order = [f"--randomly-seed={seed}"] if isinstance(seed, int) else []
    folder = tmp_path_factory.mktemp("training")
    started: list[Worker] = []

    def run(share: list[str]) -> Worker:
        worker = Worker(folder / share[0], [sys.executable, "-m", "pytest", "-n0", *_paths(share), *same_order])
        started.append(worker)
        while not worker.wait(60):
            pass
        return worker

    chosen = {
        item.callspec.params["share"][0]  # type: ignore[attr-defined]
        for item in request.session.items
        if _is_of_training(item)
    }
    processes = ThreadPoolExecutor(AT_A_TIME)
    yield {share[0]: processes.submit(run, share) for share in SHARES if share[0] in chosen}
    processes.shutdown(wait=False, cancel_futures=True)
    for worker in started:
        worker.end(grace=5)


def _paths(share: list[str]) -> list[str]:
    return [str(ROOT / "tests" / "training" / f"test_{name}.py") for name in share]


def _is_of_training(item: pytest.Item) -> bool:
    return getattr(item, "originalname", "") == test_training_passes_its_tests_in_processes_of_its_own.__name__


@pytest.mark.parametrize("share", SHARES, ids=" ".join)
def test_training_passes_its_tests_in_processes_of_its_own(share: list[str], passing: Passing) -> None:
    worker = passing[share[0]].result()
    if worker.exit_code():
        said = worker.log.read_text("utf-8", "replace")
        pytest.fail(f"python -m pytest -n0 {' '.join(_paths(share))}\n\n{said}", pytrace=False)


def test_every_module_of_training_is_in_one_share() -> None:
    assert sorted(name for share in SHARES for name in share) == NAMES


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
