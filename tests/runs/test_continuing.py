"""Runs that go on after they were cut off, and runs that begin where another one has been."""

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from cifar_core.experiment.measured import Before, LayerChange, Point, State
from cifar_core.runs.errors import NotResumable, UnknownRun
from cifar_core.runs.store import Store
from cifar_core.runs.supervisor import Supervisor
from tests.runs.helpers import QUICK, epoch, submit, wait_for


def point(at: float) -> Point:
    return Point(epoch=at, loss=1.0, accuracy=0.5, at=at)


def two_phases(store: Store, epochs: int = 2) -> str:
    """A claimed run with two phases measured."""
    run = submit(store)
    store.claim("owner", run=run)
    for phase in (0, 1):
        store.begin_phase(run, "owner", phase, f"phase {phase}")
        store.record_before(run, "owner", phase, Before(1.0, 0.5, 0.0))
        for number in range(1, epochs + 1):
            store.add_points(run, "owner", phase, [point(number - 0.5), point(number)])
            store.add_epoch(run, "owner", phase, epoch(number))
        store.record_changes(run, "owner", phase, [LayerChange("conv_1", False, 1.0, 2.0)])
    return run


@pytest.mark.parametrize("state", [State.INTERRUPTED, State.STOPPED, State.FAILED])
def test_a_run_that_was_cut_off_queues_again_behind_the_others_with_all_it_measured(store: Store, state: State) -> None:
    run = two_phases(store)
    store.finish(run, "owner", state, reason="cut off")
    before = store.history(run)
    other = submit(store)
    store.resume(run)
    assert [each.id for each in store.queue()] == [other, run]
    resumed = store.run(run)
    assert (resumed.state, resumed.reason, resumed.finished, resumed.resumed) == (State.QUEUED, "", None, 1)
    assert store.history(run) == before


def test_a_run_that_is_done_or_still_works_cannot_go_on(store: Store) -> None:
    run = two_phases(store)
    with pytest.raises(NotResumable, match="is preparing; only one that ended before its end can go on"):
        store.resume(run)
    store.finish(run, "owner", State.DONE)
    with pytest.raises(NotResumable, match="is done"):
        store.resume(run)


def test_rewinding_forgets_what_came_behind_the_epoch_but_no_epoch_of_the_phase(store: Store) -> None:
    run = two_phases(store)
    store.rewind(run, "owner", 0, 1)
    (phase,) = store.history(run)
    assert [row.epoch for row in phase.epochs] == [1, 2]
    assert [row.epoch for row in phase.points] == [0.5, 1]
    assert phase.changes == ()
    assert phase.before is not None


def test_a_continued_phase_and_its_epochs_can_be_measured_again(store: Store) -> None:
    run = two_phases(store)
    store.begin_phase(run, "owner", 1, "phase 1")
    store.add_epoch(run, "owner", 1, epoch(2))
    assert [row.epoch for row in store.history(run)[1].epochs] == [1, 2]


def test_an_offered_checkpoint_is_found_by_its_key_until_its_run_is_deleted(store: Store) -> None:
    run, other = two_phases(store), submit(store)
    store.record_checkpoint(run, "owner", 0, "key")
    store.claim("somebody", run=other)
    store.record_checkpoint(other, "somebody", 1, "key")
    assert store.checkpoint("key") == (run, 0)
    assert store.checkpoint("another key") is None
    store.finish(run, "owner", State.DONE)
    store.delete(run)
    assert store.checkpoint("key") is None


def test_reused_phases_come_with_all_they_measured_and_say_whose_they_are(store: Store) -> None:
    source, run, third = two_phases(store), submit(store), submit(store)
    store.claim("me", run=run)
    store.reuse(run, "me", source, 0)
    (phase,) = store.history(run)
    own = store.history(source)[0]
    assert phase.reused_from == source
    assert (phase.epochs, phase.points, phase.changes, phase.before) == (
        own.epochs,
        own.points,
        own.changes,
        own.before,
    )
    store.claim("you", run=third)
    store.reuse(third, "you", run, 0)
    assert store.history(third)[0].reused_from == source


def test_phases_are_taken_over_once_however_often_that_is_tried(store: Store) -> None:
    source, run = two_phases(store), submit(store)
    store.claim("me", run=run)
    store.reuse(run, "me", source, 1)
    once = store.history(run)
    store.reuse(run, "me", source, 1)
    assert store.history(run) == once


def test_nothing_is_taken_over_from_a_run_that_was_deleted(store: Store) -> None:
    run = submit(store)
    store.claim("me", run=run)
    with pytest.raises(UnknownRun):
        store.reuse(run, "me", "deleted", 0)


def interrupted(store: Store, times: int) -> str:
    """A run that was cut off so many times, and continued each time but the last."""
    run = submit(store)
    for left in reversed(range(times)):
        store.claim("owner", run=run)
        store.finish(run, "owner", State.INTERRUPTED)
        if left:
            store.resume(run)
    return run


def test_an_interrupted_run_goes_on_without_being_asked_where_that_is_set(
    store: Store, supervise: Callable[..., Supervisor]
) -> None:
    run = interrupted(store, 1)
    supervise(replace(QUICK, resumes=1))
    wait_for(lambda: store.run(run).state is State.DONE, "the end of the continued run")
    assert store.run(run).resumed == 1


def test_a_run_that_was_asked_to_stop_has_stopped_however_it_ended_and_does_not_go_on_by_itself(
    store: Store, supervise: Callable[..., Supervisor]
) -> None:
    left, cut_off = submit(store), submit(store)
    for run, lease in ((left, 0.0), (cut_off, 60.0)):
        store.claim(run, run=run, lease=lease)
        store.request_stop(run)
    wait_for(store.reconcile, "an expired lease")
    store.finish(cut_off, cut_off, State.INTERRUPTED, reason="The server was stopped.")
    supervise(replace(QUICK, resumes=1))
    time.sleep(5 * QUICK.heartbeat)
    for run in (left, cut_off):
        found = store.run(run)
        assert (found.state, found.resumed) == (State.STOPPED, 0)
        assert found.reason


def test_a_continued_run_waits_from_when_it_was_continued(store: Store) -> None:
    run = interrupted(store, 1)
    store.resume(run)
    found = store.run(run)
    assert found.queued is not None and found.started is not None
    assert found.created < found.started <= found.queued


def test_a_continued_run_that_is_cancelled_is_not_said_to_have_never_begun(store: Store) -> None:
    run = interrupted(store, 1)
    store.resume(run)
    store.request_stop(run)
    assert store.run(run).reason == "Cancelled before it went on."


@pytest.mark.parametrize(("resumes", "times"), [(1, 2), (0, 1)])
def test_a_run_that_is_interrupted_again_and_again_is_given_up(
    store: Store, supervise: Callable[..., Supervisor], resumes: int, times: int
) -> None:
    run = interrupted(store, times)
    supervise(replace(QUICK, resumes=resumes))
    time.sleep(5 * QUICK.heartbeat)
    assert store.run(run).state is State.INTERRUPTED
