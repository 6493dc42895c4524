"""What a hall guesses: counted, drawn in the race's colours, and set against what came of it."""

import pytest

from cifar_core.analysis import race, transfer_map
from cifar_core.analysis.guesses import NOWHERE, chart, depth_outcome, depths, guessed, tally
from cifar_core.experiment.links import FIRST
from cifar_core.experiment.transfer_map import TransferMap
from tests.analysis.made_up import make_run

TITLES = ("head only", "everything")


def test_guesses_are_counted_by_title_and_unknown_ones_left_out() -> None:
    guesses = {"a": "everything", "b": "everything", "c": "no such title"}
    assert tally(guesses, TITLES) == {"head only": 0, "everything": 2}


def test_only_the_data_of_the_bars_changes_as_guesses_come_in() -> None:
    before, after = (chart({"head only": n, "everything": 3}) for n in (0, 1))
    assert after["datasets"]["guesses"]["label"].tolist() == ["1 (25 %)", "3 (75 %)"]
    assert {k: v for k, v in before.items() if k != "datasets"} == {k: v for k, v in after.items() if k != "datasets"}


def test_bars_have_the_colours_of_the_race() -> None:
    bars = chart(dict.fromkeys(TITLES, 0))["layer"][1]["encoding"]["color"]["scale"]
    lines = race.chart({title: [] for title in TITLES})["layer"][2]["encoding"]["color"]["scale"]
    assert bars == lines


def test_who_guessed_right_is_said() -> None:
    tallied = {"head only": 1, "everything": 3, "from scratch": 4}
    assert guessed(tallied, ["everything"]) == "3 of 8 viewers guessed it (38 %)."
    assert guessed(tallied, ["everything", "head only"]) == "4 of 8 viewers guessed one of the two (50 %)."
    assert guessed({"everything": 0}, ["everything"]) == "Nobody guessed."


MAP = TransferMap.of(FIRST)


def answer(**accuracies: float) -> str | None:
    """The right depth of a map whose points have these accuracies, 0.8 where none is said; 0 is not measured."""
    runs = {
        point.title: {0: make_run(point.title, accuracy=accuracy)[0]}
        for point in MAP.experiments
        if (accuracy := accuracies.get(point.title, 0.8))
    }
    found = depth_outcome(MAP, transfer_map.table(MAP, runs), runs)
    return found.in_words if found else None


def test_the_right_depth_is_the_first_at_which_frozen_layers_of_a_cost_more_than_noise() -> None:
    assert depths(MAP) == [
        "A1B: up to conv_1",
        "A2B: up to conv_2",
        "A3B: up to dense_1",
        "A4B: up to dense_2",
        NOWHERE,
    ]
    assert answer(A2B=0.795, A3B=0.6, A4B=0.5) == "A3B: up to dense_1"
    assert answer(B1B=0.5) == NOWHERE


def test_the_right_depth_is_where_the_loss_begins_that_lasts_and_open_where_none_does() -> None:
    assert answer(A1B=0.6, A3B=0.7, A4B=0.5) == "A3B: up to dense_1"
    assert answer(A2B=0.5) is None


@pytest.mark.parametrize("missing", [{"A4B": 0}, {"baseB": 0}, {"baseB": 0.2}])
def test_a_map_has_no_answer_before_all_depths_are_measured_and_b_is_learned(missing: dict[str, float]) -> None:
    assert answer(**({"A3B": 0.6} | missing)) is None


def test_the_answer_of_a_map_says_what_it_is_worth() -> None:
    runs = {point.title: {0: make_run(point.title, accuracy=0.8)[0]} for point in MAP.experiments}
    found = depth_outcome(MAP, transfer_map.table(MAP, runs), runs)
    assert found is not None
    assert found.sentence.startswith("At all 4 measured depths, frozen features of A serve B")
    assert found.limits.startswith("One seed each")
