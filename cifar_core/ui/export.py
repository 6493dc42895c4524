"""Everything leaves in one click: downloads of a run and of a comparison, made when they are asked for."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from cifar_core.analysis import moments
from cifar_core.analysis.comparison import every_epoch, every_run
from cifar_core.analysis.exports import images_file, tables, to_csv, to_parquet, write_archive
from cifar_core.analysis.groups import Group
from cifar_core.analysis.keras_script import ScriptError, keras_notebook, keras_script
from cifar_core.analysis.pictures import svg
from cifar_core.analysis.predictions import Predictions
from cifar_core.analysis.report import report
from cifar_core.analysis.trackers import event_files, lacks
from cifar_core.analysis.wording import size
from cifar_core.experiment.measured import MODEL, Measured, Run
from cifar_core.home import home
from cifar_core.runs.errors import ArtifactsUnusable
from cifar_core.ui import people, reads
from cifar_core.ui.text import plain

FORMS = ("SVG", "PNG")
_FORM = "figures.form"
_MISSING = "export.missing"
SECONDS_TO_SEND = 300.0


def file_name(*words: str) -> str:
    """Return a name that files can have, without its ending."""
    return re.sub(r"\W+", "-", " ".join(("transfer-lab", *words))).strip("-").lower()[:80]


def camera(form: str, *words: str) -> dict[str, Any]:
    """Return Plotly's configuration for a figure that can be saved in a form, named so, and has no other buttons.

    A PNG has two pixels for each of the screen's.
    """
    return {
        "displaylogo": False,
        "modeBarButtons": [["toImage"]],
        "toImageButtonOptions": {
            "format": form.lower(),
            "filename": file_name(*words),
            "scale": 2 if form == "PNG" else 1,
        },
    }


def figures_as() -> None:
    """Let the reader choose what the camera of every figure saves, here and on all other pages."""
    st.segmented_control(
        "The camera of a figure saves",
        FORMS,
        default=FORMS[0],
        required=True,
        key=_FORM,
        persist_state="session",
        help="It stands over each figure's upper right corner. The figure is saved as it looks, on no background: of "
        "the dark theme, for dark slides. Curves have a button for each form.",
    )


def save_chart(chart: Callable[[], dict[str, Any]], *name: str, key: str, label: str = "Save as SVG") -> None:
    """Offer a Vega-Lite chart as SVG, made when asked for. Streamlit's own button over the chart saves a PNG."""
    st.download_button(
        label,
        lambda: svg(chart()),
        f"{file_name(*name)}.svg",
        "image/svg+xml",
        key=key,
        on_click="ignore",
        type="tertiary",
        icon=":material/download:",
        help="The button over the chart's upper right corner saves it as PNG.",
    )


def draw(figure: go.Figure, *name: str, key: str, alt: str, **options: Any) -> Any:
    """Draw a figure that can be saved under a name, and return what is selected in it where `options` ask for that.

    `alt` is what a screen reader says of it; `options` are those of `st.plotly_chart`.
    """
    if "on_select" in options:
        figure.layout.clickmode = "event+select"  # Streamlit would set it after the first drawing, and draw again
    return st.plotly_chart(
        figure, key=key, theme=None, config=camera(st.session_state.get(_FORM) or FORMS[0], *name), alt=alt, **options
    )


def downloads(run: Run) -> None:
    """Offer everything of a run: in one file, and each part by itself; say what was asked for and cannot be had."""
    store = reads.store()
    if said := st.session_state.pop(_MISSING, ""):
        st.warning(plain(said), icon=":material/cloud_off:")
    folder, sizes = store.files.folder(run.id), store.files.sizes(run.id)
    splits = ("test", "validation")
    kept = {split: found for split in splits if (found := reads.predictions(run.id, split)) is not None}

    def measured() -> Measured:
        return run, store.history(run.id)  # with every point, which pages thin out

    def archive() -> bytes:
        with suppress(ArtifactsUnusable):  # all else is still of use
            store.files.path(run.id, moments.FILE)
        made = BytesIO()
        write_archive(made, measured(), kept, folder)
        return made.getvalue()

    st.download_button(
        "Everything of this run (.zip)",
        archive,
        f"{run.id}.zip",
        "application/zip",
        type="primary",
        icon=":material/folder_zip:",
        help="Report, the run as JSON, experiment, script, notebook, all tables as CSV, and what the network made of "
        "some validation images after every epoch; without the model.",
    )
    with st.container(horizontal=True):
        test = {run.id: kept["test"]} if "test" in kept else {}
        st.download_button("Report (HTML)", lambda: report([measured()], test), f"{run.id}.html", "text/html")
        _scripts(run)
        st.download_button("Experiment (JSON)", run.experiment.to_json, f"{run.id}-experiment.json", "application/json")
        for file, label in (
            (MODEL, "Model (.keras)"),
            *((f"{split}.npz", f"Predictions on {split} (.npz)") for split in splits),
        ):
            if file in sizes:
                st.download_button(
                    f"{label}, {size(sizes[file])}",
                    lambda file=file: store.files.path(run.id, file).read_bytes(),  # type: ignore[misc]
                    f"{run.id}-{file}",
                    on_click=_note_missing,
                    args=(run, file),
                )
    _trackers(run, measured)
    figures_as()
    offer_tables(
        {name: lambda name=name: tables(measured(), kept)[name]() for name in tables((run, ()), kept)},  # type: ignore[misc]
        run.id,
    )


