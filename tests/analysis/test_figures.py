import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cifar_core.analysis import colours, comparison
from cifar_core.analysis.figures import (
    CELLS,
    accuracy_figure,
    change_figure,
    change_sentence,
    change_table,
    confusion_figure,
    confusion_figures,
    difference_figure,
    figure_of,
    ledger_figure,
    ledger_table,
)
from cifar_core.analysis.metrics import confusion, shares
from cifar_core.analysis.predictions import Predictions
from cifar_core.experiment.measured import LayerChange
from tests.analysis.made_up import DENSE, SCRATCH, make_run

LEDGERS = {"a": {"steps": 10.0, "queue": 1.0, "made of cheese": 2.0}, "b": {"validation": 2.0, "steps": 5.0}}


def fonts(node: Any) -> list[float]:
    """Every font size that a figure sets."""
    if isinstance(node, dict):
        own = [value for key, value in node.items() if "font" in key and isinstance(value, dict)]
        return [font["size"] for font in own if "size" in font] + [
            size for value in node.values() for size in fonts(value)
        ]
    return [size for value in node for size in fonts(value)] if isinstance(node, list) else []


@pytest.mark.parametrize("values", CELLS)
def test_the_confusion_matrix_shows_its_numbers_and_says_what_they_are(predictions: Predictions, values: str) -> None:
    counts = confusion(predictions)
    figure = confusion_figure(counts, "test", values=values)
    shown = counts if values == "counts" else 100 * shares(counts, values)
    heatmap, *texts = figure.data
    assert np.array(heatmap.z) == pytest.approx(shown.to_numpy())
    told = {
        (true, told): text
        for trace in texts
        for text, (true, told, _) in zip(trace.text, trace.customdata, strict=True)
    }
    assert told == {(true, told): f"{shown.loc[true, told]:.0f}" for true in counts.index for told in counts.columns}
    assert "test images, n = 400" in figure.layout.title.text
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1]


def test_a_class_that_does_not_occur_has_a_row_of_zeros() -> None:
    counts = pd.DataFrame([[3, 1], [0, 0]], index=["cat", "dog"], columns=["cat", "dog"])
    assert shares(counts).to_numpy().tolist() == [[0.75, 0.25], [0, 0]]


def test_other_values_are_refused(predictions: Predictions) -> None:
    with pytest.raises(ValueError, match="expected one of counts, row %, column %, received 'percent'"):
        confusion_figure(confusion(predictions), "test", values="percent")


def test_many_classes_are_drawn_small_and_without_numbers() -> None:
    counts = pd.DataFrame(np.eye(60, dtype=int), index=range(60), columns=range(60))
    figure = confusion_figure(counts, "test")
    assert {trace.mode for trace in figure.data[1:]} == {"markers"}
    assert figure.layout.height < 1200


def test_of_many_classes_each_run_shows_its_own_where_runs_have_others() -> None:
    names = {kind: [f"{kind} {place}" for place in range(150)] for kind in "ab"}
    matrices = {kind: pd.DataFrame(np.eye(150, dtype=int), own, own) for kind, own in names.items()}
    assert [len(figure.data[0].x) for figure in confusion_figures(matrices, "test")] == [100, 100]


@pytest.mark.parametrize("values", CELLS)
def test_of_a_thousand_classes_those_are_drawn_that_are_confused_most_with_numbers_of_all(values: str) -> None:
    names = [f"class {place}" for place in range(1000)]
    cells = 7 * np.eye(1000, dtype=int)
    cells[900, 20] = 3
    counts = pd.DataFrame(cells, names, names)
    figures = confusion_figures({"one": counts, "other": counts}, "test", values=values)
    figures.append(difference_figure(shares(counts) - np.eye(1000), "one", "other"))
    for figure in figures:
        assert {"class 900", "class 20"} < set(figure.data[0].x) and len(figure.data[0].x) == 100
        assert figure.layout.title.text.endswith("100 of 1,000 classes, where most of it happens")
        assert len(figure.to_json()) < 1_500_000 and figure.layout.height < 1700
    words = {tuple(cell[:2]): cell[2] for trace in figures[0].data[1:] for cell in trace.customdata}
    assert words["class 900", "class 20"] == "3 of 10, 30.0 %"
    assert "n = 7,003" in figures[0].layout.title.text


def test_the_difference_of_two_matrices_has_signs_and_its_middle_at_zero() -> None:
    names = ["cat", "dog"]
    figure = difference_figure(pd.DataFrame([[0.5, -0.5], [0, 0]], index=names, columns=names), "one", "other")
    assert sorted(text for trace in figure.data[1:] for text in trace.text) == ["+50", "0", "0", "−50"]
    assert figure.data[0].zmin == -figure.data[0].zmax


def test_matrices_side_by_side_share_one_colour_scale(predictions: Predictions) -> None:
    counts = confusion(predictions)
    one, other = confusion_figures({"a": counts, "b": 2 * counts}, "test")
    assert one.data[0].zmax == other.data[0].zmax == 2 * counts.to_numpy().max()
    assert one.layout.title.text.startswith("a<br>")


