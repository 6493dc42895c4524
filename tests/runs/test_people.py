"""Several people and one queue: everybody's turn comes, nothing is lost, and nobody fills it alone."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cifar_core.experiment.measured import State
from cifar_core.runs.errors import TooManyRuns
from cifar_core.runs.store import Store
from tests.runs.helpers import EXPERIMENT


def queue(store: Store, person: str, most: int | None = None, token: str | None = None) -> str:
    return store.submit(EXPERIMENT, 1, f"a run of {person}", person=person, most=most, token=token)


def claim(store: Store) -> tuple[str, str] | None:
    """The id and the person of the next run, which ends at once."""
    run = store.claim("owner")
    if run is None:
        return None
    store.finish(run.id, "owner", State.DONE)
    return run.id, run.person


def test_a_run_says_whose_it_is(store: Store) -> None:
    assert store.run(queue(store, "Ada")).person == "Ada"
    assert store.run(store.submit(EXPERIMENT, 1, "nobody's")).person == ""


def test_twenty_people_submit_a_hundred_runs_at_once_and_take_turns(store: Store) -> None:
    people = [f"person {number}" for number in range(20)]
    with ThreadPoolExecutor(20) as threads:
        submitted = [
            run for runs in threads.map(lambda one: [queue(store, one) for _ in range(5)], people) for run in runs
        ]
    assert len(set(submitted)) == 100
    expected = [run.id for run in store.queue()]
    claimed = [found for _ in range(101) if (found := claim(store))]
    assert [run for run, _ in claimed] == expected
    assert set(expected) == set(submitted)
    for number in range(0, 100, 20):
        assert {person for _, person in claimed[number : number + 20]} == set(people)


def test_one_run_of_somebody_new_does_not_wait_for_the_fifty_of_another(store: Store) -> None:
    mass = [queue(store, "Ada") for _ in range(50)]
    assert claim(store) == (mass[0], "Ada")
    single = queue(store, "Bo")
    assert [run.id for run in store.queue()][:3] == [single, mass[1], mass[2]]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["Ada", "Bo", "Cy", "claim"]), max_size=14))
def test_nobody_who_waits_is_passed_over_twice_by_the_same_person(store: Store, steps: list[str]) -> None:
    waiting: Counter[str] = Counter()
    passed: dict[str, Counter[str]] = {}
    for step in [*steps, *["claim"] * 15]:
        if step != "claim":
            queue(store, step)
            waiting[step] += 1
            passed.setdefault(step, Counter())
            continue
        expected = [run.id for run in store.queue()]
        found = claim(store)
        if found is None:
            assert not +waiting
            continue
        run, person = found
        assert run == expected[0] and [each.id for each in store.queue()] == expected[1:]
        waiting[person] -= 1
        passed.pop(person)
        if waiting[person]:
            passed[person] = Counter()
        for other in passed.values():
            other[person] += 1
            assert other[person] <= 1


def test_people_move_runs_among_their_own(store: Store) -> None:
    first, others, second = queue(store, "Ada"), queue(store, "Bo"), queue(store, "Ada")
    assert store.move(second, before=first)
    assert [run.id for run in store.queue()] == [second, others, first]
    assert not store.move(first, before=others)
    assert [run.id for run in store.queue()] == [second, others, first]


def test_a_person_has_at_most_so_many_runs_waiting_and_working(store: Store) -> None:
    kept = [queue(store, "Ada", 2, token) for token in ("one", "two")]
    store.claim("owner")
    with pytest.raises(TooManyRuns, match="takes 2 waiting and working runs per person, and you have 2: 1 more"):
        queue(store, "Ada", 2, "three")
    assert queue(store, "Ada", 2, "one") == kept[0]  # the second half of a double click starts nothing
    queue(store, "Bo", 2)
    store.finish(kept[0], "owner", State.DONE)
    queue(store, "Ada", 2, "three")
    assert Counter(run.person for run in store.runs()) == {"Ada": 3, "Bo": 1}


def test_a_run_that_goes_on_counts_among_those_that_wait_and_work(store: Store) -> None:
    run, other = queue(store, "Ada"), queue(store, "Bo")
    store.claim("owner", run=run)
    store.finish(run, "owner", State.STOPPED)
    kept = queue(store, "Ada", 1)
    with pytest.raises(TooManyRuns, match="you have 1: 1 more"):
        store.resume(run, most=1)
    assert (store.run(run).state, store.run(run).resumed) == (State.STOPPED, 0)
    store.request_stop(kept)
    store.resume(run, most=1)
    assert {each.id for each in store.queue()} == {run, other}


def test_a_limit_holds_when_one_person_submits_from_many_threads(store: Store) -> None:
    def attempt(_: int) -> bool:
        try:
            queue(store, "Ada", 5)
        except TooManyRuns:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(attempt, range(20))) == 5
    assert len(store.queue()) == 5
