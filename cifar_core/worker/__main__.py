"""Wait for a job, and do it: see `cifar_core.worker`."""

import contextlib
import gc
import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

gc.disable()  # imports leave no garbage, and to look for it took a fifth of their time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"

from cifar_core import limits, orphan
from cifar_core.home import store_address

orphan.watch()  # before the imports that take seconds
os.environ.update(limits.settings_for_threads())
if store_address() is not None:
    # Before TensorFlow: loaded after it, PostgreSQL's client would take TensorFlow's encryption for that of its own
    # library, and end the process at the first connection with TLS. Where it is missing, the store says so.
    with contextlib.suppress(ModuleNotFoundError):
        importlib.import_module("psycopg")

# isort: split

from cifar_core.runs.errors import StoreError
from cifar_core.runs.processes import STORE_UNUSABLE
from cifar_core.training.hardware import share_graphics_cards
from cifar_core.worker.errors import log
from cifar_core.worker.job import Job
from cifar_core.worker.questions import answer

gc.freeze()  # what was imported stays
gc.enable()


def work_on(job: dict[str, Any]) -> int:
    """Do a run, or answer a page's question, and return the exit code of this process."""
    if "inspect" in job:
        answer(job)
        return 0
    orphan.adopted.set()
    try:
        Job(Path(job["home"]), job["run"], job["owner"], job["claimed_at"]).do()
    except StoreError as error:  # so the end of the run cannot be written either
        log(str(error))
        return STORE_UNUSABLE
    return 0


def main() -> None:
    """Wait for a job on standard input and do it; without one, end quietly."""
    share_graphics_cards()
    line = sys.stdin.readline()
    if line.strip():
        code = work_on(json.loads(line))
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os._exit(code)  # everything is written; TensorFlow's tear-down would keep the next run waiting for a second


if __name__ == "__main__":
    main()
