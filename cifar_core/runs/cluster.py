"""Machines by the address of a Dask scheduler, as places for runs.

Dask only places: a task on a machine starts the ordinary worker process (`runs.machine`). The supervisor claims a run
when such a task already holds a place, renews its lease as long as the machine shows life, and tells its end. A task
that Dask starts again, or whose machine is silent for the length of a lease, counts as lost: nothing is rerun silently.
"""

import ipaddress
import logging
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import distributed

from cifar_core.experiment.measured import State
from cifar_core.home import artifacts_address, store_address
from cifar_core.runs.complaints import OnceAMinute
from cifar_core.runs.errors import StoreError
from cifar_core.runs.machine import END, LEAVE, TOPIC, hold
from cifar_core.runs.places import Capacity, Machine, MachineLost
from cifar_core.runs.policy import Leaving, Policy
from cifar_core.runs.processes import WORKER_COMMAND
from cifar_core.runs.store import Store

RESOURCE = "RUN"
"""What a machine declares when it joins, as often as it takes runs at a time."""

_PORT = 8786
_SECONDS_TO_ANSWER = 5.0
_SECONDS_TO_RECOVER = 5.0
_KILL_SECONDS = 5.0
_LOG = logging.getLogger(__name__)
_LOG.addFilter(OnceAMinute())  # what is tried every second fails every second, too


def refusal(address: str) -> str:
    """Say why a scheduler's address must not be used, or "" where it may."""
    scheme, found, rest = address.rpartition("://")
    try:
        host = urlsplit(f"//{rest}").hostname or ""
        alone = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        alone = False
    if (scheme if found else "tcp") not in ("tcp", "tls"):
        return f"TRANSFER_LAB_CLUSTER expects an address such as tls://scheduler:8786, received {address}."
    if scheme != "tls" and not alone:
        return (
            f"The cluster at {address} is not used: whoever reaches a Dask scheduler without encryption can run "
            "programs on all its machines. Start it with TLS certificates and use its tls:// address."
        )
    if not alone and store_address() is None:
        return (
            "Several machines cannot share a store in a file. Set TRANSFER_LAB_STORE to a PostgreSQL database, here "
            "and on each machine."
        )
    return ""


