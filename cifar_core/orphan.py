"""Ends a worker when the process that started it ends: during its imports, and while it answers a page's question.

A run's own watch is the end of standard input, which leaves it time to save what was measured.
"""

import os
import threading

import psutil

SECONDS_BETWEEN_LOOKS = 0.5

PARENT = "TRANSFER_LAB_PARENT"
"""In the environment of a worker: the process that started it. Its own view may already show another."""

adopted = threading.Event()
"""To be set when there is a run, which is kept and ended otherwise."""


def watch() -> None:
    """Watch the process that started this one, from now on; nothing where none is known."""
    if PARENT in os.environ:
        threading.Thread(target=_leave_with, args=(int(os.environ[PARENT]),), name="orphan", daemon=True).start()


def _leave_with(parent: int) -> None:
    while not adopted.wait(SECONDS_BETWEEN_LOOKS):
        if not _is_alive(parent):
            os._exit(0)


def _is_alive(process: int) -> bool:
    try:
        return bool(psutil.Process(process).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
