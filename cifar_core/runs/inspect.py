"""Ask a worker process for what a page shows but only TensorFlow can compute.

It is no run, and leaves nothing behind but what is kept with the run that was asked about.

A question is one line of JSON, as a run is: {"inspect": what, "home", "result", …}; the answer is a file of arrays at
`result`, with "error" alone in it where the reason can be told in words. It takes as long as importing TensorFlow.
"""

import base64
import contextlib
import hashlib
import json
import math
import tempfile
import threading
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from cifar_core.data.files import replacing
from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.measured import MODEL, StepCosts
from cifar_core.runs.processes import WORKER_COMMAND, Worker, describe_exit
from cifar_core.runs.store import Store

SECONDS = 90.0
QUESTIONS_AT_ONCE = 1
"""So many processes with TensorFlow may there be beside the runs, however many people ask."""
INSIDE = "inside.npz"
"""The file in a run's folder that keeps what was found inside its network."""
INSIDE_FORM = 2
"""Which form of `Inside` the file is in; in another one, it is computed anew. Until 2, "before" was one phase ago."""
STEP_COSTS = "step_costs_2.json"
"""The file in a run's folder that keeps what steps of its last phase cost. Until 2, no update was compiled for it."""


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
        InspectionFailed: where the images cannot be read, the process failed or took longer than `seconds`, or others
            asked for as long.
    """
    question = {"experiment": experiment.to_json(), "phase": phase, "seed": seed}
    answer = _ask("augmentation", home, question, seconds, command)
    return Augmented(answer["images"], answer["changed"])


@dataclass(frozen=True, eq=False)
class Inside:
    """What is in a run's network, as `cifar_core.training.inside.inside` describes it, None where it has none.

    What ends in `_before` is of the network before any phase on target classes: as the source classes left it, or with
    its initial weights. `no_before` says why there is no such network, "" where there is. `images` (n,) are the numbers
    of the test images behind the points, `labels` (n,) their outputs, named by `class_names`.
    """

    no_before: NDArray[np.str_]
    images: NDArray[np.int64]
    labels: NDArray[np.int64]
    class_names: NDArray[np.str_]
    points: NDArray[np.float32]
    explained: NDArray[np.float32]
    points_before: NDArray[np.float32] | None = None
    explained_before: NDArray[np.float32] | None = None
    layer: NDArray[np.str_] | None = None
    filters: NDArray[np.float32] | None = None
    filters_before: NDArray[np.float32] | None = None
    blocks: NDArray[np.str_] | None = None
    blocks_before: NDArray[np.str_] | None = None
    cka: NDArray[np.float64] | None = None
    compared: NDArray[np.int64] | None = None


def kept_inside(store: Store, run: str) -> Inside | None:
    """Return what was found in a run's network before, or None where nobody asked yet, or it has trained since.

    An answer that was kept in an older form is none.
    """
    path, trained = store.files.folder(run) / INSIDE, store.files.written(run, MODEL)
    try:
        if trained is None or path.stat().st_mtime < trained:
            return None
        answer: dict[str, Any] = _arrays(path)
        return Inside(**answer) if answer.pop("form", 0) == INSIDE_FORM else None
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile):
        return None  # to be asked again


def inside(home: Path, run: str, *, seconds: float = 4 * SECONDS, command: Sequence[str] = WORKER_COMMAND) -> Inside:
    """Find out what is in a run's network, and keep it with the run. To be called from a button: it takes seconds.

    Raises:
        InspectionFailed: where the run has no network or its images are gone, and as `augmented`.
    """
    answer: dict[str, Any] = _ask("inside", home, {"run": run}, seconds, command)
    path = home / "runs" / run / INSIDE
    with contextlib.suppress(OSError), replacing(path) as part:  # it is shown, even if it cannot be kept
        np.savez(part, form=INSIDE_FORM, **answer)
    return Inside(**answer)


@dataclass(frozen=True, eq=False)
class Look:
    """What a run's network makes of one image, as `cifar_core.training.inside.look` describes it.

    `maps` are by block; `class_names` are those of all outputs.
    """

    class_names: tuple[str, ...]
    probabilities: NDArray[np.float32]
    explained: NDArray[np.int64]
    heat: NDArray[np.float32]
    layer: str
    maps: dict[str, NDArray[np.uint8]]


def look(
    home: Path,
    images: Mapping[str, NDArray[np.uint8]],
    *,
    seconds: float = SECONDS,
    command: Sequence[str] = WORKER_COMMAND,
) -> dict[str, Look]:
    """Show an image to the networks of runs: by run, as that run's images are, uint8 (height, width, 3).

    Raises:
        InspectionFailed: where a run has no network, and as `augmented`.
    """
    pixels = [base64.b64encode(np.ascontiguousarray(image).tobytes()).decode() for image in images.values()]
    answer = _ask("look", home, {"runs": list(images), "images": pixels}, seconds, command)
    return {run: _look(answer, f"{place}/") for place, run in enumerate(images)}


def step_costs(
    home: Path, run: str, *, seconds: float = 4 * SECONDS, command: Sequence[str] = WORKER_COMMAND
) -> StepCosts:
    """Measure what steps of a run's last phase cost the ordinary way, and keep it with the run: for a button.

    Raises:
        InspectionFailed: where the run has no network or its images are gone, and as `augmented`.
    """
    answer = _ask("step costs", home, {"run": run}, seconds, command)
    found = StepCosts(**{name: each.item() for name, each in answer.items()})
    _keep(home / "runs" / run / STEP_COSTS, found)
    return found


def kept_step_costs(home: Path, run: str) -> StepCosts | None:
    """Return what was measured of a run's steps before, or None."""
    return _kept(StepCosts, home / "runs" / run / STEP_COSTS)


