"""The file that an epoch is appended to, and what is read from it."""

from pathlib import Path

import numpy as np
import pytest

from cifar_core.analysis.moments import append, cut, read
from cifar_core.experiment.measured import Moment


def write(path: Path, *moments: tuple[int, int], outputs: int = 3, n: int = 6) -> None:
    for phase, epoch in moments:
        random = np.random.default_rng(10 * phase + epoch)
        probabilities = random.dirichlet(np.ones(outputs), n).astype(np.float32)
        append(path, Moment(phase, epoch, np.arange(n) + 40_000, (np.arange(n) % 2).astype(np.int32), probabilities))


def keys(path: Path) -> list[tuple[int, int]]:
    return [(moment.phase, moment.epoch) for moment in read(path)]


def test_what_is_appended_is_read_back_in_half_precision(tmp_path: Path) -> None:
    path = tmp_path / "epochs.npy"
    probabilities = np.array([[0.9, 0.1], [0.25, 0.75]], np.float32)
    append(path, Moment(1, 3, np.array([70_000, 2]), np.array([1, 0], np.int32), probabilities))
    (moment,) = read(path)
    assert (moment.phase, moment.epoch, moment.images.tolist(), moment.labels.tolist()) == (1, 3, [70_000, 2], [1, 0])
    assert moment.probabilities.dtype == np.float16
    assert moment.probabilities == pytest.approx(probabilities, abs=1e-3)


def test_moments_are_in_order_and_the_last_of_two_counts(tmp_path: Path) -> None:
    path = tmp_path / "epochs.npy"
    write(path, (0, 0), (1, 1), (0, 1))
    append(path, Moment(1, 1, np.arange(2), np.zeros(2, np.int32), np.full((2, 3), 0.5, np.float32)))
    assert keys(path) == [(0, 0), (0, 1), (1, 1)]
    assert (read(path)[-1].probabilities == 0.5).all()


@pytest.mark.parametrize(
    ("to", "left"),
    [
        ((0, 0), []),
        ((0, 1), [(0, 0), (0, 1)]),
        ((1, 0), [(0, 0), (0, 1), (0, 2)]),
        ((1, 2), [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]),
    ],
)
def test_a_file_is_cut_behind_an_epoch(tmp_path: Path, to: tuple[int, int], left: list[tuple[int, int]]) -> None:
    path = tmp_path / "epochs.npy"
    write(path, (0, 0), (0, 1), (0, 2), (1, 0), (1, 1))
    cut(path, *to)
    assert keys(path) == left
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("lost", [1, 50, 200])
def test_what_a_crash_cut_off_is_left_out_and_appending_goes_on_after_a_cut(tmp_path: Path, lost: int) -> None:
    path = tmp_path / "epochs.npy"
    write(path, (0, 0), (0, 1))
    path.write_bytes(path.read_bytes()[:-lost])
    assert keys(path) == [(0, 0)]
    cut(path, 0, 1)
    write(path, (0, 1), (0, 2))
    assert keys(path) == [(0, 0), (0, 1), (0, 2)]


@pytest.mark.parametrize("content", [b"", b"nothing of ours", b"PK\x03\x04", b"\x80\x04."])
def test_a_file_of_something_else_has_no_moments(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "epochs.npy").write_bytes(content)
    np.save(tmp_path / "other.npy", np.zeros(3))
    assert read(tmp_path / "epochs.npy") == read(tmp_path / "other.npy") == read(tmp_path / "none.npy") == ()
    cut(tmp_path / "none.npy", 0, 0)
    assert not (tmp_path / "none.npy").exists()
