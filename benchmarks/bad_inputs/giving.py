"""Give inputs, and count what became of them."""

import contextlib
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any
from unittest import mock

from benchmarks.bad_inputs.inputs import Input, LastResortError
from benchmarks.bad_inputs.kinds import KINDS
from cifar_core.data.errors import DataError
from cifar_core.experiment.record import ExperimentError

SECONDS_UNTIL_HANGING = 10.0
MOST_MEGABYTES = 600.0
"""By which the largest memory of a process may grow with one input."""
MOST_BYTES = 12_000_000_000
"""What a process that is given inputs may have at all; importing TensorFlow takes a part of it."""
FAR = 4
"""Inputs drawn at most for each one wanted: what was changed at random may still be usable."""


@dataclass
class Tally:
    """What became of the inputs of one kind."""

    answered: int = 0
    usable: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    seconds: float = 0.0
    slowest: float = 0.0
    megabytes: float = 0.0

    @property
    def inputs(self) -> int:
        return self.answered + sum(self.failures.values())


class HangError(BaseException):
    """An input took too long. Nothing of the product's catches it."""


def tally(kind: str, count: int, seed: int) -> Tally:
    """Give `count` inputs of a kind, in this process."""
    _, make = KINDS[kind]
    draws, found, began = random.Random(f"{kind} {seed}"), Tally(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bad-") as folder, _own_home(Path(folder)), _nothing_started() as started:
        for number in range(FAR * count):
            if found.inputs == count:
                break
            place = Path(folder) / f"input-{number}"
            place.mkdir()
            before, at = _megabytes(), time.monotonic()
            given = make(draws, place)
            at = time.monotonic()
            outcome, said = _outcome(given, started, SECONDS_UNTIL_HANGING)
            if outcome == "hang":  # or other work has kept the machine busy: nothing that hangs ends this time
                outcome, said = _outcome(given, started, 3 * SECONDS_UNTIL_HANGING)
            found.slowest = max(found.slowest, time.monotonic() - at)
            more = _megabytes() - before
            found.megabytes = max(found.megabytes, more if number else 0.0)  # the first input imports things
            if number and more > MOST_MEGABYTES:
                outcome, said = "memory", f"{more:.0f} MB more"
            match outcome:
                case "answered":
                    found.answered += 1
                case "usable":
                    found.usable += 1
                case _:
                    found.failures[outcome] += 1
                    if len(found.examples) < 20:
                        found.examples.append(f"{kind}, {outcome}: {given.shown[:300]}\n{said[-1500:]}")
            shutil.rmtree(place, ignore_errors=True)
    found.seconds = time.monotonic() - began
    return found


def tally_quietly(kind: str, count: int, seed: int) -> Tally:
    """As `tally`, with a limit to memory, and with what libraries print to standard output on standard error."""
    with contextlib.suppress(ValueError, OSError):  # instead of taking the machine down
        resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))
    with contextlib.redirect_stdout(sys.stderr):
        return tally(kind, count, seed)


def _outcome(given: Input, started: list[str], seconds: float) -> tuple[str, str]:
    """What became of an input, and what was said."""
    from cifar_core.runs.errors import StoreError

    started.clear()
    try:
        with _time_limit(seconds):
            said = given.give()
    except HangError:
        return "hang", ""
    except LastResortError as error:
        return "last_resort", str(error)
    except (ExperimentError, DataError, StoreError) as error:
        said = str(error)
    except Exception as error:
        if type(error).__name__ != "WeightsError":  # importing it would import Keras
            return "traceback", traceback.format_exc()
        said = str(error)
    if started:
        return "executed", ", ".join(started)
    if said is None:
        return "usable", ""
    return ("answered" if re.search(given.named, said) else "last_resort"), said


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    def give_up(_signal: int, _frame: FrameType | None) -> None:
        raise HangError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _own_home(folder: Path) -> Iterator[None]:
    with mock.patch.dict(
        os.environ, {"TRANSFER_LAB_HOME": str(folder / "home"), "KERAS_HOME": str(folder / "keras"), "NO_COLOR": "1"}
    ):
        yield


@contextmanager
def _nothing_started() -> Iterator[list[str]]:
    """Note what inputs make this process start, or connect to. Audit hooks stay; this one then notes nothing more."""
    started: list[str] = []
    watching = [True]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and event in ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "socket.connect"):
            started.append(f"{event} {arguments!r}"[:200])

    sys.addaudithook(hook)
    try:
        yield started
    finally:
        watching.clear()


def _megabytes() -> float:
    """The most memory that this process has had so far."""
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
