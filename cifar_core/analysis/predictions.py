"""What a run's final model predicted: kept with the run, so that metrics invented later reach old runs."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cifar_core.data.files import replacing


class PredictionsError(ValueError):
    """Predictions that cannot be: the message says what is wrong, and with which file."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """The probabilities a network gave to n ≥ 1 images of one split.

    `probabilities` is float32 (n, outputs); `labels` is int64 (n,), the true classes as output indices; `images` is
    int64 (n,), the place of each image in its split; `class_names` names the outputs.
    """

    probabilities: NDArray[np.float32]
    labels: NDArray[np.int64]
    images: NDArray[np.int64]
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        for name, dtype in (("probabilities", np.float32), ("labels", np.int64), ("images", np.int64)):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=dtype))
        object.__setattr__(self, "class_names", tuple(str(name) for name in self.class_names))
        outputs = len(self.class_names)
        if self.probabilities.ndim != 2 or self.probabilities.shape[1] != outputs or not len(self.probabilities):
            raise PredictionsError(
                f"probabilities: expected at least one row of {outputs} values (one per class name), received the "
                f"shape {self.probabilities.shape}."
            )
        for name in ("labels", "images"):
            if getattr(self, name).shape != self.probabilities.shape[:1]:
                raise PredictionsError(
                    f"{name}: expected {len(self.probabilities)} of them, one per row of probabilities, received the "
                    f"shape {getattr(self, name).shape}."
                )
        if not np.isfinite(self.probabilities).all():
            raise PredictionsError("probabilities: some are not finite; the training diverged.")
        if self.labels.min() < 0 or self.labels.max() >= outputs:
            raise PredictionsError(f"labels: expected output indices from 0 to {outputs - 1}.")

    @property
    def n(self) -> int:
        """Number of images."""
        return len(self.labels)

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The most probable output of every image, (n,)."""
        return np.asarray(self.probabilities.argmax(axis=1), dtype=np.int64)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each image was told right, (n,)."""
        return np.equal(self.predicted, self.labels)

    def save(self, path: Path) -> None:
        """Write a .npz file in one step: a reader sees the old file, or all of the new one.

        Raises:
            OSError: as the file system says.
        """
        with replacing(path) as part, part.open("wb") as file:
            np.savez_compressed(
                file,
                probabilities=self.probabilities,
                labels=self.labels,
                images=self.images,
                class_names=np.array(self.class_names, dtype=np.str_),
            )


def load(path: Path) -> Predictions:
    """Read what `Predictions.save` wrote. Nothing in the file is executed (no pickle).

    Raises:
        PredictionsError: naming the file, when it is missing, damaged or something else.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays: dict[str, Any] = {name: file[name] for name in ("probabilities", "labels", "images", "class_names")}
        return Predictions(**arrays)
    except FileNotFoundError:
        raise PredictionsError(f"{path}: there are no predictions here; the run may have ended before.") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise PredictionsError(
            f"{path}: these predictions cannot be read ({error}); the other numbers of the run are not affected."
        ) from error
