"""Open the images an experiment names, wherever they come from; convert or draw them the first time."""

import errno
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from cifar_core.data import pictures, sample
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
)
from cifar_core.data.download import downloads
from cifar_core.data.errors import DataDamagedError, DataError, DataNotFoundError, DataUnreadableError
from cifar_core.data.files import write_json
from cifar_core.data.folders import FolderContents, look, shortened
from cifar_core.data.sources import HOME_PAGE, Source, keras_cache, locate, read
from cifar_core.experiment.datasets import DataSet
from cifar_core.experiment.experiment import Data
from cifar_core.experiment.images_now import ImagesNow

Progress = Callable[[int, int], None]
"""Called with images done and images in all."""

OFFICIAL = "CIFAR-10, official files."
NOT_OFFICIAL = (
    "CIFAR-10, but not the official files byte for byte (for example re-encoded images): accuracies can differ by "
    "a point or so."
)
UNVERIFIED = "CIFAR-10 in its binary form: these files could not be compared with the official ones."
SYNTHETIC = "Synthetic: drawn by Transfer Lab."
OWN = f"The user's own images: {pictures.HOW}."

IMAGE_SIDE = 32
"""Pixels a side of the user's own images, where no other size is asked for."""

_MOST_LISTED = 1000

_log = logging.getLogger(__name__)


def open_images(data: Data, *, home: Path, progress: Progress | None = None) -> Images:
    """The images an experiment names, memory-mapped from `home`; converted or drawn there the first time.

    All of them: `per_class` is `select`'s business. For CIFAR-10, `location` is a folder or archive; without one,
    Keras's cache is looked in, then our own download, then what was converted before. Opening again takes
    milliseconds, and for a user's folder a look at its files. Any number of processes may do this at once.
    `progress` hears of a conversion as it goes; what it raises ends the conversion, and nothing of it stays.

    Raises DataNotFoundError, DataUnreadableError, DataDamagedError (DataUnsafeError among them) or
    DataNotStoredError; see `cifar_core.data.errors`.
    """
    dataset, location = data.dataset, data.location
    if dataset.synthetic:
        if location is not None:
            raise DataNotFoundError(f"{dataset.title} is drawn, not read: it takes no location (received {location}).")
        return _open_sample(dataset, home, progress)
    if data.image_side is not None:
        return _open_folder(data, home, progress)
    if location is not None:
        return _open_source(path_of(location), dataset, home, progress)
    return _open_default(dataset, home, progress)


def find_images(data: Data, *, home: Path) -> Path | None:
    """Where `open_images` would take the images from, or None. Reads no image; for pages that want to know.

    For the built-in sample and a user's folder: where they are kept, drawn or converted already or not. Another
    content of the folder is kept elsewhere.
    """
    dataset = data.dataset
    if dataset.synthetic:
        return _sample_folder(home)
    try:
        if data.image_side is not None:
            return _folder_kept(_contents(data), data, home)
        places = [keras_cache(), downloads(home)] if data.location is None else [path_of(data.location)]
    except DataError as error:
        _log.debug("no images: %s", error)
        return None
    for place in places:
        try:
            return locate(place).path
        except DataError as error:
            _log.debug("no CIFAR-10 in %s: %s", place, error)
    kept = _kept(dataset, home) if data.location is None else []
    return kept[0][0] if kept else None


def images_now(data: Data, *, home: Path) -> ImagesNow | None:
    """What can be told of the images an experiment names without preparing them, or None where they are not here."""
    found = find_images(data, home=home)
    if found is None:
        return None
    is_source = found.is_file() or found.parent != home / "data"
    images = _converted(locate(found), data.dataset, home) if is_source else _whole(found, data.dataset)
    earlier = () if data.image_side is None else (_whole(each, data.dataset) for each in _earlier(found))
    return ImagesNow(
        data.location, images.fingerprint if images else "", frozenset(each.fingerprint for each in earlier if each)
    )


