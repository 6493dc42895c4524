"""A worker that is still importing must not outlive the server that started it."""

import subprocess
import sys
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
CHILD = "import cifar_core.orphan as o, time; o.watch(); {}time.sleep(60)"
PARENT = """
import os, subprocess, sys
from cifar_core.orphan import PARENT
own = os.environ | {PARENT: str(os.getpid())}
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], env=own, stdout=subprocess.DEVNULL)
print(child.pid, flush=True)
"""


def gone_within(seconds: float, what: str) -> bool:
    """Start a process that starts another and ends; return whether that one ends too."""
    parent = subprocess.run(
        [sys.executable, "-c", PARENT, CHILD.format(what)], cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=30
    )
    child = int(parent.stdout)
    deadline = time.monotonic() + seconds
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            psutil.Process(child).kill()
            return False
        time.sleep(0.05)
    return True


def test_a_process_without_a_job_ends_with_its_parent() -> None:
    assert gone_within(10, "")


def test_a_process_with_a_run_decides_itself() -> None:
    assert not gone_within(2, "o.adopted.set(); ")
