"""Imported first by the worker: ends the process when the one that started it ends before giving it a job.

A job's own watch is the end of standard input, but nobody reads that during seconds of imports.
"""

import os
import threading

import psutil

SECONDS_BETWEEN_LOOKS = 0.5

PARENT = "TRANSFER_LAB_PARENT"
"""In the environment of a worker: the process that started it. Its own view may already show another."""

adopted = threading.Event()
"""To be set when there is a job, which is kept and ended otherwise."""


def _leave_with(parent: int) -> None:
    while not adopted.wait(SECONDS_BETWEEN_LOOKS):
        if not _is_alive(parent):
            os._exit(0)


def _is_alive(process: int) -> bool:
    try:
        return bool(psutil.Process(process).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


if PARENT in os.environ:
    threading.Thread(target=_leave_with, args=(int(os.environ[PARENT]),), name="orphan", daemon=True).start()
