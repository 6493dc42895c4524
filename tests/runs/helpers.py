"""What the tests of runs share: a tiny experiment, waiting for conditions, starting processes."""

import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import psutil

from cifar_core.experiment.experiment import Experiment, Head, Phase
from cifar_core.experiment.measured import Epoch, Run, State
from cifar_core.runs import patience
from cifar_core.runs.errors import StoreUnusable
from cifar_core.runs.policy import Policy
from cifar_core.runs.store import Store

if TYPE_CHECKING:  # every fake worker imports this
    import pytest

ROOT = Path(__file__).parents[2]
WORKER = (sys.executable, "-m", "tests.runs.fake_worker")
EXPERIMENT = Experiment(phases=(Phase(name="base", train_on="source", head=Head()),))
QUICK = Policy(command=WORKER, settle=0.0, heartbeat=0.1, poll=0.05, stop=0.4, saving=0.4, terminate=0.3)

Found = TypeVar("Found")


def wait_for(condition: Callable[[], Found], what: str, seconds: float = 20) -> Found:
    """Wait until the condition returns something true, and return that."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s for: {what}"
        time.sleep(0.02)
    return found


@contextmanager
def elsewhere(store: Store, home: Path) -> Iterator[Store]:
    """The same database on a machine with a home of its own."""
    home.mkdir()
    (home / "store.sqlite").symlink_to(store.home / "store.sqlite")
    there = Store(home)
    yield there
    there.close()


def submit(store: Store, behaviour: str = "finishes") -> str:
    """Queue a run; a fake worker behaves as the run's name says."""
    return store.submit(EXPERIMENT, seed=1, name=behaviour)


def refuse(patch: "pytest.MonkeyPatch", *methods: str, times: float = math.inf) -> None:
    """Let stores be unusable the first times that each of the methods is called."""

    def refusing(method: Callable[..., Any]) -> Callable[..., Any]:
        calls = count(1)

        def refuse_first(*arguments: Any, **more: Any) -> Any:
            if next(calls) <= times:
                raise StoreUnusable("There is no room left on the disk of the store.")
            return method(*arguments, **more)

        return refuse_first

    patch.setattr(patience, "SECONDS_BETWEEN_TRIES", 0.01)
    for method in methods:
        patch.setattr(Store, method, refusing(getattr(Store, method)))


def ended(store: Store, run: str) -> Run:
    """Wait for the end of a run."""
    wait_for(lambda: store.run(run).state.is_finished, f"the end of {store.run(run).name!r}")
    return store.run(run)


def training(store: Store, run: str) -> int:
    """Wait until the run has measured an epoch, and return its worker's process id."""
    wait_for(lambda: [phase for phase in store.history(run) if phase.epochs], "an epoch")
    assert store.run(run).state is State.TRAINING
    return int((store.files.folder(run) / "pid.txt").read_text())


def is_alive(pid: int) -> bool:
    """Whether the process does anything still; one that nobody has reaped does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def workers() -> list[psutil.Process]:
    """The fake workers that this process has started, spares included, and that are alive."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "tests.runs.fake_worker" in process.cmdline():
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def start(module: str, *arguments: str | Path) -> subprocess.Popen[str]:
    """Start a module of the tests with pipes."""
    command = [sys.executable, "-m", f"tests.runs.{module}", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def epoch(number: int, loss: float = 1.0) -> Epoch:
    return Epoch(number, loss, 0.5, 1.1, 0.4, 1e-3, 0.5, 1000.0, 500, number * 0.5)
