"""A recorded race or map shown again: what was measured after so many seconds, and how fast that is shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from cifar_core.analysis.plan import Found
from cifar_core.analysis.race import Racers, tuning_seconds, tuning_starts
from cifar_core.analysis.wording import number
from cifar_core.experiment.measured import PhaseHistory, Run, State
from cifar_core.experiment.transfer_map import TransferMap

SPEEDS = {"1": 1.0, "5": 5.0, "20": 20.0, "60": 60.0}
"""How many times as fast as it was recorded, by what stands in a link."""
WHOLE = "30s"
"""Instead of a speed: half a minute for the recording, however long it was."""
NOTHING = "Not recorded yet"
_WHOLE_SECONDS = 30.0
_ROUNDING = 1e-6  # seconds


def so_far(histories: Sequence[PhaseHistory], seconds: float) -> tuple[PhaseHistory, ...]:
    """Return what had been measured `seconds` after the start of the first phase; phases not yet begun are left out.

    What is known only at the end of a phase, such as how far its layers moved, is there once its last epoch is.
    """
    return tuple(found for history in histories if (found := _phase_so_far(history, seconds)) is not None)


def _phase_so_far(history: PhaseHistory, seconds: float) -> PhaseHistory | None:
    epochs = tuple(epoch for epoch in history.epochs if epoch.at <= seconds)
    points = tuple(point for point in history.points if point.at <= seconds)
    before = history.before if history.before and history.before.at <= seconds else None
    if not (epochs or points or before):
        return None
    found = replace(history, before=before, epochs=epochs, points=points)
    return found if len(epochs) == len(history.epochs) else replace(found, changes=(), kept_epoch=None)


def race_so_far(racers: Racers, seconds: float) -> Racers:
    """Return the race `seconds` after training on the target classes began, in each run by itself."""
    return {
        title: [(run, so_far(histories, tuning_starts(run, histories) + seconds)) for run, histories in runs]
        for title, runs in racers.items()
    }


def length(racers: Racers) -> float:
    """Return the seconds of the longest training on the target classes; 0 where nothing was measured."""
    return max((tuning_seconds(run, histories) for runs in racers.values() for run, histories in runs), default=0.0)


def map_so_far(map: TransferMap, found: Found, seconds: float) -> Found:
    """Return a map's runs at those depths that were done after so many `seconds`, the bases first.

    Its clock counts the runs' own seconds one after the other, as if no two had worked at a time.
    """
    depths: dict[int, dict[str, Mapping[int, Run]]] = {}
    for point in map.experiments:
        depths.setdefault(point.depth, {})[point.title] = found.get(point.title, {})
    shown: dict[str, Mapping[int, Run]] = {}
    for runs in depths.values():
        seconds -= map_length(runs)
        if seconds < -_ROUNDING:
            break
        shown |= runs
    return shown


def map_length(found: Found) -> float:
    """Return the seconds that runs took one after the other, without waiting in the queue."""
    ledgers = [run.seconds for runs in found.values() for run in runs.values()]
    return sum(sum(ledger.values()) - ledger.get("queue", 0.0) for ledger in ledgers)


def speed(chosen: str, seconds: float) -> float:
    """Return how many times as fast a recording of so many seconds is shown, for a speed as links name it."""
    return SPEEDS[chosen] if chosen in SPEEDS else max(seconds, 0.1) / _WHOLE_SECONDS


def speed_in_words(times: float) -> str:
    """Return "shown 20 times as fast", or as slow."""
    rate, word = (times, "fast") if times > 1 else (1 / times, "slow")
    text = number(rate, 0 if rate >= 9.95 else 1).removesuffix(".0")
    return "shown as fast as it was" if text == "1" else f"shown {text} times as {word}"


def told(found: Found, times: float) -> str:
    """Return "Recorded on 21 November 2026, shown 20 times as fast", or between which days."""
    days = recorded(found)
    return f"{days}, {speed_in_words(times)}" if days != NOTHING else days


def recorded(found: Found) -> str:
    """Return "Recorded on 21 November 2026", or between which days."""
    began = [run for runs in found.values() for run in runs.values() if run.state is not State.QUEUED]
    days = sorted({(run.finished or run.created).date() for run in began})
    if not days:
        return NOTHING
    first, last = _day(days[0]), _day(days[-1])
    return f"Recorded on {first}" if first == last else f"Recorded between {first} and {last}"


def _day(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


@dataclass(frozen=True)
class Playback:
    """Where a replay stands: `position` seconds into the recording at the moment `since`, moving unless that is None.

    Moments are seconds of one clock; a `speed` of 20 moves 20 recorded seconds in each.
    """

    position: float = 0.0
    since: float | None = None
    speed: float = 1.0

    def at(self, now: float) -> float:
        """Return how many seconds into the recording it is."""
        return self.position if self.since is None else self.position + self.speed * (now - self.since)

    def plays(self, now: float, length: float) -> bool:
        """Whether it moves, and has not come to the end of `length` recorded seconds."""
        return self.since is not None and self.at(now) < length

    def play(self, now: float, length: float, speed: float) -> "Playback":
        """Return it moving from here, or from the start where it is at the end."""
        here = self.at(now)
        return Playback(0.0 if here >= length else here, now, speed)

    def pause(self, now: float) -> "Playback":
        """Return it standing still where it is."""
        return Playback(self.at(now), None, self.speed)
