"""CIFAR-10 as people have it: the two official forms, in a folder or an archive, found and read.

Archives are never unpacked to disk: the six members that matter are read straight out of the stream, whatever
paths, links or sizes the others claim.
"""

import gzip
import hashlib
import io
import os
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from cifar_core.data.batches import Batch, largest_batch, read_binary_batch, read_python_batch
from cifar_core.data.errors import DataDamagedError, DataNotFoundError, DataUnreadableError, DataUnsafeError
from cifar_core.experiment.datasets import DataSet

HOME_PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"

# The python form's batches, training first, with the md5 sums of the official files.
PYTHON = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}
# Of the binary form the publisher names one sum, the archive's.
BINARY = tuple(f"{name}.bin" for name in PYTHON)
BINARY_ARCHIVE_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"

# Where unpacking leaves the batches, and what archives are called: the official ones and those of Keras's cache.
_FOLDERS = (
    "",
    "cifar-10-batches-py",
    "cifar-10-batches-bin",
    "cifar-10-batches-py-target/cifar-10-batches-py",
    "cifar-10-batches-py/cifar-10-batches-py",
    "cifar-10-batches-py_extracted/cifar-10-batches-py",
)
_ARCHIVES = (
    "cifar-10-python.tar.gz",
    "cifar-10-binary.tar.gz",
    "cifar-10-batches-py-target_archive",
    "cifar-10-batches-py_archive",
    "cifar-10-batches-py.tar.gz",
)
_MOST_MEMBERS = 1000
_READS_BEHIND_THE_END = 100
_WHAT_TO_NAME = (
    "Name the folder that holds data_batch_1 to data_batch_5 and test_batch (or their .bin forms), or one of the "
    "archives cifar-10-python.tar.gz and cifar-10-binary.tar.gz"
)


@dataclass(frozen=True)
class Source:
    """Six batches in a folder (`files` are the batches) or an archive (`files` is that one file)."""

    path: Path
    files: tuple[Path, ...]

    @property
    def is_archive(self) -> bool:
        """Whether the batches have to be read out of an archive."""
        return self.files == (self.path,)

    def stamp(self) -> list[list[int]]:
        """Size and time of change of each file: what tells that a source is still the one that was read."""
        with _readable(self.path):
            states = [file.stat() for file in self.files]
        return [[state.st_size, state.st_mtime_ns] for state in states]


@dataclass(frozen=True)
class ReadBatch:
    """One batch as it was read: which of the six it is, its content, and whether it is the official file.

    `official` is None where the publisher names no checksum to compare with.
    """

    position: int
    batch: Batch
    official: bool | None


def locate(location: Path) -> Source:
    """The batches at a folder, one of its usual subfolders, or an archive. Looks at names only.

    Raises DataNotFoundError, DataUnreadableError, or DataDamagedError where only some batches are there.
    """
    with _readable(location):
        if location.is_dir():
            return _in_folder(location)
        if location.is_file():
            if location.name in PYTHON or location.name in BINARY:
                raise DataNotFoundError(
                    f"{location} is one of CIFAR-10's six batches: name the folder it is in, {location.parent}."
                )
            return Source(location, (location,))
        if location.exists():
            raise DataNotFoundError(f"{location} is neither a folder nor a file. {_WHAT_TO_NAME}.")
    raise DataNotFoundError(f"{location} does not exist. {_WHAT_TO_NAME}.")


def read(source: Source, dataset: DataSet) -> Iterator[ReadBatch]:
    """Reads the six batches of a source, in whatever order they come.

    Raises DataDamagedError, DataUnsafeError or DataUnreadableError, naming the file.
    """
    rows, classes = dataset.train_size // 5, len(dataset.classes)
    limit = largest_batch(rows)
    vouched: bool | None = None
    contents = _from_archive(source.path, limit) if source.is_archive else _from_files(source.files, limit)
    for name, file, content in contents:
        if name in PYTHON:
            official = hashlib.md5(content, usedforsecurity=False).hexdigest() == PYTHON[name]
            batch = read_python_batch(content, file=file, rows=rows, classes=classes)
            yield ReadBatch(list(PYTHON).index(name), batch, official)
        else:
            if source.is_archive and vouched is None:
                vouched = _md5_of_file(source.path) == BINARY_ARCHIVE_MD5
            batch = read_binary_batch(content, file=file, rows=rows, classes=classes)
            yield ReadBatch(BINARY.index(name), batch, vouched or None)


def _in_folder(location: Path) -> Source:
    incomplete: list[tuple[Path, list[str]]] = []
    for folder in (location / name for name in _FOLDERS):
        for names in (tuple(PYTHON), BINARY):
            missing = [name for name in names if not (folder / name).exists()]
            if not missing:
                return Source(folder, tuple(folder / name for name in names))
            if len(missing) < len(names):
                incomplete.append((folder, missing))
    for archive in (location / name for name in _ARCHIVES):
        if archive.is_file():
            return Source(archive, (archive,))
    if incomplete:
        folder, missing = incomplete[0]
        raise DataDamagedError(
            f"{folder} holds only a part of CIFAR-10: {', '.join(missing)} missing. Unpack the archive again, or "
            "let Transfer Lab download CIFAR-10."
        )
    raise DataNotFoundError(f"There is no CIFAR-10 in {location}. {_WHAT_TO_NAME}.")


