"""What ends a run or answers a question in words, and the log for all else."""

import contextlib
import errno
import sys
import textwrap

from cifar_core import limits
from cifar_core.analysis.predictions import PredictionsError
from cifar_core.data.errors import DataError
from cifar_core.runs.errors import StoreError
from cifar_core.training.callbacks import TrainingDivergedError
from cifar_core.training.checkpoint import CheckpointError
from cifar_core.training.initial_weights import WeightsError
from cifar_core.training.kept import NoNetworkError
from cifar_core.training.proof import FrozenLayerMovedError

EXPLAINED = (
    DataError,
    PredictionsError,
    TrainingDivergedError,
    FrozenLayerMovedError,
    WeightsError,
    CheckpointError,
    StoreError,
    NoNetworkError,
    limits.LimitError,
)
"""Errors whose words are for people."""
MOST_OF_AN_ERROR = 300


def in_words(error: BaseException) -> str:
    """Say what ended a run; of what nobody expected, only the log can say more."""
    if _is_about_room(error):
        return "The disk is full. Delete old runs, or free room otherwise; then this run can go on."
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return "The machine ran out of memory. Try a smaller batch, fewer images or a smaller network."
    first_line = str(error).strip().partition("\n")[0].rstrip(".: ")
    said = textwrap.shorten(f"{type(error).__name__}: {first_line}", MOST_OF_AN_ERROR, placeholder=" …")
    return f"Something unexpected went wrong ({said}). The run's log says where."


def _is_about_room(error: BaseException | None) -> bool:
    """Whether a full disk or quota is behind an error; what closes a file then often complains about something else."""
    while error is not None and getattr(error, "errno", None) not in (errno.ENOSPC, errno.EDQUOT):
        error = error.__cause__ or error.__context__
    return error is not None


def log(words: str) -> None:
    """Add words to the run's log; a disk that takes none does not end a run."""
    with contextlib.suppress(OSError):
        print(words, file=sys.stderr, flush=True)