def test_ledger_entries_come_in_the_order_of_a_run_and_unknown_ones_last() -> None:
    table = ledger_table(LEDGERS)
    assert table["entry"].tolist() == ["queue", "steps", "made of cheese", "steps", "validation"]
    assert table.groupby("run")["share"].sum().tolist() == pytest.approx([1, 1])
    assert [bar.name for bar in ledger_figure(LEDGERS).data] == [
        "waiting in the queue",
        "training steps",
        "validation",
        "made of cheese",
    ]


def test_an_entry_has_its_colour_whatever_else_is_shown() -> None:
    alone = ledger_figure({"b": {"steps": 1.0}}).data[0]
    assert alone.marker.color == ledger_figure(LEDGERS).data[1].marker.color


def test_frozen_layers_stand_at_exactly_zero() -> None:
    changes = (LayerChange("conv_1", True, 0.0, 5.0), LayerChange("output", False, 2.5, 10.0, 0.5))
    table = change_table(changes)
    assert table["text"].tolist() == ["0, frozen", "25.0 %"]
    assert table["statistics"].isna().tolist() == [True, False]
    assert list(change_figure(changes, "head only").data[0].x) == [0.0, 25.0]


def test_a_frozen_layer_that_moved_is_called_out() -> None:
    assert change_table([LayerChange("conv_1", True, 0.5, 5.0)])["text"].tolist() == ["moved by 10.0 % although frozen"]


@pytest.mark.parametrize(
    ("frozen", "moved", "said"),
    [
        (0, [], "nothing was frozen; 3 layers trained."),
        (2, [], "2 frozen layers, moved by exactly 0; 1 layer trained."),
        (2, [1], "layer 1 moved although frozen; 1 layer trained."),
        (3, [0, 2], "layer 0 and layer 2 moved although frozen; 0 layers trained."),
    ],
)
def test_the_proof_of_freezing_is_said_in_a_sentence(frozen: int, moved: list[int], said: str) -> None:
    layers = [
        LayerChange(f"layer {place}", place < frozen, float(place >= frozen or place in moved), 5.0)
        for place in range(3)
    ]
    assert change_sentence(layers) == said


def test_weights_that_started_at_zero_have_no_relative_change() -> None:
    assert change_table([LayerChange("scale", False, 0.5, 0.0)])["text"].tolist() == ["from zero"]
    assert list(change_figure([LayerChange("scale", False, 0.5, 0.0)], "all").data[0].x) == [0.0]


def test_accuracies_have_their_intervals_and_the_whole_axis() -> None:
    runs = [make_run("a"), make_run("b", (SCRATCH, DENSE), 0.7), make_run("c", accuracy=None)]
    table = comparison.table(runs, "a")
    figure = accuracy_figure(table, baseline="a")
    (bars,) = figure.data
    assert list(bars.x) == pytest.approx([60, 70])
    assert np.array(bars.x) + np.array(bars.error_x.array) == pytest.approx(100 * table["high"].dropna().to_numpy())
    assert tuple(figure.layout.xaxis.range) == (0, 100)
    said = [each.text for each in figure.layout.annotations]
    assert said == [f"<b>60.0 %</b> {table['run']['a']}", "<b>70.0 %</b> dense layers"]


def test_a_run_keeps_its_colour_where_one_before_it_has_no_result() -> None:
    runs = [make_run("a"), make_run("b", accuracy=None), make_run("c", (SCRATCH, DENSE), 0.7)]
    hues = colours.run_colours(["a", "b", "c"], "a")
    (bars,) = accuracy_figure(comparison.table(runs, "a"), baseline="a").data
    assert list(bars.marker.color) == [hues["a"], hues["c"]]


@pytest.mark.parametrize("dark", [False, True])
def test_figures_are_transparent_legible_and_json(predictions: Predictions, dark: bool) -> None:
    runs = [make_run("a"), make_run("b", (SCRATCH, DENSE), 0.7)]
    for figure in (
        confusion_figure(confusion(predictions), "test", dark=dark),
        ledger_figure(LEDGERS, dark=dark),
        change_figure(runs[0][1][1].changes, "head only", dark=dark),
        accuracy_figure(comparison.table(runs, "a"), dark=dark),
        accuracy_figure(comparison.table([make_run("c", accuracy=None)]), dark=dark),
    ):
        plain = json.loads(figure.to_json())
        assert plain["layout"]["paper_bgcolor"] == plain["layout"]["plot_bgcolor"] == "rgba(0,0,0,0)"
        assert min(fonts(plain)) >= 12


@pytest.mark.parametrize("dark", [False, True])
def test_plotly_can_take_two_copies_of_a_figure_for_equal_and_draws_it_once(dark: bool) -> None:
    layout = json.loads(figure_of(dark, height=300, margin={"l": 8}).to_json())["layout"]
    assert "template" not in layout
    assert layout["datarevision"] == 0
    assert layout["xaxis"]["gridcolor"] == colours.GRID[dark]


def test_a_matrix_keeps_room_for_the_names_of_its_classes_and_not_for_endless_ones() -> None:
    def room(name: str) -> float:
        figure = confusion_figure(pd.DataFrame([[1]], [name], [name]), "test")
        return float(figure.layout.margin.l + figure.layout.margin.b)

    assert room("cat") < room("automobile") < room("x" * 100) < 330
