"""Groups of runs that differ in their seeds alone: mean and spread of each, and what a difference is worth.

A group's figures are those of all its seeds, whatever else is shown beside it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import pandas as pd

from cifar_core.analysis import wording
from cifar_core.analysis.comparison import same_test_images
from cifar_core.analysis.labels import SEPARATOR, of_all, titles, without_seed
from cifar_core.analysis.predictions import Predictions
from cifar_core.experiment.beginning import fingerprint
from cifar_core.experiment.measured import PhaseHistory, Run, State

_SELDOM = 0.05
"""How probable the split of the images may be by chance, for it to say which side is better."""


def spread(values: Sequence[float]) -> float | None:
    """Return the standard deviation of a sample, or None of a single value."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def chance(won: int, lost: int) -> float:
    """Return how probable a split at least so uneven is if each side wins as often: the exact, two-sided sign test.

    Of two models' images this is McNemar's test (McNemar 1947) in its exact form.
    """
    tries, fewer = won + lost, min(won, lost)
    if won == lost:
        return 1.0
    ways, tail = 1, 0
    for count in range(fewer + 1):
        tail += ways
        ways = ways * (tries - count) // (count + 1)
    return min(1.0, float(2 * tail / 2**tries))


def in_tries(probability: float) -> str:
    """Return a probability as something that happens: "once in 40 tries"."""
    if probability > 0.7:
        return "every time" if probability == 1 else "nearly every time"
    if probability > 0.4:
        return "about every second time"
    tries = 1 / probability if probability > 1e-6 else math.inf
    return f"once in {round(tries):,} tries" if tries <= 1000 else "less than once in 1,000 tries"


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
        return _mean(self.accuracies.values())

    @property
    def in_words(self) -> str:
        """Return "“head only” tells 61.5 % (95 %: …) of the test images right"; a mean where there are seeds."""
        test = self.runs[0].metrics["test"]
        if len(self.runs) == 1:
            value = wording.interval(test["accuracy"], test["accuracy_low"], test["accuracy_high"], test["n"])
        else:
            seeds = wording.count(len(self.accuracies), "seed")
            value = f"{wording.percent(self.mean)} (mean of {seeds}, n = {test['n']:,} each)"
        return f"“{self.title}” classifies {value} of the test images correctly"


@dataclass(frozen=True)
class Against:
    """A group against the baseline's: over the seeds that both have, and over the test images.

    `difference` is the mean over the `seeds` that both have, `spread` its standard deviation from seed to seed. Where
    they share fewer than two, and each has several, it is that of the means over all seeds of each, and `spread` of two
    seeds drawn from them. An image is won when more of the shared seeds tell it right than of the baseline's; single
    runs (`are_single`) are set against each other whatever their seeds. `is_partial`: some seeds have no partner.
    """

    baseline: str
    difference: float
    spread: float | None
    seeds: int
    seeds_won: int
    seeds_lost: int
    images: int
    images_won: int
    images_lost: int
    is_partial: bool = False
    are_single: bool = False

    @property
    def within_spread(self) -> bool:
        """Whether the difference is no larger than seeds alone make it."""
        return self.spread is not None and abs(self.difference) <= self.spread

    @property
    def is_more_than_luck(self) -> bool:
        """Whether the shared seeds and the test images, as far as there are some, both say which is better."""
        by_seeds = self.spread is not None
        if not by_seeds and not (self.images and self.are_single):
            return False  # of several seeds, one that both have tells nothing about the others
        return not (by_seeds and self.within_spread) and (not self.images or self._images_tell)

    @property
    def _images_tell(self) -> bool:
        """Whether the images are split as unevenly as chance alone would seldom do, and to the side of the seeds."""
        is_one_side = (self.images_won > self.images_lost) == (self.difference > 0)
        return is_one_side and chance(self.images_won, self.images_lost) <= _SELDOM

    @property
    def judgement(self) -> str:
        """What the difference is worth, in a few words."""
        if self.spread is None:
            return f"{'over one shared seed' if self.seeds else 'no seed in common'}, so how much is luck is not known"
        over = "seeds"
        if self.is_partial:
            over = f"the {self.seeds} shared seeds" if self.seeds > 1 else "each side's own seeds"
        if self.within_spread:
            return f"smaller than the spread over {over}, so not a difference to rely on"
        return f"larger than the spread over {over}"

    @property
    def in_words(self) -> list[str]:
        """What seeds and images say, in sentences."""
        found = []
        if self.seeds > 1:
            ahead = max(self.seeds_won, self.seeds_lost)
            side = "better" if self.seeds_won >= self.seeds_lost else "worse"
            found.append(
                f"Over {wording.count(self.seeds, 'shared seed')}: {wording.points(self.difference, self.spread)} "
                f"against “{self.baseline}”, {self.judgement}. It is {side} with {ahead} of {self.seeds}; if neither "
                f"were better, seeds would agree so far {in_tries(chance(self.seeds_won, self.seeds_lost))}."
            )
        if self.images:
            likely = chance(self.images_won, self.images_lost)
            verdict = "the images leave open which is better" if likely > _SELDOM else "more than the images leave open"
            found.append(
                f"Of {self.images:,} test images it does better on {self.images_won:,} and worse on "
                f"{self.images_lost:,} than “{self.baseline}”: if neither were better, they would be split so unevenly "
                f"{in_tries(likely)}; {verdict}."
            )
        return found


