"""Plans out of links: the same that the Plan page shows."""

import pytest

from cifar_core.analysis.linked import by_experiment, is_plan, plan_of
from cifar_core.experiment.links import FIRST, taken_apart
from cifar_core.experiment.record import ExperimentError
from cifar_core.experiment.settings import apply
from cifar_core.experiment.strategies import STRATEGIES, Choices
from tests.analysis.made_up import DENSE, SCRATCH, make_run


def test_a_link_of_strategies_is_their_plan() -> None:
    link = "http://hall:8501/Plan?set=phases.1.epochs%3D4&strategies=scratch,last-layers&last=3&seeds=2"
    plan = plan_of(taken_apart(link)[2])
    base = apply(FIRST, ["phases.1.epochs=4"])
    assert plan.experiments == {
        "last layers": STRATEGIES["last-layers"].experiment(base, Choices(last=3)),
        "from scratch": STRATEGIES["scratch"].experiment(base),
    }
    assert plan.seeds == 2


def test_a_link_of_a_map_is_the_maps_plan() -> None:
    plan = plan_of({"view": ["only", "map"], "epochs": ["2"], "seeds": ["1"]})
    assert {"baseB", "A1B", "B2B+"} <= plan.experiments.keys()
    assert plan.experiments["baseB"].phases[0].epochs == 2


def test_without_anything_a_plan_has_the_usual_strategies_and_seeds() -> None:
    plan = plan_of({})
    assert (len(plan.experiments), plan.seeds) == (6, 3)


def test_an_unknown_strategy_is_named() -> None:
    with pytest.raises(ExperimentError, match='received "heads"'):
        plan_of({"strategies": ["heads,scratch"]})


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("Plan?start=e", True),
        ("http://x/Lecture?runs=a", True),
        ("?strategies=head", True),
        ("Experiment?start=e&view=only", False),
    ],
)
def test_plans_are_told_from_experiments(link: str, expected: bool) -> None:
    _, page, query = taken_apart(link)
    assert is_plan(page, query) is expected


def test_chosen_runs_that_differ_in_seeds_alone_are_one() -> None:
    runs = [
        make_run("a", name="small · head only · seed 0", seed=0)[0],
        make_run("b", name="small · head only · seed 1", seed=1)[0],
        make_run("c", (SCRATCH, DENSE), name="small · dense · seed 0", seed=0)[0],
    ]
    found = by_experiment(runs)
    assert {title: sorted(own) for title, own in found.items()} == {"head only": [0, 1], "dense": [0]}
