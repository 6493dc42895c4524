"""Everything of a run as files that other programs read: tables, one archive, a script, a notebook and a report."""

import csv
import zipfile
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd

from cifar_core.analysis import history, moments
from cifar_core.analysis.documents import as_json, run_document
from cifar_core.analysis.keras_script import ScriptError, keras_notebook, keras_script
from cifar_core.analysis.metrics import per_class
from cifar_core.analysis.predictions import Predictions, load
from cifar_core.analysis.report import report
from cifar_core.analysis.trackers import event_files
from cifar_core.data.arrays import Images
from cifar_core.experiment.measured import MODEL, Measured

SPLITS = "test", "validation"
ENDINGS = {
    "script": "py",
    "notebook": "ipynb",
    "report": "html",
    "csv": "csv",
    "archive": "zip",
    "tensorboard": "tensorboard.zip",
}
"""What a run can be exported as, and how the file's name ends."""


def to_csv(frame: pd.DataFrame) -> str:
    """Return CSV whatever the locale: commas between fields, decimal points, text in quotes."""
    return str(frame.to_csv(index=False, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC))


def to_parquet(frame: pd.DataFrame) -> bytes:
    """Return the table as a Parquet file."""
    return bytes(frame.to_parquet(index=False))


def predictions_table(found: Predictions) -> pd.DataFrame:
    """Return a row per image: image (its place in the split), true, predicted, right, and each class's probability."""
    names = np.array(found.class_names, dtype=object)
    first = {
        "image": found.images,
        "true": names[found.labels],
        "predicted": names[found.predicted],
        "right": found.correct,
    }
    probabilities = {f"p({name})": found.probabilities[:, place] for place, name in enumerate(found.class_names)}
    return pd.DataFrame(first | probabilities)


def tables(measured: Measured, predictions: Mapping[str, Predictions]) -> dict[str, Callable[[], pd.DataFrame]]:
    """Return how to make each table of a run, by name; `predictions` are those it kept, by split."""
    _, histories = measured
    found: dict[str, Callable[[], pd.DataFrame]] = {
        "epochs": lambda: history.epochs(histories),
        "points": lambda: history.points(histories),
    }
    for split, kept in predictions.items():
        found[f"classes-{split}"] = lambda kept=kept: per_class(kept)  # type: ignore[misc]
        found[f"predictions-{split}"] = lambda kept=kept: predictions_table(kept)  # type: ignore[misc]
    return found


def exported(form: str, measured: Measured, artifacts: Path) -> bytes:
    """Return a run in one of the forms of `ENDINGS`; `artifacts` is the folder of its files.

    Raises:
        ScriptError: where a script was asked for, and the run has none.
        TrackerError: where TensorBoard's files were asked for, and their package is missing.
    """
    run, histories = measured
    if form == "script":
        return keras_script(run).encode()
    if form == "notebook":
        return keras_notebook(run).encode()
    if form == "tensorboard":
        return event_files(measured)
    if form == "csv":
        return to_csv(history.epochs(histories)).encode()
    found = {split: load(path) for split in SPLITS if (path := artifacts / f"{split}.npz").exists()}
    if form == "report":
        return _report(measured, found).encode()
    made = BytesIO()
    write_archive(made, measured, found, artifacts)
    return made.getvalue()


def _report(measured: Measured, predictions: Mapping[str, Predictions]) -> str:
    return report([measured], {measured[0].id: predictions["test"]} if "test" in predictions else {})


def write_archive(
    file: IO[bytes], measured: Measured, predictions: Mapping[str, Predictions], artifacts: Path, *, model: bool = False
) -> None:
    """Write everything of a run into one zip file; the `model`, which outweighs all else, only when asked for.

    What the network made of a few images after each epoch is in the form that `moments` keeps it in.
    """
    run, histories = measured
    texts: dict[str, Callable[[], str]] = {
        "run.json": lambda: as_json(run_document(run, histories), indent=2),
        "experiment.json": run.experiment.to_json,
        "report.html": lambda: _report(measured, predictions),
        "run.py": lambda: keras_script(run),
        "run.ipynb": lambda: keras_notebook(run),
    }
    for name, made in tables(measured, predictions).items():
        texts[f"{name}.csv"] = lambda made=made: to_csv(made())  # type: ignore[misc]
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts.items():
            try:
                archive.writestr(name, text())
            except ScriptError as error:
                archive.writestr(f"{name}.txt", str(error))
        if (artifacts / moments.FILE).exists():
            archive.write(artifacts / moments.FILE, moments.FILE)
        if model and (artifacts / MODEL).exists():
            archive.write(artifacts / MODEL, MODEL, zipfile.ZIP_STORED)  # compressed already


def images_file(images: Images) -> bytes:
    """Return a data set as the .npz that exported scripts read."""
    made = BytesIO()
    np.savez_compressed(
        made,
        x_train=images.train_images,
        y_train=images.train_labels,
        x_test=images.test_images,
        y_test=images.test_labels,
    )
    return made.getvalue()
