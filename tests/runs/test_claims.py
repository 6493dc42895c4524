"""Who has a run: one owner at most, for as long as the lease is renewed."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cifar_core.experiment.measured import Before, LayerChange, Point, Progress, State
from cifar_core.runs.errors import ClaimLost, UnknownRun
from cifar_core.runs.store import Store
from tests.runs.helpers import EXPERIMENT, epoch, start, submit, wait_for

WRITES: list[Callable[[Store, str], None]] = [
    lambda store, run: store.set_state(run, "late", State.TRAINING),
    lambda store, run: store.set_progress(run, "late", Progress(1, 1, 0.5, None)),
    lambda store, run: store.set_environment(run, "late", {}),
    lambda store, run: store.begin_phase(run, "late", 0, "base"),
    lambda store, run: store.record_before(run, "late", 0, Before(1, 0.1, 0)),
    lambda store, run: store.add_points(run, "late", 0, [Point(0.5, 1, 0.1, 1)]),
    lambda store, run: store.add_epoch(run, "late", 0, epoch(1)),
    lambda store, run: store.record_changes(run, "late", 0, [LayerChange("conv", True, 0, 1)]),
    lambda store, run: store.record_kept(run, "late", 0, 1),
    lambda store, run: store.finish(run, "late", State.DONE),
]


def test_the_oldest_run_is_claimed_first(store: Store) -> None:
    runs = [submit(store) for _ in range(3)]
    claims = [store.claim(f"owner {number}") for number in range(4)]
    assert [claim and claim.id for claim in claims] == [*runs, None]
    assert all(claim.state is State.PREPARING and claim.started for claim in claims if claim)


def test_exactly_the_named_run_is_claimed(store: Store) -> None:
    first, second = submit(store), submit(store)
    claim = store.claim("owner", run=second)
    assert claim is not None and claim.id == second
    assert store.claim("another", run=second) is None
    assert [run.id for run in store.queue()] == [first]


def test_an_expired_claim_is_the_owners_still_for_whoever_is_patient(store: Store) -> None:
    run = submit(store)
    store.claim("owner", lease=-1.0)
    assert not store.is_claimed(run, "owner")
    assert store.is_claimed(run, "owner", overdue=60)
    assert not store.is_claimed(run, "another", overdue=60)
    store.reconcile()
    assert not store.is_claimed(run, "owner", overdue=60)


def test_a_claimed_run_has_a_folder(store: Store) -> None:
    run = submit(store)
    store.claim("owner")
    assert store.files.folder(run).is_dir()


def test_processes_that_claim_at_the_same_time_never_share_a_run(store: Store) -> None:
    runs = {submit(store) for _ in range(60)}
    claimers = [start("claiming", store.home) for _ in range(3)]
    for claimer in claimers:
        assert claimer.stdout is not None and claimer.stdout.readline() == "ready\n"
    for claimer in claimers:
        assert claimer.stdin is not None
        claimer.stdin.write("go\n")
        claimer.stdin.flush()
    claimed = [run for claimer in claimers for run in claimer.communicate(timeout=20)[0].split()]
    assert len(claimed) == 60
    assert set(claimed) == runs


def test_stores_opened_at_the_same_time_are_one(store: Store) -> None:
    home = store.home.parent / "new"
    claimers = [start("claiming", home) for _ in range(4)]
    outputs = [claimer.communicate("go\n", timeout=20)[0] for claimer in claimers]
    assert outputs == ["ready\n"] * 4


@pytest.mark.parametrize("write", WRITES)
def test_nobody_else_writes_to_a_claimed_run(store: Store, write: Callable[[Store, str], None]) -> None:
    run = submit(store)
    store.claim("owner")
    store.begin_phase(run, "owner", 0, "base")
    before = (store.run(run), store.history(run), store.version(run))
    with pytest.raises(ClaimLost):
        write(store, run)
    assert (store.run(run), store.history(run), store.version(run)) == before


@pytest.mark.parametrize("write", WRITES)
def test_a_late_writer_is_refused_after_its_lease_expired(store: Store, write: Callable[[Store, str], None]) -> None:
    run = submit(store)
    store.claim("late", lease=0)
    assert wait_for(store.reconcile, "an expired lease") == [run]
    found = store.run(run)
    assert found.state is State.INTERRUPTED
    assert "stopped without a word" in found.reason
    assert found.finished is not None
    assert not store.renew(run, "late")
    with pytest.raises(ClaimLost):
        write(store, run)
    assert store.run(run) == found


def test_a_renewed_claim_is_not_interrupted(store: Store) -> None:
    run = submit(store)
    store.claim("owner", lease=0)
    assert store.renew(run, "owner")
    assert store.reconcile() == []
    assert store.run(run).state is State.PREPARING


def test_a_reserved_run_is_claimed_by_its_id_alone_as_long_as_that_lasts(store: Store) -> None:
    reserved, late = (store.submit(EXPERIMENT, 1, "a run", reserved=seconds) for seconds in (60.0, -1.0))
    again = submit(store)
    store.claim("owner", run=again)
    store.finish(again, "owner", State.STOPPED)
    store.resume(again, reserved=60)
    claimed = store.claim("a server")
    assert claimed is not None and claimed.id == late
    assert store.claim("a server") is None
    assert store.reconcile() == []
    for run in (reserved, again):
        assert store.claim("a terminal", run=run) is not None


def test_an_expired_claim_that_is_prolonged_once_more_is_not_interrupted(store: Store) -> None:
    run = submit(store)
    store.claim("owner", lease=-1)
    store.reprieve(lease=60)
    assert store.reconcile() == []
    assert store.is_claimed(run, "owner")


def test_an_ended_run_has_no_owner_any_more(store: Store) -> None:
    run = submit(store)
    store.claim("owner")
    store.finish(run, "owner", State.DONE)
    assert not store.renew(run, "owner")
    with pytest.raises(ClaimLost):
        store.finish(run, "owner", State.FAILED)
    assert store.run(run).state is State.DONE


def test_a_moved_run_is_claimed_in_its_new_place(store: Store) -> None:
    first, second, third = (submit(store) for _ in range(3))
    assert store.move(third, before=first)
    assert store.move(first, before=None)
    fourth = submit(store)
    assert [run.id for run in store.queue()] == [third, second, first, fourth]
    claim = store.claim("owner")
    assert claim is not None and claim.id == third


def test_a_run_that_has_left_the_queue_cannot_be_moved(store: Store) -> None:
    first, second = submit(store), submit(store)
    store.claim("owner")
    assert not store.move(first, before=second)
    assert not store.move(second, before=first)
    with pytest.raises(UnknownRun):
        store.move(second, before="nothing")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 3), st.none() | st.integers(0, 3)), max_size=5))
def test_the_queue_is_what_the_moves_make_of_it(store: Store, moves: list[tuple[int, int | None]]) -> None:
    runs = [submit(store) for _ in range(4)]
    expected = list(runs)
    for number, target in moves:
        before = None if target is None else runs[target]
        assert store.move(runs[number], before)
        if runs[number] != before:
            expected.remove(runs[number])
            expected.insert(len(expected) if before is None else expected.index(before), runs[number])
    assert [run.id for run in store.queue()] == expected
    for run in runs:
        store.request_stop(run)
