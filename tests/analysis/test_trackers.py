"""Runs as TensorBoard and MLflow read them. Both are optional, and neither may bring TensorFlow into this process."""

import struct
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from cifar_core.analysis.history import epochs
from cifar_core.analysis.trackers import TRACKING, TrackerError, event_files, send_to_mlflow
from tests.analysis.made_up import make_run


def scalars(file: bytes) -> list[tuple[str, int, float]]:
    """Read an event file: a length, its check, an event and its check, again and again."""
    from tensorboardX.proto.event_pb2 import Event

    found, place = [], 0
    while place < len(file):
        (length,) = struct.unpack_from("<Q", file, place)
        event = Event.FromString(file[place + 12 : place + 12 + length])
        found += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
        place += 16 + length
    return found


def test_tensorboard_reads_every_epoch_of_both_splits() -> None:
    pytest.importorskip("tensorboardX")
    run, histories = make_run()
    with zipfile.ZipFile(BytesIO(event_files((run, histories)))) as archive:
        files = {Path(name).parent.as_posix(): scalars(archive.read(name)) for name in archive.namelist()}
    assert set(files) == {f"{run.id}/train", f"{run.id}/validation"}
    table = epochs(histories).set_index("epoch", drop=False)
    trained = {step: value for tag, step, value in files[f"{run.id}/train"] if tag == "epoch_accuracy"}
    assert trained == pytest.approx(dict(table["accuracy"].dropna()))
    validated = {step for tag, step, _ in files[f"{run.id}/validation"] if tag == "epoch_loss"}
    assert validated == set(table["epoch"])
    assert "tensorflow" not in sys.modules


def test_mlflow_has_the_curves_settings_and_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv(TRACKING, (tmp_path / "tracked").as_uri())
    (tmp_path / "model.keras").write_bytes(b"model")
    run, histories = make_run(note="seen *here*")
    said = send_to_mlflow((run, histories), tmp_path)
    client = MlflowClient()
    (copy,) = client.search_runs([client.get_experiment_by_name("Transfer Lab").experiment_id])
    assert copy.info.run_id in said
    assert (copy.info.run_name, copy.info.status) == (run.name, "FINISHED")
    assert copy.data.params["seed"] == str(run.seed)
    assert copy.data.metrics["test_accuracy"] == run.metrics["test"]["accuracy"]
    last = epochs(histories).iloc[-1]
    assert copy.data.metrics["val_accuracy"] == pytest.approx(last["val_accuracy"])
    assert {each.path for each in client.list_artifacts(copy.info.run_id)} == {"experiment.json", "model.keras"}
    assert "tensorflow" not in sys.modules


@pytest.mark.parametrize("package", ["tensorboardX", "mlflow"])
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(TrackerError, match=rf"pip install {package}"):
        if package == "mlflow":
            send_to_mlflow(make_run(), tmp_path)
        else:
            event_files(make_run())


def test_without_an_address_mlflow_asks_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TRACKING, raising=False)
    with pytest.raises(TrackerError, match=TRACKING):
        send_to_mlflow(make_run(), tmp_path)


def test_an_address_where_nothing_is_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)
    monkeypatch.setenv(TRACKING, (tmp_path / "tracked").as_uri())
    with pytest.raises(TrackerError, match="did not take the run"):
        send_to_mlflow(make_run(), tmp_path)
