import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from cifar_core.data import DataError, Images, catalogue, find_images, open_images, sources
from cifar_core.data.arrays import Writer
from cifar_core.data.catalogue import NOT_OFFICIAL, OFFICIAL, UNVERIFIED, images_now
from cifar_core.data.download import ARCHIVE, downloads
from cifar_core.data.errors import DataDamagedError, DataNotFoundError, DataNotStoredError
from cifar_core.data.sources import keras_cache
from cifar_core.experiment.datasets import DATASETS
from cifar_core.experiment.experiment import Data
from cifar_core.experiment.images_now import ImagesNow
from tests.data.conftest import REAL_CIFAR10, REAL_KERAS_CACHE, skip
from tests.data.makers import (
    NAMES,
    archive,
    binary_files,
    cifar10,
    expected_images,
    fill,
    labels,
    pickled,
    python_files,
)


def other_files() -> dict[str, bytes]:
    """A CIFAR-10 with other images in its last batch."""
    return {**python_files(), "test_batch": pickled(7, 4)}


def conversions(home: Path) -> list[Path]:
    return sorted((home / "data").glob("cifar10-*"))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The sources that were read, in order."""
    read, seen = sources.read, []

    def watched(source: sources.Source, *rest: Any) -> Any:
        seen.append(source.path)
        return read(source, *rest)

    monkeypatch.setattr(catalogue, "read", watched)
    return seen


@pytest.mark.parametrize("form", ["python", "binary", "python archive", "binary archive"])
def test_every_official_form_opens_to_the_same_arrays(tmp_path: Path, home: Path, form: str) -> None:
    files = binary_files() if "binary" in form else python_files()
    place = archive(tmp_path / "a", files) if "archive" in form else fill(tmp_path / "a", files)
    images = open_images(cifar10(place), home=home)
    assert images.dataset is DATASETS["cifar10"]
    np.testing.assert_array_equal(images.train_images, np.concatenate([expected_images(n) for n in range(5)]))
    np.testing.assert_array_equal(images.test_images, expected_images(5))
    assert images.train_labels.tolist() == [label for n in range(5) for label in labels(n)]
    assert images.test_labels.tolist() == labels(5)
    assert images.fingerprint == open_images(cifar10(fill(tmp_path / "b", python_files())), home=home).fingerprint
    assert len(conversions(home)) == 1


def test_images_are_mapped_and_nothing_can_be_written_to_them(tmp_path: Path, home: Path) -> None:
    images = open_images(cifar10(fill(tmp_path / "a", python_files())), home=home)
    assert isinstance(images.train_images, np.memmap)
    assert isinstance(images.test_images, np.memmap)
    for array in (images.train_images, images.test_images, images.train_labels, images.test_labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    assert images.train_labels.dtype == np.int64
    assert images.train_images.dtype == np.uint8


def test_a_second_opening_reads_only_what_was_converted(tmp_path: Path, home: Path, reads: list[Path]) -> None:
    place = fill(tmp_path / "a", python_files())
    first = open_images(cifar10(place), home=home)
    second = open_images(cifar10(str(place)), home=home)
    assert reads == [place]
    assert second.fingerprint == first.fingerprint


def test_a_source_that_changed_is_converted_again(tmp_path: Path, home: Path, reads: list[Path]) -> None:
    place = fill(tmp_path / "a", python_files())
    first = open_images(cifar10(place), home=home)
    fill(place, other_files())
    os.utime(place / "test_batch", (1, 1))
    second = open_images(cifar10(place), home=home)
    assert len(reads) == 2
    assert first.fingerprint != second.fingerprint
    np.testing.assert_array_equal(second.test_images, expected_images(7))
    np.testing.assert_array_equal(first.test_images, expected_images(5))


def test_two_copies_are_not_mixed_up(tmp_path: Path, home: Path) -> None:
    one, two = fill(tmp_path / "one", python_files()), fill(tmp_path / "two", other_files())
    opened = [open_images(cifar10(place), home=home).fingerprint for place in (one, two, one, two)]
    assert opened[:2] == opened[2:]
    assert opened[0] != opened[1]
    assert len(conversions(home)) == 2


def test_progress_ends_at_all_images(tmp_path: Path, home: Path) -> None:
    heard: list[tuple[int, int]] = []
    place = fill(tmp_path / "a", python_files())
    open_images(cifar10(place), home=home, progress=lambda done, total: heard.append((done, total)))
    assert heard == [(done, 60) for done in range(10, 61, 10)]


def test_provenance_tells_official_other_and_unverified_files_apart(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python, binary = fill(tmp_path / "p", python_files()), fill(tmp_path / "b", binary_files())
    assert open_images(cifar10(binary), home=tmp_path / "h").provenance == UNVERIFIED
    assert open_images(cifar10(python), home=home).provenance == NOT_OFFICIAL
    for name, content in python_files().items():
        monkeypatch.setitem(sources.PYTHON, name, hashlib.md5(content).hexdigest())
    official = open_images(cifar10(python), home=tmp_path / "other")
    assert (official.provenance, official.official) == (OFFICIAL, True)


def test_official_files_vouch_for_the_same_images_from_elsewhere(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = fill(tmp_path / "b", binary_files())
    assert not open_images(cifar10(binary), home=home).official
    for name, content in python_files().items():
        monkeypatch.setitem(sources.PYTHON, name, hashlib.md5(content).hexdigest())
    assert open_images(cifar10(fill(tmp_path / "p", python_files())), home=home).official
    assert open_images(cifar10(binary), home=home).provenance == OFFICIAL


def test_without_a_location_keras_comes_first_then_our_download_then_what_was_kept(tmp_path: Path, home: Path) -> None:
    named = open_images(cifar10(fill(tmp_path / "named", other_files())), home=home)
    assert open_images(cifar10(), home=home).fingerprint == named.fingerprint
    assert find_images(cifar10(), home=home) == conversions(home)[0]

    fetched = archive(downloads(home) / ARCHIVE, {**python_files(), "test_batch": pickled(8, 4)})
    assert find_images(cifar10(), home=home) == fetched
    np.testing.assert_array_equal(open_images(cifar10(), home=home).test_images, expected_images(8))

    cached = fill(keras_cache() / "cifar-10-batches-py-target" / "cifar-10-batches-py", python_files())
    assert find_images(cifar10(), home=home) == cached
    np.testing.assert_array_equal(open_images(cifar10(), home=home).test_images, expected_images(5))


def test_a_damaged_keras_cache_does_not_hide_a_good_download(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    fill(keras_cache() / "cifar-10-batches-py", dict(list(python_files().items())[:2]))
    archive(downloads(home) / ARCHIVE, python_files())
    assert find_images(cifar10(), home=home) == downloads(home) / ARCHIVE
    np.testing.assert_array_equal(open_images(cifar10(), home=home).test_images, expected_images(5))
    assert "only a part of CIFAR-10" in caplog.text


def test_a_damaged_keras_cache_alone_is_named(home: Path) -> None:
    fill(keras_cache() / "cifar-10-batches-py", dict(list(python_files().items())[:2]))
    assert find_images(cifar10(), home=home) is None
    with pytest.raises(DataDamagedError, match=r"data_batch_3, data_batch_4, data_batch_5, test_batch missing"):
        open_images(cifar10(), home=home)


def test_without_any_copy_a_sentence_says_what_to_do(home: Path) -> None:
    assert find_images(cifar10(), home=home) is None
    with pytest.raises(DataNotFoundError, match=r"not on this computer yet\. Start the download.*kriz/cifar\.html"):
        open_images(cifar10(), home=home)
    assert not home.exists()


def test_looking_for_a_named_place_converts_nothing(tmp_path: Path, home: Path) -> None:
    place = fill(tmp_path / "a" / "cifar-10-batches-py", python_files())
    assert find_images(cifar10(tmp_path / "a"), home=home) == place
    assert find_images(cifar10(tmp_path / "nowhere"), home=home) is None
    assert not home.exists()


def test_the_sample_takes_no_location(tmp_path: Path, home: Path) -> None:
    with pytest.raises(DataNotFoundError, match="takes no location"):
        open_images(Data(name="sample", location=str(tmp_path)), home=home)
    with pytest.raises(DataNotFoundError, match="No folder or archive was named"):
        open_images(cifar10(""), home=home)


@pytest.mark.parametrize("broken", NAMES)
def test_a_damaged_batch_leaves_nothing_behind(tmp_path: Path, home: Path, broken: str) -> None:
    place = fill(tmp_path / "a", {**python_files(), broken: b"damaged"})
    with pytest.raises(DataDamagedError, match=broken):
        open_images(cifar10(place), home=home)
    assert [path.name for path in (home / "data").iterdir()] == ["lock"]
    fill(place, python_files())
    assert len(open_images(cifar10(place), home=home).test_labels) == 10


def test_an_interrupted_conversion_leaves_nothing_behind(tmp_path: Path, home: Path) -> None:
    def interrupt(done: int, total: int) -> NoReturn:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_images(cifar10(fill(tmp_path / "a", python_files())), home=home, progress=interrupt)
    assert [path.name for path in (home / "data").iterdir()] == ["lock"]


def test_what_a_killed_process_left_is_removed_and_never_opened(tmp_path: Path, home: Path) -> None:
    place = fill(tmp_path / "a", python_files())
    script = """
        import dataclasses, os, sys
        from pathlib import Path
        from cifar_core.data import open_images
        from cifar_core.experiment.datasets import DATASETS
        from cifar_core.experiment.experiment import Data

        DATASETS["cifar10"] = dataclasses.replace(DATASETS["cifar10"], train_per_class=5, test_per_class=1)
        named = Data(name="cifar10", location=sys.argv[1])
        open_images(named, home=Path(sys.argv[2]), progress=lambda *_: os._exit(9))
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(place), str(home)]
    assert subprocess.run(command, check=False, cwd=Path(__file__).parents[2]).returncode == 9
    assert list((home / "data").glob("unfinished-*"))
    assert find_images(cifar10(), home=home) is None
    open_images(cifar10(place), home=home)
    assert not list((home / "data").glob("unfinished-*"))


