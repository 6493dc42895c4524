"""Plans: experiments with several seeds each. Their runs are recognized among all others by what they train."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import median
from typing import NamedTuple

from cifar_core.analysis.estimate import Estimate, Estimates, in_words
from cifar_core.analysis.groups import Group
from cifar_core.analysis.labels import SEPARATOR
from cifar_core.analysis.wording import count, status
from cifar_core.experiment.beginning import fingerprint
from cifar_core.experiment.experiment import Data, Experiment
from cifar_core.experiment.images_now import ImagesNow
from cifar_core.experiment.measured import Run, State
from cifar_core.experiment.settings import changed
from cifar_core.experiment.wording import class_list

Found = Mapping[str, Mapping[int, Run]]
"""A plan's runs, by title and seed."""
_BESIDE_TRAINING = ("start", "data", "build", "first_step", "evaluation", "saving")


class Wanted(NamedTuple):
    """One run of a plan."""

    title: str
    experiment: Experiment
    seed: int

    @property
    def name(self) -> str:
        """What the run will be called."""
        sides = dict.fromkeys(phase.train_on for phase in self.experiment.phases)
        classes = {"source": self.experiment.split.source, "target": self.experiment.split.target}
        split = " → ".join(class_list(self.experiment, classes[side]) for side in sides)
        parts = [self.experiment.backbone, split, self.title]
        if self.experiment.data.per_class is not None:
            parts.append(f"{self.experiment.data.per_class} per class")
        return SEPARATOR.join([*parts, f"seed {self.seed}"])


@dataclass(frozen=True)
class Plan:
    """Experiments by what they are called, each to be run with the seeds 0 to `seeds` − 1."""

    experiments: Mapping[str, Experiment]
    seeds: int

    @cached_property
    def titles(self) -> dict[str, str]:
        """The title of every fingerprint; of two experiments that are the same, the first's."""
        found: dict[str, str] = {}
        for title, experiment in self.experiments.items():
            found.setdefault(fingerprint(experiment), title)
        return found

    @property
    def doubles(self) -> dict[str, str]:
        """Titles whose experiment is another's, by that other title."""
        of = {title: self.titles[fingerprint(experiment)] for title, experiment in self.experiments.items()}
        return {title: other for title, other in of.items() if title != other}

    def __iter__(self) -> Iterator[Wanted]:
        """Every run of the plan, seed after seed: after the first, each experiment has something to show."""
        for seed in range(self.seeds):
            for title in self.titles.values():
                yield Wanted(title, self.experiments[title], seed)

    @property
    def data(self) -> Data:
        """The images that its experiments train on, which are the same."""
        return next(iter(self.experiments.values())).data

    def runs(self, every: Sequence[Run], images: ImagesNow | None = None) -> dict[str, dict[int, Run]]:
        """Return, for every title, its runs by seed: done, under way or waiting, seeds beyond the plan's included.

        They are named as the plan names them, and carry its experiment. One that is done comes before one that is
        not, and the newest of several. Runs on other `images` are not the plan's; without these nothing can be said.
        """
        found: dict[str, dict[int, Run]] = {title: {} for title in self.titles.values()}
        backbones = {experiment.backbone for experiment in self.experiments.values()}
        counted = [
            run
            for run in every
            if (run.state is State.DONE or not run.state.is_finished)
            and run.experiment.backbone in backbones
            and (images is None or images.are_of(run))
        ]
        once = {id(run.experiment): run.experiment for run in counted}  # seeds of one experiment share it
        title_of = {key: self.titles.get(fingerprint(experiment)) for key, experiment in once.items()}
        for run in sorted(counted, key=lambda run: (run.state is State.DONE, run.created)):
            if title := title_of[id(run.experiment)]:
                name = f"{title}{SEPARATOR}seed {run.seed}"
                found[title][run.seed] = replace(run, name=name, experiment=self.experiments[title])
        return found

    def missing(self, found: Found) -> list[Wanted]:
        """Return what of the plan is neither done, nor under way, nor waiting among its runs."""
        return [wanted for wanted in self if wanted.seed not in found[wanted.title]]

    def standing(self, found: Found) -> str:
        """Return how far the plan's runs are, in words."""
        return standing([found[wanted.title].get(wanted.seed) for wanted in self])

    def outlook(self, found: Found, every: Sequence[Run], estimates: Estimates) -> str:
        """Return what is left to do and how long it will take, in words; `every` are all runs there are."""
        missing = self.missing(found)
        if not missing:
            return "All of them are done, under way or waiting. More seeds narrow down what is luck."
        already = len(list(self)) - len(missing)
        begun = f"{already} of them are done or waiting already. " if already else ""
        expected = in_words(estimate(missing, every, estimates))
        which = "the others" if already else "all of them"
        return f"{begun}Time for {which}: {expected}. What begins alike is trained once."


