"""Runs with made-up, plausible measurements: enough to draw and compare, and nothing trained."""

from datetime import UTC, datetime
from typing import Any

import numpy as np

from cifar_core.analysis.predictions import Predictions
from cifar_core.experiment.experiment import Data, Experiment, Freeze, Phase, Validation
from cifar_core.experiment.measured import (
    Before,
    Epoch,
    LayerChange,
    Measured,
    PhaseHistory,
    Point,
    Progress,
    Run,
    State,
)

SCRATCH = Phase(name="initial", train_on="source", epochs=3)
HEAD_ONLY = Phase(name="head only", train_on="target", epochs=3, freeze=Freeze(rule="all_but_last_layers", count=1))
DENSE = Phase(name="dense layers", train_on="target", epochs=3, freeze=Freeze(rule="first_blocks", count=2))


def metrics(accuracy: float, n: int = 5000) -> dict[str, Any]:
    """The metrics that comparisons read, with an interval of plausible width."""
    half = 1.96 * (accuracy * (1 - accuracy) / n) ** 0.5
    return {
        "n": n,
        "loss": 0.5,
        "accuracy": accuracy,
        "accuracy_low": accuracy - half,
        "accuracy_high": accuracy + half,
    }


def history(
    experiment: Experiment, reached: float, seconds: float = 4.0, gap: float = 0.05, epochs: int | None = None
) -> tuple[PhaseHistory, ...]:
    """A history whose last phase ends at the validation accuracy `reached`; frozen phases go three times as fast."""
    found, at = [], 0.0
    for index, phase in enumerate(experiment.phases):
        network = experiment.networks[index]
        pace = seconds if network.trainable == network.total else seconds / 3
        before, rows, points = Before(1.6, 0.2, at), [], []
        done = phase.epochs if epochs is None or index < len(experiment.phases) - 1 else epochs
        for epoch in range(1, done + 1):
            level = reached * (1 - 0.5**epoch)
            points += [
                Point(epoch - 1 + part, 1.5 - level, level - 0.1 + 0.02 * (part > 0.5), at + pace * part)
                for part in (0.25, 0.5, 0.75, 1.0)
            ]
            at += pace
            rows.append(Epoch(epoch, 1.4 - level, level + gap, 1.5 - level, level, 1e-3, pace, 25000 / pace, 25000, at))
        changes = tuple(
            LayerChange(layer.name, not layer.trainable, 0.0 if not layer.trainable else 2.5, 10.0)
            for layer in network.layers
            if layer.params
        )
        found.append(PhaseHistory(index, phase.name, before, tuple(rows), tuple(points), changes))
    return tuple(found)


def predicted(n: int, outputs: int, right: float, seed: int, classes: int | None = None) -> Predictions:
    """Return predictions with about that share right; only the first `classes` outputs occur among the labels."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes or outputs, n)
    guess = np.where(random.random(n) < right, labels, random.integers(0, outputs, n))
    probabilities = random.random((n, outputs)).astype(np.float32)
    probabilities[np.arange(n), guess] += random.random(n).astype(np.float32) * 3 + 1
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    names = tuple(f"class {index}" for index in range(outputs))
    return Predictions(probabilities, labels, np.arange(n) + 7, names)


def make_run(
    id: str = "aaaaaaaa",
    phases: tuple[Phase, ...] = (SCRATCH, HEAD_ONLY),
    accuracy: float | None = 0.6,
    *,
    validation: Validation | None = None,
    data: Data | None = None,
    seconds: float = 4.0,
    gap: float = 0.05,
    epochs: int | None = None,
    **fields: Any,
) -> Measured:
    """Return a run with its history, a done one unless told otherwise."""
    experiment = Experiment(data=data or Data(name="cifar10"), validation=validation or Validation(), phases=phases)
    given: dict[str, Any] = {
        "id": id,
        "name": f"two-conv · {phases[-1].name}",
        "experiment": experiment,
        "seed": 3,
        "state": State.DONE,
        "created": datetime(2026, 11, 21, tzinfo=UTC),
        "progress": Progress(len(phases), phases[-1].epochs, 1.0, None),
        "metrics": {} if accuracy is None else {"test": metrics(accuracy)},
        "seconds": {"queue": 0.4, "start": 3.1, "data": 0.2, "build": 0.3, "first_step": 1.1, "steps": 14.0},
        "environment": {"hardware": "2 cores", "fingerprint": "f00d", "official": True, "provenance": "archive"},
    }
    run = Run(**(given | fields))
    return run, history(experiment, accuracy or 0.6, seconds, gap, epochs)
