from itertools import pairwise
from types import SimpleNamespace

import pytest

from cifar_core.training import ledger
from cifar_core.training.ledger import Ledger


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that stands still unless a test moves it."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(ledger, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    return clock


def test_every_second_is_counted_once(clock: SimpleNamespace) -> None:
    times = Ledger()
    clock.now += 7  # nothing runs yet
    for entry in ("data", "steps", "validation", "steps"):
        times.switch(entry)
        clock.now += 2
    assert times.close() == {"data": 2, "steps": 4, "validation": 2}


def test_a_closed_ledger_counts_no_more(clock: SimpleNamespace) -> None:
    times = Ledger()
    times.switch("data")
    clock.now += 1
    times.close()
    clock.now += 1
    assert times.close() == {"data": 1}


def test_seconds_from_elsewhere_and_of_before_are_counted_too(clock: SimpleNamespace) -> None:
    times = Ledger({"queue": 3, "data": 1})
    times.add("queue", 5)
    times.switch("data")
    clock.now += 1
    assert times.close() == {"queue": 8, "data": 2}


def test_entries_may_change_at_any_moment(clock: SimpleNamespace) -> None:
    times = Ledger()
    moments = [100, 101, 103, 106]
    for (start, end), entry in zip(pairwise(moments), "abc", strict=True):
        clock.now = start
        times.switch(entry)
        clock.now = end
    assert times.close() == {"a": 1, "b": 2, "c": 3}
