"""The real server in a process of its own, as `streamlit run app.py` starts it."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil

from cifar_core.limits import THREADS
from cifar_core.runs.store import Store

ROOT = Path(__file__).parents[2]


class Server:
    """A server with a home and a port of its own, which can be stopped and started again.

    `options` are further ones of `streamlit run`.
    """

    def __init__(self, home: Path, *options: str):
        self.home, self.log, self._options = home, home.parent / "server.log", options
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.store = Store(home)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = [f"--server.port={self.port}", "--server.address=127.0.0.1", "--server.headless=true"]
        environment = {
            **os.environ,
            "TRANSFER_LAB_HOME": str(self.home),
            "KERAS_HOME": str(self.home / "keras"),
            "NO_PROXY": "127.0.0.1",
            THREADS: "1",  # the browser needs the other processor
        }
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "streamlit", "run", "app.py", *options, *self._options],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + 60
        while not self._answers():
            assert self._process.poll() is None and time.monotonic() < deadline, self.log.read_text("utf-8", "replace")
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def workers(self) -> list[psutil.Process]:
        """Return the processes that the server has started, spares included."""
        assert self._process is not None
        return list(psutil.Process(self._process.pid).children(recursive=True))

    def stop(self) -> list[psutil.Process]:
        """Stop it as Ctrl-C or a service manager would, and return the processes that it left behind."""
        assert self._process is not None
        workers = self.workers()
        self._process.terminate()
        self._process.wait(30)
        _, alive = psutil.wait_procs(workers, timeout=5)
        for worker in alive:
            worker.kill()
        return list(alive)

    def rest(self) -> None:
        """Stop whatever runs or waits, so that a test begins with an idle server."""
        deadline = time.monotonic() + 60
        while moving := [run for run in self.store.runs(archived=True) if not run.state.is_finished]:
            assert self._process is not None and self._process.poll() is None, "the server has ended by itself"
            assert time.monotonic() < deadline, [run.state for run in moving]
            for run in moving:
                if not run.stop_requested:
                    self.store.request_stop(run.id)
            time.sleep(0.1)
