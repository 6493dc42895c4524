"""What a network made of a few validation images after each epoch of its training: a file of the run.

Every epoch appends a table to it (NumPy's own format, one behind the other): a row per image, one of each class before
a second of any, with the image's place in its split, its label and the probabilities in half precision.
"""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np

from cifar_core.data.files import replacing
from cifar_core.experiment.measured import Moment

FILE = "epochs.npy"
"""The file, among a run's artifacts."""


def append(path: Path, moment: Moment) -> None:
    """Add a moment to a file, in one write. One that is there already is replaced by it: the last counts.

    Raises:
        OSError: as the file system says.
    """
    with path.open("ab") as file:
        file.write(_table(moment))


def cut(path: Path, phase: int, epoch: int) -> None:
    """Forget what was measured behind an epoch of a phase, all of the phase for epoch 0, and what a crash cut off.

    Raises:
        OSError: as the file system says.
    """
    kept = [each for each in read(path) if each.phase < phase or (each.phase == phase and each.epoch <= epoch > 0)]
    if path.exists():
        with replacing(path) as part:
            part.write_bytes(b"".join(map(_table, kept)))


def read(path: Path) -> tuple[Moment, ...]:
    """Return the moments in a file, in order; none where there is no file. A damaged end is left out."""
    found = {}
    if path.exists():
        with path.open("rb") as file:
            found = {(each.phase, each.epoch): each for each in _moments(file)}
    return tuple(found[key] for key in sorted(found))


def _table(moment: Moment) -> bytes:
    columns = [("phase", "<i2"), ("epoch", "<i4"), ("image", "<i4"), ("label", "<i2")]
    table = np.zeros(len(moment.images), [*columns, ("probabilities", "<f2", moment.probabilities.shape[1:])])
    values = (moment.phase, moment.epoch, moment.images, moment.labels, moment.probabilities)
    for column, each in zip(table.dtype.names or (), values, strict=True):
        table[column] = each
    file = BytesIO()
    np.save(file, table, allow_pickle=False)
    return file.getvalue()


def _moments(file: BinaryIO) -> Iterator[Moment]:
    while True:
        try:
            table = np.lib.format.read_array(file, allow_pickle=False)
            if not len(table) or table["probabilities"].ndim != 2:
                return
            yield Moment(
                int(table["phase"][0]),
                int(table["epoch"][0]),
                table["image"].astype(np.int64),
                table["label"].astype(np.int64),
                table["probabilities"],
            )
        except (ValueError, IndexError):  # the end, or what a crash left of one
            return
