"""What a worker measures comes back as it was, whatever it is."""

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cifar_core.experiment.measured import Before, Epoch, LayerChange, PhaseHistory, Point, Progress, State
from cifar_core.runs.store import Store
from tests.runs.helpers import epoch, submit

Kind = TypeVar("Kind")

few = settings(max_examples=20, deadline=None)
counts = st.integers(0, 2**53)
values = st.recursive(
    st.none() | st.booleans() | counts | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def exactly(value: object) -> str:
    """Tells types apart and equates NaN with NaN; SQLite forgets the sign of zero, PostgreSQL NUL, and so does this."""
    return re.sub(r"-0\.0\b", "0.0", repr(value)).replace("\\x00", "␀")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with pytest.MonkeyPatch.context() as environment:
        if request.param == "postgresql":
            environment.setenv("TRANSFER_LAB_STORE", request.getfixturevalue("server").new_store())
        store = Store(Path(tmp_path_factory.mktemp("home")))
    yield store
    store.close()


def claimed(store: Store) -> str:
    run = submit(store)
    assert store.claim("owner", run=run)
    return run


@few
@given(
    st.lists(st.builds(Epoch, epoch=counts, images=counts), unique_by=lambda epoch: epoch.epoch, max_size=4),
    st.lists(st.lists(st.builds(Point), max_size=3), max_size=3),
    st.lists(st.builds(LayerChange), max_size=3),
    st.none() | st.builds(Before),
    st.none() | counts,
    st.text(),
)
def test_a_history_comes_back_as_it_was_measured(
    shared: Store,
    epochs: list[Epoch],
    batches: list[list[Point]],
    changes: list[LayerChange],
    before: Before | None,
    kept: int | None,
    name: str,
) -> None:
    run = claimed(shared)
    shared.begin_phase(run, "owner", 0, name)
    if before is not None:
        shared.record_before(run, "owner", 0, before)
    for one in epochs:
        shared.add_epoch(run, "owner", 0, one)
    for points in batches:
        shared.add_points(run, "owner", 0, points)
    shared.record_changes(run, "owner", 0, changes)
    if kept is not None:
        shared.record_kept(run, "owner", 0, kept)
    in_order = tuple(sorted(epochs, key=lambda epoch: epoch.epoch))
    all_points = tuple(point for points in batches for point in points)
    expected = (PhaseHistory(0, name, before, in_order, all_points, tuple(changes), kept),)
    assert exactly(shared.history(run)) == exactly(expected)


@few
@given(
    st.dictionaries(st.text(), st.dictionaries(st.text(), values, max_size=3), max_size=2),
    st.dictionaries(st.text(), st.floats(), max_size=3),
    st.dictionaries(st.text(), values, max_size=3),
    st.text(),
)
def test_results_come_back_as_they_were_written(
    shared: Store,
    metrics: dict[str, dict[str, object]],
    seconds: dict[str, float],
    environment: dict[str, object],
    reason: str,
) -> None:
    run = claimed(shared)
    shared.set_environment(run, "owner", environment)
    shared.finish(run, "owner", State.DONE, reason=reason, metrics=metrics, seconds=seconds)
    found = shared.run(run)
    assert exactly((found.metrics, found.seconds, found.environment)) == exactly((metrics, seconds, environment))
    assert (exactly(found.reason), found.state) == (exactly(reason), State.DONE)


@few
@given(st.builds(Progress, phase=counts, epoch=counts))
def test_progress_comes_back_until_the_run_has_ended(shared: Store, progress: Progress) -> None:
    run = claimed(shared)
    shared.set_progress(run, "owner", progress)
    assert exactly(shared.run(run).progress) == exactly(progress)
    shared.finish(run, "owner", State.STOPPED)
    assert shared.run(run).progress is not None  # how far it came is part of how it ended


def test_what_a_phase_moved_stands_once_however_often_it_is_written(store: Store) -> None:
    run = claimed(store)
    store.begin_phase(run, "owner", 0, "base")
    moved = [LayerChange("conv_1", True, 0.0, 1.0)]
    for _ in range(2):
        store.record_changes(run, "owner", 0, moved)
    assert list(store.history(run)[0].changes) == moved


def test_phases_keep_apart_what_they_measured(store: Store) -> None:
    run = claimed(store)
    for index, name in enumerate(["base", "fine-tune"]):
        store.begin_phase(run, "owner", index, name)
        store.add_epoch(run, "owner", index, epoch(1, loss=index))
    assert [(phase.name, phase.epochs[0].loss) for phase in store.history(run)] == [("base", 0), ("fine-tune", 1)]


def test_the_epochs_of_many_runs_are_those_of_their_histories_without_points_and_changes(store: Store) -> None:
    runs = [claimed(store) for _ in range(3)]
    for run in runs[:2]:
        for index, name in enumerate(["base", "fine-tune"]):
            store.begin_phase(run, "owner", index, name)
            for number in (1, 2):
                store.add_epoch(run, "owner", index, epoch(number, loss=index + number / 10))
            store.add_points(run, "owner", index, [Point(1.0, 1.0, 0.5, 1.0)])
        store.record_before(run, "owner", 1, Before(1.5, 0.2, 3.0))
        store.record_kept(run, "owner", 1, 1)
        store.record_features(run, "owner", 1, "Stored: it pays.", 2.5)
        store.record_changes(run, "owner", 1, [LayerChange("conv_1", True, 0.0, 1.0)])
    found = store.epochs([*runs, "nothing"])
    for run in runs:
        assert found[run] == tuple(replace(phase, points=(), changes=()) for phase in store.history(run))
    assert [len(found[run]) for run in (*runs, "nothing")] == [2, 2, 0, 0]


def test_what_is_said_last_of_stored_features_holds_however_often_it_is_said(store: Store) -> None:
    run = claimed(store)
    store.begin_phase(run, "owner", 0, "base")
    for seconds, of_others in ((2.5, False), (3.0, True), (3.0, True), (0.0, False)):
        store.record_features(run, "owner", 0, "any", seconds, of_others=of_others)
        (phase,) = store.history(run)
        assert (phase.features_seconds, phase.features_of_others) == (seconds, of_others)


def test_more_runs_than_a_question_may_name_are_found_all_the_same(store: Store) -> None:
    runs = [claimed(store) for _ in range(3)]
    for run in runs:
        store.begin_phase(run, "owner", 0, "base")
    unknown = [f"unknown-{number}" for number in range(40_000)]
    asked = [runs[0], *unknown[:20_000], runs[1], *unknown[20_000:], runs[2]]
    found = store.epochs(asked)
    assert len(found) == len(asked)
    assert [run for run in asked if found[run]] == runs
    assert [run.id for run in store.runs(ids=asked)] == runs[::-1]
    assert [run.id for run in store.runs(ids=asked, limit=2)] == runs[:0:-1]


@pytest.mark.parametrize("counts", [[4], [100], [1, 250], [99, 0, 2, 1]])
@pytest.mark.parametrize("most", [10, 50, 1000])
def test_many_points_are_thinned_evenly_and_keep_both_ends_of_each_phase(
    store: Store, counts: list[int], most: int
) -> None:
    run = claimed(store)
    for index, count in enumerate(counts):
        store.begin_phase(run, "owner", index, "base")
        store.add_points(run, "owner", index, [Point(place, 1.0, 0.5, place) for place in range(count)])
    thinned = [[int(point.at) for point in phase.points] for phase in store.history(run, points=most)]
    assert sum(map(len, thinned)) <= most
    if sum(counts) <= most - 2 * len(counts):
        assert thinned == [list(range(count)) for count in counts]
    for count, places in zip(counts, thinned, strict=True):
        steps = {later - earlier for earlier, later in pairwise(places[:-1])}
        assert places[:1] + places[-1:] == [0, count - 1][: 2 * count]
        assert len(steps) <= 1
    assert [len(phase.points) for phase in store.history(run)] == counts


def test_states_carry_words_and_times(store: Store) -> None:
    run = claimed(store)
    store.set_state(run, "owner", State.TRAINING, "phase 1 of 2 (base)")
    assert (store.run(run).state, store.run(run).step) == (State.TRAINING, "phase 1 of 2 (base)")
    store.finish(run, "owner", State.DONE)
    found = store.run(run)
    assert found.started is not None and found.finished is not None
    assert found.created <= found.started <= found.finished
    assert found.step == ""


@pytest.mark.parametrize("state", [State.QUEUED, State.DONE, State.FAILED])
def test_only_active_states_can_be_set(store: Store, state: State) -> None:
    run = claimed(store)
    with pytest.raises(ValueError, match=f"received {state.value}"):
        store.set_state(run, "owner", state)


def test_a_run_ends_only_in_a_final_state(store: Store) -> None:
    run = claimed(store)
    with pytest.raises(ValueError, match="received training"):
        store.finish(run, "owner", State.TRAINING)
