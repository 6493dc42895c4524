"""What the address of the Plan page says, part by part: what is wrong in it is told, and stays as it usually is."""

from collections.abc import Iterable
from dataclasses import dataclass

from cifar_core.analysis.linked import MAP, MOST_SEEDS, SEEDS, USUAL
from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.links import Query, first, linked
from cifar_core.experiment.record import ExperimentError, choice, shown
from cifar_core.experiment.strategies import STRATEGIES

VIEWS = {"strategies": "Strategies", MAP: "Transfer map", "guess": "A guess first"}
_MOST = 10_000


@dataclass(frozen=True)
class PlanLink:
    """What an address says. None: nothing, or nothing that can be meant.

    `experiment` is what the plan varies; `refused` says why it cannot be had, `problems` what else is wrong.
    """

    experiment: Experiment | None
    refused: str
    view: str
    seeds: int
    strategies: tuple[str, ...]
    last: int | None
    block: str | None
    baseline: str | None
    epochs: int | None
    problems: tuple[str, ...]

    @classmethod
    def of(cls, query: Query) -> "PlanLink":
        """Return what an address's parameters say."""
        experiment, refused, problems = None, "", list[str]()
        if first(query, "start") or query.get("set"):
            try:
                experiment = linked(query)
            except ExperimentError as error:
                refused = str(error)
        strategies = tuple(filter(None, first(query, "strategies", ",".join(USUAL)).split(",")))
        problems += [refusal("strategies", name, STRATEGIES) for name in strategies]
        view = first(query, "view", next(iter(VIEWS)))
        problems.append(refusal("view", view, VIEWS))
        whole = {}
        for name, most in (("seeds", MOST_SEEDS), ("last", _MOST), ("epochs", _MOST)):
            text = first(query, name)
            whole[name] = int(text) if text.isdecimal() and len(text) <= len(str(most)) else 0
            if not 1 <= whole[name] <= most:
                whole[name] = 0
                if text:
                    said = f"expected a whole number from 1 to {most:,}, received {shown(text)}."
                    problems.append(f"This link's {name}: {said}")
        return cls(
            experiment,
            refused,
            view if view in VIEWS else next(iter(VIEWS)),
            whole["seeds"] or SEEDS,
            strategies,
            whole["last"] or None,
            first(query, "block") or None,
            first(query, "baseline") or None,
            whole["epochs"] or None,
            tuple(filter(None, problems)),
        )


def refusal(name: str, received: str, allowed: Iterable[str]) -> str:
    """Return what is wrong with a name in the address that the plan does not have, or nothing."""
    return "" if received in allowed else f"This link's {name}: {choice(name, received, allowed)}"