def standing(runs: Sequence[Run | None]) -> str:
    """Return how far runs are, in words; None is one that nobody has started."""
    done = sum(run is not None and run.state is State.DONE for run in runs)
    waiting = sum(run is not None and run.state is State.QUEUED for run in runs)
    active = [f"{run.name}: {status(run)}" for run in runs if run is not None and run.state.is_active]
    return "; ".join([f"{done} of {count(len(runs), 'run')} done, {waiting} waiting", *active])


def is_moving(found: Found) -> bool:
    """Return whether any of a plan's runs waits or trains."""
    return any(not run.state.is_finished for runs in found.values() for run in runs.values())


def groups(found: Found) -> list[Group]:
    """Return the groups of a plan's runs that have a test accuracy."""
    done = {title: [run for run in runs.values() if run.metrics.get("test")] for title, runs in found.items()}
    return [Group(title, tuple(sorted(runs, key=lambda run: run.seed))) for title, runs in done.items() if runs]


def one_of_each(compared: Sequence[Group], baseline: str, most: int) -> tuple[list[str], str]:
    """Return the id of a run of each group, of `most` of them, and that of the baseline (a title) among them.

    Where the baseline is none of them, the first is.
    """
    firsts = {group.title: group.runs[0].id for group in compared[:most]}
    return list(firsts.values()), firsts.get(baseline) or next(iter(firsts.values()))


def estimate(missing: Sequence[Wanted], every: Sequence[Run], estimates: Estimates) -> Estimate | None:
    """Return how long runs will take one after the other, with beginnings that they share trained once.

    None where nothing has run here yet. What frozen layers save by stored features is counted only where the same
    experiment is done.
    """
    wanted = {(experiment.backbone, seed) for _, experiment, seed in missing}
    ready = {
        (run.seed, beginning)
        for run in every
        if run.state is State.DONE and (run.experiment.backbone, run.seed) in wanted
        for beginning in _beginnings(run.experiment)
    }
    ledgers = [run.seconds for run in every if run.state is State.DONE and run.seconds]
    beside = median(sum(ledger.get(entry, 0.0) for entry in _BESIDE_TRAINING) for ledger in ledgers) if ledgers else 0.0
    seconds, measured = 0.0, True
    for _, experiment, seed in missing:
        whole = estimates.of(experiment)
        if whole is None:
            return None
        beginnings = _beginnings(experiment)
        seconds += whole.seconds
        if not whole.measured:
            measured = False
            shared = [phases for phases, key in enumerate(beginnings, 1) if (seed, key) in ready]
            if shared:
                known = estimates.of(changed(experiment, phases=experiment.phases[: shared[-1]]))
                seconds -= min(known.seconds, whole.seconds) if known else 0.0
            seconds += beside
        ready |= {(seed, key) for key in beginnings}
    return Estimate(seconds, measured)


def _beginnings(experiment: Experiment) -> list[str]:
    """Everything up to the end of each phase that others follow."""
    return [fingerprint(experiment, phases) for phases in range(1, len(experiment.phases))]
