"""The files of runs in an object store, for machines that share no file system: a twin of each run's folder.

An object is named by what is in it, and never changed. Which ones are a run's files stands in the store, written in one
transaction by the owner of the run: a twin is the folder as of one moment, wherever a process was killed. A folder
remembers which twin it was last equal to. As long as that is the present one, what differs is news of this machine;
once it is another, a newer one was made elsewhere.
"""

import errno
import hashlib
import importlib.util
import json
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from filelock import FileLock, Timeout

from cifar_core import events
from cifar_core.data.files import write_json
from cifar_core.experiment.measured import CHECKPOINT, LOG
from cifar_core.runs.errors import ArtifactsUnusable

SECONDS_TO_ANSWER = 15.0
"""To do anything, and more for large files: a link that carries less than BYTES_A_SECOND is none."""
BYTES_A_SECOND = 500_000
SECONDS_TO_RECOVER = 5.0
"""An object store that has just refused something is not asked again for so long: pages would wait each time."""
MOST_SECONDS_TO_RECOVER = 60.0
"""The same after it has refused everything for a while."""
ALONG = {LOG, events.FILE}
"""Files that change all the time: they go along with others, and are no reason to go before the run has ended."""
_SEEN = ".twin.json"
_LOCK = ".twin.lock"
_PART = ".part-"
_PACKAGES = {"s3": "s3fs"}
_OPTIONS: dict[str, dict[str, Any]] = {
    "s3": {"max_concurrency": 2, "config_kwargs": {"retries": {"total_max_attempts": 2}}},
    "file": {"auto_mkdir": True},
}
"""Of implementations: to hold 100 MB in memory at most, and to say soon that nobody answers."""
_EXPECTED = "TRANSFER_LAB_ARTIFACTS expects an address such as s3://bucket/folder."
_SECRETS = ("password", "secret", "token", "key")
_HOST_OF_AN_ADDRESS = re.compile(r"https?://([^/\s\"']+)[^\s\"']*")
_LOCAL = (errno.ENOSPC, errno.EDQUOT)
"""Errors of this computer's disk, not of the object store."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class Kept:
    """A file of a run as an object: a hash of its content, its bytes, and when it was changed, in ns since 1970."""

    name: str
    hash: str
    size: int
    written: int

    @property
    def object(self) -> str:
        """What the object is called, below the run's id."""
        return f"{self.hash[:32]}-{self.name}"

    def is_like(self, path: Path) -> bool:
        """Whether a file seems to be the one that was kept."""
        try:
            found = path.stat()
        except FileNotFoundError:
            return False
        return (found.st_size, found.st_mtime_ns) == (self.size, self.written)


class ObjectGone(ArtifactsUnusable):
    """Nothing has the name of an object: it was replaced, or somebody removed it."""


