"""Where runs are worked on: what the supervisor needs of a slot and of a worker, wherever it is.

Two kinds: processes of this computer (`runs.processes`, `runs.supervisor.Spare`) and machines of a cluster
(`runs.cluster`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


class MachineLost(Exception):  # noqa: N818 - says what has happened
    """The machine of a worker was lost; `str(error)` is the sentence."""


class PlacedWorker(Protocol):
    """A process that does one job and takes the end of its input for the end of its supervisor."""

    @property
    def machine(self) -> str:
        """What people call the machine that it is on; "" for this one."""

    def give(self, job: Mapping[str, Any]) -> None:
        """Hand over the job. Raises OSError when it cannot be."""

    def close_input(self) -> None:
        """Tell the process that its supervisor is going: it saves, marks its run interrupted and exits."""

    def exit_code(self) -> int | None:
        """Return the exit code, negative for a signal, or None while the process works.

        Raises:
            OSError: when the process could not be started.
            MachineLost: when nobody knows what became of it.
        """

    def wait(self, seconds: float) -> bool:
        """Wait for the process to end by itself, and return whether it has."""

    def end(self, grace: float) -> None:
        """Make sure that nothing is left of the process: ask, and after `grace` s insist."""

    def move_log(self, log: Path) -> None:
        """Say where its log belongs."""

    def log_end(self, lines: int = 30) -> str:
        """Return the log's last lines."""


class Slot(Protocol):
    """Room for one run at a time."""

    def is_ready(self) -> bool:
        """Whether a run may be claimed for this slot now."""

    def keep(self) -> None:
        """Prepare for the run after this one."""

    def take(self) -> PlacedWorker:
        """Give away the worker for the run that was claimed."""

    def end(self) -> None:
        """Give back what waits for a run."""


@dataclass(frozen=True)
class Machine:
    """One machine of a cluster: how many runs it takes at a time, and how many it works on."""

    name: str
    places: int
    busy: int


@dataclass(frozen=True)
class Capacity:
    """The machines that this server's runs may go to; or, in words, why there are none."""

    machines: Sequence[Machine] = ()
    problem: str = ""

    @property
    def places(self) -> int:
        """How many runs at a time."""
        return sum(machine.places for machine in self.machines)

    def __str__(self) -> str:
        if self.problem:
            return self.problem
        busy = sum(machine.busy for machine in self.machines)
        each = ", ".join(f"{machine.name} {machine.busy} of {machine.places}" for machine in self.machines)
        return f"{busy} of {self.places} places busy: {each}."


def only_here() -> None:
    """Runs stay on this computer: there is no capacity to tell."""


capacity: Callable[[], Capacity | None] = only_here
"""What this process knows about its cluster, without asking anybody. Set by its supervisor."""