class Cluster:
    """The machines behind one scheduler. A thread keeps the connection, and what is known about it."""

    def __init__(self, address: str, store: Store, policy: Policy, leaving: Leaving):
        self._address = address
        self._store = store
        self._policy = policy
        self._leaving = leaving
        self._client: Any = None
        self._lock = threading.Lock()
        self._placed: dict[str, Placed] = {}
        self._waiting = 0
        self._seen: dict[str, tuple[float, float]] = {}
        self._failure = ""
        self.live: frozenset[str] = frozenset()
        self._refused = refusal(address)
        self.capacity = Capacity(problem=self._refused or f"Connecting to the cluster at {address}.")

    def start(self) -> None:
        """Start the thread, if the address may be used."""
        if self._refused:
            _LOG.error("Nothing will run: %s", self._refused)
        else:
            threading.Thread(target=self._keep_known, name="runs: cluster", daemon=True).start()

    def slot(self) -> "ClusterSlot":
        """Return room for one run on any of the machines."""
        return ClusterSlot(self)

    def reserve(self) -> "Placed | None":
        """Ask for a place, unless as many are asked for as runs wait; it may not be there yet."""
        with self._lock:
            asked_for = sum(not placed.is_given for placed in self._placed.values())
            if self._client is None or not self.live or asked_for >= self._waiting:
                return None
            placed = Placed(self._client, self._policy, self.live, self._forget)
            self._placed[placed.name] = placed
            return placed

    @property
    def is_wanted(self) -> bool:
        """Whether any run waits."""
        return self._waiting > 0

    def close(self) -> None:
        """Leave the cluster."""
        client, self._client = self._client, None
        if client is not None:
            client.close(timeout=1)

    def blame(self, failure: str) -> None:
        """Show why a place could not be had; "" when one could."""
        if failure and failure != self._failure:
            _LOG.error("%s", failure)
        self._failure = failure

    def _forget(self, placed: "Placed") -> None:
        with self._lock:
            self._placed.pop(placed.name, None)

    def _keep_known(self) -> None:
        next_look, failures = 0.0, 0
        while not self._leaving.is_set():
            try:
                if self._client is None:
                    self._client = self._connect()
                if self._client.status != "running":
                    raise OSError("its scheduler has gone")
                if time.monotonic() >= next_look:
                    next_look = time.monotonic() + self._policy.heartbeat
                    self.capacity = self._look(self._client)
                queued = self._store.runs(archived=True, states=[State.QUEUED], limit=self.capacity.places)
                self._waiting, failures = len(queued), 0
            except StoreError as error:
                _LOG.error("Whether runs wait could not be read: %s", error)
                self._leaving.wait(self._policy.heartbeat)
            except Exception as error:  # whatever it is, it is tried again
                said = str(error) or type(error).__name__
                self._waiting = 0
                self.capacity = Capacity(problem=f"The cluster at {self._address} cannot be used: {said}. Runs wait.")
                _LOG.error("%s", self.capacity)
                self.close()
                failures += 1
                self._leaving.wait(min(60.0, 2.0**failures * self._policy.heartbeat))
            self._leaving.wait(self._policy.poll)

    def _connect(self) -> Any:
        # A client that could not connect leaves a thread and open files behind: first see whether anybody answers.
        place = urlsplit(self._address if "://" in self._address else f"tcp://{self._address}")
        socket.create_connection((place.hostname or "", place.port or _PORT), timeout=_SECONDS_TO_ANSWER).close()
        client = distributed.Client(self._address, timeout=_SECONDS_TO_ANSWER, set_as_default=False)
        client.subscribe_topic(TOPIC, self._hear)
        return client

    def _hear(self, event: tuple[float, Mapping[str, str]]) -> None:
        sign = event[1]
        if (placed := self._placed.get(sign["place"])) is not None:
            placed.hear(sign["machine"], sign["attempt"])

    def _look(self, client: Any) -> Capacity:
        joined = client.scheduler_info()["workers"]
        tasks = client.processing()
        now = time.monotonic()
        # By when its last sign of life came to be known here: the clocks of machines differ.
        self._seen = {
            address: known
            if (known := self._seen.get(address)) and known[0] == worker["last_seen"]
            else (worker["last_seen"], now)
            for address, worker in joined.items()
        }
        self.live = frozenset(address for address, (_, at) in self._seen.items() if now - at < self._policy.lease)
        machines = [
            Machine(
                name=worker["host"] if worker["name"] == address else str(worker["name"]),
                places=int(worker["resources"].get(RESOURCE, 0)),
                busy=sum(str(key).startswith(TOPIC) for key in tasks.get(address, ())),
            )
            for address, worker in joined.items()
            if address in self.live
        ]
        machines = sorted((machine for machine in machines if machine.places), key=lambda machine: machine.name)
        if machines:
            return Capacity(machines, self._failure)
        return Capacity(
            problem=f"No machine with --resources {RESOURCE}=1 has joined the cluster at {self._address}. Runs wait."
        )


class ClusterSlot:
    """Room for one run on a cluster, as a `places.Slot`: it holds a place only while a run waits for it."""

    def __init__(self, cluster: Cluster):
        self._cluster = cluster
        self._placed: Placed | None = None
        self._next_try = 0.0

    def is_ready(self) -> bool:
        """Whether a machine holds a place."""
        if self._placed is not None and self._placed.has_failed():
            self._cluster.blame(self._placed.failure())
            self._next_try = time.monotonic() + _SECONDS_TO_RECOVER
            self.end()
        if self._placed is not None and self._is_outdated(self._placed):
            self.end()
        if self._placed is None and time.monotonic() >= self._next_try:
            self._placed = self._cluster.reserve()
        if self._placed is None or not self._placed.machine:
            return False
        self._cluster.blame("")
        return True

    def _is_outdated(self, placed: "Placed") -> bool:
        """Whether no run waits any more, or it waits for a machine that has fallen silent while others have joined."""
        return not self._cluster.is_wanted or (not placed.machine and placed.candidates != self._cluster.live)

    def keep(self) -> None:
        """Prepare nothing: the place would be another run's."""

    def take(self) -> "Placed":
        """Give away the place."""
        placed, self._placed = self._placed, None
        assert placed is not None, "no run may be claimed before is_ready"
        return placed

    def end(self) -> None:
        """Give the place back."""
        placed, self._placed = self._placed, None
        if placed is not None:
            placed.end(0)


