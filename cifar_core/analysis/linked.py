"""What links mean: the plans that the Plan page and a lecture show, and what is prepared for them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from cifar_core.analysis import guesses, transfer_map
from cifar_core.analysis.groups import kind_of
from cifar_core.analysis.labels import SEPARATOR, titles, without_seed
from cifar_core.analysis.plan import Found, Plan
from cifar_core.analysis.plan_link import GUESS, MAP, PlanLink
from cifar_core.experiment.experiment import Data, Experiment
from cifar_core.experiment.images_now import ImagesNow
from cifar_core.experiment.links import FIRST, Query, first, views
from cifar_core.experiment.measured import Run, State
from cifar_core.experiment.record import ExperimentError, nearest
from cifar_core.experiment.strategies import STRATEGIES, Choices
from cifar_core.experiment.transfer_map import CURVES, TransferMap
from cifar_core.experiment.wording import class_list, trained_share

_SUBJECT = ("start", "set", "strategies", "last", "block", "epochs", "seeds", "runs")


def subject_of(query: Query) -> Query:
    """Return the parameters that say what a lecture is about, without those of a visit and of how it looks."""
    is_map = views(query)[:1] == [MAP]
    return {name: query[name] for name in _SUBJECT if query.get(name)} | ({"view": [MAP]} if is_map else {})


def plan_of(query: Query) -> Plan:
    """Return the plan that an address's parameters mean: strategies, or with view=map a transfer map.

    Raises:
        ExperimentError: naming what in the link is wrong, or that it means no runs.
    """
    link = _sound(query)
    base = link.experiment or FIRST
    if (found := _map_of(link)) is not None:
        return transfer_map.plan(found, link.seeds)
    if not link.strategies:
        raise ExperimentError(f"This link's strategies: expected at least one of {', '.join(STRATEGIES)}.")
    choices = Choices(link.last, link.block)
    chosen = [strategy for name, strategy in STRATEGIES.items() if name in link.strategies]
    return Plan({strategy.title: strategy.experiment(base, choices) for strategy in chosen}, link.seeds)


def _sound(query: Query) -> PlanLink:
    """What an address says, where all of it can be meant and it means runs."""
    link = PlanLink.of(query)
    if link.refused or link.problems:
        raise ExperimentError(link.refused or link.problems[0])
    if link.view == GUESS:
        raise ExperimentError("This link's view: a guess has no runs; expected the link of strategies or of a map.")
    return link


def _map_of(link: PlanLink) -> TransferMap | None:
    return TransferMap.of(link.experiment or FIRST, link.epochs) if link.view == MAP else None


def by_experiment(runs: Sequence[Run]) -> dict[str, dict[int, Run]]:
    """Return chosen runs as `Plan.runs` does: by what sets their experiments and images apart, which names them, and
    by seed.

    A run that has not opened its images yet is with those of the same place.
    """
    begun = {(kind_of(run)[0], run.experiment.data.location): kind_of(run) for run in runs if run.environment}
    alike: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        kind = kind_of(run)
        place = kind[0], run.experiment.data.location
        alike.setdefault(kind if run.environment else begun.get(place, kind), []).append(run)
    names = titles([replace(members[0], name=without_seed(members[0].name)) for members in alike.values()])
    found = {names[members[0].id]: members for members in alike.values()}
    return {
        title: {run.seed: replace(run, name=f"{title}{SEPARATOR}seed {run.seed}") for run in members}
        for title, members in found.items()
    }


class Card(NamedTuple):
    """One of those that compete: its name, what it does, and a figure about it."""

    title: str
    sentence: str
    note: str


@dataclass(frozen=True)
class Subject:
    """What a lecture is about: runs, by their ids, or the experiments of a plan, which may be a transfer map's.

    Its methods take all runs there are, archived ones included.
    """

    ids: tuple[str, ...]
    plan: Plan | None
    map: TransferMap | None

    @classmethod
    def of(cls, query: Query) -> "Subject":
        """Return what an address's parameters mean.

        Raises:
            ExperimentError: naming what in the link is wrong.
        """
        if ids := tuple(filter(None, first(query, "runs").split(","))):
            return cls(ids, None, None)
        return cls((), plan_of(query), _map_of(PlanLink.of(query)))

    @property
    def question(self) -> str:
        """What the hall is asked, where the link asks nothing else."""
        return "Which one wins?" if self.map is None else "From which depth on does freezing A cost?"

    @property
    def data(self) -> Data | None:
        """The images of its plan; None of runs, which may have been trained on different ones."""
        return None if self.plan is None else self.plan.data

    def recorded(self, every: Sequence[Run], images: ImagesNow | None = None) -> Found:
        """Return its runs that are done, under way or waiting, by title and seed; a plan's on its `images` alone.

        Raises:
            ExperimentError: where a run that it names is not there.
        """
        if self.plan is not None:
            return self.plan.runs([run for run in every if not run.archived], images)
        known = {run.id: run for run in every}
        if unknown := [id for id in self.ids if id not in known]:
            raise ExperimentError(
                f'There is no run "{unknown[0]}"; it may have been deleted.{nearest(unknown[0], known)}'
            )
        return by_experiment([known[id] for id in self.ids])

    def unrecorded(self, every: Sequence[Run], images: ImagesNow | None = None) -> int:
        """Return how many runs of its plan are not done on its `images`."""
        if self.plan is None:
            return 0
        found = self.recorded(every, images)
        done = {(title, run.seed) for title, runs in found.items() for run in runs.values() if run.state is State.DONE}
        return sum((wanted.title, wanted.seed) not in done for wanted in self.plan)

    def experiments(self, every: Sequence[Run]) -> dict[str, Experiment]:
        """Return its experiments by title."""
        if self.plan is not None:
            return {title: self.plan.experiments[title] for title in self.plan.titles.values()}
        return {title: next(iter(runs.values())).experiment for title, runs in self.recorded(every).items()}

    def choices(self, every: Sequence[Run]) -> list[str]:
        """Return the answers that the hall may guess."""
        return list(self.experiments(every)) if self.map is None else guesses.depths(self.map)

    def introduction(self, every: Sequence[Run]) -> str:
        """Return what network learns what."""
        base = next(iter(self.experiments(every).values()))
        source, target = (class_list(base, classes) for classes in (base.split.source, base.split.target))
        where = f"{base.backbone_row.title} on {base.dataset.title}"
        if self.map is None:
            return f"{where}: learned on {source}, then {target}."
        return (
            f"{where}. A network trained on {source} (A) or on {target} (B) lends its first n blocks to a new network "
            "for B; the other blocks start at random."
        )

    def cards(self, every: Sequence[Run]) -> list[Card]:
        """Return those that compete, without any result."""
        if self.map is not None:
            curves = [Card(curve, f"The first n blocks {meaning}.", "") for curve, meaning in CURVES.items()]
            return [Card("baseB", "B from scratch: nothing is copied.", ""), *curves]
        sentences = {each.title: each.sentence for each in STRATEGIES.values()} if self.plan else {}
        return [
            Card(title, sentences.get(title, ""), trained_share(experiment, len(experiment.phases) - 1))
            for title, experiment in self.experiments(every).items()
        ]
