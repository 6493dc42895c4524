"""Stores and supervisors for the tests of runs; what is said of stores is tried on both database systems."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cifar_core.runs.policy import Policy
from cifar_core.runs.store import Store
from cifar_core.runs.supervisor import Supervisor
from tests.runs import postgresql
from tests.runs.helpers import QUICK

ON_BOTH = {"test_store", "test_claims", "test_measurements", "test_people", "test_continuing", "test_named"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Try these modules' stores on both systems."""
    if "address" in metafunc.fixturenames and metafunc.module.__name__.rpartition(".")[2] in ON_BOTH:
        metafunc.parametrize("address", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture(scope="session")
def server() -> Iterator[postgresql.Server]:
    """A PostgreSQL server; without PostgreSQL a skip, or a failure where TRANSFER_LAB_NO_SKIPS=1."""
    bin = postgresql.programs()
    if bin is None:
        reason = "PostgreSQL is not installed (Debian: postgresql)"
        if os.environ.get("TRANSFER_LAB_NO_SKIPS") == "1":
            pytest.fail(f"would be skipped: {reason}")
        pytest.skip(reason)
    with postgresql.running(bin) as server:
        yield server


@pytest.fixture
def address(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str | None:
    """Set the address of the test's store in the environment, and return it; None for a file in the home."""
    if getattr(request, "param", "sqlite") == "sqlite":
        monkeypatch.delenv("TRANSFER_LAB_STORE", raising=False)
        return None
    new: str = request.getfixturevalue("server").new_store()
    monkeypatch.setenv("TRANSFER_LAB_STORE", new)
    return new


@pytest.fixture
def store(tmp_path: Path, address: str | None) -> Iterator[Store]:
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
