"""How runs are supervised, here and on other machines: by which process, how long it is waited for, when to leave."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from cifar_core.runs.processes import WORKER_COMMAND
from cifar_core.runs.store import LEASE_SECONDS


@dataclass(frozen=True)
class Policy:
    """How workers are started and how long they are waited for, in seconds."""

    command: Sequence[str] = WORKER_COMMAND
    lease: float = LEASE_SECONDS
    heartbeat: float = 1.0
    poll: float = 0.25
    """Between two looks at the queue and at a worker's process."""
    stop: float = 3.0
    """From a request to stop until the worker confirms it with the state STOPPING."""
    saving: float = 20.0
    """From that confirmation until the run has ended."""
    terminate: float = 1.0
    """From asking a process to end to killing it."""
    settle: float = 2.0
    """From the start to the first spare: its imports would slow the first page down."""
    warm_up: float = 15.0
    """Into a run before the next spare is started: its imports would slow the first steps down."""
    warm_up_in_a_queue: float = 2.0
    """The same while other runs wait: where they are short, most of their time would go into starting processes."""
    resumes: int = 0
    """An interrupted run is continued without being asked until it was continued so often, asked or not."""


class Leaving(threading.Event):
    """Set when a supervisor goes, with the time its workers have to save."""

    def __init__(self) -> None:
        super().__init__()
        self._deadline = 0.0

    def begin(self, seconds: float) -> None:
        """Ask all that watch this to wind up within `seconds`."""
        self._deadline = time.monotonic() + seconds
        self.set()

    @property
    def seconds_left(self) -> float:
        """How long a worker may still take."""
        return max(0.0, self._deadline - time.monotonic())