def _from_files(files: tuple[Path, ...], limit: int) -> Iterator[tuple[str, str, bytes]]:
    for path in files:
        with _readable(path):
            if not path.is_file():
                raise DataDamagedError(
                    f"{path} should be a file with a batch of CIFAR-10, but is none. Unpack it again."
                )
            size = path.stat().st_size
            if size > limit:
                raise DataDamagedError(f"{path} is too large for a batch: {size:,} bytes, expected at most {limit:,}.")
            content = path.read_bytes()
        yield path.name, str(path), content


def _from_archive(path: Path, limit: int) -> Iterator[tuple[str, str, bytes]]:
    """Name, description for errors and content of the wanted members, in the archive's order."""
    found: set[str] = set()
    try:
        with _readable(path), path.open("rb") as raw, _unpacked(raw, path) as stream:
            bounded = _Bounded(stream, limit * 8, path)
            with tarfile.open(fileobj=bounded, mode="r|", bufsize=1 << 20) as tar:
                for count, member in enumerate(tar):
                    if count >= _MOST_MEMBERS:
                        raise DataUnsafeError(
                            f"{path} holds over {_MOST_MEMBERS} files: not CIFAR-10. It was not unpacked."
                        )
                    name = PurePosixPath(member.name).name
                    if name in PYTHON or name in BINARY:
                        file = f"{member.name} in {path}"
                        if name in found:
                            raise DataUnsafeError(f"{file} is there twice, so it is unclear which one is meant.")
                        found.add(name)
                        yield name, file, _member(tar, member, file, limit)
            while bounded.read(1 << 20):  # to the very end, where gzip's own checksum is compared
                continue
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, RecursionError, ValueError) as error:
        raise DataDamagedError(
            f"{path} cannot be read as an archive ({error or type(error).__name__}): it is damaged or cut off. "
            "Fetch it again, or let Transfer Lab download CIFAR-10."
        ) from error
    wanted = BINARY if found & set(BINARY) else tuple(PYTHON)
    missing = [name for name in wanted if name not in found]
    if missing or len(found) != len(wanted):
        raise DataDamagedError(
            f"{path} is no complete CIFAR-10 archive: expected {', '.join(wanted)}; "
            f"found {', '.join(sorted(found)) or 'none of them'}."
        )


def _member(tar: tarfile.TarFile, member: tarfile.TarInfo, file: str, limit: int) -> bytes:
    parts = PurePosixPath(member.name).parts
    if not member.isreg() or ".." in parts or PurePosixPath(member.name).is_absolute():
        raise DataUnsafeError(
            f"{file} is a link, a device or points outside of the archive. Nothing was unpacked. Get the archive "
            f"from {HOME_PAGE}."
        )
    if member.size > limit:
        raise DataUnsafeError(f"{file} claims {member.size:,} bytes, expected at most {limit:,}. It was not unpacked.")
    content = tar.extractfile(member)
    return content.read() if content else b""


@contextmanager
def _unpacked(raw: BinaryIO, path: Path) -> Iterator[BinaryIO]:
    """The tar stream in a file, judged by its first bytes and not by its name."""
    head = raw.read(512)
    raw.seek(0)
    if head.startswith(b"\x1f\x8b"):
        with gzip.GzipFile(fileobj=raw, mode="rb") as stream:
            yield stream  # type: ignore[misc]  # a reader like any other, though not typed as BinaryIO
    elif head[257:262] == b"ustar":
        yield raw
    else:
        what = "is empty" if not head else "is no tar archive, packed with gzip or not"
        raise DataDamagedError(f"{path} {what}. {_WHAT_TO_NAME}.")


class _Bounded(io.RawIOBase):
    """A stream that refuses to deliver more than a limit: what a small bomb unpacks to has no end."""

    def __init__(self, stream: BinaryIO, limit: int, path: Path) -> None:
        self._stream, self._left, self._limit, self._path = stream, limit, limit, path
        self._behind_the_end = 0

    def read(self, size: int = -1) -> bytes:
        content = self._stream.read(min(size, self._left + 1) if size >= 0 else self._left + 1)
        self._left -= len(content)
        self._behind_the_end = 0 if content else self._behind_the_end + 1
        if self._behind_the_end > _READS_BEHIND_THE_END:
            raise EOFError("a member claims more than there is")  # tarfile would read nothing, a million times
        if self._left < 0:
            raise DataUnsafeError(
                f"{self._path} unpacks to more than {self._limit:,} bytes, unlike CIFAR-10. It was not read on."
            )
        return content


def _md5_of_file(path: Path) -> str:
    with _readable(path), path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turns the system's refusal to read into a sentence."""
    try:
        yield
    except gzip.BadGzipFile:
        raise
    except OSError as error:
        raise DataUnreadableError(
            f"{error.filename or path} cannot be read: {error.strerror or error}. Check its permissions."
        ) from error


def keras_cache() -> Path:
    """The folder where Keras keeps data sets; what Keras itself would look in."""
    return keras_home() / "datasets"


def keras_home() -> Path:
    """The folder where Keras keeps what it downloads."""
    chosen = os.environ.get("KERAS_HOME")
    return Path(chosen).expanduser() if chosen else Path.home() / ".keras"
