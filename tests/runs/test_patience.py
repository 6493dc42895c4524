"""What a store refuses for a moment is done all the same; what it refuses for good is told."""

import threading
import time
from itertools import count

import pytest

from cifar_core.runs import patience
from cifar_core.runs.errors import ClaimLost, StoreUnusable
from cifar_core.runs.patience import Patience


class Acts:
    """Something that is refused the first `refusals` times."""

    def __init__(self, refusals: int):
        self.refusals, self.tries = refusals, 0

    def __call__(self) -> str:
        self.tries += 1
        if self.tries <= self.refusals:
            raise StoreUnusable("The store is locked.")
        return "done"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "SECONDS_BETWEEN_TRIES", 0.001)


def test_what_is_refused_is_tried_until_it_is_done_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    acts = Acts(3)
    assert (Patience()(acts), acts.tries) == ("done", 4)
    assert [message.partition(": ")[2] for message in caplog.messages] == ["The store is locked."]


def test_once_patience_is_over_each_thing_is_tried_once_until_something_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "monotonic", count(100).__next__)
    patiently, for_good = Patience(5), Acts(1000)
    for tries in (6, 7, 8):
        with pytest.raises(StoreUnusable):
            patiently(for_good)
        assert for_good.tries == tries
    assert patiently(Acts(0)) == "done"
    assert patiently(Acts(5)) == "done"


def test_who_leaves_is_not_kept_waiting() -> None:
    leaving, acts = threading.Event(), Acts(1000)
    leaving.set()
    with pytest.raises(StoreUnusable):
        Patience(1e9, leaving)(acts)
    assert acts.tries == 1


def test_a_lost_claim_is_told_at_once() -> None:
    def write(run: str) -> None:
        raise ClaimLost(run)

    with pytest.raises(ClaimLost, match="abc"):
        Patience()(write, "abc")