def each_once(groups: Mapping[str, Group]) -> list[Group]:
    """Return the groups of runs (by run id, as of `of_all_seeds`), each of them once."""
    return list({group.title: group for group in groups.values()}.values())


def places(names: Mapping[str, str], groups: Mapping[str, Group]) -> list[str]:
    """Return the titles of groups at the places of their first runs among all that are chosen; of other runs the names.

    `names` are those of the chosen runs, by id; `groups` theirs as of `of_all_seeds`. What is drawn of groups looks, by
    these places, as the runs do; a second run of a group, which keeps its place, goes by its id.
    """
    found: list[str] = []
    for run, name in names.items():
        title = groups[run].title if run in groups else name
        found.append(run if title in found else title)
    return found


def of_all_seeds(chosen: Sequence[Run], every: Sequence[Run]) -> dict[str, Group]:
    """Return, by the ids of those chosen runs that are done, their groups: all runs that are done and differ from them
    in the seed alone, without archived ones that were not chosen.

    So the figures of a group are the same whichever of its seeds were chosen. Of several runs of one seed the newest
    counts. Runs are named by their group and carry its experiment.
    """
    firsts: dict[tuple[str, str], Run] = {}
    for run in chosen:
        if _is_tested(run):
            firsts.setdefault(kind_of(run), replace(run, name=without_seed(run.name)))
    names = titles(list(firsts.values()))
    members: dict[tuple[str, str], dict[int, Run]] = {kind: {} for kind in firsts}
    ids = {run.id for run in chosen}
    counted = [run for run in every if _is_tested(run) and (run.id in ids or not run.archived)]
    for run in sorted(counted, key=lambda run: run.created):
        if (kind := kind_of(run)) in members:
            name = f"{names[firsts[kind].id]}{SEPARATOR}seed {run.seed}"
            members[kind][run.seed] = replace(run, name=name, experiment=firsts[kind].experiment)
    found = {
        kind: Group(names[firsts[kind].id], tuple(seeds[seed] for seed in sorted(seeds)))
        for kind, seeds in members.items()
        if seeds
    }
    return {run.id: found[kind_of(run)] for run in chosen if _is_tested(run) and kind_of(run) in found}


def _is_tested(run: Run) -> bool:
    return run.state is State.DONE and bool(run.metrics.get("test"))


def kind_of(run: Run) -> tuple[str, str]:
    """Return what runs of one group share: all that is trained, and the images."""
    return fingerprint(run.experiment), str(run.environment.get("fingerprint"))


def against(group: Group, base: Group, predictions: Mapping[str, Predictions]) -> Against | None:
    """Set a group against a baseline, or return None where they were tested on other images.

    `predictions` are those of the test images, by run id; without them nothing is said about single images.
    """
    if not same_test_images(group.runs[0], base.runs[0]):
        return None
    mine, theirs = ({run.seed: run for run in each.runs} for each in (group, base))
    shared = sorted(mine.keys() & theirs.keys())
    pairs = [(mine[seed], theirs[seed]) for seed in shared]
    if are_single := len(mine) == len(theirs) == 1:
        pairs = [(group.runs[0], base.runs[0])]
    kept = [
        (predictions[run.id], predictions[other.id])
        for run, other in pairs
        if run.id in predictions and other.id in predictions
    ]
    images, won, lost = _images(kept)
    found = over_seeds(base.title, group.accuracies, base.accuracies)
    return replace(found, images=images, images_won=won, images_lost=lost, are_single=are_single)


