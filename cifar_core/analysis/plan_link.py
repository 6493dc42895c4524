"""What the address of the Plan page says, part by part: what is wrong in it is told, and stays as it usually is."""

from collections.abc import Iterable
from dataclasses import dataclass

from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.links import Query, first, linked, views
from cifar_core.experiment.record import ExperimentError, choice, shown
from cifar_core.experiment.strategies import STRATEGIES

MAP, GUESS = "map", "guess"
VIEWS = {"strategies": "Strategies", MAP: "Transfer map", GUESS: "A guess first"}
"""The values of `view`, and what they are called."""
USUAL = ("head", "last-block", "everything", "gradual", "lp-ft", "scratch")
"""The strategies of a plan in which nobody has chosen any."""
SEEDS, MOST_SEEDS = 3, 20
PARAMETERS = (
    *("start", "set", "view", "seeds", "strategies", "last", "block", "baseline"),
    *("epochs", "point", "networks", "way"),
)
"""What of an address is the plan's."""
_MOST = 10_000
_CALLED = {"strategies": "strategy"}


@dataclass(frozen=True)
class PlanLink:
    """What an address says. None: nothing, or nothing that can be meant.

    `experiment` is what the plan varies; `refused` says why it cannot be had, `problems` what else is wrong. `point` is
    one of the map's; `networks` and `way` are the starting networks of a guess and the tuning that it is set against.
    Whether the experiment has the block, the baseline, the point, the networks and the way, only its page knows.
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
    point: str | None
    networks: tuple[str, ...] | None
    way: str | None
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
        strategies = _listed(query, "strategies")
        strategies = USUAL if strategies is None else strategies
        problems += [refusal("strategies", name, STRATEGIES) for name in strategies]
        view = next(iter(views(query)), next(iter(VIEWS)))
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
            experiment=experiment,
            refused=refused,
            view=view if view in VIEWS else next(iter(VIEWS)),
            seeds=whole["seeds"] or SEEDS,
            strategies=tuple(name for name in strategies if name in STRATEGIES),
            last=whole["last"] or None,
            block=first(query, "block") or None,
            baseline=first(query, "baseline") or None,
            epochs=whole["epochs"] or None,
            point=first(query, "point") or None,
            networks=_listed(query, "networks"),
            way=first(query, "way") or None,
            problems=tuple(filter(None, problems)),
        )


def _listed(query: Query, name: str) -> tuple[str, ...] | None:
    """The names that stand in a parameter with commas between, a comma alone for none; None without the parameter."""
    text = first(query, name)
    return tuple(filter(None, text.split(","))) if text else None


def refusal(name: str, received: str, allowed: Iterable[str]) -> str:
    """Return what is wrong with a name in the address that the plan does not have, or nothing."""
    return "" if received in allowed else f"This link's {name}: {choice(_CALLED.get(name, name), received, allowed)}"