class Placed:
    """A worker process on some machine, as a `places.PlacedWorker`."""

    def __init__(self, client: Any, policy: Policy, candidates: frozenset[str], forget: "Callable[[Placed], None]"):
        self.name = f"{TOPIC}-{secrets.token_hex(8)}"
        self.candidates = candidates
        self.machine = ""
        self.is_given = False
        self._policy = policy
        self._forget = forget
        self._attempt = ""
        self._is_rerun = False
        self._heard = time.monotonic()
        self._orders = distributed.Queue(self.name, client=client)
        self._future = client.submit(
            hold,
            self.name,
            policy,
            key=self.name,
            workers=sorted(candidates),
            resources={RESOURCE: 1},
            retries=0,
            pure=False,
        )

    def hear(self, machine: str, attempt: str) -> None:
        """Take notice of a sign of life."""
        if self._attempt and attempt != self._attempt:
            self._is_rerun = True
            return
        self._attempt, self._heard, self.machine = attempt, time.monotonic(), machine

    def has_failed(self) -> bool:
        """Whether nothing will come of the place."""
        return self._future.done() or bool(self._lost())

    def move_log(self, log: Path) -> None:
        """Do nothing: the machine begins the log where it belongs."""

    def give(self, job: Mapping[str, Any]) -> None:
        """Hand over the job. Raises OSError when it cannot be."""
        self.is_given, self._heard = True, time.monotonic()
        command = None if self._policy.command is WORKER_COMMAND else list(self._policy.command)
        self._order({"job": dict(job), "command": command, "artifacts": artifacts_address()})

    def close_input(self) -> None:
        """Tell the process to save and exit."""
        self._order_quietly(LEAVE)

    def exit_code(self) -> int | None:
        """Return the exit code, or None while the process works; see `places.PlacedWorker`."""
        if lost := self._lost():
            raise MachineLost(lost)
        if not self._future.done():
            return None
        if failure := self.failure():
            raise OSError(failure)
        code = self._result()["code"]
        return -9 if code is None else int(code)

    def failure(self) -> str:
        """Say why there is no process, or "" where there is or was one."""
        return str(self._result().get("error", "")) if self._future.done() else ""

    def wait(self, seconds: float) -> bool:
        """Wait for the process to end by itself, and return whether it has."""
        deadline = time.monotonic() + seconds
        while not (ended := self.has_failed()) and time.monotonic() < deadline:
            time.sleep(self._policy.poll / 4)
        return ended

    def end(self, grace: float) -> None:
        """Make sure that nothing is left of the process, and give the place back."""
        if not self.has_failed():
            self._order_quietly(END)
            if self._attempt and not self.wait(grace + self._policy.terminate + _KILL_SECONDS):
                _LOG.error("The machine %s has not ended the worker yet.", self.machine)
        elif self._is_rerun:
            self._order_quietly(END)
        self._future.release()
        self._orders.close()
        self._forget(self)

    def log_end(self, lines: int = 30) -> str:
        """Return the log's last lines, as the machine sent them."""
        return "\n".join(str(self._result().get("log", "")).splitlines()[-lines:])

    def _lost(self) -> str:
        """Say what was lost, or "" as long as all is well."""
        if self._future.status in ("cancelled", "lost"):
            return f"The scheduler of the cluster was lost, and with it the machine {self.machine} that ran it."
        if self._future.done():
            lost = isinstance(self._result().get("exception"), distributed.KilledWorker)
        else:
            lost = self.is_given and time.monotonic() - self._heard > self._policy.lease
        return f"The machine {self.machine} that ran it was lost." if lost or self._is_rerun else ""

    def _result(self) -> dict[str, Any]:
        """What the task returned; with an "error" where it could not even begin."""
        try:
            return dict(self._future.result(timeout=_SECONDS_TO_ANSWER))
        except Exception as error:
            words = f"A machine of the cluster could not begin: {type(error).__name__}: {error}"
            return {"exception": error, "error": words}

    def _order(self, order: Any) -> None:
        self._orders.put(order, callback_timeout=_SECONDS_TO_ANSWER)

    def _order_quietly(self, order: str) -> None:
        try:
            self._order(order)
        except (OSError, RuntimeError) as error:
            _LOG.error("The machine %s could not be told: %s", self.machine, error)
