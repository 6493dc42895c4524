"""Features on disk: what the frozen part of a network makes of images, kept so that it is computed once.

One folder holds the features of one key: a `.npy` for each tensor and `about.json`. It is filled as
`unfinished-<key>`, which a later attempt continues, and renamed when it is complete. A lock for each key is held
shared by those who read and alone by the one who writes or removes, so nothing that is in use is removed. One more,
for all keys, is held from looking for room until it is announced what will take it.
"""

import hashlib
import json
import math
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self, get_args

import numpy as np
from filelock import ReadWriteLock, Timeout
from numpy.typing import NDArray

from cifar_core.data.arrays import not_stored
from cifar_core.data.errors import DataDamagedError, DataNotStoredError
from cifar_core.data.files import write_json
from cifar_core.experiment.experiment import FeatureSize

FORMAT = 1
SECONDS_BETWEEN_MARKS = 2.0
SECONDS_BETWEEN_ASKS = 0.2
KEPT, GIGABYTES = "TRANSFER_LAB_FEATURES", "TRANSFER_LAB_FEATURES_GB"
MOST_BYTES = 10_000_000_000
_ABOUT = "about.json"
_MARK = "mark.json"
_UNFINISHED = "unfinished-"
_ROOM = "room"
_KEY = re.compile(r"[0-9a-f]{8,64}")
_BLOCKS, _BLOCK = 256, 4096


@dataclass(frozen=True)
class Spec:
    """One tensor for one image: its shape without the images' axis, and the type it is kept in."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def bytes(self) -> int:
        """Size for one image."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Entry:
    """Kept features as a page lists them. `used` is seconds since 1970; `label` says what they are features of.

    `bytes` is what they take now, `coming` what is still to be written by the one who writes them.
    """

    key: str
    label: str
    bytes: int
    coming: int
    used: float
    complete: bool
    in_use: bool


@dataclass(frozen=True)
class Kept:
    """Complete features of some images: a hash of what decides the values of each tensor, and how it is kept."""

    key: str
    label: str
    contents: tuple[str, ...]
    specs: tuple[Spec, ...]


class Features:
    """Complete features, memory-mapped: `arrays` (n, *shape), one for each tensor. Not removed until closed.

    `error` is what half-size storage cost: see `Writer`. `by` is who computed all of them, "" where several did.
    """

    def __init__(self, arrays: tuple[NDArray[Any], ...], error: float, by: str, held: ExitStack):
        self.arrays, self.error, self.by, self._held = arrays, error, by, held

    def close(self) -> None:
        """Let the features be removed when room is needed. The arrays must not be used any more."""
        self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Writer:
    """Writes the features of one key, image after image. `done` images are there already: go on behind them.

    `error` is the largest relative difference so far between a value and what is kept of it, smaller values than a
    half-size number holds in full counted as if they were that large: 0 where nothing is made smaller. `by` is who
    computes them, or "" where somebody else began.
    """

    def __init__(self, folder: Path, specs: Sequence[Spec], images: int, by: str):
        self._folder, self._specs, self._images = folder, specs, images
        self._files: list[BinaryIO] = []
        self._headers: list[int] = []
        self._marked_at = time.monotonic()
        mark = _json(folder / _MARK) or {}
        self.done, self.error = int(mark.get("done", 0)), float(mark.get("error", 0.0))
        self.by = by if not self.done or mark.get("by") == by else ""

    def __enter__(self) -> Self:
        for number, spec in enumerate(self._specs):
            path = self._folder / f"{number}.npy"
            file = path.open("r+b" if self.done else "wb")
            self._files.append(file)
            header = {"descr": spec.dtype, "fortran_order": False, "shape": (self._images, *spec.shape)}
            np.lib.format.write_array_header_1_0(file, header)
            self._headers.append(file.tell())
            if self.done and path.stat().st_size < file.tell() + self.done * spec.bytes:
                self.done, self.error = 0, 0.0  # shorter than was marked: begin again
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            file.close()

    def put(self, values: Sequence[NDArray[Any]]) -> None:
        """Add the next images: an array (n, *shape) for each tensor.

        Written as a file and not through a memory map: a full disk is then an error instead of a crash.

        Raises:
            DataNotStoredError: for values that are too large for their type.
            ValueError: for other shapes than announced.
        """
        for file, header, spec, part in zip(self._files, self._headers, self._specs, values, strict=True):
            if part.shape[1:] != spec.shape or len(part) != len(values[0]):
                raise ValueError(f"Expected features of shape {(len(values[0]), *spec.shape)}, received {part.shape}.")
            with np.errstate(over="ignore"):
                kept = np.ascontiguousarray(part, spec.dtype)
            if kept.dtype != part.dtype:
                self.error = max(self.error, _relative_error(part, kept))
            file.seek(header + self.done * spec.bytes)
            file.write(kept.data.cast("B"))
        self.done += len(values[0])
        if time.monotonic() - self._marked_at > SECONDS_BETWEEN_MARKS:
            self.mark()

    def mark(self) -> None:
        """Bring what is there to the disk, and remember how many images that is."""
        for file in self._files:
            file.flush()
            os.fsync(file.fileno())
        write_json(self._folder / _MARK, {"done": self.done, "error": self.error, "by": self.by})
        self._marked_at = time.monotonic()


