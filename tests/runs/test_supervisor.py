"""Runs are worked off one after the other, and every end is told truly."""

import dataclasses
import logging
import os
import sqlite3
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from cifar_core.experiment.measured import State
from cifar_core.runs import database
from cifar_core.runs.policy import Leaving
from cifar_core.runs.store import Store
from cifar_core.runs.supervisor import Supervisor, run_now
from tests.runs.helpers import QUICK, WORKER, ended, is_alive, refuse, start, submit, training, wait_for, workers

Supervise = Callable[..., Supervisor]


def spare_logs(store: Store) -> list[str]:
    return [path.name for path in (store.home / "runs").glob("spare-*.log")]


def test_queued_runs_are_done_one_after_the_other(store: Store, supervise: Supervise) -> None:
    runs = [submit(store) for _ in range(2)]
    supervise()
    first, second = (ended(store, run) for run in runs)
    assert (first.state, second.state) == (State.DONE, State.DONE)
    assert first.reason == "by itself"
    assert first.finished is not None and second.started is not None
    assert first.finished <= second.started
    assert first.size > 0


def test_slots_work_at_the_same_time(store: Store, supervise: Supervise) -> None:
    runs = [submit(store, "trains") for _ in range(2)]
    supervise(slots=2)
    assert training(store, runs[0]) != training(store, runs[1])


def test_the_log_is_in_the_folder_of_the_run(store: Store, supervise: Supervise) -> None:
    run = submit(store)
    supervise()
    ended(store, run)
    assert "this worker finishes" in (store.files.folder(run) / "log.txt").read_text()


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("raises", "the network fell over"),
        ("is killed", "killed (signal 9): often the system ran out of memory"),
        ("says nothing", "without saying how the run went"),
    ],
)
def test_a_worker_that_dies_fails_its_run_with_the_reason_and_the_next_one_starts(
    store: Store, supervise: Supervise, behaviour: str, reason: str
) -> None:
    run, following = submit(store, behaviour), submit(store)
    supervise()
    failed = ended(store, run)
    assert failed.state is State.FAILED
    assert reason in failed.reason
    assert f"this worker {behaviour}" in failed.reason
    assert [epoch.epoch for epoch in store.history(run)[0].epochs] == [1]
    assert ended(store, following).state is State.DONE


def test_a_worker_that_could_not_use_the_store_interrupts_its_run_which_may_go_on(
    store: Store, supervise: Supervise
) -> None:
    run = submit(store, "cannot use the store")
    supervise()
    assert ended(store, run).state is State.INTERRUPTED
    assert store.run(run).reason == "Its process could not use the store. The store is locked."


def test_a_death_is_told_within_five_seconds(store: Store, supervise: Supervise) -> None:
    run = submit(store, "trains")
    supervise()
    worker = psutil.Process(training(store, run))
    worker.kill()
    killed = time.monotonic()
    assert ended(store, run).state is State.FAILED
    assert time.monotonic() - killed < 5


def test_children_of_a_killed_worker_do_not_outlive_it(store: Store, supervise: Supervise) -> None:
    run = submit(store, "is killed beside its child")
    supervise()
    assert ended(store, run).state is State.FAILED
    child = int((store.files.folder(run) / "child.txt").read_text())
    wait_for(lambda: not is_alive(child), "the end of the child")


def test_a_worker_that_cannot_be_started_fails_its_run(store: Store, supervise: Supervise) -> None:
    run = submit(store)
    supervise(dataclasses.replace(QUICK, command=["/nowhere/python"]))
    failed = ended(store, run)
    assert failed.state is State.FAILED
    assert "could not be started" in failed.reason and "/nowhere/python" in failed.reason


def test_a_stopped_run_ends_by_itself_and_keeps_what_it_measured(store: Store, supervise: Supervise) -> None:
    run = submit(store, "trains")
    supervise()
    training(store, run)
    store.request_stop(run)
    assert (ended(store, run).state, ended(store, run).reason) == (State.STOPPED, "by itself")
    assert store.history(run)[0].epochs


@pytest.mark.parametrize("behaviour", ["ignores everything", "hangs while saving"])
def test_a_worker_that_does_not_stop_is_ended(store: Store, supervise: Supervise, behaviour: str) -> None:
    run = submit(store, behaviour)
    supervise()
    worker = training(store, run)
    store.request_stop(run)
    stopped = ended(store, run)
    assert stopped.state is State.STOPPED
    assert "did not stop by itself" in stopped.reason
    assert not is_alive(worker)
    assert store.history(run)[0].epochs


