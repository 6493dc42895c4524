"""What must be said beside a run's numbers, so that nobody takes them for more than they are."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from cifar_core.analysis.wording import count, listing
from cifar_core.experiment.experiment import Freeze
from cifar_core.experiment.measured import HALF_SIZE, Measured, PhaseHistory, Run, State

SEPARATOR = " · "

_UNFINISHED = {
    State.STOPPED: "stopped before its end",
    State.FAILED: "failed before its end",
    State.INTERRUPTED: "interrupted before its end",
}


class _Limit(NamedTuple):
    """Something about what accuracies were measured on: a run's short label, "" where it is not so; and a sentence."""

    label: Callable[[Run], str]
    sentence: str


def _looks(run: Run) -> str:
    few = run.experiment.data.per_class
    return "" if few is None else f"quick look: {count(few, 'image')} per class"


def _files(run: Run) -> str:
    is_other = not run.experiment.dataset.synthetic and run.environment.get("official") is False
    return "not the official files byte for byte" if is_other else ""


def _rounded(run: Run) -> str:
    # Of runs of before, it is known only what they were to use.
    asked = run.experiment.features == "half" and any(phase.freeze != Freeze() for phase in run.experiment.phases)
    return "half-size features" if run.environment.get(HALF_SIZE, asked) else ""


# the most important first
_LIMITS = (
    _Limit(
        lambda run: "synthetic images" if run.experiment.dataset.synthetic else "",
        "Synthetic images: this says nothing about photographs.",
    ),
    _Limit(_files, "Not the official images byte for byte."),
    _Limit(_looks, "A quick look at few images of each class: with all of them, figures and order may differ."),
    _Limit(
        _rounded,
        "Half-size features are rounded, and training amplifies that: in full, accuracies can differ by a point.",
    ),
    _Limit(
        lambda run: "validated on the test images" if run.experiment.validation.on == "test" else "",
        "Validated on the test images: figures used to choose between runs are optimistic.",
    ),
)


def data_labels(run: Run) -> list[str]:
    """Return short labels of what a run's accuracies were measured on, most important first."""
    return [label for limit in _LIMITS if (label := limit.label(run))]


def data_sentences(runs: Sequence[Run]) -> list[str]:
    """Return the same of several runs, in sentences that say what it means."""
    return [limit.sentence for limit in _LIMITS if any(limit.label(run) for run in runs)]


def flags(runs: Iterable[Run]) -> str:
    """Return a sentence of what the accuracies of several runs were measured on; "" where nothing needs saying."""
    found = dict.fromkeys(label for run in runs for label in data_labels(run))
    return f"Mind: {listing(list(found))}." if found else ""


def labels(run: Run) -> list[str]:
    """Return all short labels of a run, most important first; an empty list where nothing needs saying."""
    found = data_labels(run)
    if reused := run.environment.get("reused"):
        found.append(f"{count(reused['phases'], 'phase')} reused from run {reused['run']}")
    if run.resumed:
        found.append("resumed after an interruption")
    if run.state in _UNFINISHED:
        found.append(_UNFINISHED[run.state])
    return found


def seconds_labels(histories: Iterable[PhaseHistory]) -> list[str]:
    """Return a short label where a run's seconds are not all that its training costs; none elsewhere."""
    return ["features stored by another run"] if any(phase.features_of_others for phase in histories) else []


def others_features(runs: Mapping[str, Sequence[Measured]]) -> str:
    """Return the same of runs side by side, by what they are called together, in a sentence; "" for none."""
    found = []
    for title, members in runs.items():
        if given := sum(bool(seconds_labels(histories)) for _, histories in members):
            found.append(f"“{title}”" + (f" ({given} of {len(members)} runs)" if len(members) > 1 else ""))
    if not found:
        return ""
    return f"Features stored by another run: what computing them took is not in the seconds of {listing(found)}."


def of_all(runs: Iterable[Run], histories: Mapping[str, Sequence[PhaseHistory]] = MappingProxyType({})) -> str:
    """Return what must be said of several runs whose figures are one, as one text; `histories` by id, for seconds."""
    every = [each for run in runs for each in labels(run) + seconds_labels(histories.get(run.id, ()))]
    return "; ".join(dict.fromkeys(every))


def titles(runs: Sequence[Run]) -> dict[str, str]:
    """Return what each run is called beside the others, by id: what differs in their names, from part to part.

    A name's parts stand between "·"; those that all names share are left out. Where names repeat, the id tells.
    """
    parts = {run.id: run.name.split(SEPARATOR) for run in runs}
    shared = set.intersection(*map(set, parts.values())) if len(parts) > 1 else set()
    short = {run: SEPARATOR.join(part for part in own if part not in shared) for run, own in parts.items()}
    names = list(short.values())
    return {
        run.id: short[run.id] if short[run.id] and names.count(short[run.id]) == 1 else f"{run.name} ({run.id[:6]})"
        for run in runs
    }


def without_seed(title: str) -> str:
    """Return a title without the part that names the seed; the whole of it where there is no other part."""
    parts = title.split(SEPARATOR)
    return SEPARATOR.join([part for part in parts if not part.startswith("seed ")] or parts)


def chance(run: Run, phase: int) -> float:
    """Return the accuracy of guessing among the classes that the phase (from 0) trains on."""
    return 1 / len(run.experiment.classes_of(run.experiment.phases[phase]))


def guessing_loss(share: float) -> float:
    """Return the cross-entropy of giving each class the same probability."""
    return -math.log(share)