@dataclass(frozen=True)
class Guess:
    """What a starting network promises for target classes: see `cifar_core.analysis.transferability`.

    LogME on `images` images with so many `features` each took so many `seconds`, the features included. `leep` is NaN
    where the network's own output layer is not there. `error` says why there is nothing.
    """

    logme: float = math.nan
    leep: float = math.nan
    images: int = 0
    features: int = 0
    seconds: float = math.nan
    error: str = ""


Start = tuple[str, str]
"""A starting network: ("run", its id) or ("imagenet", the backbone)."""


def guesses(
    home: Path,
    experiment: Experiment,
    fingerprint: str,
    layer: str,
    starts: Sequence[Start],
    *,
    seconds: float = 4 * SECONDS,
    command: Sequence[str] = WORKER_COMMAND,
) -> dict[Start, Guess]:
    """Guess how well networks transfer to an experiment's target classes by what reaches `layer`, and keep that.

    `fingerprint` is that of the experiment's images. To be called from a button: it takes seconds for each.

    Raises:
        InspectionFailed: as `augmented`.
    """
    question = {"experiment": experiment.to_json(), "layer": layer, "starts": [list(start) for start in starts]}
    answer = _ask("guess", home, question, seconds, command)
    with contextlib.suppress(OSError):
        (home / "guesses").mkdir(parents=True, exist_ok=True)
    found = {}
    for place, start in enumerate(starts):
        own = {name.removeprefix(f"{place}/"): each for name, each in answer.items() if name.startswith(f"{place}/")}
        found[start] = Guess(**{name: each.item() for name, each in own.items()})
        if not found[start].error:
            _keep(_guess_path(home, experiment, fingerprint, layer, start), found[start])
    return found


def kept_guesses(
    home: Path, experiment: Experiment, fingerprint: str, layer: str, starts: Sequence[Start]
) -> dict[Start, Guess]:
    """Return those of `guesses` that were made before."""
    kept = {start: _kept(Guess, _guess_path(home, experiment, fingerprint, layer, start)) for start in starts}
    return {start: guess for start, guess in kept.items() if guess is not None}


def _guess_path(home: Path, experiment: Experiment, fingerprint: str, layer: str, start: Start) -> Path:
    """The file for a guess, named by all that decides it."""
    decides = [start, layer, fingerprint, experiment.data.per_class, sorted(experiment.split.target)]
    return home / "guesses" / f"{hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:32]}.json"


def _keep(path: Path, found: Guess | StepCosts) -> None:
    with contextlib.suppress(OSError):  # it is shown, even if it cannot be kept
        path.write_text(json.dumps(asdict(found)), encoding="utf-8")


_Found = TypeVar("_Found", Guess, StepCosts)


def _kept(kind: type[_Found], path: Path) -> _Found | None:
    try:
        return kind(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None  # to be asked again


def _look(answer: dict[str, NDArray[Any]], prefix: str) -> Look:
    own = {name.removeprefix(prefix): array for name, array in answer.items() if name.startswith(prefix)}
    return Look(
        class_names=tuple(own["class_names"].tolist()),
        probabilities=own["probabilities"],
        explained=own["explained"],
        heat=own["heat"],
        layer=str(own["layer"]),
        maps={name.removeprefix("maps/"): array for name, array in own.items() if name.startswith("maps/")},
    )


_turns = threading.BoundedSemaphore(QUESTIONS_AT_ONCE)


def _ask(
    what: str, home: Path, question: dict[str, Any], seconds: float, command: Sequence[str]
) -> dict[str, NDArray[Any]]:
    """Ask a process of its own, when it is this question's turn."""
    if not _turns.acquire(timeout=seconds):
        raise InspectionFailed(f"Others are asking: in {seconds:.0f} s it was not your turn. Try again in a moment.")
    with ExitStack() as held:
        held.callback(_turns.release)
        try:
            folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="transfer-lab-")))
            worker, result = Worker(folder / "log.txt", command), folder / "answer.npz"
        except OSError as error:
            raise InspectionFailed(f"The process that was to show this could not be started: {error}.") from error
        try:
            worker.give({"inspect": what, "home": str(home), "result": str(result), **question})
            if not worker.wait(seconds):
                raise InspectionFailed(f"This took longer than {seconds:.0f} s, and was given up. Try again.")
            if worker.exit_code() or not result.exists():
                how = describe_exit(worker.exit_code() or 0)
                raise InspectionFailed(
                    f"The process that was to show this {how}. Its last words:\n\n{worker.log_end()}"
                )
        finally:
            worker.end(0)
        answer = _arrays(result)
    if "error" in answer:
        raise InspectionFailed(str(answer["error"]))
    return answer


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)
