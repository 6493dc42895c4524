"""Experiments changed field by field: the vocabulary of links (`?set=…`) and of the command line (`--set …`)."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.record import ExperimentError, shown


def apply(experiment: Experiment, assignments: Iterable[str]) -> Experiment:
    """Return the experiment with assignments such as `phases.1.epochs=3` or `split.source=0,1,2` made.

    Values are JSON; text that is not JSON is taken as it stands, and numbers with commas between them as a list.

    Raises:
        ExperimentError: for an assignment that is none, an unknown field, or a result that cannot be meant.
    """
    settings = experiment.model_dump(mode="json")
    for assignment in assignments:
        field, equals, value = assignment.partition("=")
        if not equals or not field.strip():
            raise ExperimentError(f"Expected field=value, such as phases.0.epochs=3; received {shown(assignment)}.")
        _assign(settings, field.strip().split("."), _value(value), field)
    return Experiment.parse(settings)


def differences(base: Experiment, other: Experiment) -> list[str]:
    """Return the assignments that `apply` needs to turn `base` into `other`."""
    return list(_differences("", base.model_dump(mode="json"), other.model_dump(mode="json")))


def changed(experiment: Experiment, **fields: Any) -> Experiment:
    """Return the experiment with other fields, checked anew.

    Raises:
        ExperimentError: when they do not fit together.
    """
    return Experiment.parse({name: getattr(experiment, name) for name in Experiment.model_fields} | fields)


def with_epochs(experiment: Experiment, epochs: int) -> Experiment:
    """Return the experiment with that many epochs in every phase, and schedules that fit into them.

    Raises:
        ExperimentError: when no phase can have that many.
    """
    return experiment.model_copy(update={"phases": tuple(phase.with_epochs(epochs) for phase in experiment.phases)})


SMOKE_PER_CLASS = 20
"""Images of each class in an experiment's smoke size."""


def smoke(experiment: Experiment) -> Experiment:
    """Return the experiment at its smoke size: every phase, one epoch each, on few images. Seconds, not minutes."""
    data = experiment.data.model_copy(update={"per_class": SMOKE_PER_CLASS})
    return with_epochs(experiment.model_copy(update={"data": data}), 1)


def _assign(settings: Any, path: list[str], value: object, field: str) -> None:
    *parents, last = path
    for depth, part in enumerate(parents):
        key = _key(settings, part, field)
        if isinstance(settings, dict) and settings.get(key) is None:
            settings[key] = {}
        settings = settings[key]
        if not isinstance(settings, dict | list):
            raise ExperimentError(f"{'.'.join(path[: depth + 1])} is a single value, so there is no field {field}.")
    settings[_key(settings, last, field)] = value


def _key(settings: Any, part: str, field: str) -> Any:
    if isinstance(settings, dict):
        return part
    if part not in map(str, range(len(settings))):
        raise ExperimentError(
            f"{field[:200]}: expected a number from 0 to {len(settings) - 1}, received {part[:80]}."
            if settings
            else f"{field[:200]}: the list is empty, so there is nothing in it to change."
        )
    return int(part)


def _value(text: str) -> object:
    for candidate in (text, f"[{text}]") if "," in text else (text,):
        try:
            return json.loads(candidate)
        except (ValueError, RecursionError):
            continue
    return text


def _differences(field: str, base: Any, other: Any) -> Iterator[str]:
    if base == other:
        return
    prefix = f"{field}." if field else ""
    if isinstance(base, dict) and isinstance(other, dict) and base.keys() == other.keys():
        for name in base:
            yield from _differences(prefix + name, base[name], other[name])
    elif _aligned(base) and _aligned(other) and len(base) == len(other):
        for index, (old, new) in enumerate(zip(base, other, strict=True)):
            yield from _differences(f"{prefix}{index}", old, new)
    else:
        plain = isinstance(other, str) and _value(other) == other
        yield f"{field}={other if plain else json.dumps(other, separators=(',', ':'))}"


def _aligned(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(entry, dict) for entry in value)
