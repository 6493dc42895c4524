"""The file that a run's initial weights come from."""

import hashlib
from pathlib import Path

from cifar_core.data.weights import weights_file
from cifar_core.experiment.measured import MODEL, Run
from cifar_core.runs.store import Store
from cifar_core.training.initial_weights import WeightsError


def initial_weights_file(run: Run, store: Store) -> Path | None:
    """The file of a run's initial weights, where they come from one."""
    initial = run.experiment.initial_weights
    if initial.path is not None:
        return weights_file(initial.path)
    if initial.run is None:
        return None
    path = store.files.path(store.run(initial.run).id, MODEL)
    if not path.exists():
        raise WeightsError(
            f"The run {initial.run} has kept no model to start from. Choose a run that is done, or other initial "
            "weights."
        )
    return path


def file_hash(path: Path) -> str:
    """Return a hash of a file's content; of nothing where it cannot be read, which is told when it is needed."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
