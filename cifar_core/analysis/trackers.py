"""A run for the programs that people watch all their trainings with: TensorBoard and MLflow.

The packages are optional, imported when asked for, and neither brings TensorFlow along. Accuracies are shares.
"""

import os
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from cifar_core.analysis.comparison import settings
from cifar_core.analysis.history import epochs
from cifar_core.experiment.measured import MODEL, Measured, State

TRACKING = "MLFLOW_TRACKING_URI"
"""MLflow's own variable: set in the environment to the address of a tracking server."""
_PACKAGES = {"TensorBoard": ("tensorboardX", "tensorboardX"), "MLflow": ("mlflow", "mlflow-skinny")}
_STATUS = {State.DONE: "FINISHED", State.FAILED: "FAILED"}
_SPLITS = {"train": ("loss", "accuracy", "learning_rate"), "validation": ("val_loss", "val_accuracy")}


class TrackerError(Exception):
    """Another program did not take a run. The message says why, and what to do."""


def lacks(program: str) -> str | None:
    """Return what "TensorBoard" or "MLflow" needs before a run can go there, in words; None: it can."""
    module, package = _PACKAGES[program]
    if find_spec(module) is None:
        return f"{program} needs one more package: pip install {package}"
    if program == "MLflow" and not os.environ.get(TRACKING):
        return f"MLflow needs the address of a tracking server: start Transfer Lab with {TRACKING}=http://… set."
    return None


def event_files(measured: Measured) -> bytes:
    """Return a zip file of what `tensorboard --logdir` reads: a folder named as the run, with train and validation.

    Raises:
        TrackerError: where the package tensorboardX is missing.
    """
    _check("TensorBoard")
    from tensorboardX import SummaryWriter

    run, _ = measured
    made = BytesIO()
    with TemporaryDirectory() as folder:
        for split in _SPLITS:
            with SummaryWriter(str(Path(folder) / run.id / split)) as writer:
                for name, value, epoch, moment in _values(measured, split):
                    writer.add_scalar(f"epoch_{name}", value, epoch, walltime=moment)
                if split == "validation":
                    rows = "".join(f"| {name} | {value} |\n" for name, value in settings(run).items())
                    writer.add_text("settings", f"| setting | value |\n|---|---|\n{rows}")
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(Path(folder).rglob("*.tfevents.*")):
                archive.write(path, path.relative_to(folder))
    return made.getvalue()


def send_to_mlflow(measured: Measured, artifacts: Path) -> str:
    """Copy a run to the MLflow that MLFLOW_TRACKING_URI names, and return where it is there, in words.

    Its model goes along where it was kept; `artifacts` is the folder of the run's files. Importing MLflow takes
    seconds and 60 MB: not for the process of the app.

    Raises:
        TrackerError: where the package or the address is missing, or MLflow refuses.
    """
    _check("MLflow")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # it would report to the internet
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.exceptions import MlflowException

    address = os.environ[TRACKING]
    run, _ = measured
    began = _began(measured)
    metrics = [
        Metric(name if split == "train" else f"val_{name}", value, round(1000 * moment), epoch)
        for split in _SPLITS
        for name, value, epoch, moment in _values(measured, split)
    ]
    ended = round(1000 * (run.finished.timestamp() if run.finished else began))
    for name, value in run.metrics.get("test", {}).items():
        if isinstance(value, int | float):
            metrics.append(Metric(f"test_{name}", float(value), ended, 0))
    params = [Param(_allowed(name), value[:6000]) for name, value in settings(run).items()]
    tags = {"mlflow.note.content": run.note, "transfer_lab.run": run.id, "tags": "; ".join(run.tags)}
    try:
        client = MlflowClient(tracking_uri=address)
        known = client.get_experiment_by_name("Transfer Lab")
        experiment = known.experiment_id if known else client.create_experiment("Transfer Lab")
        copy = client.create_run(experiment, start_time=round(1000 * began), run_name=run.name).info.run_id
        for first in range(0, len(metrics), 1000):
            client.log_batch(copy, metrics=metrics[first : first + 1000])
        for first in range(0, len(params), 100):
            client.log_batch(copy, params=params[first : first + 100])
        client.log_batch(copy, tags=[RunTag(name, value) for name, value in tags.items() if value])
        client.log_text(copy, run.experiment.to_json(), "experiment.json")
        if (artifacts / MODEL).exists():
            client.log_artifact(copy, str(artifacts / MODEL))
        client.set_terminated(copy, _STATUS.get(run.state, "KILLED"), ended)
    except (MlflowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise TrackerError(f"MLflow at {address} did not take the run: {reason}") from error
    return f"Run {copy} of the experiment Transfer Lab at {address}."


def _check(program: str) -> None:
    if reason := lacks(program):
        raise TrackerError(reason)


def _values(measured: Measured, split: str) -> Iterator[tuple[str, float, int, float]]:
    """Every number of a split: its name, value, epoch over all phases, and when it was measured, in s since 1970."""
    began = _began(measured)
    for row in epochs(measured[1]).to_dict("records"):
        for column in _SPLITS[split]:
            if row[column] == row[column]:  # epoch 0 is validated only
                yield column.removeprefix("val_"), float(row[column]), int(row["epoch"]), began + float(row["seconds"])


def _began(measured: Measured) -> float:
    run, _ = measured
    return (run.started or run.created).timestamp()


def _allowed(name: str) -> str:
    """A name with what MLflow allows in names."""
    return "".join(each if each.isalnum() or each in "_-. /" else " " for each in name)