def test_many_openings_at_once_convert_once(tmp_path: Path, home: Path, reads: list[Path]) -> None:
    place = fill(tmp_path / "a", python_files())
    start, opened = threading.Barrier(6), []

    def work() -> None:
        start.wait()
        opened.append(open_images(cifar10(place), home=home).fingerprint)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 6
    assert len(set(opened)) == 1
    assert reads == [place]


def test_too_little_room_is_said_before_anything_is_written(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DataNotStoredError, match=r"CIFAR-10 takes .* MB as arrays, but only 0 MB are free"):
        open_images(cifar10(fill(tmp_path / "a", python_files())), home=home)


def test_a_disk_that_fills_up_leaves_nothing_behind(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Writer, "finish", full)
    with pytest.raises(DataNotStoredError, match=r"No space left on device\. Free some room"):
        open_images(cifar10(fill(tmp_path / "a", python_files())), home=home)
    assert [path.name for path in (home / "data").iterdir()] == ["lock"]


def test_a_home_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataNotStoredError, match=r"Nothing could be written to .*TRANSFER_LAB_HOME"):
        open_images(cifar10(fill(tmp_path / "a", python_files())), home=tmp_path / "file")


def _truncate(folder: Path) -> None:
    with (folder / "train_images.npy").open("r+b") as file:
        file.truncate(5000)


