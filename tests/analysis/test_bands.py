"""Means over seeds, in bands of their spread."""

import numpy as np
import pytest

from cifar_core.analysis import colours
from cifar_core.analysis.bands import figure, lines, means, table
from cifar_core.analysis.groups import Group, places
from cifar_core.experiment.measured import Measured
from tests.analysis.made_up import DENSE, SCRATCH, make_run


def made() -> dict[str, list[Measured]]:
    head = [make_run(f"head{seed}", accuracy=reached, seed=seed) for seed, reached in enumerate((0.6, 0.7, 0.8))]
    return {"head only": head, "dense": [make_run("deep", (SCRATCH, DENSE), 0.9, seed=0)]}


def test_means_and_spreads_are_those_of_the_seeds() -> None:
    found = means(lines(made()))
    last = found[(found["group"] == "head only") & (found["phase"] == 2) & (found["phase_epoch"] == 3)]
    reached = 0.875 * np.array([0.6, 0.7, 0.8])
    assert last["mean"].item() == pytest.approx(reached.mean())
    assert last["spread"].item() == pytest.approx(reached.std(ddof=1))
    assert (last["n"].item(), last["epoch"].item()) == (3, 6)
    assert found[found["group"] == "dense"]["spread"].isna().all()


def test_the_table_has_what_is_drawn_of_both_measures() -> None:
    groups = made()
    found = table(groups)
    last = found[(found["group"] == "head only") & (found["epoch"] == 3)].iloc[-1]
    drawn = {measure: means(lines(groups, measure)) for measure in ("accuracy", "loss")}
    assert len(found) == len(drawn["accuracy"])
    row = drawn["loss"][(drawn["loss"]["group"] == "head only") & (drawn["loss"]["phase_epoch"] == 3)].iloc[-1]
    assert (last["loss"], last["±"]) == pytest.approx((row["mean"], row["spread"]), abs=1e-3)
    assert last["accuracy, %"] == pytest.approx(87.5 * 0.7, abs=1e-3) and last["seeds"] == 3
    assert "seconds" not in found and table(groups, "seconds")["seconds"].max() > 0


def test_an_epoch_that_some_seeds_do_not_have_has_no_mean() -> None:
    groups = made()
    groups["head only"][0] = make_run("short", accuracy=0.6, seed=0, epochs=1)
    found = means(lines(groups))
    own = found[(found["group"] == "head only") & (found["phase"] == 2)]
    assert own["phase_epoch"].tolist() == [0, 1]


def test_a_group_is_drawn_alike_whatever_stands_beside_it() -> None:
    together, alone = figure(made()), figure({"head only": made()["head only"]})
    drawn = [trace.y for trace in together.data if trace.name == "head only (n = 3)"]
    assert drawn == [trace.y for trace in alone.data if trace.name == "head only (n = 3)"] and len(drawn) == 2


def test_a_group_looks_as_its_first_run_does_among_all() -> None:
    runs = ["head0", "head1", "waits", "deep"]
    groups = {"head0": "head only", "head1": "head only", "deep": "dense"}
    placed = places(
        {run: f"name of {run}" for run in runs},
        {run: Group(title, tuple(each for each, _ in made()[title])) for run, title in groups.items()},
    )
    drawn = figure(made(), places=placed, baseline="head only")
    (looks,) = {(trace.line.color, trace.line.dash) for trace in drawn.data if trace.name == "dense (n = 1)"}
    assert looks == (colours.run_colours(runs, "head0")["deep"], colours.run_dashes(runs, "head0")["deep"])


@pytest.mark.parametrize("measure", ["accuracy", "loss"])
def test_bands_are_drawn_where_there_are_several_seeds(measure: str) -> None:
    drawn = figure(made(), measure, "seconds", baseline="dense", dark=True)  # type: ignore[arg-type]
    assert sum(trace.fill == "toself" for trace in drawn.data) == 2  # of a phase each
    seeds = [trace.y for trace in drawn.data if trace.line.width == 1]
    assert [sum(y is None for y in own) for own in seeds] == [6, 2]  # each seed and phase is a line of its own
    assert [trace.name for trace in drawn.data if trace.showlegend] == ["head only (n = 3)", "dense (n = 1)"]


def test_each_group_has_a_dash_and_a_shape_of_its_own() -> None:
    groups = {f"group {n}": [make_run(f"g{n}")] for n in range(8)}
    shown = [trace for trace in figure(groups, baseline="group 4").data if trace.showlegend]
    assert len({trace.line.dash for trace in shown}) == len({trace.marker.symbol for trace in shown}) == 8
    assert [trace.line.dash for trace in shown if trace.name.startswith("group 4")] == ["dot"]
