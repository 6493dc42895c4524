"""Experiments that the tests of experiments begin with."""

from typing import Any

import pytest

from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.record import ExperimentError

PHASE = {"name": "base", "train_on": "source"}


def plain(**fields: Any) -> dict[str, Any]:
    """An experiment of one phase as JSON would give it, fields added or replaced."""
    return {"phases": [PHASE], **fields}


def with_phase(**fields: Any) -> dict[str, Any]:
    """An experiment whose only phase has these fields."""
    return plain(phases=[{**PHASE, **fields}])


def with_layers(*layers: Any, **head: Any) -> dict[str, Any]:
    """An experiment whose head consists of these layers."""
    return with_phase(head={"layers": list(layers), **head})


def frozen(rule: str, **freeze: Any) -> Experiment:
    """An experiment frozen by one rule."""
    return Experiment.parse(with_phase(freeze={"rule": rule, **freeze}))


def refusal(received: object) -> str:
    """What `Experiment.parse` says against it."""
    with pytest.raises(ExperimentError) as refused:
        Experiment.parse(received)
    return str(refused.value)