def _note_missing(run: Run, file: str) -> None:
    """Keep for the page why a file of a run cannot be had, which its button, pressed, does not say."""
    try:
        reads.store().files.check()
        if reads.store().files.written(run.id, file) is None:
            st.session_state[_MISSING] = f"The file {file} of this run is gone: there is nothing to download."
    except ArtifactsUnusable as error:
        st.session_state[_MISSING] = str(error)


def offer_tables(tables: Mapping[str, Callable[[], pd.DataFrame]], file: str) -> None:
    """Offer tables by name, in a chosen form; `file` is what their files' names begin with."""
    form = st.segmented_control("Tables as", ["CSV", "Parquet"], default="CSV", required=True, key="export.form")
    write: Callable[..., str | bytes] = to_csv if form == "CSV" else to_parquet
    with st.container(horizontal=True):
        for name, make in tables.items():
            st.download_button(
                name.replace("-", ", ").capitalize(),
                lambda make=make: write(make()),  # type: ignore[misc]
                f"{file}-{name}.{form.lower()}",
                key=f"export.{name}",
            )


def _trackers(run: Run, measured: Callable[[], Measured]) -> None:
    """The run for TensorBoard and MLflow, or what they need."""
    lacking = {program: reason for program in ("TensorBoard", "MLflow") if (reason := lacks(program))}
    with st.container(horizontal=True):
        if "TensorBoard" not in lacking:
            st.download_button(
                "TensorBoard (.zip)",
                lambda: event_files(measured()),
                f"{run.id}-tensorboard.zip",
                "application/zip",
                help="Unpack it and run: tensorboard --logdir FOLDER",
            )
        if "MLflow" not in lacking:
            barred = people.why_not()
            if st.button("Send to MLflow", key="export.mlflow", disabled=bool(barred), help=barred) and not barred:
                with st.spinner("Sending …", show_time=True):
                    sent, said = _send_to_mlflow(run)
                (st.success if sent else st.error)(plain(said))
    for reason in lacking.values():
        st.caption(plain(reason))


def _send_to_mlflow(run: Run) -> tuple[bool, str]:
    """Let the command line send a run: importing MLflow would take 60 MB of this process, and seconds of all pages."""
    command = ["-m", "cifar_core", "export", run.id, "--as", "mlflow"]
    try:
        told = subprocess.run(
            [sys.executable, *command],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "TRANSFER_LAB_HOME": str(home().absolute()), "PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            encoding="utf-8",
            timeout=SECONDS_TO_SEND,
        )
    except subprocess.TimeoutExpired:
        return False, (
            f"MLflow had not taken everything after {SECONDS_TO_SEND:.0f} s, so sending was given up. See whether its "
            f"server answers; this command takes as long as it needs: python {' '.join(command)}"
        )
    return told.returncode == 0, next(reversed(told.stderr.strip().splitlines()), "").removeprefix("Error: ")


def _scripts(run: Run) -> None:
    """The run in plain Keras, and the images that its script needs where Keras has none."""
    try:
        keras_script(run)
    except ScriptError as error:
        st.caption(plain(str(error)))
        return
    st.download_button("Keras script (.py)", lambda: keras_script(run), f"{run.id}.py", "text/x-python")
    st.download_button("Notebook (.ipynb)", lambda: keras_notebook(run), f"{run.id}.ipynb", "application/x-ipynb+json")
    if run.experiment.data.name != "cifar10" and (images := reads.images_of(run.experiment.data)) is not None:
        st.download_button(
            "Images for both (.npz)",
            lambda: images_file(images),
            "images.npz",
            help="Put them beside the script or notebook.",
        )


def comparison(
    runs: Sequence[Measured],
    baseline: str,
    groups: Mapping[str, Group],
    predictions: Callable[[], Mapping[str, Predictions]],
) -> None:
    """Offer the report of a comparison and its tables; arguments are those of `report`, predictions when called."""
    st.download_button(
        "Report of this comparison (HTML)",
        lambda: report(runs, predictions(), baseline, groups),
        "comparison.html",
        "text/html",
        help="One file that opens without a network and prints well.",
    )
    figures_as()
    offer_tables({"runs": lambda: every_run(runs, baseline), "epochs": lambda: every_epoch(runs)}, "comparison")