def test_a_worker_whose_claim_is_lost_is_ended(store: Store, supervise: Supervise) -> None:
    run = submit(store, "ignores everything")
    supervise(dataclasses.replace(QUICK, lease=0.01, heartbeat=0.5))
    assert ended(store, run).state is State.INTERRUPTED
    assert "stopped without a word" in store.run(run).reason
    wait_for(lambda: not workers(), "the end of the worker")


@pytest.mark.parametrize(("behaviour", "reason"), [("trains", "by itself"), ("ignores everything", "was stopped")])
def test_stopping_a_supervisor_leaves_no_process_and_tells_the_truth(
    store: Store, supervise: Supervise, behaviour: str, reason: str
) -> None:
    run, waiting = submit(store, behaviour), submit(store)
    supervisor = supervise(dataclasses.replace(QUICK, warm_up=0), spare=True)
    worker = training(store, run)
    supervisor.stop(timeout=3)
    assert not is_alive(worker)
    assert workers() == []
    assert spare_logs(store) == []
    assert store.run(run).state is State.INTERRUPTED
    assert reason in store.run(run).reason
    assert store.run(waiting).state is State.QUEUED


@pytest.mark.parametrize("others", [0, 1])
def test_the_next_worker_is_started_early_where_a_run_waits_for_it(
    store: Store, supervise: Supervise, others: int
) -> None:
    run = submit(store, "trains")
    supervise(dataclasses.replace(QUICK, warm_up=60, warm_up_in_a_queue=0), spare=True)
    training(store, run)
    for _ in range(others):
        submit(store)
        wait_for(lambda: len(workers()) == 2, "a spare")
    time.sleep(3 * QUICK.heartbeat)
    assert len(workers()) == 1 + others


@pytest.mark.parametrize(
    ("behaviour", "reason"), [("trains", "by itself"), ("ignores everything", "stopped without a word")]
)
def test_a_killed_supervisor_leaves_no_process_and_the_truth_is_told(store: Store, behaviour: str, reason: str) -> None:
    run = submit(store, behaviour)
    supervising = start("supervising", store.home)
    worker = training(store, run)
    supervising.kill()
    supervising.communicate()
    wait_for(lambda: not is_alive(worker), "the end of the worker", seconds=10)
    wait_for(lambda: store.reconcile() or store.run(run).state.is_finished, "the truth", seconds=10)
    found = store.run(run)
    assert found.state is State.INTERRUPTED
    assert reason in found.reason
    assert store.history(run)[0].epochs


def test_two_supervisors_run_nothing_twice(store: Store, supervise: Supervise) -> None:
    runs = [submit(store) for _ in range(6)]
    supervise()
    supervise()
    for run in runs:
        assert ended(store, run).state is State.DONE
        assert (store.files.folder(run) / "executions.txt").read_text() == "once\n"


def test_a_run_is_given_to_the_spare_that_was_waiting(store: Store, supervise: Supervise) -> None:
    supervise(spare=True)
    wait_for(lambda: spare_logs(store), "a spare")
    run = submit(store)
    assert ended(store, run).state is State.DONE
    born = float((store.files.folder(run) / "born.txt").read_text())
    assert born < store.run(run).created.timestamp()
    assert int((store.files.folder(run) / "nice.txt").read_text()) >= 10
    wait_for(lambda: spare_logs(store), "the next spare")


