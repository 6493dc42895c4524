"""The transfer map's table and figure hold the numbers of its runs, and fill in as they finish."""

from dataclasses import replace
from io import BytesIO, StringIO

import pandas as pd
import pytest

from cifar_core.analysis import transfer_map
from cifar_core.analysis.exports import to_csv, to_parquet
from cifar_core.analysis.plan import Plan
from cifar_core.experiment.experiment import Data
from cifar_core.experiment.measured import Run, State
from cifar_core.experiment.recipes import recipe
from cifar_core.experiment.transfer_map import TransferMap
from tests.analysis.made_up import make_run, metrics

MAP = TransferMap.of(recipe("a-initial").experiment, epochs=2)
PLAN: Plan = transfer_map.plan(MAP, 2)


def runs(**accuracies: tuple[float, ...]) -> list[Run]:
    """Done runs of points, a seed for every accuracy; the titles' "+" is written "p"."""
    by_title = {title.replace("+", "p"): experiment for title, experiment in PLAN.experiments.items()}
    return [
        replace(
            make_run(f"{title}{seed}")[0], experiment=by_title[title], seed=seed, metrics={"test": metrics(accuracy)}
        )
        for title, own in accuracies.items()
        for seed, accuracy in enumerate(own)
    ]


MEASURED = runs(baseB=(0.80, 0.82), A1B=(0.81, 0.81), A2B=(0.60, 0.64), B2Bp=(0.85,), baseA=(0.9,))
ROWS = transfer_map.table(MAP, PLAN.runs(MEASURED)).set_index("point", drop=False)


def test_a_plan_has_all_points_the_bases_first() -> None:
    titles = [wanted.title for wanted in PLAN]
    assert titles[:6] == ["baseB", "baseA", "B1B", "B1B+", "A1B", "A1B+"]
    assert len(titles) == 2 * 18


def test_the_table_has_a_row_for_every_point_measured_or_not() -> None:
    assert len(ROWS) == 18
    assert list(ROWS.loc["A2B", ["curve", "depth", "block", "n"]]) == ["AnB", 2, "conv_2", 2]
    assert ROWS.loc["A2B", "mean"] == pytest.approx(0.62)
    assert ROWS.loc["A2B", "spread"] == pytest.approx(0.0283, abs=1e-4)
    assert ROWS.loc["A2B", "runs"] == ["A2B0", "A2B1"]
    assert ROWS.loc["B4B", "n"] == 0 and ROWS.loc["B4B", "runs"] == []


def test_a_point_that_waits_says_so() -> None:
    waiting = replace(MEASURED[0], state=State.QUEUED, metrics={}, experiment=PLAN.experiments["B1B"])
    rows = transfer_map.table(MAP, PLAN.runs([waiting]))
    said = transfer_map.shown(rows).set_index("point")["test accuracy"]
    assert (said["B1B"], said["B2B"]) == ("waiting", "–")


def test_readers_see_accuracies_with_spread_and_the_difference_to_the_baseline() -> None:
    said = transfer_map.shown(ROWS).set_index("point")
    assert said.loc["A2B", "test accuracy"] == "62.0 ± 2.8 % (n = 2)"
    assert said.loc["A2B", "against baseB"] == "−19.0 points"
    assert said.loc["A2B", "copied"] == "2 of 4, up to conv_2"
    assert said.loc["baseB", "copied"] == "nothing"


def test_the_figure_draws_what_is_measured_each_curve_with_a_dash_of_its_own() -> None:
    drawn = transfer_map.figure(MAP, ROWS)
    lines = {trace.name: trace for trace in drawn.data if trace.mode == "lines+markers"}
    (frozen,) = (trace for name, trace in lines.items() if name.startswith("AnB:"))
    assert list(frozen.x) == [1, 2]
    assert list(frozen.y) == pytest.approx([81, 62])
    assert [each[0] for each in frozen.customdata] == ["A1B", "A2B"]
    assert len({(trace.line.dash, trace.marker.symbol) for trace in lines.values()}) == 4
    base = next(trace for trace in drawn.data if trace.name and trace.name.startswith("baseB"))
    assert list(base.y) == pytest.approx([81, 81])
    assert [shape.y0 for shape in drawn.layout.shapes] == pytest.approx([81 - 2**0.5, 20])


