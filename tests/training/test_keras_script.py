"""The exported script in a process of its own, beside what the trainer measures here."""

import csv
import subprocess
import sys
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from cifar_core.analysis.keras_script import keras_script
from cifar_core.experiment.experiment import ClassSplit, Data, Experiment, Freeze, Validation
from cifar_core.experiment.measured import Run, State
from cifar_core.training.ledger import Ledger
from cifar_core.training.trainer import train
from tests.training.makers import Notes, experiment, images, phase, run, thorough_about, tuning

COLUMNS = ("loss", "accuracy", "val_loss", "val_accuracy")
SEED = 7


def scripted(meant: Experiment, folder: Path) -> list[dict[str, str]]:
    """Run the script of an experiment as a student would, and return the rows of its history."""
    exported = Run("abc", "a run", meant, SEED, State.DONE, datetime(2026, 11, 21, tzinfo=UTC))
    made = images()
    np.savez(
        folder / "images.npz",
        x_train=made.train_images,
        y_train=made.train_labels,
        x_test=made.test_images,
        y_test=made.test_labels,
    )
    (folder / "run.py").write_text(keras_script(exported), encoding="utf-8")
    ended = subprocess.run([sys.executable, "run.py"], cwd=folder, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    with (folder / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def measured(notes: Notes) -> list[list[float]]:
    """Return the same rows as the trainer measured them."""
    rows = []
    for index, before in sorted(notes.befores.items()):
        rows.append([before.val_loss, before.val_accuracy])
        rows += [[getattr(epoch, name) for name in COLUMNS] for epoch in notes.epochs[index]]
    return rows


EVERY_OPTION = experiment(
    phase(optimizer="sgd", momentum=0.9, block_rate_factor=0.7, label_smoothing=0.1, class_weights="balanced"),
    tuning(
        "augmented",
        optimizer="adam",
        clip_norm=0.5,
        schedule={"kind": "exponential"},
        augmentation=[{"kind": kind} for kind in ("mixup", "flip", "crop", "cutout", "colour")],
    ),
    tuning("plateau", momentum=0.5, schedule={"kind": "plateau", "patience": 1}, class_weights="balanced"),
    tuning(
        "decay by layer",
        optimizer="adamw",
        weight_decay=0.1,
        block_rate_factor=0.5,
        schedule={"kind": "steps", "milestones": [{"after_epochs": 1, "factor": 0.1}]},
    ),
    tuning(
        "stopped early",
        epochs=4,
        optimizer="adamw",
        weight_decay=0.1,
        learning_rate=0.003,
        schedule={"kind": "cosine", "warm_up": 1},
        early_stopping={"patience": 1, "watch": "val_accuracy"},
    ),
    validation=Validation(share=0.25, drawn="random"),
)
NEW_HEAD = experiment(
    phase("base", epochs=1),
    phase("all outputs", "target", outputs="data set", epochs=1, freeze=Freeze(rule="first_layers", count=1)),
    tuning("surgical", freeze=Freeze(rule="all_but_block", block="dense_1")),
    split=ClassSplit(source=(0, 1, 2), target=(5, 3)),
    data=Data(per_class=8),
    validation=Validation(on="test"),
)
RESNET = Experiment.parse(
    {
        "backbone": "resnet18",
        "data": {"per_class": 4},
        "validation": {"share": 0.25, "drawn": "last"},
        "phases": [
            {
                "name": "base",
                "train_on": "source",
                "epochs": 1,
                "batch_size": 8,
                "freeze": {"rule": "first_blocks", "count": 5},
            },
            {
                "name": "tuned",
                "train_on": "target",
                "epochs": 1,
                "batch_size": 8,
                "head": {
                    "anew_from": "conv5",
                    "layers": [{"kind": "dense", "units": 4}, {"kind": "dropout", "rate": 0.5}],
                },
                "freeze": {"rule": "first_blocks", "count": 4},
            },
        ],
    }
)


MEANT = {"every option": EVERY_OPTION, "new heads": NEW_HEAD, "a network that branches": RESNET}


@pytest.mark.parametrize("kind", thorough_about(MEANT, ("new heads", "a network that branches")))
def test_the_exported_script_measures_what_the_run_measured(kind: str, tmp_path: Path) -> None:
    meant = MEANT[kind]
    rows = scripted(meant, tmp_path)
    _, notes = run(meant, SEED)
    assert_measured(rows, notes)


@pytest.mark.thorough
def test_so_does_the_script_of_a_run_that_began_with_another_runs_model(tmp_path: Path) -> None:
    learned, _ = run(experiment(phase(layers=(), epochs=1)), SEED)
    weights = tmp_path / "abcdefgh-model.keras"
    learned.model.save(weights)
    own = tuning(epochs=1)
    meant = experiment(own, initial_weights={"source": "run", "run": "abcdefgh"})
    notes = Notes()
    train(meant, images(), SEED, notes, Ledger(), weights=weights)
    assert_measured(scripted(meant, tmp_path), notes)


def assert_measured(rows: list[dict[str, str]], notes: Notes) -> None:
    """The rows of a script are what the trainer measured, and something was learned."""
    expected = measured(notes)
    assert [len([row[name] for name in COLUMNS if row[name]]) for row in rows] == [len(row) for row in expected]
    for row, values in zip(rows, expected, strict=True):
        found = [float(row[name]) for name in COLUMNS if row[name]]
        assert found == pytest.approx(values, rel=1e-4), row
    assert any(float(one["val_loss"]) != float(next_one["val_loss"]) for one, next_one in pairwise(rows))
