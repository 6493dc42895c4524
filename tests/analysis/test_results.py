"""What the Results page says and shows of predictions, layers and seconds."""

from dataclasses import replace

import numpy as np
import pytest

from cifar_core.analysis import results
from cifar_core.analysis.metrics import METRICS, confusion, measure
from cifar_core.analysis.predictions import Predictions
from cifar_core.experiment.measured import LayerChange
from tests.analysis.made_up import make_run, predicted

# Of two cats one is taken for a dog; the dog and the bird are told right.
FOUR = Predictions(
    np.array([[0.75, 0.25, 0.0], [0.25, 0.75, 0.0], [0.25, 0.75, 0.0], [0.0, 0.0, 1.0]], np.float32),
    np.array([0, 0, 1, 2]),
    np.array([7, 8, 9, 10]),
    ("cat", "dog", "bird"),
)


def test_the_accuracy_is_said_with_its_interval_and_number() -> None:
    said = results.accuracy(measure(FOUR))
    assert said.startswith("75.0 %") and "n = 4" in said


def test_the_report_is_in_percent() -> None:
    rows = results.report(FOUR).set_index("class")
    assert dict(rows.loc["cat"]) == {"precision": 100.0, "recall": 50.0, "f1": pytest.approx(200 / 3), "n": 2}
    assert rows["n"].sum() == 4


def test_every_metric_stands_in_the_table_with_its_meaning() -> None:
    rows = results.every_metric(measure(FOUR)).set_index("metric")
    assert list(rows.index) == [row.title for row in METRICS]
    assert rows.loc["Accuracy", "value"] == "75.0\N{NO-BREAK SPACE}%" and rows["meaning"].str.len().min() > 10


def test_confused_classes_stand_with_the_share_of_their_images() -> None:
    assert results.pairs(FOUR).to_dict("records") == [{"true": "cat", "predicted": "dog", "images": 1, "share": 50.0}]
    groups = results.groups_of_classes(FOUR)
    assert groups.to_dict("records") == [{"these": "cat", "with these": "dog", "confused": 25.0}]


def test_where_nothing_is_confused_no_classes_are_grouped() -> None:
    right = replace(FOUR, labels=FOUR.predicted)
    assert list(results.groups_of_classes(right).columns) == ["these", "with these", "confused"]
    assert results.groups_of_classes(right).empty


def test_a_cell_is_described_with_the_order_of_its_images() -> None:
    assert results.cell_in_words(2, "cat", "dog") == "2 images of cat, predicted as dog, most confident first."
    assert results.cell_in_words(0, "cat", "dog") == "0 images of cat, predicted as dog."


def test_single_images_stand_with_their_number_and_percent() -> None:
    (row,) = results.single_images(FOUR, np.array([1])).to_dict("records")
    assert (row["image"], row["true"], row["predicted"]) == (8, "cat", "dog")
    assert (row["probability"], row["true_probability"]) == (75.0, 25.0)
    assert row["loss"] == pytest.approx(-np.log(0.25))


def test_changes_of_layers_are_told_in_words() -> None:
    rows = results.layer_changes([LayerChange("conv", True, 0.0, 5.0), LayerChange("output", False, 1.0, 4.0)])
    assert rows["relative"].tolist() == ["0, frozen", "25.0 %"]
    assert list(rows.columns) == ["layer", "frozen", "change", "relative"]


def test_the_ledger_gives_seconds_and_percent() -> None:
    run = replace(make_run()[0], seconds={"start": 1.0, "steps": 3.0})
    assert results.ledger(run)[["seconds", "share"]].to_numpy().tolist() == [[1.0, 25.0], [3.0, 75.0]]


def test_the_origin_of_a_run_names_images_hardware_and_versions() -> None:
    environment = {"provenance": "Drawn here.", "hardware": "2 cores", "versions": {"python": "3.11", "keras": "3"}}
    run = replace(make_run()[0], environment=environment)
    assert results.origin(run) == "Drawn here. 2 cores · python 3.11, keras 3"


def test_a_matrix_of_many_classes_is_a_list_of_its_cells_and_groups_name_their_first() -> None:
    few, many = (confusion(predicted(2000, outputs, 0.5, seed=0)) for outputs in (5, 200))
    assert results.matrix_table(few) is few
    assert list(results.matrix_table(many)) == ["true", "predicted", "images"]
    rows = results.groups_of_classes(predicted(2000, 200, 0.5, seed=0))
    assert len(rows) == 199 and "class" in rows["these"].iloc[-1]
    assert rows["these"].str.len().max() < 300 and rows["these"].str.contains(" more").any()
