"""When two experiments begin alike: what decides the state of a network at the end of a phase."""

import json
from functools import lru_cache
from itertools import takewhile
from typing import Any

from cifar_core.experiment.experiment import Experiment, Freeze


def beginning(experiment: Experiment, phase: int) -> dict[str, Any]:
    """Return, as plain data, what of an experiment decides everything up to the end of a phase (from 0).

    Not where the images lie, what phases are called, or classes that no phase until then trains on; nor how features
    are kept, as long as no layer is frozen.
    """
    plain = experiment.model_dump(mode="json")
    plain["phases"] = plain["phases"][: phase + 1]
    used = {settings["train_on"] for settings in plain["phases"]}
    plain["split"] = {side: classes for side, classes in plain["split"].items() if side in used}
    for settings in plain["phases"]:
        del settings["name"]
    del plain["data"]["location"]
    if all(settings.freeze == Freeze() for settings in experiment.phases[: phase + 1]):
        del plain["features"]
    return plain


@lru_cache(maxsize=4096)
def fingerprint(experiment: Experiment, phases: int | None = None) -> str:
    """Return what decides all that an experiment trains, or its first phases, as text: equal for the same training."""
    count = len(experiment.phases) if phases is None else phases
    return json.dumps(beginning(experiment, count - 1), sort_keys=True)


def source_phases(experiment: Experiment) -> int:
    """Return how many phases on source classes an experiment begins with."""
    return len(list(takewhile(lambda phase: phase.train_on == "source", experiment.phases)))
