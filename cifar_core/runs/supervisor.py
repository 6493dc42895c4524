"""The background threads that run what is queued: one worker process per run, watched to its end.

Workers are processes of this computer, or of the machines of a cluster (`runs.cluster`). They measure and write to the
store; here are only their start, their lease, and the ends that they cannot write themselves: died, did not stop when
asked, machine lost, or cut off when the supervisor goes.
"""

import contextlib
import logging
import math
import os
import secrets
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from cifar_core.experiment.measured import LOG, Run, State
from cifar_core.runs import places
from cifar_core.runs.complaints import OnceAMinute
from cifar_core.runs.errors import ClaimLost, StoreError, StoreUnusable
from cifar_core.runs.patience import Patience
from cifar_core.runs.places import Capacity, MachineLost, PlacedWorker, Slot
from cifar_core.runs.policy import Leaving, Policy
from cifar_core.runs.processes import STORE_UNUSABLE, Worker, describe_exit
from cifar_core.runs.store import Store

if TYPE_CHECKING:
    from cifar_core.runs.cluster import Cluster

_LOG = logging.getLogger(__name__)
_LOG.addFilter(OnceAMinute())  # what is tried every second fails every second, too


class Supervisor:
    """Runs what is queued in a home's store, `slots` runs at a time, in daemon threads of this process.

    Any number of supervisors may share a store. With `spare`, each slot keeps a worker that has done its imports.
    With the address of a `cluster`, runs go to its machines and none to this one, as many as there are places.
    """

    def __init__(
        self,
        home: Path,
        slots: int = 1,
        spare: bool = True,
        policy: Policy | None = None,
        cluster: str | None = None,
    ):
        self._store = Store(home)
        self._policy = policy or Policy()
        self._leaving = Leaving()
        self._cluster = None if cluster is None else _cluster(cluster, self._store, self._policy, self._leaving)
        self._slots: list[Slot] = []
        self._threads = [threading.Thread(target=self._keep_true, name="runs: leases", daemon=True)]
        if self._cluster is None:
            for _ in range(slots):
                self._add(Spare(home / "runs", self._policy, kept=spare))

    def start(self) -> None:
        """Start the threads."""
        if self._cluster is not None:
            self._cluster.start()
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float = 8.0) -> None:
        """End everything in about `timeout` s: workers save and mark their runs interrupted, or are killed."""
        self._leaving.begin(timeout - 2 * self._policy.terminate)
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))
        for slot in self._slots:
            slot.end()
        if self._cluster is not None:
            self._cluster.close()
            places.capacity = places.only_here
        self._store.close()

    def _add(self, slot: Slot) -> threading.Thread:
        """Make room for one more run at a time."""
        name = f"runs: slot {len(self._slots)}"
        self._slots.append(slot)
        self._threads.append(threading.Thread(target=self._work, args=(slot,), name=name, daemon=True))
        return self._threads[-1]

    def _work(self, slot: Slot) -> None:
        """One slot: claim, run, again."""
        while not self._leaving.is_set():
            try:
                ready = slot.is_ready()
                if self._leaving.is_set():
                    break
                owner = new_owner()
                run = self._store.claim(owner, lease=self._policy.lease) if ready else None
                if run is not None:
                    _Shift(self._store, run, owner, self._policy, self._leaving, slot).work()
                    continue
            except Exception as error:
                # Whatever it is (a locked store, a full disk), the slot outlives it and tries again.
                _LOG.error("A slot could not go on: %s", error, exc_info=not isinstance(error, StoreError))
                self._leaving.wait(self._policy.heartbeat)
            self._leaving.wait(self._policy.poll)
        slot.end()

    def _keep_true(self) -> None:
        """Tell the truth about runs whose supervisor is gone."""
        leases = _Leases(self._store, self._policy.lease, self._leaving)
        with contextlib.suppress(StoreError):  # once is enough: each run clears them on its machine, too
            self._store.files.clear_copies()
        while not self._leaving.wait(self._policy.heartbeat):
            try:
                leases.look()
                self._resume_interrupted()
                while self._cluster is not None and len(self._slots) < self._cluster.capacity.places:
                    self._add(self._cluster.slot()).start()
            except Exception:  # whatever it is, who tells the truth outlives it
                _LOG.exception("The truth about runs could not be told")

    def _resume_interrupted(self) -> None:
        if not self._policy.resumes or self._leaving.is_set():
            return
        try:
            for run in self._store.runs(states=[State.INTERRUPTED]):
                if run.resumed < self._policy.resumes:
                    self._store.resume(run.id)
        except StoreError as error:  # another supervisor was faster, or the store is unusable right now
            _LOG.error("Interrupted runs could not be continued: %s", error)


