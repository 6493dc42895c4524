"""The verdict of a comparison in one sentence, which says a difference within the noise is one."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cifar_core.analysis.comparison import same_test_images
from cifar_core.analysis.labels import data_sentences
from cifar_core.analysis.predictions import Predictions
from cifar_core.analysis.wording import count, interval, percent, points
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


@dataclass(frozen=True)
class Group:
    """The runs of one experiment, which differ in their seeds alone."""

    title: str
    runs: tuple[Run, ...]

    @property
    def accuracies(self) -> dict[int, float]:
        """The test accuracy of each seed."""
        return {run.seed: float(run.metrics["test"]["accuracy"]) for run in self.runs}

    @property
    def mean(self) -> float:
        """Mean test accuracy over the seeds."""
        return float(np.mean(list(self.accuracies.values())))

    @property
    def in_words(self) -> str:
        """Return "“head only” tells 61.5 % (95 %: …) of the test images right"; a mean where there are seeds."""
        test = self.runs[0].metrics["test"]
        if len(self.runs) == 1:
            value = interval(test["accuracy"], test["accuracy_low"], test["accuracy_high"], test["n"])
        else:
            value = f"{percent(self.mean)} (mean of {count(len(self.accuracies), 'seed')}, n = {test['n']:,} each)"
        return f"“{self.title}” classifies {value} of the test images correctly"


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
    difference, judgement = _judge(best, base, predictions or {})
    against = f"against the baseline “{base.title}” ({percent(base.mean)})"
    sentence = f"{best.in_words}, {difference} {against}: {judgement}."
    if len(fair) > 1:
        sentence = f"Of {len(fair)} ways set against the baseline, the best: {sentence}"
    return "\n".join([sentence, " ".join(caveats([base, *fair], len(others) - len(fair)))]).strip()


def _judge(best: Group, base: Group, predictions: Mapping[str, Predictions]) -> tuple[str, str]:
    """Return the difference and what it is worth: over seeds where there are several, else over images."""
    mine, theirs = best.accuracies, base.accuracies
    shared = sorted(mine.keys() & theirs.keys())
    if len(shared) > 1:
        differences = np.array([mine[seed] - theirs[seed] for seed in shared])
        mean, spread = float(differences.mean()), float(differences.std(ddof=1))
        small = abs(mean) <= spread
        return points(mean, spread, len(shared)), (
            "smaller than the spread over seeds, so not a difference to rely on"
            if small
            else f"larger than the spread over {count(len(shared), 'seed')}"
        )
    if len(mine) > 1 and len(theirs) > 1:
        spread = math.hypot(*(float(np.std(list(values.values()), ddof=1)) for values in (mine, theirs)))
        small = abs(best.mean - base.mean) <= spread
        return points(best.mean - base.mean, spread), (
            "smaller than the spread over seeds, so not a difference to rely on"
            if small
            else "larger than the spread over seeds"
        )
    difference = points(best.mean - base.mean)
    if len(mine) > 1 or len(theirs) > 1:
        return difference, "one side has a single seed, so how far seeds alone would move it is not known"
    run, other = best.runs[0], base.runs[0]
    kept = run.id in predictions and other.id in predictions
    return difference, judged_by_images(
        run, other, paired(predictions[run.id], predictions[other.id]) if kept else None
    )


def judged_by_images(run: Run, base: Run, found: Paired | None) -> str:
    """Return what the test images say of a difference: image by image, or else by the two runs' own intervals."""
    if found is not None:
        return f"image by image (95 %: {points(found.low).removesuffix(' points')} to {points(found.high)}) " + (
            "within the noise of the test images" if found.within_noise else "more than the test images leave open"
        )
    one, other = run.metrics["test"], base.metrics["test"]
    overlap = one["accuracy_low"] <= other["accuracy_high"] and other["accuracy_low"] <= one["accuracy_high"]
    return (
        "their 95 % intervals overlap, so the test images leave open which is better"
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
