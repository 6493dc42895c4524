"""A run that was cut off goes on as if it had not been, whatever it was doing."""

import errno
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest

from cifar_core.experiment.experiment import EarlyStopping, Experiment, Freeze
from cifar_core.experiment.measured import CHECKPOINT
from cifar_core.experiment.schedules import Cosine, Plateau
from cifar_core.training.checkpoint import CheckpointError, Position, end_of_phase, load, save, standing
from cifar_core.training.ledger import Ledger
from cifar_core.training.trainer import Trained, train
from tests.training.makers import Notes, experiment, images, phase, thorough_about


def trained(described: Experiment, folder: Path, notes: Notes | None = None) -> tuple[Trained, Notes]:
    notes = notes or Notes()
    folder.mkdir(exist_ok=True)
    return train(described, images(), 0, notes, Ledger(), folder=folder), notes


def cut_off(described: Experiment, folder: Path, index: int, epochs: int) -> Notes:
    """Train until a phase has measured so many epochs, and then a few batches more."""

    def far_enough(notes: Notes) -> bool:
        return len(notes.epochs.get(index, [])) >= epochs and notes.asked % 3 == 0

    result, notes = trained(described, folder, Notes(far_enough))
    assert result.stopped
    return notes


OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "adam with a schedule by step": {"optimizer": "adam", "schedule": Cosine(warm_up=1)},
    "plateau": {"schedule": Plateau(factor=0.5, patience=1)},
    "early stopping": {"early_stopping": EarlyStopping(patience=3), "learning_rate": 0.01},
    "momentum, clipping and augmentation": {
        "optimizer": "sgd",
        "momentum": 0.9,
        "clip_norm": 1.0,
        "augmentation": ({"kind": "crop", "padding": 2}, {"kind": "mixup"}),
    },
}


@pytest.mark.parametrize("name", thorough_about(OPTIONS, ("plain", "plateau", "momentum, clipping and augmentation")))
def test_a_run_that_was_cut_off_in_every_phase_measures_what_an_undisturbed_one_does(name: str, tmp_path: Path) -> None:
    options = OPTIONS[name]
    described = experiment(
        phase(epochs=4, **options),
        phase(name="tuned", train_on="target", epochs=4, freeze=Freeze(rule="first_layers", count=1), **options),
    )
    whole, undisturbed = trained(described, tmp_path / "whole")
    attempts = []
    for index in range(2):
        attempts.append(cut_off(described, tmp_path / "cut", index, 2))
        assert standing(tmp_path / "cut") == Position(index, 2)
    result, notes = trained(described, tmp_path / "cut")
    attempts.append(notes)
    for place in range(2):
        measured = {row.epoch: row for attempt in attempts for row in attempt.epochs.get(place, [])}
        for row in undisturbed.epochs[place]:
            own = measured.pop(row.epoch)
            assert (own.loss, own.accuracy, own.val_loss, own.val_accuracy, own.learning_rate) == (
                row.loss,
                row.accuracy,
                row.val_loss,
                row.val_accuracy,
                row.learning_rate,
            )
        assert not measured
    assert notes.moved[1] == undisturbed.moved[1]
    assert notes.kepts.get(1) == undisturbed.kepts.get(1)
    for one, other in zip(result.model.get_weights(), whole.model.get_weights(), strict=True):
        assert np.array_equal(one, other)


def test_a_run_cut_off_after_its_last_epoch_trains_none_again(tmp_path: Path) -> None:
    described = experiment(phase(epochs=2))
    whole, _ = trained(described, tmp_path)
    again, notes = trained(described, tmp_path)
    assert not notes.epochs
    for one, other in zip(again.model.get_weights(), whole.model.get_weights(), strict=True):
        assert np.array_equal(one, other)


def test_a_full_disk_leaves_the_last_checkpoint_and_no_half_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: BinaryIO, **_: Any) -> None:
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / CHECKPOINT
    save(path, Position(0, 1), [])
    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        save(path, Position(0, 2), [])
    assert [each.name for each in tmp_path.iterdir()] == [CHECKPOINT]
    assert standing(tmp_path) == Position(0, 1)


def test_a_phase_that_others_follow_leaves_its_end_behind(tmp_path: Path) -> None:
    described = experiment(phase(epochs=1), phase(name="tuned", train_on="target", epochs=1))
    _, notes = trained(described, tmp_path)
    assert ("ended", 0) in notes.events and ("ended", 1) not in notes.events
    assert load(tmp_path / end_of_phase(0)).position == Position(0, 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == [CHECKPOINT, end_of_phase(0)]


def test_training_goes_on_from_the_end_of_a_phase_that_another_run_trained(tmp_path: Path) -> None:
    described = experiment(phase(epochs=1), phase(name="tuned", train_on="target", epochs=1))
    _, whole = trained(described, tmp_path / "whole")
    (tmp_path / "other").mkdir()
    (tmp_path / "whole" / end_of_phase(0)).rename(tmp_path / "other" / end_of_phase(0))
    _, notes = trained(described, tmp_path / "other")
    assert 0 not in notes.epochs
    assert notes.history(1) == whole.history(1)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no checkpoint"])
def test_a_damaged_checkpoint_is_told_in_words(content: bytes, tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT).write_bytes(content)
    with pytest.raises(CheckpointError, match=r"checkpoint\.npz cannot be used .* as a new run"):
        standing(tmp_path)


def test_a_folder_without_checkpoints_begins_at_the_start(tmp_path: Path) -> None:
    assert standing(tmp_path) == Position(0, 0)


def test_a_phase_that_was_on_stored_features_begins_again_where_there_are_none_now(tmp_path: Path) -> None:
    """Optimizer and callbacks know other layers then; the result is the same up to rounding."""
    described = experiment(
        phase(epochs=1),
        phase(name="tuned", train_on="target", epochs=4, freeze=Freeze(rule="first_layers", count=1)),
    )
    _, undisturbed = trained(described, tmp_path / "whole")
    folder = tmp_path / "cut"
    cut_off(described, folder, 1, 2)
    kept = dict(np.load(folder / CHECKPOINT))
    np.savez(folder / CHECKPOINT, **(kept | {"fitted": np.array(["output"])}))
    _, notes = trained(described, folder)
    assert [row.epoch for row in notes.epochs[1]] == [1, 2, 3, 4]
    assert notes.history(1) == undisturbed.history(1)
