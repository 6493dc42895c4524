"""Open a data set by name, wherever its images come from; convert or draw them the first time."""

import difflib
import errno
import hashlib
import json
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from cifar_core.data import sample
from cifar_core.data.arrays import (
    About,
    Images,
    Writer,
    locked,
    not_stored,
    open_arrays,
    settle,
    unfinished,
    write_about,
    write_json,
)
from cifar_core.data.download import downloads
from cifar_core.data.errors import DataDamagedError, DataError, DataNotFoundError, DataUnreadableError
from cifar_core.data.sources import HOME_PAGE, Source, keras_cache, locate, read
from cifar_core.experiment.datasets import DATASETS, DataSet

Progress = Callable[[int, int], None]
"""Called with images done and images in all."""

OFFICIAL = "CIFAR-10, official files."
NOT_OFFICIAL = (
    "CIFAR-10, but not the official files byte for byte (for example re-encoded images): accuracies can differ by "
    "a point or so."
)
UNVERIFIED = "CIFAR-10 in its binary form: these files could not be compared with the official ones."
SYNTHETIC = "Synthetic: drawn by Transfer Lab."

_log = logging.getLogger(__name__)


def open_images(
    name: str,
    *,
    location: str | os.PathLike[str] | None = None,
    home: Path,
    progress: Progress | None = None,
) -> Images:
    """The images of a data set, memory-mapped from `home`; converted or drawn there the first time.

    For "cifar10", `location` is a folder or archive; without one, Keras's cache is looked in, then our own
    download, then what was converted before. Opening again takes milliseconds. Any number of processes may do
    this at once. `progress` hears of a conversion as it goes; what it raises ends the conversion, and nothing
    of it stays.

    Raises DataNotFoundError, DataUnreadableError, DataDamagedError (DataUnsafeError among them) or
    DataNotStoredError; see `cifar_core.data.errors`.
    """
    dataset = _row(name)
    if dataset.synthetic:
        if location is not None:
            raise DataNotFoundError(f"{dataset.title} is drawn, not read: it takes no location (received {location}).")
        return _open_sample(dataset, home, progress)
    if location is not None:
        return _open_source(_path(location), dataset, home, progress)
    return _open_default(dataset, home, progress)


def find_images(name: str, location: str | os.PathLike[str] | None = None, *, home: Path) -> Path | None:
    """Where `open_images` would take a data set from, or None. Reads no image; for pages that want to know.

    For the built-in sample: where it is kept, drawn already or not.

    Raises DataNotFoundError for a name that is no data set.
    """
    dataset = _row(name)
    if dataset.synthetic:
        return _sample_folder(home)
    places = [keras_cache(), downloads(home)] if location is None else [_path(location)]
    for place in places:
        try:
            return locate(place).path
        except DataError as error:
            _log.debug("no CIFAR-10 in %s: %s", place, error)
    kept = _kept(dataset, home) if location is None else []
    return kept[0][0] if kept else None


def _row(name: str) -> DataSet:
    if name in DATASETS:
        return DATASETS[name]
    near = difflib.get_close_matches(name, DATASETS, n=1, cutoff=0.0)
    raise DataNotFoundError(f"There is no data set {name!r}. Known: {', '.join(DATASETS)}. Did you mean {near[0]!r}?")


def _path(location: str | os.PathLike[str]) -> Path:
    if not os.fspath(location):
        raise DataNotFoundError("No folder or archive was named.")
    return Path(location).expanduser().absolute()


def _open_default(dataset: DataSet, home: Path, progress: Progress | None) -> Images:
    problems: list[DataError] = []
    for place in (keras_cache(), downloads(home)):
        try:
            return _open_source(place, dataset, home, progress)
        except DataNotFoundError:
            continue
        except (DataDamagedError, DataUnreadableError) as error:
            _log.warning("Skipped: %s", error)
            problems.append(error)
    for _, images in _kept(dataset, home):
        return images
    if problems:
        raise problems[0]
    raise DataNotFoundError(
        f"{dataset.title} is not on this computer yet. Start the download in the app, or fetch "
        f"cifar-10-python.tar.gz from {HOME_PAGE} and put it into {downloads(home)}, or name the folder or "
        "archive where you have it."
    )


