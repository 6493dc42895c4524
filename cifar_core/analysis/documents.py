"""Experiments and runs as documents that scripts read: what the command line prints as JSON."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from cifar_core.analysis.labels import labels
from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.measured import PhaseHistory, Run
from cifar_core.experiment.recipe import Recipe


def recipe_document(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe, and what was published about it."""
    return {
        "id": recipe.id,
        "title": recipe.title,
        "summary": recipe.summary,
        "source": recipe.source,
        "experiment": recipe.experiment.model_dump(mode="json"),
        "published": {index: asdict(values) for index, values in recipe.published.items()},
        "contradictions": recipe.contradictions,
        "decisions": recipe.decisions,
    }


def experiment_document(meant: Experiment) -> dict[str, Any]:
    """Return what an experiment trains, phase by phase and layer by layer."""
    return {
        "experiment": meant.model_dump(mode="json"),
        "phases": [
            {
                "name": phase.name,
                "params": {
                    "total": network.total,
                    "trainable": network.trainable,
                    "non_trainable": network.non_trainable,
                },
                "layers": [
                    {
                        "name": layer.name,
                        "type": layer.layer.keras_type,
                        "block": layer.block,
                        "output_shape": layer.output_shape,
                        "params": layer.params,
                        "trainable": layer.trainable,
                    }
                    for layer in network.layers
                ],
            }
            for phase, network in zip(meant.phases, meant.networks, strict=True)
        ],
    }


def run_summary(found: Run) -> dict[str, Any]:
    """Return what a list of runs says of one."""
    return {
        "id": found.id,
        "run": found.id,
        "name": found.name,
        "state": found.state,
        "seed": found.seed,
        "created": found.created,
        "labels": labels(found),
        "metrics": found.metrics,
    }


def run_document(found: Run, history: Sequence[PhaseHistory]) -> dict[str, Any]:
    """Return everything about a run."""
    return run_summary(found) | {
        "person": found.person,
        "note": found.note,
        "tags": found.tags,
        "started": found.started,
        "finished": found.finished,
        "resumed": found.resumed,
        "reason": found.reason,
        "phases": [
            {
                "name": phase.name,
                "before": asdict(phase.before) if phase.before else None,
                "epochs": [asdict(epoch) for epoch in phase.epochs],
                "kept_epoch": phase.kept_epoch,
                "changes": [asdict(change) for change in phase.changes],
                "features": phase.features,
                "features_seconds": phase.features_seconds,
                "features_of_others": phase.features_of_others,
                "reused_from": phase.reused_from,
            }
            for phase in history
        ],
        "seconds": found.seconds,
        "environment": found.environment,
        "experiment": found.experiment.model_dump(mode="json"),
    }


def as_json(document: object, indent: int | None = None) -> str:
    """Return a document as JSON, which has no NaN: what is no number is null."""
    return json.dumps(_finite(document), indent=indent, default=str, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