def test_while_a_map_fills_in_its_axis_stands_still_and_letters_can_be_large() -> None:
    few = transfer_map.table(MAP, PLAN.runs(runs(baseB=(0.80, 0.82))))
    whole, filling = transfer_map.figure(MAP, ROWS), transfer_map.figure(MAP, few, whole=ROWS, font=22)
    assert filling.layout.yaxis.range == whole.layout.yaxis.range
    assert transfer_map.figure(MAP, few).layout.yaxis.range != whole.layout.yaxis.range
    sizes = filling.layout.font.size, filling.layout.xaxis.title.font.size, filling.layout.legend.font.size
    assert min(sizes) > 20 and filling.layout.height > whole.layout.height


def test_the_chosen_point_has_a_ring_that_takes_no_clicks() -> None:
    ring = transfer_map.figure(MAP, ROWS, chosen="A2B").data[-1]
    assert (ring.x, ring.y, ring.hoverinfo) == ((2,), pytest.approx((62,)), "skip")
    for nowhere in (None, "B4B", "baseA"):  # none, not measured yet, measured on other classes
        assert transfer_map.figure(MAP, ROWS, chosen=nowhere).data == transfer_map.figure(MAP, ROWS).data


def test_the_table_leaves_as_csv_and_parquet_with_the_runs_of_each_point() -> None:
    leaves = transfer_map.exported(ROWS)
    csv, parquet = pd.read_csv(StringIO(to_csv(leaves))), pd.read_parquet(BytesIO(to_parquet(leaves)))
    for found in (csv.set_index("point"), parquet.set_index("point")):
        assert found.loc["A2B", "mean"] == pytest.approx(0.62) and found.loc["A2B", "runs"] == "A2B0 A2B1"


def test_what_must_be_said_of_a_points_runs_stands_in_its_row() -> None:
    run, _ = make_run("a", data=Data(name="sample"))
    waiting = replace(run, id="b", resumed=1, metrics={})
    flags = transfer_map.table(MAP, {"A2B": {0: run, 1: waiting}}).set_index("point")["flags"]
    assert (flags["A2B"], flags["baseB"]) == ("synthetic images", "")


@pytest.mark.parametrize("dark", [False, True])
def test_an_empty_map_is_drawn(dark: bool) -> None:
    rows = transfer_map.table(MAP, PLAN.runs([]))
    drawn = transfer_map.figure(MAP, rows, dark=dark)
    assert list(drawn.layout.yaxis.range) == [0, 100]
    assert transfer_map.findings(MAP, rows) == []


def test_what_the_map_says_is_said_in_sentences_against_the_noise_of_seeds() -> None:
    said = transfer_map.findings(MAP, ROWS)
    assert said == [
        "From A2B on, frozen features of A cost B something (at most A2B: −19.0 points against baseB).",
    ]
    as_good = transfer_map.table(MAP, PLAN.runs(runs(baseB=(0.80, 0.82), A1B=(0.80,), A2B=(0.81,))))
    assert transfer_map.findings(MAP, as_good)[0].startswith(
        "At all 2 measured depths, frozen features of A serve B as well"
    )


def test_a_dip_that_deeper_points_have_recovered_from_is_said_to_be_one() -> None:
    dip = runs(baseB=(0.8,), B1B=(0.8,), B2B=(0.7,), B3B=(0.8,), B4B=(0.8,), A1B=(0.7,), A2B=(0.8,), A3B=(0.6,))
    assert transfer_map.findings(MAP, transfer_map.table(MAP, PLAN.runs(dip))) == [
        "At A1B and A3B (not at A2B), frozen features of A cost B something (at most A3B: −20.0 points against baseB).",
        "At B2B (not at B3B, B4B), B's own frozen features cost something, too (at most B2B: −10.0 points against "
        "baseB).",
    ]


def test_a_baseline_that_has_learned_nothing_makes_no_map() -> None:
    rows = transfer_map.table(MAP, PLAN.runs(runs(baseB=(0.2,), A1B=(0.5,))))
    (said,) = transfer_map.findings(MAP, rows)
    assert said.startswith("baseB is no better than guessing")


def test_a_difference_within_what_the_test_images_allow_is_none() -> None:
    rows = transfer_map.table(MAP, PLAN.runs(runs(baseB=(0.800,), A1B=(0.795,))))
    assert rows["noise"].iloc[0] == pytest.approx(1.96 * (0.8 * 0.2 / 5000) ** 0.5)
    assert transfer_map.findings(MAP, rows)[0].startswith("At the one measured depth, ")
