"""The verdict of a comparison in one sentence, which says a difference within the noise is one."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cifar_core.analysis.comparison import same_test_images
from cifar_core.analysis.groups import Against, Group, against
from cifar_core.analysis.labels import data_sentences
from cifar_core.analysis.predictions import Predictions
from cifar_core.analysis.wording import count, percent, points
from cifar_core.experiment.measured import Run, State


@dataclass(frozen=True)
class Paired:
    """Two models on the same n images: the share by which the first is better, with its 95 % interval."""

    n: int
    difference: float
    low: float
    high: float

    @property
    def within_noise(self) -> bool:
        """Whether these images leave open which of the two is better."""
        return self.low <= 0 <= self.high


def paired(first: Predictions, second: Predictions) -> Paired:
    """Compare two models image by image, on the images both were given.

    The interval is the one of a difference of paired shares (Wald; Fleiss, Levin, Paik 2003, section 13.1): images
    that both tell right, or both wrong, say nothing about which is better.

    Raises:
        ValueError: when they have no image in common.
    """
    common, mine, theirs = np.intersect1d(first.images, second.images, return_indices=True)
    n = len(common)
    if not n:
        raise ValueError("predictions: the two runs have no image in common, so they cannot be compared by image.")
    right, other = first.correct[mine], second.correct[theirs]
    won, lost = int((right & ~other).sum()), int((other & ~right).sum())
    difference = (won - lost) / n
    half = 1.96 * math.sqrt(max(won + lost - (won - lost) ** 2 / n, 0.0)) / n
    return Paired(n, difference, difference - half, difference + half)


def verdict(compared: Sequence[Group], baseline: str, predictions: Mapping[str, Predictions] | None = None) -> str:
    """Return what groups say about the baseline (a title): one sentence, and on a second line what limits it.

    With `predictions` (test images, by run id) single runs are compared image by image; without, by their intervals.
    """
    base = next((group for group in compared if group.title == baseline), None)
    if base is None:
        return f"The baseline, “{baseline}”, is not done, so there is no verdict yet."
    others = [group for group in compared if group is not base]
    fair = [group for group in others if same_test_images(group.runs[0], base.runs[0])]
    if not others:
        return f"{base.in_words}; there is nothing else to compare it with yet."
    if not fair:
        return f"{base.in_words}; the other runs were tested on other images, so no accuracy is comparable."
    best = max(fair, key=lambda group: group.mean)
    sentence = _set_against(_against(best, base, predictions or {}), best, base, predictions or {}, "the baseline ")
    if len(fair) > 1:
        sentence = f"Of {len(fair)} ways set against the baseline, the best: {sentence}"
    return "\n".join([sentence, " ".join(caveats([base, *fair], len(others) - len(fair)))]).strip()


@dataclass(frozen=True)
class Outcome:
    """Who won: the title with the highest test accuracy, or the first two where it is not known which is better.

    `sentence` sets the first against the second, and `limits` says what that is worth, as `verdict` does.
    """

    winners: tuple[str, ...]
    sentence: str
    limits: str

    @property
    def in_words(self) -> str:
        """The answer to the question."""
        return self.winners[0] if len(self.winners) == 1 else f"{' or '.join(self.winners)}: too close to tell"


def outcome(compared: Sequence[Group], predictions: Mapping[str, Predictions]) -> Outcome:
    """Return who won, by test accuracy. `predictions` of the test images are by run id.

    Raises:
        ValueError: without any group.
    """
    if not compared:
        raise ValueError("outcome takes at least one group with a test accuracy, received none")
    best, *others = sorted(compared, key=lambda group: -group.mean)
    if others and same_test_images(best.runs[0], others[0].runs[0]):
        return better(best, others[0], predictions, "the next, ")
    sentence, _, limits = verdict([best, *others[:1]], (others or [best])[0].title).partition("\n")
    return Outcome(tuple(group.title for group in (best, *others[:1])), sentence, limits)


def better(best: Group, second: Group, predictions: Mapping[str, Predictions], called: str = "") -> Outcome:
    """Return whether the better of two groups won, both tested on the same images.

    `called` stands before the second's name.

    Raises:
        ValueError: when they were tested on other images.
    """
    found = _against(best, second, predictions)
    sentence = _set_against(found, best, second, predictions, called)
    limits = " ".join(caveats([best, second]))
    if found.difference > 0 and found.is_more_than_luck:
        return Outcome((best.title,), sentence, limits)
    if found.spread is not None and found.images and not found.within_spread:
        sentence = f"{sentence} {found.in_words[-1]}"
    return Outcome((best.title, second.title), sentence, limits)


def _against(best: Group, base: Group, predictions: Mapping[str, Predictions]) -> Against:
    found = against(best, base, predictions)
    if found is None:
        raise ValueError(f"“{best.title}” and “{base.title}” were tested on other images, so neither can be better.")
    return found


def _set_against(found: Against, best: Group, base: Group, predictions: Mapping[str, Predictions], called: str) -> str:
    """Return the difference of two groups and what it is worth: of two single runs over the images, else over seeds."""
    difference = points(found.difference, found.spread, found.seeds if found.seeds > 1 else None)
    judgement = found.judgement
    if len(best.runs) == len(base.runs) == 1:
        run, other = best.runs[0], base.runs[0]
        kept = run.id in predictions and other.id in predictions
        judgement = judged_by_images(run, other, paired(predictions[run.id], predictions[other.id]) if kept else None)
    return f"{best.in_words}, {difference} against {called}“{base.title}” ({percent(base.mean)}): {judgement}."


def judged_by_images(run: Run, base: Run, found: Paired | None) -> str:
    """Return what the test images say of a difference: image by image, or else by the two runs' own intervals."""
    if found is not None:
        return f"image by image (95 %: {points(found.low).removesuffix(' points')} to {points(found.high)}) " + (
            "within the noise of the test images" if found.within_noise else "more than the test images leave open"
        )
    one, other = run.metrics["test"], base.metrics["test"]
    overlap = one["accuracy_low"] <= other["accuracy_high"] and other["accuracy_low"] <= one["accuracy_high"]
    return (
        "their 95 % intervals overlap, and without the predictions of both it stays open which is better"
        if overlap
        else "their 95 % intervals do not overlap"
    )


def caveats(compared: Sequence[Group], left_out: int = 0) -> list[str]:
    """Return what limits a comparison of groups, in sentences; so many others were `left_out`."""
    found, runs = [], [run for group in compared for run in group.runs]
    if any(len(group.runs) == 1 for group in compared):
        found.append("One seed each" if all(len(group.runs) == 1 for group in compared) else "One seed for some")
        found[-1] += ": how far another seed would move the figures is not measured."
    found += data_sentences(runs)
    if any(run.state != State.DONE for run in runs):
        found.append("Not every run reached its end.")
    if left_out:
        found.append(f"{count(left_out, 'experiment')} tested on other images left out.")
    return found