def _cluster(address: str, store: Store, policy: Policy, leaving: Leaving) -> "Cluster":
    try:
        from cifar_core.runs.cluster import Cluster  # only now: it takes 40 MB
    except ModuleNotFoundError as error:
        needed = "Runs on a cluster need the package distributed: pip install -r requirements-cluster.txt."
        places.capacity = lambda: Capacity(problem=needed)
        raise StoreUnusable(needed) from error
    cluster = Cluster(address, store, policy, leaving)
    places.capacity = lambda: cluster.capacity
    return cluster


def run_now(store: Store, run: str, policy: Policy | None = None, leaving: Leaving | None = None) -> Run:
    """Run one queued run in the calling thread, beside any queue, and return it when it has ended.

    When somebody else has claimed it, follow that to its end. To stop it, `store.request_stop`; to leave it
    interrupted, `leaving.begin(seconds)` from another thread.

    Raises:
        StoreError: when the run is unknown, or the store stays unusable before it begins or when leaving it.
    """
    policy, leaving = policy or Policy(), leaving or Leaving()
    owner = new_owner()
    claimed = Patience(until=leaving)(store.claim, owner, run=run, lease=policy.lease)
    if claimed is not None:
        spare = Spare(store.home / "runs", policy, kept=False)
        _Shift(store, claimed, owner, policy, leaving, spare).work()
    always, leases = Patience(math.inf, leaving), _Leases(store, policy.lease, leaving)
    while not (found := always(store.run, run)).state.is_finished and not leaving.wait(policy.poll):
        leases.look()
    return found


class _Leases:
    """Looks at the leases of all runs, and tells the truth about those whose supervisor is gone."""

    def __init__(self, store: Store, lease: float, leaving: Leaving):
        self._store, self._lease, self._leaving = store, lease, leaving
        self._could_renew, self._looked = True, time.time()

    def look(self) -> None:
        """Make runs whose lease has expired interrupted, unless nobody could have renewed it; wait then, and look."""
        try:
            if not self._could_renew or time.time() - self._looked > self._lease:
                # The store took nothing or kept silent, or the computer was asleep: leases have expired whose holders
                # are alive.
                self._could_renew = False
                self._store.reprieve(lease=self._lease)
                self._leaving.wait(self._lease)
            self._looked = time.time()
            for run in self._store.reconcile():
                _LOG.warning("The run %s was left by its supervisor.", run)
            self._could_renew = True
        except StoreError as error:
            self._could_renew = False
            _LOG.error("Leases could not be looked at: %s", error)


