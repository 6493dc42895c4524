import json
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from cifar_core.analysis import colours
from cifar_core.analysis.curves import ZOOM, boundaries, dots, guessing, lines, live_chart
from cifar_core.experiment.experiment import ClassSplit, Experiment, Head
from tests.analysis.made_up import DENSE, HEAD_ONLY, SCRATCH, make_run


def plain(spec: dict[str, Any]) -> str:
    """The specification with its data as JSON; fails on NaN."""
    data = {name: frame.to_dict("records") for name, frame in spec["datasets"].items()}
    return json.dumps({**spec, "datasets": data}, allow_nan=False)


def fixed(spec: dict[str, Any]) -> str:
    """What must not change from tick to tick, or the chart is drawn anew and loses its zoom."""
    return json.dumps({key: value for key, value in spec.items() if key != "datasets"})


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("x", ["epoch", "seconds", "images"])
@pytest.mark.parametrize("measure", ["accuracy", "loss"])
def test_a_chart_is_json_without_nan(measure: Any, x: Any, dark: bool) -> None:
    runs = [make_run("a"), make_run("b", (SCRATCH, DENSE), epochs=1)]
    assert json.loads(plain(live_chart(runs, measure, x, dark=dark, baseline="a")))["datasets"]["lines"]


def test_only_the_data_changes_while_a_run_trains() -> None:
    run, histories = make_run()
    nothing, half = live_chart([(run, ())]), live_chart([(run, histories[:1])])
    whole = live_chart([(run, histories)])
    assert fixed(nothing) == fixed(half) == fixed(whole)
    assert list(nothing["datasets"]) == list(whole["datasets"])
    assert [list(frame) for frame in nothing["datasets"].values()] == [
        list(frame) for frame in whole["datasets"].values()
    ]


def test_the_zoom_is_a_parameter_of_exactly_one_layer() -> None:
    params = [param for layer in live_chart([make_run()])["layer"] for param in layer.get("params", [])]
    assert [(param["name"], param["bind"]) for param in params] == [(ZOOM, "scales")]


def test_validation_starts_at_epoch_zero_and_training_after_the_first() -> None:
    table = lines([make_run()])
    first = table[table["phase"] == 1]
    assert first[first["role"] == "validation"]["x"].tolist() == [0, 1, 2, 3]
    assert first[first["role"] == "training"]["x"].tolist() == [1, 2, 3]


def test_accuracy_reaches_from_zero_to_one_and_epochs_to_the_planned_end() -> None:
    encoding = live_chart([make_run(epochs=1)])["layer"][-1]["encoding"]
    assert encoding["y"]["scale"]["domain"] == [0, 1]
    assert encoding["x"]["scale"]["domain"] == [0, 6]


def test_every_point_is_drawn_as_it_was_measured() -> None:
    run, histories = make_run()
    measured = [point.accuracy for history in histories for point in history.points]
    assert dots([(run, histories)])["y"].tolist() == measured


def test_phases_are_labelled_where_they_begin() -> None:
    assert boundaries([make_run()])[["x", "label"]].to_numpy().tolist() == [[0, "initial"], [3, "head only"]]


def test_runs_that_share_a_beginning_share_its_label_and_others_leave_it_to_the_tooltip() -> None:
    table = boundaries([make_run("a"), make_run("b", (SCRATCH, DENSE))])
    assert table["label"].tolist() == ["initial", "", ""]
    assert table["phase_name"].tolist() == ["initial", "dense layers", "head only"]


def test_the_level_of_guessing_follows_the_number_of_classes() -> None:
    run, histories = make_run()
    assert guessing([(run, histories)])["label"].tolist() == ["chance 20.0 %"]
    assert guessing([(run, histories)], "loss")["label"].tolist() == ["guessing 1.609"]
    phases = (SCRATCH, HEAD_ONLY.model_copy(update={"head": Head()}))
    other = Experiment(split=ClassSplit(source=(0, 1), target=(2, 3, 4, 5)), phases=phases)
    table = guessing([(replace(run, experiment=other), ())])
    assert table["y"].tolist() == [0.25, 0.5]


def test_runs_of_one_name_stay_apart() -> None:
    table = lines([make_run("aaaaaaaa1"), make_run("bbbbbbbb2")])
    assert table["run"].unique().tolist() == ["two-conv · head only (aaaaaa)", "two-conv · head only (bbbbbb)"]


def test_no_runs_give_an_empty_chart() -> None:
    assert all(frame.empty for frame in live_chart([])["datasets"].values() if isinstance(frame, pd.DataFrame))


@pytest.mark.parametrize(("dark", "background"), [(False, "#FFFFFF"), (True, "#0E1117")])
def test_every_colour_stands_out_from_the_background(dark: bool, background: str) -> None:
    for colour in (*colours.palette(dark), colours.grey(dark)):
        assert colours.contrast(colour, background) >= 3
    for text in (colours.TEXT[dark], colours.FAINT[dark]):
        assert colours.contrast(text, background) >= 4.5


def test_runs_differ_in_the_shape_of_their_points_too_and_one_legend_shows_both() -> None:
    spec = live_chart([make_run(id) for id in "abcdefgh"], baseline="c")
    (points,) = (layer["encoding"] for layer in spec["layer"] if "shape" in layer["encoding"])
    shape, colour = points["shape"], points["color"]
    assert len(set(shape["scale"]["range"])) == 8
    assert shape["scale"]["domain"] == colour["scale"]["domain"]
    assert shape["legend"] == colour["legend"] and shape["legend"] is not None


def test_the_baseline_has_a_shape_of_its_own_and_does_not_shift_the_others() -> None:
    with_baseline = colours.run_shapes(["a", "b", "c"], "a")
    assert with_baseline == {"a": "cross", **colours.run_shapes(["b", "c"])}


def test_the_baseline_is_grey_and_does_not_shift_the_others() -> None:
    with_baseline = colours.run_colours(["a", "b", "c"], "a")
    assert with_baseline == {"a": colours.grey(False), **colours.run_colours(["b", "c"])}
