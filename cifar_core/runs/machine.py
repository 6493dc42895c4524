"""What a machine of a cluster does: hold a place, wait there for a job, and work on it in a process of its own.

Run by a Dask worker, as a task. What it says goes through an event topic, what it is told through a queue. A run
belongs to whoever has its lease in the store, as everywhere: without the lease, the process is ended.
"""

import logging
import secrets
import socket
import threading
import time
from pathlib import Path
from typing import Any

import distributed

from cifar_core.experiment.measured import LOG
from cifar_core.home import artifacts_address, home
from cifar_core.runs.complaints import OnceAMinute
from cifar_core.runs.errors import StoreError
from cifar_core.runs.patience import SECONDS_OF_PATIENCE
from cifar_core.runs.policy import Policy
from cifar_core.runs.processes import WORKER_COMMAND, Worker
from cifar_core.runs.store import Store

TOPIC = "transfer-lab"
END, LEAVE = "end", "leave"
"""Orders to end the process, and to let it save first."""

_SECONDS_TO_HEAR = 1.0
_LOG = logging.getLogger(__name__)
_LOG.addFilter(OnceAMinute())  # what is tried every second fails every second, too


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
        self._order = ""
        self._is_lost = False
        self._over = threading.Event()

    def work(self) -> dict[str, Any]:
        self._show_life()
        try:
            order = self._orders.get(timeout=self._policy.lease)
            if order == END:
                return {"error": "It was not needed any more."}
            if order["artifacts"] != artifacts_address():
                return {
                    "error": f"The machine {self._sign['machine']} shares files in another way than the server. Set "
                    "TRANSFER_LAB_ARTIFACTS there as on the server."
                }
            if artifacts_address() is not None:  # so each machine has a home of its own
                order["job"]["home"] = str(home())
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
                "TRANSFER_LAB_STORE there as on the server, and share the home folder at the same path or set "
                "TRANSFER_LAB_ARTIFACTS."
            }
        process = Worker(store.files.folder(run) / LOG, order["command"] or WORKER_COMMAND)
        # A scheduler or a database that does not answer keeps whoever asks for many seconds, in which the machine has
        # to show life all the same.
        listening = threading.Thread(target=self._listen, name="runs: orders", daemon=True)
        asking = threading.Thread(target=self._ask, args=(store, run, owner), name="runs: claim", daemon=True)
        try:
            process.give(order["job"])
            listening.start()
            asking.start()
            self._watch(process)
        finally:
            self._over.set()
            process.end(self._policy.terminate)
            listening.join(_SECONDS_TO_HEAR)
        return {"code": process.exit_code(), "log": process.log_end()}

    def _watch(self, process: Worker) -> None:
        """Return when the process has ended, or is to be ended."""
        next_beat = 0.0
        while process.exit_code() is None and self._order != END:
            if time.monotonic() >= next_beat:
                next_beat = time.monotonic() + self._policy.heartbeat
                self._show_life()
            if self._is_lost or self._order == LEAVE:
                process.close_input()
            if self._is_lost:
                process.wait(self._policy.lease)
                return
            time.sleep(self._policy.poll)

    def _ask(self, store: Store, run: str, owner: str) -> None:
        """Notice that the run is somebody else's, or nobody's.

        While the database was away nobody could renew a lease: one that has only expired is given as much time as the
        process itself has patience.
        """
        while not self._is_lost and not self._over.wait(self._policy.heartbeat):
            try:
                self._is_lost = not store.is_claimed(run, owner, overdue=SECONDS_OF_PATIENCE)
            except StoreError as error:
                _LOG.error("The run %s goes on, but: %s", run, error)
        store.close()

    def _listen(self) -> None:
        """Take orders, without waiting for them at the scheduler: it would log an error each time that none came."""
        while not self._over.wait(self._policy.poll):
            try:
                for order in self._orders.get(batch=True):
                    self._order = str(order)
            except OSError as error:  # the scheduler is gone; the lease says when the server is
                _LOG.error("No orders: %s", error)

    def _show_life(self) -> None:
        self._worker.log_event(TOPIC, self._sign)