def _reshape(folder: Path) -> None:
    np.save(folder / "test_labels.npy", np.zeros(3, np.int64))


def _object(folder: Path) -> None:
    np.save(folder / "test_labels.npy", np.array([object()], dtype=object), allow_pickle=True)


def _garble(folder: Path) -> None:
    (folder / "about.json").write_text("{")


def _remove(folder: Path) -> None:
    (folder / "test_images.npy").unlink()


@pytest.mark.parametrize("spoil", [_truncate, _reshape, _object, _garble, _remove])
def test_spoilt_arrays_are_never_opened_but_made_again(tmp_path: Path, home: Path, spoil: Any) -> None:
    place = fill(tmp_path / "a", python_files())
    first = open_images(cifar10(place), home=home)
    (folder,) = conversions(home)
    spoil(folder)
    again = open_images(cifar10(place), home=home)
    assert again.fingerprint == first.fingerprint
    np.testing.assert_array_equal(again.test_images, expected_images(5))
    assert conversions(home) == [folder]


def test_arrays_kept_before_sizes_were_written_down_still_open(tmp_path: Path, home: Path) -> None:
    first = open_images(cifar10(fill(tmp_path / "a", python_files())), home=home)
    about = conversions(home)[0] / "about.json"
    known = json.loads(about.read_text())
    names = "dataset", "fingerprint", "provenance", "official"
    about.write_text(json.dumps({name: known[name] for name in names} | {"format": 1}))
    shutil.rmtree(tmp_path / "a")
    assert open_images(cifar10(), home=home).fingerprint == first.fingerprint


