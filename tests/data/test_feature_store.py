import contextlib
import errno
import json
import multiprocessing
import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cifar_core.data import feature_store
from cifar_core.data.errors import DataDamagedError, DataNotStoredError
from cifar_core.data.feature_store import Features, FeatureStore, Spec, Writer, allowed_size
from cifar_core.experiment.experiment import FeatureSize

SPECS = (Spec((20, 30), "float32"), Spec((400,), "float32"))
IMAGES = 10
BYTES = IMAGES * 4000


def key(number: int = 0) -> str:
    return f"{number:064x}"


def values(start: int = 0, count: int = IMAGES) -> list[NDArray[Any]]:
    numbers = np.arange(start, start + count, dtype=np.float32)
    return [np.broadcast_to(numbers.reshape(-1, *[1] * len(s.shape)), (count, *s.shape)).copy() for s in SPECS]


def store(folder: Path, budget: int = 1_000_000) -> FeatureStore:
    return FeatureStore(folder / "features", budget)


def fill(kept: FeatureStore, number: int = 0, label: str = "conv_1 of made images") -> None:
    with kept.writing(key(number), SPECS, IMAGES, label=label) as writer:
        assert writer is not None
        writer.put(values(count=6))
        writer.put(values(6, 4))


def opened(kept: FeatureStore, number: int = 0) -> Features:
    features = kept.open(key(number), SPECS, IMAGES)
    assert features is not None
    return features


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    fill(store(tmp_path))
    with opened(store(tmp_path)) as features:
        for array, expected in zip(features.arrays, values(), strict=True):
            assert isinstance(array, np.memmap)
            assert np.array_equal(array, expected)
        assert features.error == 0


def test_where_nothing_is_kept_there_is_nothing(tmp_path: Path) -> None:
    assert store(tmp_path).open(key(), SPECS, IMAGES) is None
    assert store(tmp_path).entries() == []
    assert store(tmp_path).clear() == 0


def test_features_are_there_when_they_are_complete_and_not_before(tmp_path: Path) -> None:
    kept = store(tmp_path)
    with kept.writing(key(), SPECS, IMAGES, label="") as writer:
        assert writer is not None
        writer.put(values())
        assert kept.open(key(), SPECS, IMAGES) is None
    opened(kept).close()


def test_an_interrupted_attempt_is_continued(tmp_path: Path) -> None:
    kept = store(tmp_path)
    with pytest.raises(KeyboardInterrupt), kept.writing(key(), SPECS, IMAGES, label="") as writer:
        assert writer is not None
        writer.put(values(count=7))
        raise KeyboardInterrupt
    with kept.writing(key(), SPECS, IMAGES, label="") as writer:
        assert writer is not None
        assert writer.done == 7
        writer.put(values(7, 3))
    with opened(kept) as features:
        assert np.array_equal(features.arrays[1], values()[1])


def test_what_a_crash_left_shorter_than_marked_is_begun_again(tmp_path: Path) -> None:
    kept = store(tmp_path)
    with kept.writing(key(), SPECS, IMAGES, label="") as writer:
        assert writer is not None
        writer.put(values(count=7))
    (array,) = (tmp_path / "features").glob("unfinished-*/1.npy")
    os.truncate(array, 8000)
    with kept.writing(key(), SPECS, IMAGES, label="") as writer:
        assert writer is not None
        assert writer.done == 0


def test_another_plan_under_the_same_key_begins_again(tmp_path: Path) -> None:
    kept = store(tmp_path)
    with kept.writing(key(), SPECS, IMAGES, label="") as writer:
        assert writer is not None
        writer.put(values(count=7))
    with kept.writing(key(), SPECS, IMAGES + 1, label="") as writer:
        assert writer is not None
        assert writer.done == 0


def _truncate(folder: Path) -> None:
    os.truncate(folder / "0.npy", 300)


def _overwrite(folder: Path) -> None:
    with (folder / "1.npy").open("r+b") as file:
        file.seek(-8, os.SEEK_END)
        file.write(b"\0" * 8)


def _forget(folder: Path) -> None:
    (folder / "about.json").unlink()


def _garble(folder: Path) -> None:
    (folder / "about.json").write_text("{")


def _age(folder: Path) -> None:
    about = json.loads((folder / "about.json").read_text())
    (folder / "about.json").write_text(json.dumps(about | {"format": 0}))


