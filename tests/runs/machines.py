"""A Dask cluster of several processes, each standing for a machine."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.runs.helpers import ROOT, wait_for

_GIVES_UP = ("--idle-timeout", "2 minutes")  # and its machines with it, should the tests be killed


class Machines:
    """A scheduler, and what has joined it by name."""

    def __init__(self, folder: Path, environment: Mapping[str, str], options: tuple[str, ...]):
        self._folder, self._environment = folder, {**os.environ, **environment}
        file = folder / "scheduler.json"
        self._start(
            "scheduler", "scheduler", "--scheduler-file", str(file), "--port", "0", "--no-show", *_GIVES_UP, *options
        )
        wait_for(lambda: file.exists() and file.read_text().endswith("}"), "the scheduler", 60)
        self.address = str(json.loads(file.read_text())["address"])

    def join(self, name: str, places: int = 1) -> None:
        """Start a machine."""
        declared = ("--nthreads", str(places), "--resources", f"RUN={places}", "--name", name)
        self._start(name, "worker", self.address, "--no-nanny", *declared)

    def __getitem__(self, name: str) -> psutil.Process:
        return psutil.Process(int((self._folder / f"{name}.pid").read_text()))

    def kill(self, name: str) -> None:
        """End a machine with all that runs on it, at once."""
        lost = [self[name], *self[name].children(recursive=True)]
        for process in lost:
            process.kill()
        psutil.wait_procs(lost, timeout=5)

    def end(self) -> None:
        for pid in self._folder.glob("*.pid"):
            if psutil.pid_exists(int(pid.read_text())):
                self.kill(pid.stem)

    def _start(self, name: str, *arguments: str) -> None:
        with (self._folder / f"{name}.log").open("wb") as log:
            command = [sys.executable, "-m", "dask", *arguments, "--no-dashboard"]
            process = subprocess.Popen(
                command, cwd=ROOT, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )
        (self._folder / f"{name}.pid").write_text(str(process.pid))


@contextmanager
def cluster(environment: Mapping[str, str], *options: str) -> Iterator[Machines]:
    """Run a scheduler until the end of the block."""
    with tempfile.TemporaryDirectory() as folder:
        machines = None
        try:
            machines = Machines(Path(folder), environment, options)
            yield machines
        finally:
            if machines is not None:
                machines.end()