def test_spares_that_die_are_replaced_ever_more_slowly_and_fail_the_run_with_their_words(
    store: Store, supervise: Supervise, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        supervise(dataclasses.replace(QUICK, command=[*WORKER, "dies"]), spare=True)
        wait_for(lambda: caplog.text.count("A spare worker stopped with an error") >= 2, "two dead spares")
    assert "the network library is not installed" in caplog.text
    run = submit(store)
    failed = ended(store, run)
    assert failed.state is State.FAILED
    assert "the network library is not installed" in failed.reason


def test_a_spare_that_was_killed_is_not_given_a_run(store: Store, supervise: Supervise) -> None:
    supervise(spare=True)
    for spare in wait_for(workers, "a spare"):
        spare.kill()
    assert ended(store, submit(store)).state is State.DONE


def test_logs_of_spares_that_nobody_has_any_more_are_cleared(store: Store, supervise: Supervise) -> None:
    (store.home / "runs").mkdir()
    left = store.home / "runs" / "spare-99999999-abcd.log"
    left.touch()
    other = store.home / "runs" / f"spare-{os.getppid()}-abcd.log"
    other.touch()
    supervise(spare=True)
    wait_for(lambda: not left.exists(), "the clearing")
    assert other.exists()


def test_a_locked_store_only_delays_the_next_run(
    store: Store, supervise: Supervise, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = submit(store)
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    holder = sqlite3.connect(store.home / "store.sqlite", isolation_level=None)
    supervisor = Supervisor(store.home, spare=False, policy=QUICK)
    holder.execute("BEGIN IMMEDIATE")
    supervisor.start()
    wait_for(lambda: "A slot could not go on" in caplog.text, "a complaint")
    holder.close()
    assert ended(store, run).state is State.DONE
    supervisor.stop(timeout=3)


def test_a_store_locked_at_the_end_of_a_run_is_told_later(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = submit(store, "ignores everything")
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    supervisor = Supervisor(store.home, spare=False, policy=QUICK)
    supervisor.start()
    worker = training(store, run)
    holder = sqlite3.connect(store.home / "store.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    psutil.Process(worker).kill()
    wait_for(lambda: "it is tried again" in caplog.text, "a complaint")
    holder.close()
    assert ended(store, run).state is State.FAILED
    supervisor.stop(timeout=3)


def test_a_store_that_took_nothing_for_longer_than_a_lease_interrupts_no_run_that_lives(
    store: Store, supervise: Supervise, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run, lease = submit(store, "ignores everything"), 1.0
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    supervise(dataclasses.replace(QUICK, lease=lease))
    training(store, run)
    holder = sqlite3.connect(store.home / "store.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    expires = "SELECT lease_until - ? FROM runs"
    wait_for(lambda: "Leases could not be" in caplog.text, "a complaint")
    wait_for(lambda: holder.execute(expires, [time.time()]).fetchone()[0] < 0, "the end of the lease")
    holder.execute("COMMIT")
    wait_for(lambda: holder.execute(expires, [time.time()]).fetchone()[0] > lease / 2, "a new lease")
    assert store.run(run).state is State.TRAINING
    holder.close()
    assert len([each for each in caplog.messages if each.startswith("Leases could not be looked at")]) == 1


def test_one_run_can_be_run_at_once_past_the_queue(store: Store) -> None:
    waiting, run = submit(store), submit(store)
    found = run_now(store, run, QUICK)
    assert (found.id, found.state) == (run, State.DONE)
    assert store.run(waiting).state is State.QUEUED


def test_a_run_that_somebody_else_has_claimed_is_followed_to_its_end(store: Store, supervise: Supervise) -> None:
    run = submit(store)
    supervise()
    wait_for(lambda: store.run(run).state is not State.QUEUED, "the claim")
    assert run_now(store, run, QUICK).state is State.DONE
    assert (store.files.folder(run) / "executions.txt").read_text() == "once\n"


def test_a_followed_run_whose_supervisor_died_is_interrupted(store: Store) -> None:
    run = submit(store)
    store.claim("somebody who died", lease=0)
    assert run_now(store, run, QUICK).state is State.INTERRUPTED


def test_a_followed_run_is_not_interrupted_for_a_time_in_which_nobody_could_prolong_its_lease(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, reprieve = submit(store), Store.reprieve
    store.claim("somebody who lives", lease=0)
    refuse(monkeypatch, "reconcile", times=1)

    def reprieve_who_then_ends(*arguments: Any, **more: Any) -> None:
        reprieve(*arguments, **more)
        store.finish(run, "somebody who lives", State.DONE)

    monkeypatch.setattr(Store, "reprieve", reprieve_who_then_ends)
    assert run_now(store, run, QUICK).state is State.DONE


def test_leaving_a_single_run_interrupts_it(store: Store) -> None:
    run = submit(store, "trains")
    leaving = Leaving()
    leaving.begin(10)
    assert run_now(store, run, QUICK, leaving).state is State.INTERRUPTED
    assert workers() == []
