from dataclasses import replace

import pandas as pd

from cifar_core.analysis import colours
from cifar_core.analysis.pareto import COSTS, front, pareto, pareto_figure, pareto_table
from cifar_core.experiment.experiment import Data
from tests.analysis.made_up import DENSE, HEAD_ONLY, SCRATCH, make_run

RUNS = [
    make_run("head", (SCRATCH, HEAD_ONLY), 0.6, seconds=3.0),
    make_run("dense", (SCRATCH, DENSE), 0.8, seconds=4.0),
    make_run("worse", (SCRATCH, DENSE), 0.7, seconds=5.0),
]
IDS = [run.id for run, _ in RUNS]


def test_the_front_is_what_no_other_run_beats_in_both() -> None:
    found = pd.DataFrame({"accuracy": [0.6, 0.8, 0.7, 0.8], "seconds": [1.0, 2.0, 3.0, 2.0]})
    assert front(found, "seconds").tolist() == [True, True, False, True]


def test_each_cost_has_its_own_front() -> None:
    found = pareto(RUNS)
    assert found.index[front(found, "seconds")].tolist() == ["head", "dense"]
    assert found.index[front(found, "images")].tolist() == ["dense"]


def test_runs_tested_on_other_images_are_left_out() -> None:
    other = make_run("other", accuracy=0.9, data=Data(name="sample"))
    untested = make_run("untested", accuracy=None)
    assert pareto([*RUNS, other, untested], "dense").index.tolist() == ["head", "dense", "worse"]
    assert pareto([untested]).empty


def test_the_table_begins_with_the_cheapest_and_says_who_is_on_the_front() -> None:
    table = pareto_table(pareto(RUNS), "parameters")
    assert table["trainable parameters of the last phase"].tolist() == ["645", "938,885", "938,885"]
    assert table["no."].tolist() == [1, 2, 3]
    assert table["on the front"].tolist() == ["yes", "yes", "no"]


def test_seconds_that_leave_out_stored_features_are_flagged_and_other_costs_are_not() -> None:
    run, (first, last) = RUNS[1]
    found = pareto([RUNS[0], (run, (first, replace(last, features_of_others=True)))])
    assert pareto_table(found, "seconds")["note"].tolist() == ["", "features stored by another run"]
    assert "note" not in pareto_table(found, "parameters")
    assert "note" not in pareto_table(pareto(RUNS), "seconds")


def test_the_figure_marks_the_front() -> None:
    for cost in COSTS:
        stair, runs = pareto_figure(pareto(RUNS), cost, IDS, baseline="head").data
        symbols = runs.marker.symbol
        assert list(symbols).count("diamond") == len(stair.x)


def test_a_run_keeps_its_colour_where_one_before_it_has_no_result() -> None:
    untested = make_run("untested", accuracy=None)
    found = pareto([untested, *RUNS], "head")
    _, runs = pareto_figure(found, "parameters", ["untested", *IDS], baseline="head").data
    hues = colours.run_colours(["untested", *IDS], "head")
    assert list(runs.marker.color) == [hues["head"], hues["dense"], hues["worse"]]