def data_at(location: str, image_side: int | None = None) -> Data:
    """What a person means who names a place: CIFAR-10 where it is there, or else a folder of images per class.

    Raises a DataError where it is neither; with an `image_side` only the second is looked for.
    """
    place = path_of(location)
    if image_side is None:
        try:
            locate(place)
            return Data(name="cifar10", location=str(place))
        except DataNotFoundError:
            if not place.is_dir():
                raise
    contents = look(place)
    _refuse_problems(contents)
    return Data(name="folder", location=str(place), classes=contents.classes, image_side=image_side or IMAGE_SIDE)


def path_of(location: str) -> Path:
    """The absolute path that a person means.

    Raises DataNotFoundError for none.
    """
    if not location:
        raise DataNotFoundError("No folder or archive was named.")
    try:
        return Path(location).expanduser().absolute()
    except RuntimeError as error:  # ~ of somebody unknown
        raise DataNotFoundError(f"{location} is no path on this computer: {error}") from error


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
    with unfinished(data, dataset, total) as folder:
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
            sizes = dataset.train_size, dataset.test_size
            write_about(final, About(dataset.name, fingerprint, provenance, official, *sizes))
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
    with unfinished(data, dataset, dataset.train_size + dataset.test_size) as folder:
        with Writer(folder, dataset) as writer:
            for side in ("train", "test"):
                writer.put(side, 0, *sample.draw(dataset, side, progress))
            writer.finish(provenance=SYNTHETIC, official=True)
        return _keep(folder, final, dataset)


def _contents(data: Data) -> FolderContents:
    """What is in a user's folder, if the experiment can use it."""
    contents = look(path_of(data.location or ""))
    if missing := [name for name in data.classes if name not in contents.classes]:
        raise DataNotFoundError(
            f"{contents.folder} has no folder of images of: {shortened(missing)}. It has: "
            f"{shortened(contents.classes)}. Read the folder again to take the classes it has now."
        )
    _refuse_problems(contents)
    return contents


def _refuse_problems(contents: FolderContents) -> None:
    if contents.problems:
        raise DataDamagedError(f"The images in {contents.folder} cannot be used. {' '.join(contents.problems)}")


def _folder_kept(contents: FolderContents, data: Data, home: Path) -> Path:
    """Where the conversion of a user's folder is kept: a name for its place and classes, and one for its content."""
    meant = json.dumps([os.path.realpath(contents.folder), data.classes, data.image_side])
    place = hashlib.sha256(meant.encode()).hexdigest()
    return home / "data" / f"folder-{place[:12]}-{contents.stamp(data.classes)[:12]}"


def _open_folder(data: Data, home: Path, progress: Progress | None) -> Images:
    contents = _contents(data)
    final = _folder_kept(contents, data, home)
    images = _whole(final, data.dataset)
    if images is not None:
        return images
    with locked(home):
        return _whole(final, data.dataset) or _convert_folder(contents, data.dataset, final, progress)


def _convert_folder(contents: FolderContents, dataset: DataSet, final: Path, progress: Progress | None) -> Images:
    """Read a user's folder into arrays, and remove what was made of earlier contents of it."""
    with unfinished(final.parent, dataset, len(contents.files(dataset.classes))) as folder:
        with Writer(folder, dataset) as writer:
            left_out = [*contents.left_out, *pictures.read_all(contents, dataset, writer.put, progress)]
            provenance = f"{OWN} {contents.split}.{_told(len(left_out))}"
            writer.finish(provenance=provenance, official=True, left_out=left_out[:_MOST_LISTED])
        images = _keep(folder, final, dataset)
    for earlier in _earlier(final):
        shutil.rmtree(earlier, ignore_errors=True)  # nothing asks for it again; who has it open keeps it
    return images


def _earlier(kept: Path) -> list[Path]:
    """What was made of earlier contents of a user's folder, given where that of the present ones is kept."""
    return [each for each in kept.parent.glob(f"{kept.name.rpartition('-')[0]}-*") if each != kept]


def _told(left_out: int) -> str:
    return f" {left_out:,} {'files were' if left_out > 1 else 'file was'} left out." if left_out else ""
