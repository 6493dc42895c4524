from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cifar_core.runs.store import Store
from cifar_core.runs.supervisor import Policy, Supervisor
from tests.runs.helpers import QUICK


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "home")
    yield store
    store.close()


@pytest.fixture
def supervise(store: Store) -> Iterator[Callable[..., Supervisor]]:
    """Starts supervisors of the store, and stops them after the test."""
    started: list[Supervisor] = []

    def start(policy: Policy = QUICK, *, slots: int = 1, spare: bool = False) -> Supervisor:
        started.append(Supervisor(store.home, slots=slots, spare=spare, policy=policy))
        started[-1].start()
        return started[-1]

    yield start
    for supervisor in started:
        supervisor.stop(timeout=3)