@pytest.mark.parametrize("damage", [_truncate, _overwrite, _forget, _garble, _age])
def test_damage_is_noticed_and_repaired_by_writing_again(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    kept = store(tmp_path)
    fill(kept)
    damage(tmp_path / "features" / key())
    with pytest.raises(DataDamagedError, match="computed again"):
        kept.open(key(), SPECS, IMAGES)
    fill(kept)
    opened(kept).close()


def test_what_another_process_has_written_is_not_written_again(tmp_path: Path) -> None:
    fill(store(tmp_path))
    with store(tmp_path).writing(key(), SPECS, IMAGES, label="") as writer:
        assert writer is None


def test_only_one_writes_and_the_other_can_stop_waiting(tmp_path: Path) -> None:
    answers = iter([False, False, False, True, True])
    with (
        store(tmp_path).writing(key(), SPECS, IMAGES, label=""),
        store(tmp_path).writing(key(), SPECS, IMAGES, label="", should_stop=lambda: next(answers)) as second,
    ):
        assert second is None


def test_the_least_recently_used_gives_way(tmp_path: Path) -> None:
    kept = store(tmp_path, budget=3 * BYTES)
    for number in (0, 1):
        fill(kept, number)
        os.utime(tmp_path / "features" / key(number), (number, number))
    opened(kept, 0).close()
    fill(kept, 2)
    assert [entry.key for entry in kept.entries()] == [key(2), key(0)]


def test_what_is_in_use_stays_when_room_is_needed_and_when_all_is_cleared(tmp_path: Path) -> None:
    kept = store(tmp_path, budget=3 * BYTES)
    fill(kept, 0)
    with opened(kept, 0) as used:
        fill(kept, 1)
        fill(kept, 2)
        assert {entry.key: entry.in_use for entry in kept.entries()} == {key(0): True, key(2): False}
        kept.clear()
        assert np.array_equal(used.arrays[0], values()[0])
    assert [entry.key for entry in kept.entries()] == [key(0)]
    kept.clear()
    assert kept.entries() == []


def _hold(folder: Path, held: Any, over: Any) -> None:
    features = opened(store(folder))
    held.set()
    over.wait()
    features.close()


def test_features_used_by_another_process_are_not_removed_unless_it_died(tmp_path: Path) -> None:
    fill(store(tmp_path))
    context = multiprocessing.get_context("spawn")
    held, over = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(tmp_path, held, over))
    process.start()
    assert held.wait(60)
    assert store(tmp_path).clear() == 0
    process.kill()
    process.join()
    assert store(tmp_path).clear() > 0


def test_more_than_the_budget_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(DataNotStoredError, match="may take"):
        fill(store(tmp_path, budget=BYTES - 1))


def test_what_another_run_is_going_to_write_counts_at_its_full_size(tmp_path: Path) -> None:
    kept = store(tmp_path, budget=BYTES * 3 // 2)
    with kept.writing(key(0), SPECS, IMAGES, label="") as first:
        assert first is not None
        first.put(values(count=1))
        assert {entry.key: entry.coming for entry in kept.entries()}[key(0)] > BYTES // 2
        with pytest.raises(DataNotStoredError, match="in use by other runs"):
            fill(kept, 1)
    assert [(entry.key, entry.coming) for entry in kept.entries()] == [(key(0), 0)]  # nobody writes it any more
    fill(kept, 1)


def test_the_disk_must_hold_what_another_run_is_going_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(0, 0, BYTES * 3 // 2))
    kept = store(tmp_path)
    with kept.writing(key(0), SPECS, IMAGES, label=""), pytest.raises(DataNotStoredError, match="other runs are writ"):
        fill(kept, 1)


def test_two_runs_at_the_same_moment_do_not_both_get_the_last_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_room, both_have_looked = FeatureStore._make_room, threading.Barrier(2)

    def and_let_the_other_look(self: FeatureStore, *asked: Any) -> None:
        make_room(self, *asked)
        with contextlib.suppress(threading.BrokenBarrierError):
            both_have_looked.wait(0.3)

    def attempt(number: int) -> bool:
        try:
            with store(tmp_path, budget=BYTES * 3 // 2).writing(key(number), SPECS, IMAGES, label=""):
                both_are_done.wait(30)
        except DataNotStoredError:
            both_are_done.wait(30)
            return False
        return True

    both_are_done = threading.Barrier(2)
    monkeypatch.setattr(FeatureStore, "_make_room", and_let_the_other_look)
    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(attempt, (0, 1))) == [False, True]


def test_what_was_begun_needs_only_room_for_its_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = store(tmp_path)
    with kept.writing(key(), SPECS, IMAGES, label="") as writer:
        assert writer is not None
        writer.put(values(count=8))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(0, 0, BYTES // 2))
    with kept.writing(key(), SPECS, IMAGES, label="") as writer:
        assert writer is not None and writer.done == 8


def test_a_disk_without_room_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 90, 10))
    with pytest.raises(DataNotStoredError, match="are free"):
        fill(store(tmp_path))


def test_a_disk_that_fills_up_is_told_in_words_and_gets_back_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    kept = store(tmp_path)
    with (
        monkeypatch.context() as patched,
        pytest.raises(DataNotStoredError, match="No space left"),
        kept.writing(key(), SPECS, IMAGES, label="") as writer,
    ):
        assert writer is not None
        writer.put(values(count=5))
        patched.setattr(Writer, "put", full)
        writer.put(values(5, 5))
    assert kept.entries() == []
    with kept.writing(key(), SPECS, IMAGES, label="") as writer:
        assert writer is not None
        assert writer.done == 0


def test_what_is_written_is_marked_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_store, "SECONDS_BETWEEN_MARKS", -1.0)
    kept = store(tmp_path)
    with kept.writing(key(), SPECS, IMAGES, label="") as writer:
        assert writer is not None
        writer.put(values(count=5))
        (mark,) = (tmp_path / "features").glob("unfinished-*/mark.json")
        assert json.loads(mark.read_text())["done"] == 5


