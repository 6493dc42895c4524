"""What a machine of a cluster does: hold a place, wait there for a job, and work on it in a process of its own.

Run by a Dask worker, as a task. What it says goes through an event topic, what it is told through a queue. A run
belongs to whoever has its lease in the store, as everywhere: without the lease, the process is ended.
"""

import logging
import secrets
import socket
import time
from pathlib import Path
from typing import Any

import distributed

from cifar_core.runs.errors import StoreError
from cifar_core.runs.processes import WORKER_COMMAND, Worker
from cifar_core.runs.store import Store
from cifar_core.runs.supervisor import Policy

TOPIC = "transfer-lab"
END, LEAVE = "end", "leave"
"""Orders to end the process, and to let it save first."""

_LOG = logging.getLogger(__name__)


def hold(place: str, policy: Policy) -> dict[str, Any]:
    """Hold `place` for one job, and return {"code", "log"} of its process, or {"error"}, a sentence."""
    machine = machine_name(distributed.get_worker())
    try:
        return _Place(place, machine, policy).work()
    except TimeoutError:
        return {"error": f"The machine {machine} waited for a job and was given none."}
    except (StoreError, OSError) as error:
        return {"error": f"On the machine {machine}: {error}"}


def machine_name(here: Any) -> str:
    """Return what people call the machine of a Dask worker: the `--name` it was started with, else the computer's."""
    return socket.gethostname() if here.name == here.address else str(here.name)


class _Place:
    def __init__(self, place: str, machine: str, policy: Policy):
        self._worker = distributed.get_worker()
        # Another attempt at the same task says that Dask has started it again, which is not wanted.
        self._sign = {"place": place, "machine": machine, "attempt": secrets.token_hex(4)}
        self._orders = distributed.Queue(place)
        self._policy = policy

    def work(self) -> dict[str, Any]:
        self._show_life()
        try:
            order = self._orders.get(timeout=self._policy.lease)
            if order == END:
                return {"error": "It was not needed any more."}
            store = Store(Path(order["job"]["home"]))
            try:
                return self._do(order, store)
            finally:
                store.close()
        finally:
            self._orders.close()

    def _do(self, order: dict[str, Any], store: Store) -> dict[str, Any]:
        run, owner = order["job"]["run"], order["job"]["owner"]
        if not store.is_claimed(run, owner):
            return {
                "error": f"The machine {self._sign['machine']} does not find this run in its store. Set "
                "TRANSFER_LAB_STORE there as on the server, and share the home folder at the same path."
            }
        process = Worker(Path(order["log"]), order["command"] or WORKER_COMMAND)
        try:
            process.give(order["job"])
            self._watch(process, store, run, owner)
        finally:
            process.end(self._policy.terminate)
        return {"code": process.exit_code(), "log": process.log_end()}

    def _watch(self, process: Worker, store: Store, run: str, owner: str) -> None:
        """Return when the process has ended, or is to be ended."""
        next_beat = 0.0
        while process.exit_code() is None:
            if time.monotonic() >= next_beat:
                next_beat = time.monotonic() + self._policy.heartbeat
                self._show_life()
                try:
                    if not store.is_claimed(run, owner):
                        process.close_input()
                        process.wait(self._policy.lease)
                        return
                except StoreError as error:
                    _LOG.error("The run %s goes on, but: %s", run, error)
            match self._next_order():
                case "leave":
                    process.close_input()
                case "end":
                    return

    def _next_order(self) -> str | None:
        try:
            return str(self._orders.get(timeout=self._policy.poll))
        except TimeoutError:
            return None
        except OSError as error:  # the scheduler is gone; the lease says when the server is
            _LOG.error("No orders: %s", error)
            time.sleep(self._policy.poll)
            return None

    def _show_life(self) -> None:
        self._worker.log_event(TOPIC, self._sign)
