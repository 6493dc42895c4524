"""A worker without TensorFlow: it behaves as the name of its run says, or, told "dies", dies at once."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from itertools import count
from pathlib import Path

import psutil

from cifar_core import orphan
from cifar_core.experiment.measured import State
from cifar_core.runs.processes import STORE_UNUSABLE
from cifar_core.runs.store import Store
from tests.runs.helpers import epoch


class Job:
    def __init__(self, home: str, run: str, owner: str, claimed_at: float):
        self.store, self.run, self.owner = Store(Path(home)), run, owner
        self.folder = self.store.files.folder(run)
        self.behaviour = self.store.run(run).name
        self.abandoned = threading.Event()
        (self.folder / "pid.txt").write_text(str(os.getpid()))
        (self.folder / "born.txt").write_text(str(psutil.Process().create_time()))
        (self.folder / "nice.txt").write_text(str(psutil.Process().nice()))
        with (self.folder / "executions.txt").open("a") as executions:
            executions.write("once\n")
        threading.Thread(target=self.watch_supervisor, daemon=True).start()

    def watch_supervisor(self) -> None:
        sys.stdin.read()
        self.abandoned.set()
        time.sleep(3)  # as the real one: then nobody waits any more, and nothing may be left behind
        os._exit(1)

    def do(self) -> None:
        print(f"this worker {self.behaviour}")
        self.store.set_state(self.run, self.owner, State.TRAINING, "phase 1 of 1 (base)")
        self.store.begin_phase(self.run, self.owner, 0, "base")
        for number in count(1):
            self.store.add_epoch(self.run, self.owner, 0, epoch(number))
            match self.behaviour:
                case "finishes":
                    self.finish(State.DONE)
                    return
                case "raises":
                    raise RuntimeError("the network fell over")
                case "says nothing":
                    return
                case "cannot use the store":
                    print("The store is locked.")
                    sys.exit(STORE_UNUSABLE)
                case "is killed":
                    os.kill(os.getpid(), signal.SIGKILL)
                case "is killed beside its child":
                    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
                    (self.folder / "child.txt").write_text(str(child.pid))
                    os.kill(os.getpid(), signal.SIGKILL)
                case "trains" | "hangs while saving":
                    if self.abandoned.is_set():
                        self.finish(State.INTERRUPTED)
                        return
                    if self.store.stop_requested(self.run):
                        self.store.set_state(self.run, self.owner, State.STOPPING, "saving the model")
                        if self.behaviour == "trains":
                            self.finish(State.STOPPED)
                            return
                        time.sleep(600)
                case "hangs":
                    time.sleep(600)
                case "ignores everything":
                    signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(0.05)

    def finish(self, state: State) -> None:
        self.store.finish(self.run, self.owner, state, reason="by itself", seconds={"steps": 0.1})


if __name__ == "__main__":
    if sys.argv[1:] == ["dies"]:
        sys.exit("the network library is not installed")
    orphan.watch()
    if line := sys.stdin.readline():
        orphan.adopted.set()  # as the real one: from now on the end of the input says that nobody is there
        Job(**json.loads(line)).do()