class Objects:
    """Runs' files in an object store, by its fsspec address.

    Credentials are the implementation's affair (for S3: `AWS_ACCESS_KEY_ID` and so on), so that no log or message can
    show them. May be used from many threads.

    Raises:
        ArtifactsUnusable: for an address that is none or holds a password, for a package that is missing; and by all
            methods, when the object store cannot be used.
    """

    def __init__(self, address: str):
        url = urlsplit(address)
        if not url.scheme or "://" not in address or "::" in address:
            raise ArtifactsUnusable(_EXPECTED)
        if url.password is not None or any(word in name.lower() for name in parse_qs(url.query) for word in _SECRETS):
            raise ArtifactsUnusable(
                "The address in TRANSFER_LAB_ARTIFACTS holds a password, which would end up in logs and lists of "
                "processes. Take it out, and give it in the environment: for S3 as AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY."
            )
        self.name = address.rstrip("/")
        self._protocol = url.scheme
        for package in ("fsspec", _PACKAGES.get(self._protocol, "fsspec")):
            if importlib.util.find_spec(package) is None:
                raise ArtifactsUnusable(
                    f"Files at {self.name} need the package {package}: pip install -r requirements-cluster.txt."
                )
        self._lock = threading.Lock()
        self._opened: tuple[Any, str] | None = None
        self._refused: ArtifactsUnusable | None = None
        self._ask_again, self._refusals = 0.0, 0

    def put(self, run: str, path: Path) -> Kept:
        """Keep a file as it is now; one that is being appended to up to where it has come.

        Raises:
            OSError: when the file cannot be read, FileNotFoundError when it is not there.
        """
        with tempfile.TemporaryDirectory(prefix=_PART, dir=path.parent) as folder:
            copy, digest = Path(folder, path.name), hashlib.sha256()
            with path.open("rb") as file, copy.open("wb") as copied:
                written = os.fstat(file.fileno()).st_mtime_ns
                while chunk := file.read(1 << 20):
                    digest.update(chunk)
                    copied.write(chunk)
            kept = Kept(path.name, digest.hexdigest(), copy.stat().st_size, written)
            self._do(lambda fs, root: fs.put_file(str(copy), f"{root}/{run}/{kept.object}"), kept.size)
        return kept

    def get(self, run: str, kept: Kept, path: Path) -> None:
        """Write an object into a file, at once or not at all, and onto the disk.

        Raises:
            OSError: when the file cannot be written.
        """
        with tempfile.TemporaryDirectory(prefix=_PART, dir=path.parent) as folder:
            part = Path(folder, "part")
            self._do(lambda fs, root: fs.get_file(f"{root}/{run}/{kept.object}", str(part)), kept.size)
            with part.open("rb+") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != kept.hash:
                    raise ArtifactsUnusable(f"The file {kept.name} of the run {run} is damaged at {self.name}.")
                os.fsync(file.fileno())
            os.utime(part, ns=(kept.written, kept.written))
            part.replace(path)

    def forget(self, run: str, files: Iterable[Kept]) -> None:
        """Remove objects; those that are gone already are no error."""
        for name in [kept.object for kept in files]:
            with suppress(ObjectGone):
                self._do(partial(_remove, f"{run}/{name}"))

    def remove(self, run: str) -> None:
        """Remove all objects of a run."""
        with suppress(ObjectGone):
            self._do(lambda fs, root: fs.rm(f"{root}/{run}", recursive=True))

    def check(self) -> None:
        """Do nothing where the object store answers, whether or not anything is there."""
        try:
            self._do(lambda fs, root: fs.ls(root, detail=False))
        except ObjectGone:
            self._do(lambda fs, root: fs.ls(root.partition("/")[0], detail=False))

    def _do(self, act: Callable[[Any, str], _T], size: int = 0) -> _T:
        """Return what an act on the file system and the root in it returns, in time."""
        if self._refused is not None and time.monotonic() < self._ask_again:
            raise self._refused
        try:
            done = _within(SECONDS_TO_ANSWER + size / BYTES_A_SECOND, lambda: act(*self._open()))
        except FileNotFoundError as error:
            raise ObjectGone(self._sentence(error)) from error
        except Exception as error:  # each implementation has its own
            if isinstance(error, OSError) and error.errno in _LOCAL:
                raise
            pause = min(MOST_SECONDS_TO_RECOVER, SECONDS_TO_RECOVER * 2**self._refusals)
            self._ask_again, self._refusals = time.monotonic() + pause, self._refusals + 1
            self._refused = ArtifactsUnusable(self._sentence(error))
            raise self._refused from error
        self._refused, self._refusals = None, 0
        return done

    def _open(self) -> tuple[Any, str]:
        with self._lock:
            if self._opened is None:
                import fsspec  # only now: with S3's implementation it takes half a second and 60 MB

                options = dict(_OPTIONS.get(self._protocol, {}))
                own = fsspec.config.conf.get(self._protocol, {}).get("config_kwargs", {})
                if "config_kwargs" in options:
                    options["config_kwargs"] = {**options["config_kwargs"], **own}
                fs, root = fsspec.core.url_to_fs(
                    self.name, use_listings_cache=False, skip_instance_cache=True, **options
                )
                self._opened = fs, root.rstrip("/")
            return self._opened

    def _sentence(self, error: Exception) -> str:
        said = _HOST_OF_AN_ADDRESS.sub(r"\1", str(error).strip().partition("\n")[0]) or type(error).__name__
        said = said.rstrip(".")
        return (
            f"Files of runs at {self.name} cannot be reached: {said}. Check that it answers and is there, and the "
            "rights and keys in this computer's environment."
        )


