"""Three rules for every test: no Keras in this process, no deadline on a slow machine, no store but its own.

Streamlit clears Keras's session after each script run, AppTest's included, so the two must never share a process.
Therefore tests/training is left out of an ordinary `python -m pytest`; tests/architecture/test_training.py
runs it in processes of its own and shows their output. Naming it,
`python -m pytest tests/training`, runs it here, and nothing else may be named beside it.
"""

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

TRAINING = Path(__file__).parent / "training"
LONG = (
    "architecture/test_training.py",
    "architecture/test_processes.py",
    "browser/test_app.py",
    "test_command_line.py",
    "browser/test_accessibility.py",
    "test_prepare.py",
    "runs/test_cluster.py",
)
"""The longest modules, begun first, so that none of them is left over at the end."""

gc.disable()  # until all is imported and collected, which leaves no garbage

for elsewhere in ("TRANSFER_LAB_STORE", "TRANSFER_LAB_CLUSTER", "TRANSFER_LAB_ARTIFACTS"):
    os.environ.pop(elsewhere, None)

settings.register_profile(
    "tests", deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("tests")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Collect tests/training only for a process that was asked for it by name, and for nothing else."""
    if collection_path.is_relative_to(TRAINING) and not any(_named(config)):
        return True
    return None


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to mix."""
    named = _named(config)
    if any(named) and not all(named):
        raise pytest.UsageError("tests/training needs a process of its own: name it alone, or leave it out.")


def pytest_xdist_auto_num_workers() -> int:
    """One more than processors: one of them does nothing but wait for the processes of tests/training."""
    return 1 + (os.cpu_count() or 1)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest modules; all else stays in its random order."""
    longest = {Path(__file__).parent / name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: longest.get(item.path, len(LONG)))


def _named(config: pytest.Config) -> list[bool]:
    """For each path of the command line, whether it is in tests/training."""
    paths = [Path(config.invocation_params.dir, argument.partition("::")[0]) for argument in config.args]
    return [path.resolve().is_relative_to(TRAINING.resolve()) for path in paths]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Say at once when a test module imports Keras into the process of the pages' tests."""
    gc.freeze()
    gc.enable()
    if "keras" in sys.modules and not any(_named(session.config)):
        raise pytest.UsageError("A test module outside tests/training has imported keras.")


@pytest.fixture(autouse=True)
def keras_stays_out(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test that imports Keras into the process of the pages' tests."""
    was_there = "keras" in sys.modules
    yield
    assert was_there or "keras" not in sys.modules or any(_named(request.config)), (
        "this test has imported keras into the process of the pages' tests"
    )