def new_owner() -> str:
    """Return a name for one claim: which computer, which process, and never the same again."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


class Spare:
    """A worker that has done its imports and waits for a job, so that a start feels instant."""

    def __init__(self, folder: Path, policy: Policy, *, kept: bool):
        self._folder = folder
        self._policy = policy
        self._kept = kept
        self._worker: Worker | None = None
        self._failures = 0
        self._next_try = time.monotonic() + policy.settle

    def is_ready(self) -> bool:
        """Keep a spare; a run may be claimed in any case."""
        self.keep()
        return True

    def keep(self) -> None:
        """Make sure that there is one; after each that died unused, wait twice as long (at most a minute)."""
        if self._worker is not None and self._worker.exit_code() is not None:
            self._failures += 1
            self._next_try = time.monotonic() + min(60.0, 2.0**self._failures * self._policy.heartbeat)
            how = describe_exit(self._worker.exit_code() or 0)
            _LOG.warning("A spare worker %s. End of its log:\n%s", how, self._worker.log_end())
            self.end()
        if self._kept and self._worker is None and time.monotonic() >= self._next_try:
            self._worker = self._start()

    def take(self) -> Worker:
        """Give away the spare, or a new worker when there is none."""
        worker, self._worker = self._worker, None
        if worker is not None and worker.exit_code() is None:
            self._failures = 0
            return worker
        if worker is not None:
            _discard(worker)
        return self._start()

    def end(self) -> None:
        """End the spare, which has nothing to lose."""
        worker, self._worker = self._worker, None
        if worker is not None:
            _discard(worker)

    def _start(self) -> Worker:
        for log in self._folder.glob("spare-*.log"):
            if not psutil.pid_exists(int(log.stem.split("-")[1])):
                log.unlink(missing_ok=True)
        name = f"spare-{os.getpid()}-{secrets.token_hex(4)}.log"
        return Worker(self._folder / name, self._policy.command)


def _discard(worker: Worker) -> None:
    worker.end(0)
    worker.log.unlink(missing_ok=True)


class _Shift:
    """One claimed run, from handing over the job to its end."""

    def __init__(self, store: Store, run: Run, owner: str, policy: Policy, leaving: Leaving, slot: Slot):
        self._store = store
        self._run = run
        self._owner = owner
        self._policy = policy
        self._leaving = leaving
        self._slot = slot
        self._began = time.monotonic()
        self._waiting_since: dict[bool, float] = {}

    def work(self) -> None:
        """Start, watch and conclude."""
        worker = None
        ending = State.INTERRUPTED, "The program that ran it was cut off. Everything measured until then is kept."
        try:
            worker = self._slot.take()
            self._hand_over(worker)
            ending = self._watch(worker)
        except OSError as error:
            ending = State.FAILED, f"Its process could not be started: {str(error).rstrip('.')}."
        except MachineLost as error:
            ending = State.INTERRUPTED, f"{error} Everything measured until then is kept."
        finally:
            if worker is not None:
                worker.end(self._policy.terminate)
            self._finish(*ending)

    def _hand_over(self, worker: PlacedWorker) -> None:
        if worker.machine:
            with contextlib.suppress(StoreUnusable):  # the worker says more soon
                self._store.set_state(self._run.id, self._owner, State.PREPARING, f"starting on {worker.machine}")
        worker.move_log(self._store.files.folder(self._run.id) / LOG)
        assert self._run.started is not None
        worker.give(
            {
                "home": str(self._store.home),
                "run": self._run.id,
                "owner": self._owner,
                "claimed_at": self._run.started.timestamp(),
            }
        )

    def _watch(self, worker: PlacedWorker) -> tuple[State, str]:
        """Return how the run ends, unless the worker has already written that itself."""
        next_beat = 0.0
        while (code := worker.exit_code()) is None:
            if self._leaving.is_set():
                worker.close_input()
                worker.wait(self._leaving.seconds_left)
                return State.INTERRUPTED, "The server was stopped. Everything measured until then is kept."
            if time.monotonic() >= next_beat:
                next_beat = time.monotonic() + self._policy.heartbeat
                if ending := self._beat(worker):
                    return ending
            self._leaving.wait(self._policy.poll)
        process = f"Its process on {worker.machine}" if worker.machine else "Its process"
        if code == STORE_UNUSABLE:
            return State.INTERRUPTED, f"{process} could not use the store. {worker.log_end(lines=1)}"
        return State.FAILED, f"{process} {describe_exit(code)}.\n\nThe end of its log:\n{worker.log_end()}"

    def _beat(self, worker: PlacedWorker) -> tuple[State, str] | None:
        """Renew the lease, and see whether the worker must be ended."""
        try:
            if not self._store.renew(self._run.id, self._owner, lease=self._policy.lease):
                # The worker has just finished and is exiting, or it will notice at its next write.
                worker.wait(self._policy.stop)
                return State.INTERRUPTED, "The claim was lost."
            if self._store.stop_requested(self._run.id) and self._stop_is_overdue():
                return State.STOPPED, "It did not stop by itself and was ended. Everything measured is kept."
            if self._is_warm():
                self._slot.keep()
        except (StoreError, OSError) as error:
            _LOG.error("The run %s goes on, but: %s", self._run.id, error)
        return None

    def _is_warm(self) -> bool:
        worked = time.monotonic() - self._began
        if worked > self._policy.warm_up:
            return True
        return worked > self._policy.warm_up_in_a_queue and bool(self._store.runs(states=[State.QUEUED], limit=1))

    def _stop_is_overdue(self) -> bool:
        saving = self._store.run(self._run.id).state is State.STOPPING
        since = self._waiting_since.setdefault(saving, time.monotonic())
        return time.monotonic() - since >= (self._policy.saving if saving else self._policy.stop)

    def _finish(self, state: State, reason: str) -> None:
        """Write the end, as soon as the store takes it; a worker that has written it before is right."""
        with contextlib.suppress(ClaimLost, StoreUnusable):  # unusable at leaving: the next supervisor tells the truth
            Patience(math.inf, self._leaving)(self._store.finish, self._run.id, self._owner, state, reason=reason)