def over_seeds(baseline: str, mine: Mapping[int, float], theirs: Mapping[int, float]) -> Against:
    """Set accuracies by seed against those of a baseline, called so, and say nothing about single images."""
    shared = sorted(mine.keys() & theirs.keys())
    differences = [mine[seed] - theirs[seed] for seed in shared]
    won, lost = sum(each > 0 for each in differences), sum(each < 0 for each in differences)
    difference, noise = _mean(differences or [_mean(mine.values()) - _mean(theirs.values())]), spread(differences)
    if len(shared) < 2 <= min(len(mine), len(theirs)):
        difference = _mean(mine.values()) - _mean(theirs.values())
        noise = math.hypot(*(spread(list(values.values())) or 0.0 for values in (mine, theirs)))
    is_partial = mine.keys() != theirs.keys()
    return Against(baseline, difference, noise, len(shared), won, lost, 0, 0, 0, is_partial)


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def each_against(
    groups: Sequence[Group], baseline: str, predictions: Mapping[str, Predictions]
) -> dict[str, list[str]]:
    """Return what seeds and images say of every other group against the one titled `baseline`, the best first.

    Sentences by title; none where there is no such group. `predictions` are those of the test images, by run id.
    """
    base = next((group for group in groups if group.title == baseline), None)
    said = {}
    for group in sorted(groups, key=lambda group: -group.mean):
        if base is None or group is base:
            continue
        found = against(group, base, predictions)
        if found is None:
            said[group.title] = [f"Tested on other images than “{baseline}”: the accuracies are not comparable."]
        elif found.seeds > 1:
            said[group.title] = found.in_words
        else:
            first = f"{wording.points(found.difference, found.spread)} against “{baseline}”, {found.judgement}."
            said[group.title] = [first, *found.in_words]
    return said


def _images(pairs: Sequence[tuple[Predictions, Predictions]]) -> tuple[int, int, int]:
    """Return how many images all of the pairs have, and how many of them one side tells right with more seeds."""
    if not pairs:
        return 0, 0, 0
    images = pairs[0][0].images
    for each in (each for pair in pairs for each in pair):
        images = np.intersect1d(images, each.images)
    net = np.zeros(len(images), dtype=np.int64)
    for first, second in pairs:
        for found, sign in ((first, 1), (second, -1)):
            order = np.argsort(found.images)
            net += sign * found.correct[order[np.searchsorted(found.images, images, sorter=order)]]
    return len(images), int((net > 0).sum()), int((net < 0).sum())


def table(
    groups: Sequence[Group],
    baseline: str | None = None,
    predictions: Mapping[str, Predictions] | None = None,
    seconds: Mapping[str, float] | None = None,
    histories: Mapping[str, Sequence[PhaseHistory]] = MappingProxyType({}),
) -> pd.DataFrame:
    """Return a row per group (index: its title): seeds, mean, spread, low, high, difference, difference_spread, shared,
    judgement, trainable, seconds, flags.

    low and high are the lowest and highest accuracy of a seed, `seconds` (by run id, averaged) what its training took;
    what is not known is NaN. Differences are to the group whose title is `baseline`. flags is what must be said of its
    runs, of their seconds as far as `histories` (by run id) tell.
    """
    base = next((group for group in groups if group.title == baseline), None)
    rows = []
    for group in groups:
        found = against(group, base, predictions or {}) if base is not None and group is not base else None
        took = [(seconds or {})[run.id] for run in group.runs if run.id in (seconds or {})]
        accuracies = list(group.accuracies.values())
        rows.append(
            {
                "group": group.title,
                "seeds": len(accuracies),
                "mean": group.mean,
                "spread": spread(accuracies),
                "low": min(accuracies),
                "high": max(accuracies),
                "difference": found.difference if found else None,
                "difference_spread": found.spread if found else None,
                "shared": found.seeds if found else 0,
                "judgement": found.judgement if found else "the baseline" if group is base else "",
                "trainable": group.runs[0].experiment.networks[-1].trainable,
                "seconds": float(np.mean(took)) if took else None,
                "flags": of_all(group.runs, histories),
            }
        )
    numbers = ["mean", "spread", "low", "high", "difference", "difference_spread", "seconds"]
    return pd.DataFrame(rows).set_index("group").astype(dict.fromkeys(numbers, float)) if rows else pd.DataFrame()


def shown(found: pd.DataFrame, baseline: str = "the baseline") -> pd.DataFrame:
    """Return the rows of `table` as a reader sees them, the best first; `baseline` is what that one is called."""
    rows = [
        {
            "group": title,
            "test accuracy": mean_and_spread(row["mean"], row["spread"], row["seeds"]),
            f"against {baseline}": wording.points(row["difference"], row["difference_spread"]),
            "worth": row["judgement"].replace("the baseline", baseline),
            "training": wording.duration(row["seconds"]),
            "trainable at the end": f"{row['trainable']:,}",
        }
        for title, row in found.sort_values("mean", ascending=False).iterrows()
    ]
    return pd.DataFrame(rows)


def mean_and_spread(mean: float, spread: float | None, seeds: int) -> str:
    """Return "93.2 ± 0.8 % (n = 3)", n the number of seeds."""
    if spread is None or spread != spread:
        return f"{wording.percent(mean)} (n = {seeds})"
    return f"{wording.number(100 * mean, 1)} ± {wording.number(100 * spread, 1)} % (n = {seeds})"
