"""Kill workers and servers at random moments while runs train, and count what was lost.

`python -m benchmarks.chaos --kills 50 --json`. Real worker processes train a small CNN on the built-in sample; the
server is a supervisor in a process of its own, as in the app. After every kill the server is brought back where it
died, and a run that ended before its end is continued. At the end each run's history is compared with that of one
that nobody disturbed, number by number. With `TRANSFER_LAB_STORE` set, to an empty database, its store is there.
"""

import argparse
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from tqdm import tqdm

from cifar_core import events
from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.measured import Run, State
from cifar_core.runs.store import Store

SERVER = (
    "import sys, threading; from pathlib import Path; from cifar_core.runs.supervisor import Supervisor; "
    "Supervisor(Path(sys.argv[1])).start(); threading.Event().wait()"
)
SECONDS_UNTIL_TRUE = 10.0
"""After the server is back, every state is to be true within this time."""
SHARE_AFTER_AN_EPOCH = 0.7
"""Of the kills: the others mostly come while TensorFlow is imported, which takes longer than the epochs."""
EXPERIMENT = Experiment.parse(
    {
        "data": {"name": "sample", "per_class": 60},
        "phases": [
            {"name": "base", "train_on": "source", "epochs": 4},
            {"name": "tuned", "train_on": "target", "epochs": 4, "freeze": {"rule": "first_blocks", "count": 2}},
        ],
    }
)

Measured = dict[tuple[int, int], tuple[float, float, float, float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="of the moments and victims")
    parser.add_argument("--json", action="store_true", help="print one document on standard output")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(Chaos(Path(folder), random.Random(chosen.seed)).run(chosen.kills), indent=2))


class Chaos:
    """A home whose server and workers are killed, and what its store said before and after."""

    def __init__(self, home: Path, moments: random.Random):
        self.home, self.moments, self.store = home, moments, Store(home)
        self.server = self._serve()
        self.shown: dict[str, Measured] = {}
        self.counts = dict.fromkeys(("kills", "worker", "server", "both", "lost_epochs", "false_states", "orphans"), 0)
        self.problems: list[str] = []

    def run(self, kills: int) -> dict[str, Any]:
        """Kill so often; then let all runs end, and compare."""
        began = time.monotonic()
        undisturbed = self._measured(self._to_its_end(self._submit()))
        disturbed = [self._submit()]
        for number in tqdm(range(kills), desc="kills", file=sys.stderr):
            if self.store.run(disturbed[-1]).state is State.DONE:
                disturbed.append(self._submit())
            self._wait_until_it_works(disturbed[-1], has_measured=self.moments.random() < SHARE_AFTER_AN_EPOCH)
            time.sleep(self.moments.uniform(0, 4))
            self._look(disturbed[-1])
            self._kill(self.moments.choice(("worker", "server", "both")))
            self._settle(disturbed[-1], number)
        differing = 0
        for run in disturbed:
            self._to_its_end(run)
            differing += self._measured(run) != undisturbed
        self.server.kill()
        self.server.wait()
        return {
            **self.counts,
            "runs": len(disturbed),
            "runs_that_ended_otherwise_than_undisturbed": differing,
            "seconds": round(time.monotonic() - began),
            "problems": self.problems,
        }

    def _serve(self) -> "subprocess.Popen[bytes]":
        # Each run is to train, and be killed, in every phase: none may begin where another has been.
        own = {"TRANSFER_LAB_HOME": str(self.home), "TRANSFER_LAB_REUSE": "off"}
        return subprocess.Popen([sys.executable, "-c", SERVER, str(self.home)], env=os.environ | own)

    def _submit(self) -> str:
        return self.store.submit(EXPERIMENT, seed=0, name="chaos")

    def _workers(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter(["cmdline", "status"]):
            if "cifar_core.worker" in (process.info["cmdline"] or ()) and process.info["status"] != "zombie":
                with contextlib.suppress(psutil.Error):
                    if process.environ().get("TRANSFER_LAB_HOME") == str(self.home):
                        found.append(process)
        return found

    def _wait_until_it_works(self, run: str, *, has_measured: bool) -> None:
        """Wait until a worker has the run, or further until that one has measured an epoch, or all of them."""
        before, deadline = len(self._measured(run)), time.monotonic() + 60
        while time.monotonic() < deadline and not (
            (state := self.store.run(run).state).is_finished
            or (state is not State.QUEUED and (not has_measured or len(self._measured(run)) > before))
        ):
            time.sleep(0.05)

    def _measured(self, run: str) -> Measured:
        return {
            (phase.index, row.epoch): (row.loss, row.accuracy, row.val_loss, row.val_accuracy)
            for phase in self.store.history(run)
            for row in phase.epochs
        }

    def _look(self, run: str) -> None:
        self.shown[run] = self._measured(run)

    def _kill(self, victim: str) -> None:
        workers = self._workers()
        if victim in ("server", "both"):
            self.server.kill()
        if victim in ("worker", "both"):
            for worker in workers:
                worker.kill()
        if victim in ("server", "both"):
            self.server.wait()
            self._count_orphans()
            self.server = self._serve()
        self.counts["kills"] += 1
        self.counts[victim] += 1

    def _count_orphans(self) -> None:
        """Workers notice the end of their server at once; ten seconds after it none may be left."""
        deadline = time.monotonic() + SECONDS_UNTIL_TRUE
        while (left := self._workers()) and time.monotonic() < deadline:
            time.sleep(0.1)
        self.counts["orphans"] += len(left)

    def _settle(self, run: str, number: int) -> None:
        """Within ten seconds the state is true: at work with a process, or ended; then the run goes on."""
        deadline = time.monotonic() + SECONDS_UNTIL_TRUE
        while not (true := self._is_true(found := self.store.run(run))) and time.monotonic() < deadline:
            time.sleep(0.1)
        if not true:
            self.counts["false_states"] += 1
            self.problems.append(f"after kill {number}: {found.state.value} without a process")
        now = self._measured(run)
        lost = {place for place, row in self.shown[run].items() if now.get(place) != row}
        self.counts["lost_epochs"] += len(lost)
        if lost:
            self.problems.append(f"after kill {number}: {sorted(lost)} lost or changed")
        if found.state.can_go_on:
            self.store.resume(run)

    def _is_true(self, run: Run) -> bool:
        """A worker that waits for its first job is none of the run's: the one counts that began with it last."""
        at_work = [worker.pid for worker in self._workers()]
        return run.state.is_finished or run.state is State.QUEUED or self._last_worker(run.id) in at_work

    def _last_worker(self, run: str) -> int | None:
        found = None
        with contextlib.suppress(FileNotFoundError), (self.store.files.folder(run) / events.FILE).open() as lines:
            for line in lines:
                with contextlib.suppress(ValueError):  # of a worker that was killed while it wrote
                    event = json.loads(line)
                    found = event["process"] if event["event"] == "started" else found
        return found

    def _to_its_end(self, run: str) -> str:
        deadline = time.monotonic() + 600
        while (state := self.store.run(run).state) is not State.DONE and time.monotonic() < deadline:
            if state.can_go_on:
                self.store.resume(run)
            time.sleep(0.1)
        return run


if __name__ == "__main__":
    main()
