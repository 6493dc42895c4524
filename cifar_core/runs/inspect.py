"""Ask a worker process for what a page shows but only TensorFlow can compute. It is no run and leaves nothing behind.

A question is one line of JSON, as a run is: {"inspect": what, "home", "result", …}; the answer is a file of arrays at
`result`, with "error" alone in it where the reason can be told in words. It takes as long as importing TensorFlow.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cifar_core.experiment.experiment import Experiment
from cifar_core.runs.processes import WORKER_COMMAND, Worker, describe_exit

SECONDS = 90.0


class InspectionFailed(Exception):  # noqa: N818 - says what has happened
    """There is no answer; `str(error)` says why, for a person."""


@dataclass(frozen=True, eq=False)
class Augmented:
    """The first training image of each class of a phase, uint8 (classes, height, width, 3), and beside it what the
    phase's augmentation makes of it, uint8 (classes, copies, height, width, 3)."""

    images: NDArray[np.uint8]
    changed: NDArray[np.uint8]


def augmented(
    home: Path,
    experiment: Experiment,
    phase: int,
    seed: int,
    *,
    seconds: float = SECONDS,
    command: Sequence[str] = WORKER_COMMAND,
) -> Augmented:
    """Return examples of a phase's augmentation. To be called from a button: it takes several seconds.

    Raises:
        InspectionFailed: where the images cannot be read, or the process failed or took longer than `seconds`.
    """
    question = {"experiment": experiment.to_json(), "phase": phase, "seed": seed}
    answer = _ask("augmentation", home, question, seconds, command)
    return Augmented(answer["images"], answer["changed"])


def _ask(
    what: str, home: Path, question: dict[str, Any], seconds: float, command: Sequence[str]
) -> dict[str, NDArray[Any]]:
    with tempfile.TemporaryDirectory(prefix="transfer-lab-") as folder:
        result = Path(folder) / "answer.npz"
        try:
            worker = Worker(Path(folder) / "log.txt", command)
        except OSError as error:
            raise InspectionFailed(f"The process that was to show this could not be started: {error}.") from error
        try:
            worker.give({"inspect": what, "home": str(home), "result": str(result), **question})
            if not worker.wait(seconds):
                raise InspectionFailed(f"This took longer than {seconds:.0f} s, and was given up. Try again.")
            if not result.exists():
                how = describe_exit(worker.exit_code() or 0)
                raise InspectionFailed(
                    f"The process that was to show this {how}. Its last words:\n\n{worker.log_end()}"
                )
        finally:
            worker.end(0)
        with np.load(result) as file:
            answer = dict(file)
    if "error" in answer:
        raise InspectionFailed(str(answer["error"]))
    return answer
