"""Imported first by the worker: ends the process when its parent has ended before it was given a job.

A job's own watch is the end of standard input, but nobody reads that during seconds of imports.
"""

import os
import threading

import psutil

SECONDS_BETWEEN_LOOKS = 0.5

adopted = threading.Event()
"""To be set when there is a job, which is kept and ended otherwise."""


def _leave_with_parent() -> None:
    parent = psutil.Process().parent()
    while not adopted.wait(SECONDS_BETWEEN_LOOKS):
        if parent is None or not parent.is_running() or parent.status() == psutil.STATUS_ZOMBIE:
            os._exit(0)


threading.Thread(target=_leave_with_parent, name="orphan", daemon=True).start()
