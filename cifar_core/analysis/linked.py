"""What links mean: the plans that the Plan page and a lecture show, and what is prepared for them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from cifar_core.analysis import guesses, transfer_map
from cifar_core.analysis.labels import SEPARATOR, titles, without_seed
from cifar_core.analysis.plan import Found, Plan
from cifar_core.experiment.beginning import fingerprint
from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.links import Query, first, linked, whole
from cifar_core.experiment.measured import Run, State
from cifar_core.experiment.record import ExperimentError, nearest
from cifar_core.experiment.strategies import STRATEGIES, Choices
from cifar_core.experiment.transfer_map import CURVES, TransferMap
from cifar_core.experiment.wording import class_list, trained_share

USUAL = ("head", "last-block", "everything", "gradual", "lp-ft", "scratch")
"""The strategies of a plan in which nobody has chosen any."""
SEEDS, MOST_SEEDS = 3, 20
MAP = "map"
"""The value of `view` that means a transfer map."""
_SUBJECT = ("start", "set", "strategies", "last", "block", "epochs", "seeds", "runs")


def subject_of(query: Query) -> Query:
    """Return the parameters that say what a lecture is about, without those of a visit and of how it looks."""
    return {name: query[name] for name in _SUBJECT if query.get(name)} | ({"view": [MAP]} if _is_map(query) else {})


def _is_map(query: Query) -> bool:
    return MAP in query.get("view", [])


def is_plan(page: str, query: Query) -> bool:
    """Whether an address means many runs, and not the one experiment of a form."""
    return page in ("Plan", "Lecture") or "strategies" in query or _is_map(query)


def plan_of(query: Query) -> Plan:
    """Return the plan that an address's parameters mean: strategies, or with view=map a transfer map.

    Raises:
        ExperimentError: naming what in the link is wrong.
    """
    base, seeds = linked(query), whole(first(query, "seeds"), SEEDS, MOST_SEEDS)
    if (found := _map_of(query)) is not None:
        return transfer_map.plan(found, seeds)
    named = first(query, "strategies", ",".join(USUAL)).split(",")
    if unknown := [name for name in named if name not in STRATEGIES]:
        raise ExperimentError(
            f'strategies: expected some of {", ".join(STRATEGIES)} with commas between, received "{unknown[0]}".'
        )
    choices = Choices(whole(first(query, "last"), 0, 10_000) or None, first(query, "block") or None)
    chosen = [strategy for name, strategy in STRATEGIES.items() if name in named]
    return Plan({strategy.title: strategy.experiment(base, choices) for strategy in chosen}, seeds)


def _map_of(query: Query) -> TransferMap | None:
    epochs = whole(first(query, "epochs"), 0, 10_000)
    return TransferMap.of(linked(query), epochs or None) if _is_map(query) else None


def by_experiment(runs: Sequence[Run]) -> dict[str, dict[int, Run]]:
    """Return chosen runs as `Plan.runs` does: by what sets their experiments apart, which names them, and by seed."""
    alike: dict[str, list[Run]] = {}
    for run in runs:
        alike.setdefault(fingerprint(run.experiment), []).append(run)
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
        return cls((), plan_of(query), _map_of(query))

    @property
    def question(self) -> str:
        """What the hall is asked, where the link asks nothing else."""
        return "Which one wins?" if self.map is None else "From which depth on does freezing A cost?"

    def recorded(self, every: Sequence[Run]) -> Found:
        """Return its runs that are done, under way or waiting, by title and seed.

        Raises:
            ExperimentError: where a run that it names is not there.
        """
        if self.plan is not None:
            return self.plan.runs([run for run in every if not run.archived])
        known = {run.id: run for run in every}
        if unknown := [id for id in self.ids if id not in known]:
            raise ExperimentError(
                f'There is no run "{unknown[0]}"; it may have been deleted.{nearest(unknown[0], known)}'
            )
        return by_experiment([known[id] for id in self.ids])

    def unrecorded(self, every: Sequence[Run]) -> int:
        """Return how many runs of its plan are not done."""
        if self.plan is None:
            return 0
        found = self.recorded(every)
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
