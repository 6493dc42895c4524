"""Worker processes: the one module in which platforms differ."""

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from cifar_core.orphan import PARENT

WORKER_COMMAND = (sys.executable, "-m", "cifar_core.worker")
STORE_UNUSABLE = 75
"""The exit code of a worker that could not use the store: what it would have said there ends its log."""

_PROJECT = Path(__file__).parents[2]
_NICE = 10
_KILL_SECONDS = 5.0  # a process in the middle of a disk access goes only afterwards
_LOG = logging.getLogger(__name__)


class Worker:
    """A process that waits for one job on its standard input, and takes its end for the end of its supervisor.

    It leads a process group of its own, so that Ctrl-C in a terminal does not reach it, and runs at lower
    priority, so that pages stay quick. Both its outputs go to `log`.

    Raises:
        OSError: when the process cannot be started or its log not be written.
    """

    machine = ""
    """This computer: see `places.PlacedWorker`."""

    def __init__(self, log: Path, command: Sequence[str] = WORKER_COMMAND):
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log = log
        self._log_wanted = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=_environment(),
                **_own_group(),
            )
        _lower_priority(self._process.pid)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def give(self, job: Mapping[str, Any]) -> None:
        """Hand over the job, as one line of JSON."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended meanwhile: its exit code and log will say why
            self._process.stdin.write(json.dumps(job).encode() + b"\n")
            self._process.stdin.flush()

    def close_input(self) -> None:
        """Tell the process that its supervisor is going: it saves, marks its run interrupted and exits."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # gone already: closing would still send what it did not read
            self._process.stdin.close()

    def exit_code(self) -> int | None:
        """Return the exit code, negative for a signal, or None while the process works."""
        return self._process.poll()

    def wait(self, seconds: float) -> bool:
        """Wait for the process to end by itself, and return whether it has."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def end(self, grace: float) -> None:
        """Make sure that nothing is left of the process and those it started: ask, and after `grace` s insist."""
        tree = []
        if self.exit_code() is None:
            tree = _descendants(self.pid)
            self._process.terminate()
            for process in tree:
                _signal(process, hard=False)
            if not self.wait(grace):
                tree += _descendants(self.pid)
                self._process.kill()
        for process in tree:
            _signal(process, hard=True)
        _kill_group(self.pid)
        if not self.wait(_KILL_SECONDS):
            _LOG.error("The worker %d was killed, but the system has not ended it yet.", self.pid)
        self.close_input()
        self._move_log()

    def move_log(self, log: Path) -> None:
        """Move the log: at once, or after the end where open files cannot be moved (Windows)."""
        self._log_wanted = log
        self._move_log()

    def log_end(self, lines: int = 30) -> str:
        """Return the log's last lines, at most 20 kB of them."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, self.log.stat().st_size - 20_000))
                return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:]).strip()
        except OSError as error:
            return f"(The log {self.log} cannot be read: {error.strerror}.)"

    def _move_log(self) -> None:
        if self.log != self._log_wanted:
            try:
                self.log = self.log.replace(self._log_wanted)
            except OSError as error:
                _LOG.info("The worker's log stays at %s: %s", self.log, error.strerror)


def describe_exit(code: int) -> str:
    """Say in words how a worker ended that did not end by itself: 'killed (signal 9): …'."""
    match code & 0xFFFFFFFF if os.name == "nt" else code:
        case 0:
            return "ended without saying how the run went (exit code 0)"
        case -9 | 137:
            return "killed (signal 9): often the system ran out of memory"
        case -15 | 143:
            return "ended from outside (signal 15)"
        case 0xC0000017 | 0xC000012D:
            return "ended by Windows: out of memory"
        case 0xC0000005:
            return "crashed in native code (access violation)"
        case number if number < 0:
            with contextlib.suppress(ValueError):
                return f"crashed ({signal.Signals(-number).name}, signal {-number})"
            return f"ended by signal {-number}"
        case number:
            return f"stopped with an error (exit code {number})"


def _environment() -> dict[str, str]:
    """The worker finds this package from any folder, and a crash leaves a complete log with a traceback."""
    path = os.pathsep.join(filter(None, (str(_PROJECT), os.environ.get("PYTHONPATH"))))
    wanted = {"PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1", "PYTHONIOENCODING": "utf-8", PARENT: str(os.getpid())}
    return {**os.environ, **wanted, "PYTHONPATH": path}


def _own_group() -> dict[str, Any]:
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


def _lower_priority(pid: int) -> None:
    # At once: on Linux only threads started afterwards inherit it.
    try:
        process = psutil.Process(pid)
        if sys.platform == "win32":
            process.nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
        else:
            process.nice(max(_NICE, process.nice()))
        # Where Linux groups processes by session, niceness counts within the group only, and the worker's is its own.
        if (group := Path(f"/proc/{pid}/autogroup")).exists():
            group.write_text(str(_NICE))
    except (psutil.Error, OSError) as error:
        _LOG.info("The worker keeps its priority: %s", error)


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _signal(process: psutil.Process, *, hard: bool) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill() if hard else process.terminate()


def _kill_group(pid: int) -> None:
    """Reach also those whose parent has died: they have another parent now, but are still in the group."""
    if sys.platform == "win32":
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):  # nobody left; on macOS, only zombies left
        os.killpg(pid, signal.SIGKILL)