class FeatureStore:
    """The features under one folder, at most `budget` bytes of them: the least recently used give way.

    `half` says how new ones are wanted: float32 values in half the size. `by` is who computes, such as a run by its id,
    so that it knows its own features again; without it, they are known as its own to this store alone.
    """

    def __init__(self, folder: Path, budget: int, half: bool = False, by: str = ""):
        self._folder, self.budget, self.half = folder, budget, half
        self.by = by or secrets.token_hex(8)

    def holds(self, key: str) -> bool:
        """Whether there are complete features of a key; they may be damaged, or gone in a moment."""
        return (self._folder / key).exists()

    def open(self, key: str, specs: Sequence[Spec], images: int) -> Features | None:
        """Return the features of a key, or None where there are none.

        Raises:
            DataDamagedError: when the files are not what was written.
        """
        if not (self._folder / key).exists():
            return None
        with ExitStack() as held:
            held.enter_context(self._lock(key).read_lock())
            folder = self._folder / key
            if not folder.exists():  # removed while we waited
                return None
            arrays, error, by = _read(folder, specs, images)
            os.utime(folder)
            return Features(arrays, error, by, held.pop_all())

    @contextmanager
    def writing(
        self,
        key: str,
        specs: Sequence[Spec],
        images: int,
        *,
        label: str,
        source: str = "",
        contents: Sequence[str] = (),
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Writer | None]:
        """Write the features of a key, alone: None when another process has written them, or a stop was asked for.

        `label` says to people what they are features of; `source` names the images and `contents` hashes what decides
        each tensor's values, for those who could compute other features from them: see `kept_of`.

        On leaving with all images written they are complete; otherwise a later attempt goes on, unless the disk refused
        a write.

        Raises:
            DataNotStoredError: when the disk or the budget has no room, or a write is refused.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as held:
            if not _held_alone(held, self._lock(key), should_stop):
                yield None
                return
            final, folder = self._folder / key, self._folder / f"{_UNFINISHED}{key}"
            if _is_whole(final, specs, images):
                yield None
                return
            shutil.rmtree(final, ignore_errors=True)
            expected = {"format": FORMAT, "label": label, "source": source, "contents": list(contents)}
            expected |= {"images": images, "tensors": [asdict(spec) for spec in specs]}
            try:
                if _json(folder / _ABOUT) != json.loads(json.dumps(expected)):
                    shutil.rmtree(folder, ignore_errors=True)
                with self._lock(_ROOM).write_lock():
                    self._make_room(key, images * sum(spec.bytes for spec in specs))
                    folder.mkdir(exist_ok=True)
                    write_json(folder / _ABOUT, expected)
                with Writer(folder, specs, images, self.by) as writer:
                    try:
                        yield writer
                    finally:
                        writer.mark()
                if writer.done == images:
                    (folder / _MARK).unlink()
                    prints = [_fingerprint(folder / f"{number}.npy") for number in range(len(specs))]
                    done = {"error": writer.error, "by": writer.by, "fingerprints": prints}
                    write_json(folder / _ABOUT, expected | done)
                    folder.rename(final)
            except OSError as error:
                shutil.rmtree(folder, ignore_errors=True)  # what was to be trained on them needs the room more
                raise not_stored(self._folder, error) from error

    def kept_of(self, source: str) -> list[Kept]:
        """Return what is kept, complete, of the images with this name. It may be damaged, or gone in a moment."""
        found = []
        for folder in self._folder.glob("*"):
            about = _json(folder / _ABOUT) if _KEY.fullmatch(folder.name) else None
            if about is not None and about.get("source") == source and about.get("contents"):
                specs = tuple(Spec(tuple(each["shape"]), each["dtype"]) for each in about["tensors"])
                found.append(Kept(folder.name, about["label"], tuple(about["contents"]), specs))
        return found

    def entries(self) -> list[Entry]:
        """List what is kept, last used first."""
        found = [entry for folder in self._folder.glob("*") if (entry := self._entry(folder)) is not None]
        return sorted(found, key=lambda entry: -entry.used)

    def clear(self) -> int:
        """Remove everything that nobody uses, and return the bytes that became free."""
        return sum(entry.bytes for entry in self.entries() if self._remove(entry))

    def _entry(self, folder: Path) -> Entry | None:
        key = folder.name.removeprefix(_UNFINISHED)
        try:
            if not _KEY.fullmatch(key) or not folder.is_dir():
                return None
            size = sum(file.stat().st_size for file in folder.iterdir())
            about, complete, in_use = _json(folder / _ABOUT) or {}, folder.name == key, not self._alone(key)
            return Entry(
                key,
                str(about.get("label", "")),
                size,
                max(0, _announced(about) - size) if in_use and not complete else 0,
                folder.stat().st_mtime,
                complete,
                in_use,
            )
        except FileNotFoundError:  # removed meanwhile
            return None

    def _alone(self, key: str) -> bool:
        with ExitStack() as held:
            return _held_alone(held, self._lock(key), lambda: True)

    def _remove(self, entry: Entry) -> bool:
        with ExitStack() as held:
            if not _held_alone(held, self._lock(entry.key), lambda: True):
                return False
            shutil.rmtree(self._folder / (entry.key if entry.complete else f"{_UNFINISHED}{entry.key}"))
            return True

    def _make_room(self, key: str, needed: int) -> None:
        entries = self.entries()
        others = [entry for entry in entries if entry.key != key]
        coming = sum(entry.coming for entry in others)
        used = coming + sum(entry.bytes for entry in others)
        while others and used + needed > self.budget:
            oldest = others.pop()
            if not oldest.in_use and self._remove(oldest):
                used -= oldest.bytes
        if used + needed > self.budget:
            raise DataNotStoredError(
                f"The features take {needed / 1e6:,.0f} MB, but of the {self.budget / 1e6:,.0f} MB that features may "
                f"take, {used / 1e6:,.0f} MB are in use by other runs. Wait for those, or allow more."
            )
        begun = sum(entry.bytes for entry in entries if entry.key == key)
        free = shutil.disk_usage(self._folder).free + begun - coming
        if free < needed:
            raise DataNotStoredError(
                f"The features take {needed / 1e6:,.0f} MB, but only {max(0, free) / 1e6:,.0f} MB are free in "
                f"{self._folder} beside what other runs are writing. Free some room, or set TRANSFER_LAB_HOME to a "
                "folder on another disk."
            )

    def _lock(self, key: str) -> ReadWriteLock:
        locks = self._folder / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        return ReadWriteLock(locks / f"{key}.db", is_singleton=False)


def allowed_size(wanted: FeatureSize = "full") -> FeatureSize:
    """Return how features are kept on this computer: as they are wanted, or smaller.

    `TRANSFER_LAB_FEATURES` is the most that is allowed: "full" (without it), "half" or "off".

    Raises:
        DataNotStoredError: naming the variable, where it says something else.
    """
    sizes: tuple[FeatureSize, ...] = get_args(FeatureSize)
    most = os.environ.get(KEPT, "full")
    if most not in sizes:
        raise DataNotStoredError(f'{KEPT}: expected full, half or off, received "{most}".')
    return max(wanted, most, key=sizes.index)


def feature_store(home: Path, wanted: FeatureSize = "full", by: str = "") -> FeatureStore | None:
    """Return the features under `home`, in the size that is wanted and allowed; None where they are switched off.

    `by` is who computes: see `FeatureStore`.

    `TRANSFER_LAB_FEATURES_GB` is how much room they may take: by default 10 GB, or a fifth of what is free where that
    is less.

    Raises:
        DataNotStoredError: naming the variable that says something it cannot; see also `allowed_size`.
    """
    kept = allowed_size(wanted)
    if kept == "off":
        return None
    store = FeatureStore(home / "features", 0, half=kept == "half", by=by)
    if (allowed := os.environ.get(GIGABYTES)) is not None:
        try:
            store.budget = int(float(allowed) * 1e9)
        except (ValueError, OverflowError):
            raise DataNotStoredError(f'{GIGABYTES}: expected a number of gigabytes, received "{allowed}".') from None
    else:
        existing = next(folder for folder in (home, *home.parents) if folder.exists())
        taken = sum(entry.bytes for entry in store.entries())
        store.budget = min(MOST_BYTES, (shutil.disk_usage(existing).free + taken) // 5)
    return store


def _held_alone(held: ExitStack, lock: ReadWriteLock, give_up: Callable[[], bool]) -> bool:
    while True:
        try:
            held.enter_context(lock.write_lock(timeout=SECONDS_BETWEEN_ASKS if not give_up() else 0))
            return True
        except Timeout:
            if give_up():
                return False


def _is_whole(folder: Path, specs: Sequence[Spec], images: int) -> bool:
    try:
        return folder.exists() and bool(_read(folder, specs, images))
    except DataDamagedError:
        return False


def _read(folder: Path, specs: Sequence[Spec], images: int) -> tuple[tuple[NDArray[Any], ...], float, str]:
    try:
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        if about["format"] != FORMAT:
            raise ValueError(f"kept in format {about['format']}, this version reads {FORMAT}")
        arrays = tuple(_mapped(folder / f"{number}.npy", spec, images) for number, spec in enumerate(specs))
        prints = [_fingerprint(folder / f"{number}.npy") for number in range(len(specs))]
        if prints != about["fingerprints"]:
            raise ValueError("the files do not hold what was written")
        return arrays, float(about["error"]), str(about.get("by", ""))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataDamagedError(
            f"Stored features in {folder} are damaged ({error}). They are computed again."
        ) from error


def _mapped(path: Path, spec: Spec, images: int) -> NDArray[Any]:
    # "c" instead of "r": TensorFlow takes over an array without copying it only where it could be written to
    array: NDArray[Any] = np.load(path, mmap_mode="c", allow_pickle=False)
    if array.shape != (images, *spec.shape) or array.dtype != np.dtype(spec.dtype):
        raise ValueError(
            f"{path.name} holds {array.dtype} {array.shape}, expected {spec.dtype} {(images, *spec.shape)}"
        )
    return array


def _json(path: Path) -> dict[str, Any] | None:
    try:
        known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return known
    except (OSError, ValueError):
        return None


def _announced(about: dict[str, Any]) -> int:
    """The bytes that features will take, by what was written down before the first of them."""
    specs = (Spec(tuple(each["shape"]), each["dtype"]) for each in about.get("tensors", ()))
    return int(about.get("images", 0)) * sum(spec.bytes for spec in specs)


def _relative_error(values: NDArray[Any], kept: NDArray[Any]) -> float:
    if not np.isfinite(kept).all():
        raise DataNotStoredError(
            f"Features of up to {np.abs(values).max():g} do not fit into {kept.dtype}, which ends at "
            f"{np.finfo(kept.dtype).max:g}. Store them in full size."
        )
    difference = np.abs(values - kept.astype(values.dtype))
    return float((difference / np.maximum(np.abs(values), np.finfo(kept.dtype).tiny)).max(initial=0.0))


def _fingerprint(path: Path) -> str:
    """A hash of a file's size and of blocks spread over it: notices what a crash leaves, in milliseconds."""
    size = path.stat().st_size
    total = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        for number in range(_BLOCKS + 1):
            file.seek(max(0, size - _BLOCK) * number // _BLOCKS)
            total.update(file.read(_BLOCK))
    return total.hexdigest()