def _kept(dataset: DataSet, home: Path) -> list[tuple[Path, Images]]:
    """Conversions whose source may be gone: official ones first, then the newest."""
    opened = ((folder, _whole(folder, dataset)) for folder in (home / "data").glob(f"{dataset.name}-*"))
    kept = [(folder, images) for folder, images in opened if images is not None]
    return sorted(kept, key=lambda each: (each[1].official, each[0].stat().st_mtime_ns), reverse=True)


def _whole(folder: Path, dataset: DataSet) -> Images | None:
    """The data set in a folder, or None where it is not there, not whole or another one."""
    try:
        images = open_arrays(folder)
    except DataDamagedError as error:
        _log.warning("Not used: %s", error)
        return None
    return images if images is not None and images.dataset == dataset else None


def _open_source(location: Path, dataset: DataSet, home: Path, progress: Progress | None) -> Images:
    source = locate(location)
    known = _converted(source, dataset, home)
    if known is not None:
        return known
    with locked(home) as data:
        return _converted(source, dataset, home) or _convert(source, dataset, data, progress)


def _memory_of(source: Source, data: Path) -> Path:
    """The file that remembers which conversion a source led to: one file a source, so writers never meet."""
    key = hashlib.sha256(os.fsencode(source.path.resolve())).hexdigest()[:20]
    return data / "locations" / f"{key}.json"


def _converted(source: Source, dataset: DataSet, home: Path) -> Images | None:
    """The conversion of a source that has not changed since, if it is there and whole."""
    data = home / "data"
    try:
        memory = json.loads(_memory_of(source, data).read_text(encoding="utf-8"))
        if memory["stamp"] != source.stamp():
            return None
        return _whole(data / memory["folder"], dataset)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # nothing remembered, or nothing usable: it is only a memory, the source is still there


def _convert(source: Source, dataset: DataSet, data: Path, progress: Progress | None) -> Images:
    """Read a source into arrays under `data`, which is locked, and remember that it was."""
    stamp = source.stamp()
    rows, done, total = dataset.train_size // 5, 0, dataset.train_size + dataset.test_size
    verdicts: list[bool | None] = []
    with unfinished(data, dataset) as folder:
        with Writer(folder, dataset) as writer:
            for each in read(source, dataset):
                side, start = ("train", each.position * rows) if each.position < 5 else ("test", 0)
                writer.put(side, start, *each.batch)
                verdicts.append(each.official)
                done += len(each.batch[1])
                if progress is not None:
                    progress(done, total)
            official = all(verdicts)
            provenance = OFFICIAL if official else UNVERIFIED if None in verdicts else NOT_OFFICIAL
            fingerprint = writer.finish(provenance=provenance, official=official)
        final = data / f"{dataset.name}-{fingerprint[:12]}"
        images = _keep(folder, final, dataset)
        if official and not images.official:  # the same images again, now from files that vouch for them
            write_about(final, About(dataset.name, fingerprint, provenance, official))
            images = replace(images, provenance=provenance, official=official)
        write_json(_memory_of(source, data), {"path": str(source.path), "stamp": stamp, "folder": final.name})
    return images


def _keep(folder: Path, final: Path, dataset: DataSet) -> Images:
    """Move a filled folder to its place, unless the same data is already there and whole."""
    images = _whole(final, dataset)
    if images is None:
        settle(folder, final)
        images = _whole(final, dataset)
    if images is None:
        raise not_stored(final, FileNotFoundError(errno.ENOENT, "what was just written is not there"))
    return images


def _sample_folder(home: Path) -> Path:
    return home / "data" / f"sample-{sample.VERSION}"


def _open_sample(dataset: DataSet, home: Path, progress: Progress | None) -> Images:
    final = _sample_folder(home)
    images = _whole(final, dataset)
    if images is not None:
        return images
    with locked(home) as data:
        return _whole(final, dataset) or _draw(final, dataset, data, progress)


def _draw(final: Path, dataset: DataSet, data: Path, progress: Progress | None) -> Images:
    with unfinished(data, dataset) as folder:
        with Writer(folder, dataset) as writer:
            for side in ("train", "test"):
                writer.put(side, 0, *sample.draw(dataset, side, progress))
            writer.finish(provenance=SYNTHETIC, official=True)
        return _keep(folder, final, dataset)
