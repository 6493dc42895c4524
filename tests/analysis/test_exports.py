import csv
import json
import zipfile
from io import BytesIO, StringIO
from pathlib import Path

import numpy as np
import pandas as pd

from cifar_core.analysis import moments
from cifar_core.analysis.documents import as_json, run_document
from cifar_core.analysis.exports import exported, images_file, predictions_table, to_csv, to_parquet, write_archive
from cifar_core.analysis.predictions import Predictions
from cifar_core.data.arrays import Images
from cifar_core.experiment.datasets import DATASETS
from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.measured import Moment
from tests.analysis.made_up import make_run

MOMENT = Moment(0, 1, np.arange(2), np.array([0, 1]), np.full((2, 2), 0.5))
NAMES = {
    "run.json",
    "experiment.json",
    "report.html",
    "run.py",
    "run.ipynb",
    "epochs.csv",
    "points.csv",
    "classes-test.csv",
    "predictions-test.csv",
}


def test_csv_has_commas_decimal_points_and_text_in_quotes() -> None:
    text = to_csv(pd.DataFrame({"name": ['a;b, "c"', "d"], "value": [0.5, float("nan")], "n": [1, 2]}))
    assert text.splitlines()[1] == '"a;b, ""c""",0.5,1'
    assert [row["name"] for row in csv.DictReader(StringIO(text))] == ['a;b, "c"', "d"]
    assert pd.read_csv(StringIO(text))["value"].isna().tolist() == [False, True]


def test_parquet_gives_back_the_same_table(predictions: Predictions) -> None:
    table = predictions_table(predictions)
    pd.testing.assert_frame_equal(pd.read_parquet(BytesIO(to_parquet(table))), table, check_dtype=False)


def test_predictions_are_told_image_by_image(predictions: Predictions) -> None:
    table = predictions_table(predictions)
    assert len(table) == predictions.n
    assert table["right"].mean() == predictions.correct.mean()
    assert np.allclose(table.filter(like="p(").sum(axis=1), 1, atol=1e-5)


def test_everything_of_a_run_is_in_one_file_without_its_model(tmp_path: Path, predictions: Predictions) -> None:
    (tmp_path / "model.keras").write_bytes(b"model")
    measured, made = make_run(), BytesIO()
    write_archive(made, measured, {"test": predictions}, tmp_path)
    with zipfile.ZipFile(made) as archive:
        assert set(archive.namelist()) == NAMES
        assert Experiment.parse_json(archive.read("experiment.json")) == measured[0].experiment
        run, histories = measured
        assert json.loads(archive.read("run.json")) == json.loads(as_json(run_document(run, histories)))
    moments.append(tmp_path / moments.FILE, MOMENT)
    write_archive(made := BytesIO(), measured, {"test": predictions}, tmp_path)
    with zipfile.ZipFile(made) as archive:
        assert set(archive.namelist()) == {*NAMES, moments.FILE}
        assert archive.read(moments.FILE) == (tmp_path / moments.FILE).read_bytes()
    write_archive(made := BytesIO(), measured, {"test": predictions}, tmp_path, model=True)
    assert zipfile.ZipFile(made).read("model.keras") == b"model"


def test_a_run_without_a_script_says_so_in_its_place(tmp_path: Path) -> None:
    run, histories = make_run()
    fields = run.experiment.model_dump(mode="json") | {"initial_weights": {"source": "file", "path": "w.h5"}}
    other, _ = make_run(experiment=Experiment.parse(fields))
    write_archive(made := BytesIO(), (other, histories), {}, tmp_path)
    assert b"weights from a file" in zipfile.ZipFile(made).read("run.py.txt")


def test_a_report_is_exported_with_the_predictions_that_were_kept(tmp_path: Path, predictions: Predictions) -> None:
    assert b"Confusion matrix" not in exported("report", make_run(), tmp_path)
    predictions.save(tmp_path / "test.npz")
    assert b"Confusion matrix" in exported("report", make_run(), tmp_path)


def test_the_images_of_a_script_are_those_of_the_data_set(tmp_path: Path) -> None:
    pixels, labels = np.zeros((4, 8, 8, 3), np.uint8), np.arange(4)
    images = Images(DATASETS["sample"], pixels, labels, pixels[:2], labels[:2], "0", "made by a test", True)
    with np.load(BytesIO(images_file(images))) as made:
        assert {name: made[name].shape for name in made} == {
            "x_train": (4, 8, 8, 3),
            "y_train": (4,),
            "x_test": (2, 8, 8, 3),
            "y_test": (2,),
        }
