"""The plans that links mean: what the Plan page and a lecture show, and what is prepared for them."""

from collections.abc import Sequence
from dataclasses import replace

from cifar_core.analysis import transfer_map
from cifar_core.analysis.labels import SEPARATOR, titles, without_seed
from cifar_core.analysis.plan import Plan
from cifar_core.experiment.beginning import fingerprint
from cifar_core.experiment.links import Query, first, linked, whole
from cifar_core.experiment.measured import Run
from cifar_core.experiment.record import ExperimentError
from cifar_core.experiment.strategies import STRATEGIES, Choices
from cifar_core.experiment.transfer_map import TransferMap

USUAL = ("head", "last-block", "everything", "gradual", "lp-ft", "scratch")
"""The strategies of a plan in which nobody has chosen any."""
SEEDS, MOST_SEEDS = 3, 20
MAP = "map"
"""The value of `view` that means a transfer map."""


def is_plan(page: str, query: Query) -> bool:
    """Whether an address means many runs, and not the one experiment of a form."""
    return page in ("Plan", "Lecture") or "strategies" in query or MAP in query.get("view", [])


def plan_of(query: Query) -> Plan:
    """Return the plan that an address's parameters mean: strategies, or with view=map a transfer map.

    Raises:
        ExperimentError: naming what in the link is wrong.
    """
    base, seeds = linked(query), whole(first(query, "seeds"), SEEDS, MOST_SEEDS)
    if MAP in query.get("view", []):
        epochs = whole(first(query, "epochs"), 0, 10_000)
        return transfer_map.plan(TransferMap.of(base, epochs or None), seeds)
    named = first(query, "strategies", ",".join(USUAL)).split(",")
    if unknown := [name for name in named if name not in STRATEGIES]:
        raise ExperimentError(
            f'strategies: expected some of {", ".join(STRATEGIES)} with commas between, received "{unknown[0]}".'
        )
    choices = Choices(whole(first(query, "last"), 0, 10_000) or None, first(query, "block") or None)
    chosen = [strategy for name, strategy in STRATEGIES.items() if name in named]
    return Plan({strategy.title: strategy.experiment(base, choices) for strategy in chosen}, seeds)


def by_experiment(runs: Sequence[Run]) -> dict[str, dict[int, Run]]:
    """Return chosen runs as `Plan.runs` does: by what sets their experiments apart, which names them, and by seed."""
    alike: dict[str, list[Run]] = {}
    for run in runs:
        alike.setdefault(fingerprint(run.experiment), []).append(run)
    names = titles([members[0] for members in alike.values()])
    found = {without_seed(names[members[0].id]): members for members in alike.values()}
    return {
        title: {run.seed: replace(run, name=f"{title}{SEPARATOR}seed {run.seed}") for run in members}
        for title, members in found.items()
    }