class Twin:
    """A run's folder on this machine, and its twin, of which `kept` tells the files, by name.

    All methods raise ArtifactsUnusable, and OSError as the file system says.
    """

    def __init__(self, objects: Objects, folder: Path, kept: Callable[[], dict[str, Kept]]):
        self._objects, self.folder, self._run, self._kept = objects, folder, folder.name, kept

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep others on this machine from bringing anything, and from saying what is kept."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.folder / _LOCK, timeout=2 * SECONDS_TO_ANSWER):
                yield
        except Timeout as error:
            raise ArtifactsUnusable(
                f"Another program has been fetching files of the run {self._run} for long. Try again in a moment."
            ) from error

    def seen(self) -> dict[str, Kept]:
        """What was kept when this folder was last like it; nothing where it never was."""
        try:
            found: dict[str, Any] = json.loads((self.folder / _SEEN).read_text(encoding="utf-8"))
            return {name: Kept(**each) for name, each in found.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def see(self, kept: Mapping[str, Kept]) -> None:
        """Remember what the folder is like now; with the folder held."""
        write_json(self.folder / _SEEN, {name: asdict(each) for name, each in kept.items()})

    def is_outdated(self, kept: Mapping[str, Kept]) -> bool:
        """Whether anything here was replaced by another machine: then nothing here is news any more."""
        return any(kept.get(name) != each for name, each in self.seen().items())

    def has_news(self) -> bool:
        """Whether anything here, logs aside, is not as it was kept."""
        return not {path.name for path in self._changed(self.seen())} <= ALONG

    def clear_parts(self) -> None:
        """Remove what was on its way when a process was killed."""
        for left in self.folder.glob(f"{_PART}*"):
            shutil.rmtree(left, ignore_errors=True)

    def _changed(self, seen: Mapping[str, Kept]) -> list[Path]:
        """The files here that are not as they were kept."""
        return [path for path in _files(self.folder) if path.name not in seen or not seen[path.name].is_like(path)]

    def put(self, *, logs: bool) -> dict[str, Kept] | None:
        """Make objects of what has changed here, and return all that is now to be kept; None when there is no news.

        `logs` says whether those alone are news.
        """
        seen, files = self.seen(), _files(self.folder)
        changed = self._changed(seen)
        news = {path.name for path in changed} - (set() if logs else ALONG)
        if not news and seen.keys() <= {path.name for path in files}:
            return None
        kept = {path.name: seen[path.name] for path in files if path not in changed}
        for path in changed:
            with suppress(FileNotFoundError):  # it was removed meanwhile
                kept[path.name] = self._objects.put(self._run, path)
        return kept

    def forget(self, before: Mapping[str, Kept], now: Mapping[str, Kept]) -> None:
        """Remove objects that are not needed any more."""
        needed = {each.object for each in now.values()}
        self._objects.forget(self._run, (each for each in before.values() if each.object not in needed))

    def bring(self) -> None:
        """Make this folder like its twin, but for this machine's log; where nobody has made a newer one, it stands.

        To be called by whoever has claimed the run.
        """
        self._try(self._bring)

    def bring_one(self, name: str) -> None:
        """Bring one file, unless what is here is as new or newer, or it is not kept."""
        if not self._has(name, self._kept()):
            self._try(lambda kept: None if self._has(name, kept) else self._get(kept[name]))

    def _try(self, bring: Callable[[dict[str, Kept]], None]) -> None:
        """Bring what is kept now; a newer twin may be made meanwhile, and the objects of this one be removed."""
        for tries_left in (2, 1, 0):
            with self.held():
                try:
                    bring(self._kept())
                    break
                except ObjectGone:
                    if not tries_left:
                        raise

    def _bring(self, kept: dict[str, Kept]) -> None:
        self.clear_parts()
        stands = {name: each.hash for name, each in self.seen().items()} == {k: each.hash for k, each in kept.items()}
        for each in kept.values():
            path = self.folder / each.name
            if each.name != LOG and not (path.exists() if stands else each.is_like(path)):
                self._objects.get(self._run, each, path)
        if kept and not stands:
            for path in _files(self.folder):
                if path.name not in kept and path.name != LOG:
                    path.unlink(missing_ok=True)
            self.see(kept)

    def _get(self, kept: Kept) -> None:
        self._objects.get(self._run, kept, self.folder / kept.name)
        self.see({**self.seen(), kept.name: kept})

    def _has(self, name: str, kept: Mapping[str, Kept]) -> bool:
        """Whether there is nothing to bring."""
        if name not in kept:
            return True
        seen = self.seen().get(name)
        return seen is not None and seen.hash == kept[name].hash and (self.folder / name).exists()


def copied(folder: Path) -> list[str]:
    """Return the runs in a folder of runs that have, or had, a twin."""
    return [seen.parent.name for seen in folder.glob(f"*/{_SEEN}")]


def _files(folder: Path) -> list[Path]:
    """What of a folder is kept: first the checkpoint, as what it goes on from must not be newer than all else."""
    found = [
        path
        for path in (folder.iterdir() if folder.exists() else ())
        if path.is_file() and not path.name.startswith((".", "part-")) and path.suffix != ".tmp"
    ]
    return sorted(found, key=lambda path: (path.name != CHECKPOINT, path.name))


def _remove(name: str, fs: Any, root: str) -> None:
    fs.rm_file(f"{root}/{name}")


def _within(seconds: float, act: Callable[[], _T]) -> _T:
    """Return what an act returns. One that never ends is left behind: some wait for ever for an answer."""
    outcome: Future[_T] = Future()

    def do() -> None:
        try:
            outcome.set_result(act())
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=do, name="runs: artifacts", daemon=True).start()
    try:
        return outcome.result(seconds)
    except TimeoutError as error:
        raise OSError(f"nothing was heard for {seconds:.0f} s") from error