def test_spoilt_arrays_without_their_source_are_not_used(tmp_path: Path, home: Path) -> None:
    place = fill(tmp_path / "a", python_files())
    open_images(cifar10(place), home=home)
    shutil.rmtree(place)
    assert open_images(cifar10(), home=home)
    _truncate(conversions(home)[0])
    with pytest.raises(DataNotFoundError):
        open_images(cifar10(), home=home)


def test_a_spoilt_memory_of_locations_only_costs_a_conversion(tmp_path: Path, home: Path, reads: list[Path]) -> None:
    place = fill(tmp_path / "a", python_files())
    open_images(cifar10(place), home=home)
    for memory in (home / "data" / "locations").iterdir():
        memory.write_text("[]")
    open_images(cifar10(place), home=home)
    assert len(reads) == 2


def test_every_error_about_data_is_one_kind(home: Path) -> None:
    with pytest.raises(DataError):
        open_images(cifar10("/dev/null"), home=home)


def test_the_copy_of_cifar10_on_this_computer_opens_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        sources.locate(REAL_KERAS_CACHE)
    except DataError as error:
        skip(f"needs CIFAR-10 in Keras's cache: {error}")
    monkeypatch.setitem(DATASETS, "cifar10", REAL_CIFAR10)
    images: Images = open_images(cifar10(REAL_KERAS_CACHE), home=tmp_path)
    assert images.train_images.shape == (50_000, 32, 32, 3)
    assert images.test_images.shape == (10_000, 32, 32, 3)
    assert np.bincount(images.train_labels).tolist() == [5000] * 10
    assert np.bincount(images.test_labels).tolist() == [1000] * 10
    # Published statistics of the training images: means .4914, .4822, .4465.
    means = images.train_images[::10].mean(axis=(0, 1, 2)) / 255
    np.testing.assert_allclose(means, [0.4914, 0.4822, 0.4465], atol=0.01)


def test_what_is_known_of_cifar_10_is_told_without_converting_it(tmp_path: Path, home: Path) -> None:
    fill(tmp_path / "official", python_files())
    fill(tmp_path / "others", other_files())
    here, there = (Data(name="cifar10", location=str(tmp_path / name)) for name in ("official", "others"))
    assert images_now(Data(name="cifar10"), home=home) is None
    opened = open_images(here, home=home)
    assert images_now(here, home=home) == ImagesNow(here.location, opened.fingerprint)
    assert images_now(there, home=home) == ImagesNow(there.location)
    assert images_now(Data(name="cifar10"), home=home) == ImagesNow(None, opened.fingerprint)  # kept from a place
    assert len(conversions(home)) == 1
