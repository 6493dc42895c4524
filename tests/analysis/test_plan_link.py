"""The Plan page's address: what it says is taken over, and what is wrong in it is told and left as usual."""

import pytest

from cifar_core.analysis.plan_link import SEEDS, USUAL, PlanLink
from cifar_core.experiment.links import FIRST, Query
from cifar_core.experiment.recipes import RECIPES
from cifar_core.experiment.settings import apply


def test_an_empty_address_means_the_usual_plan() -> None:
    link = PlanLink.of({})
    assert (link.experiment, link.view, link.seeds, link.strategies) == (None, "strategies", SEEDS, USUAL)
    assert (link.last, link.block, link.baseline, link.epochs) == (None, None, None, None)
    assert (link.point, link.networks, link.way) == (None, None, None)
    assert (link.refused, link.problems) == ("", ())


def test_everything_that_an_address_says_is_taken_over() -> None:
    link = PlanLink.of(
        {
            "start": ["a-ft2"],
            "set": ["phases.1.epochs=7"],
            "view": ["map"],
            "seeds": ["5"],
            "strategies": ["head,gradual"],
            "last": ["2"],
            "block": ["dense_1"],
            "baseline": ["head only"],
            "epochs": ["9"],
            "point": ["A2B+"],
            "networks": ["0a1b,imagenet:vgg16"],
            "way": ["everything, 3 epochs"],
        }
    )
    assert link.experiment == apply(RECIPES["a-ft2"].experiment, ["phases.1.epochs=7"])
    assert (link.view, link.seeds, link.strategies, link.last) == ("map", 5, ("head", "gradual"), 2)
    assert (link.block, link.baseline, link.epochs, link.problems) == ("dense_1", "head only", 9, ())
    assert (link.point, link.networks, link.way) == ("A2B+", ("0a1b", "imagenet:vgg16"), "everything, 3 epochs")


def test_settings_without_a_start_are_the_samples() -> None:
    assert PlanLink.of({"set": ["phases.1.epochs=7"]}).experiment == apply(FIRST, ["phases.1.epochs=7"])


def test_none_at_all_is_a_choice_too() -> None:
    link = PlanLink.of({"strategies": [","], "networks": [","]})
    assert (link.strategies, link.networks) == ((), ())


def test_that_a_link_is_for_watching_is_no_view() -> None:
    assert PlanLink.of({"view": ["only"]}) == PlanLink.of({})
    assert (
        PlanLink.of({"view": ["only", "map"]})
        == PlanLink.of({"view": ["map", "only"]})
        == PlanLink.of({"view": ["map"]})
    )


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"seeds": ["21"]}, 'seeds: expected a whole number from 1 to 20, received "21".'),
        ({"seeds": ["0"]}, 'seeds: expected a whole number from 1 to 20, received "0".'),
        ({"last": ["x"]}, 'last: expected a whole number from 1 to 10,000, received "x".'),
        ({"epochs": ["9" * 5000]}, "epochs: expected a whole number from 1 to 10,000"),
        ({"view": ["mop"]}, 'view: there is no view "mop"; there is: strategies, map, guess. Did you mean "map"?'),
        ({"strategies": ["head,hed"]}, 'Did you mean "head"?'),
    ],
)
def test_what_is_wrong_is_told_and_stays_as_it_usually_is(query: Query, said: str) -> None:
    link = PlanLink.of(query)
    (problem,) = link.problems
    assert problem.startswith("This link's ") and said in problem
    assert (link.seeds, link.last, link.epochs, link.view) == (SEEDS, None, None, "strategies")


def test_an_experiment_that_cannot_be_had_is_refused_and_the_rest_still_counts() -> None:
    link = PlanLink.of({"set": ["phases.7.epochs=3"], "seeds": ["2"]})
    assert (link.experiment, link.seeds) == (None, 2)
    assert "phases" in link.refused