def test_half_size_says_what_it_cost(tmp_path: Path) -> None:
    numbers = np.linspace(-3, 3, 40, dtype=np.float32).reshape(10, 4)
    kept, specs = store(tmp_path), (Spec((4,), "float16"),)
    with kept.writing(key(), specs, 10, label="") as writer:
        assert writer is not None
        writer.put([numbers[:5]])
    with kept.writing(key(), specs, 10, label="") as writer:
        assert writer is not None
        writer.put([np.zeros((5, 4), np.float32)])
    features = kept.open(key(), specs, 10)
    assert features is not None
    with features:
        assert features.arrays[0].dtype == np.float16
        assert 0 < features.error <= 2**-11
        assert np.abs(features.arrays[0][:5] / numbers[:5] - 1).max() == pytest.approx(features.error, rel=1e-2)


def test_values_too_large_for_half_size_are_refused_in_words(tmp_path: Path) -> None:
    with store(tmp_path).writing(key(), (Spec((1,), "float16"),), 1, label="") as writer:
        assert writer is not None
        with pytest.raises(DataNotStoredError, match="full size"):
            writer.put([np.full((1, 1), 1e5, np.float32)])


@pytest.mark.parametrize(
    ("most", "wanted", "kept"),
    [
        (None, "full", "full"),
        (None, "half", "half"),
        (None, "off", "off"),
        ("full", "half", "half"),
        ("half", "full", "half"),
        ("half", "off", "off"),
        ("off", "full", "off"),
    ],
)
def test_a_computer_may_keep_less_than_an_experiment_wants_and_never_more(
    most: str | None, wanted: FeatureSize, kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if most is not None:
        monkeypatch.setenv(feature_store.KEPT, most)
    found = feature_store.feature_store(tmp_path, wanted)
    assert ("off" if found is None else "half" if found.half else "full") == kept == allowed_size(wanted)


def test_a_size_that_is_none_is_refused_with_those_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(feature_store.KEPT, "quarter")
    with pytest.raises(DataNotStoredError, match='TRANSFER_LAB_FEATURES: expected full, half or off, received "quar'):
        allowed_size()


def test_other_shapes_than_announced_are_refused(tmp_path: Path) -> None:
    with store(tmp_path).writing(key(), SPECS, IMAGES, label="") as writer:
        assert writer is not None
        with pytest.raises(ValueError, match="Expected features of shape"):
            writer.put([array[:, :1] for array in values()])


def test_a_list_says_what_everything_is_of_and_how_large(tmp_path: Path) -> None:
    kept = store(tmp_path)
    fill(kept, 0, label="pool_1 of CIFAR-10")
    with kept.writing(key(1), SPECS, IMAGES, label="unfinished"):
        pass
    (tmp_path / "features" / "something else").mkdir()
    entries = {entry.label: entry for entry in kept.entries()}
    assert entries.keys() == {"pool_1 of CIFAR-10", "unfinished"}
    whole = entries["pool_1 of CIFAR-10"]
    assert BYTES < whole.bytes < BYTES + 2000
    assert (whole.complete, whole.in_use) == (True, False)
    assert not entries["unfinished"].complete
    kept.clear()
    assert kept.entries() == []
