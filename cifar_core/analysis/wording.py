"""Numbers and states in words. British spelling; a missing number is a dash."""

import math
import re
from datetime import timedelta

from cifar_core.experiment.measured import Run, State

MISSING = "–"
_COUNTED = re.compile(r"(\d[\d,]*) of (?:about )?(\d[\d,]*)")
_LEVELS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def _fixed(value: float, decimals: int) -> str:
    """Return the number with thousands separators and a real minus sign, and never "-0.0"."""
    text = f"{abs(value):,.{decimals}f}"
    return f"−{text}" if value < 0 and float(text.replace(",", "")) else text


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def number(value: float | None, decimals: int = 0) -> str:
    """Return "949,029"."""
    return _fixed(value, decimals) if value is not None and math.isfinite(value) else MISSING


def percent(share: float | None, decimals: int = 1) -> str:
    """Return "84.9 %" for the share 0.849."""
    return f"{number(None if share is None else 100 * share, decimals)} %" if _is_number(share) else MISSING


def small_share(share: float) -> str:
    """Return a percentage with as many decimals as it takes to see it: "0.07 %", "98.9 %"."""
    if 0 < share < 0.0001:
        return "< 0.01 %"
    return percent(share, 2 if 0 < share < 0.01 else 1)


def points(difference: float | None, spread: float | None = None, n: int | None = None) -> str:
    """Return "+3.1 ± 0.8 points (n = 3)" for a difference of 0.031 between two shares."""
    if difference is None or not math.isfinite(difference):
        return MISSING
    text = _fixed(100 * difference, 1)
    if difference > 0 and text != "0.0":
        text = f"+{text}"
    if spread is not None and math.isfinite(spread):
        text += f" ± {_fixed(100 * abs(spread), 1)}"
    return f"{text} points" + (f" (n = {n})" if n is not None else "")


def loss(value: float | None) -> str:
    """Return "0.508"; of a run that diverges, no row of digits."""
    return "over a million" if value is not None and 1e6 < value < math.inf else number(value, 3)


def duration(seconds: float | None) -> str:
    """Return "3.4 s" below a minute, then "1:20" (minutes, seconds) and "1:02:03"."""
    if seconds is None or not math.isfinite(seconds):
        return MISSING
    seconds = max(0.0, seconds)  # this way round, -0.0 becomes 0.0
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s" if seconds == 0 or seconds >= 0.05 else "< 0.1 s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def size(count: int) -> str:
    """Return "11.4 MB" for a number of bytes."""
    for unit, name in _LEVELS:
        # 999,950 bytes would be "1000.0 kB"
        if count >= unit * 0.99995:
            return f"{count / unit:.1f} {name}"
    return f"{count} bytes" if count != 1 else "1 byte"


def ratio(value: float | None) -> str:
    """Return "2.9×"."""
    return f"{number(value, 1 if value >= 0.95 else 2)}×" if value is not None and math.isfinite(value) else MISSING


def interval(value: float, low: float, high: float, n: int) -> str:
    """Return "84.9 % (95 %: 83.8–85.9 %, n = 5,000)"."""
    return f"{percent(value)} (95 %: {_fixed(100 * low, 1)}–{_fixed(100 * high, 1)} %, n = {n:,})"


def ordinal(place: int) -> str:
    """Return "1st", "2nd", "3rd", "11th"."""
    ending = "th" if place % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place:,}{ending}"


def count(amount: int, noun: str) -> str:
    """Return "1 run" or "3 runs"."""
    return f"{amount:,} {noun}" if amount == 1 else f"{amount:,} {noun}s"


def listing(parts: list[str]) -> str:
    """Return "a", "a and b" or "a, b and c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def status(run: Run, position: int | None = None) -> str:
    """Return where a run stands; `position` is its place in the queue, counted from 1."""
    if run.state.is_active and (run.stop_requested or run.state is State.STOPPING):
        return "stop asked for, finishing the batch"
    match run.state:
        case State.QUEUED:
            return "queued" if position is None else f"queued, {ordinal(position)} in line"
        case State.TRAINING:
            left = run.progress.eta_seconds if run.progress else None
            eta = "" if left is None else f", about {_about(left)} left"
            return f"training{_whereabouts(run)}{eta}"
        case State.DONE:
            return f"done{_took(run)}"
        case State.STOPPED:
            return f"stopped{_whereabouts(run)}{_took(run)}"
        case State.FAILED | State.INTERRUPTED:
            cause = run.reason.strip().splitlines()[0].strip() if run.reason.strip() else "no reason was recorded"
            return f"{run.state}: {cause}"
    return f"{run.state}: {run.step}" if run.step else str(run.state)


def share(run: Run) -> float:
    """Return how far a run has come, from 0 to 1: of its epochs, or before these of what its step counts in words."""
    if run.progress is not None:
        return run.progress.fraction
    if run.state is State.PREPARING and (counted := _COUNTED.search(run.step)):
        done, of = (int(number.replace(",", "")) for number in counted.groups())
        return min(1.0, done / max(1, of))
    return float(run.state is State.DONE)


def _about(seconds: float) -> str:
    return f"{round(seconds)} s" if seconds < 59.5 else duration(round(seconds))


def _whereabouts(run: Run) -> str:
    if run.progress is None:
        return ""
    phases = run.experiment.phases
    phase = phases[run.progress.phase - 1]
    return f", phase {run.progress.phase} of {len(phases)} ({phase.name}), epoch {run.progress.epoch} of {phase.epochs}"


def _took(run: Run) -> str:
    if run.started is None or run.finished is None:
        return ""
    after = (run.finished - run.started) / timedelta(seconds=1)
    return f"{' in' if run.state is State.DONE else ', after'} {duration(after)}"
