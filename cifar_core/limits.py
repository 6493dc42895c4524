"""What a run may use of the machine that it runs on. Set in the environment of that machine's server or worker:

| Variable | A run may use |
| --- | --- |
| `TRANSFER_LAB_RUN_THREADS` | so many threads of the processor; others wait for these |
| `TRANSFER_LAB_RUN_MEMORY_GB` | so much memory, the files that it maps into memory not counted |
| `TRANSFER_LAB_RUN_MINUTES` | so much time from its start, or from where it was continued |
| `TRANSFER_LAB_RUN_DISK_GB` | so much room for its own files; stored features have a limit of their own |

Without a variable there is no limit. Who uses more fails, with a sentence and everything measured until then, and can
go on from the last finished epoch.

And how many runs a server takes: `WHOLE`.
"""

import logging
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

THREADS = "TRANSFER_LAB_RUN_THREADS"
MEMORY = "TRANSFER_LAB_RUN_MEMORY_GB"
MINUTES = "TRANSFER_LAB_RUN_MINUTES"
DISK = "TRANSFER_LAB_RUN_DISK_GB"
LIMITS = (THREADS, MEMORY, MINUTES, DISK)
FAR = 1.5
"""So many times the memory it may use, and a run is not waited for any more."""
RESUMES = "TRANSFER_LAB_RESUMES"
"""An interrupted run goes on without being asked until it has gone on so often, asked or not; 0 without."""
RUNS_AT_ONCE = "TRANSFER_LAB_RUNS_AT_ONCE"
"""How many runs this computer works on at a time; 1 without."""
RUNS_PER_PERSON = "TRANSFER_LAB_RUNS_PER_PERSON"
"""How many runs of one person may wait and work at a time; no limit without."""
WHOLE = {RESUMES: 0, RUNS_AT_ONCE: 1, RUNS_PER_PERSON: 1}
"""The whole numbers that a server reads, and the least that each may be: what else is set counts as that."""
_LOG = logging.getLogger(__name__)


class LimitError(ValueError):
    """A limit that cannot be meant. The message names the variable."""


@dataclass(frozen=True)
class Limits:
    """What one run may use: bytes and seconds, or None for no limit."""

    memory: float | None = None
    seconds: float | None = None
    disk: float | None = None

    def exceeded(self, folder: Path, seconds: float) -> str:
        """Say which limit this process is over after so many seconds, its files being in `folder`; "" for none."""
        if self.memory is not None and self._used() > self.memory:
            return (
                f"It used more than the {self.memory / 1e9:g} GB of memory that a run may use here ({MEMORY}). Try a "
                "smaller batch, fewer images or a smaller network. Everything measured until then is kept."
            )
        if self.seconds is not None and seconds > self.seconds:
            return (
                f"It took longer than the {self.seconds / 60:g} minutes that a run may take here ({MINUTES}). "
                "Everything measured until then is kept, and it can go on from its last finished epoch."
            )
        if self.disk is not None and size_of(folder) > self.disk:
            return (
                f"Its files take more than the {self.disk / 1e9:g} GB that a run may fill here ({DISK}). Try a smaller "
                "network or fewer phases. Everything measured until then is kept."
            )
        return ""

    def far_exceeded(self) -> bool:
        """Whether the process takes so much memory that the machine is in danger."""
        return self.memory is not None and self._used() > FAR * self.memory

    def _used(self) -> float:
        info = psutil.Process().memory_info()
        return float(info.rss - getattr(info, "shared", 0))  # mapped files give way when memory is short


def size_of(folder: Path) -> int:
    """Return what the files in a folder take, in bytes; those that vanish meanwhile take nothing."""
    total = 0
    for path in folder.glob("*"):
        try:
            total += path.stat().st_size
        except OSError:
            continue
    return total


def limits(environment: Mapping[str, str] = os.environ) -> Limits:
    """Return the limits that the environment sets.

    Raises:
        LimitError: naming the variable that is no number above 0.
    """
    threads(environment)
    memory, minutes, disk = (_number(environment, name) for name in (MEMORY, MINUTES, DISK))
    return Limits(
        None if memory is None else memory * 1e9,
        None if minutes is None else minutes * 60,
        None if disk is None else disk * 1e9,
    )


def threads(environment: Mapping[str, str] = os.environ) -> int | None:
    """Return how many threads a run may use, or None for as many as there are cores.

    Raises:
        LimitError: when that is no whole number above 0.
    """
    number = _number(environment, THREADS)
    if number is not None and number != int(number):
        raise LimitError(f'{THREADS}: expected a whole number, received "{environment[THREADS]}".')
    return None if number is None else int(number)


def whole(variable: str, environment: Mapping[str, str] = os.environ) -> int | None:
    """Return one of the `WHOLE` numbers, or None where it is not set.

    Raises:
        LimitError: when it is something else, or too small.
    """
    text, least = environment.get(variable, "").strip(), WHOLE[variable]
    if not text:
        return None
    if not (text.isdecimal() and int(text) >= least):
        raise LimitError(
            f'{variable}: expected a whole number from {least} on, received "{text[:80]}". It counts as {least}.'
        )
    return int(text)


def setting(variable: str) -> int | None:
    """Return one of the `WHOLE` numbers as a server takes it that goes on: what is wrong is logged, once."""
    try:
        return whole(variable)
    except LimitError as error:
        _complain(str(error))
        return WHOLE[variable]


@cache
def _complain(sentence: str) -> None:
    _LOG.error(sentence)


def settings_for_threads() -> dict[str, str]:
    """Return the environment in which TensorFlow and numpy keep to that many threads, to be set before their import.

    Of a limit that cannot be meant nothing follows here: `limits` says so when a run begins.
    """
    try:
        number = threads()
    except LimitError:
        return {}
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return {} if number is None else dict.fromkeys(names, str(number))


def _number(environment: Mapping[str, str], name: str) -> float | None:
    text = environment.get(name, "").strip()
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise LimitError(f'{name}: expected a number above 0, received "{text[:80]}".')
    return number
