"""Fetch the official CIFAR-10 archive: resumable, checked, cancellable."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import requests
import urllib3
from filelock import FileLock, Timeout

from cifar_core.data.arrays import not_stored
from cifar_core.data.errors import DownloadCancelledError, DownloadError
from cifar_core.data.files import write_json

ARCHIVE = "cifar-10-python.tar.gz"
URL = f"https://www.cs.toronto.edu/~kriz/{ARCHIVE}"
MD5 = "c58f30108f718f92721af3b95e74349a"
SIZE = 170_498_071
"""Bytes of the official archive; shown before a download, never relied on."""

_CHUNK = 1 << 18
_TIMEOUTS = (10, 30)  # seconds to connect, and between two pieces: how late a cancel can be heard


def downloads(home: Path) -> Path:
    """The folder our own download goes to; an archive put there by hand is found as well."""
    return home / "data" / "downloads"


def download_cifar10(
    home: Path,
    *,
    progress: Callable[[int, int | None], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    url: str = URL,
    md5: str = MD5,
) -> Path:
    """Fetch the archive into `downloads(home)` and return its path; at once where it already is.

    `progress` hears of bytes there and bytes in all (None where the server does not say). `cancelled` is asked
    between pieces. What arrived before a cancel or a lost connection is kept, and the next call continues
    there, unless the file on the server has changed.

    Raises DownloadCancelledError, DownloadError, or DataNotStoredError when the disk refuses.
    """
    final = downloads(home) / ARCHIVE
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(final.parent / "lock", timeout=0):
            if final.is_file() and _md5(final) == md5:
                return final
            partial = _Partial(final.with_name(f"{ARCHIVE}.partial"), url)
            _fetch(partial, progress, cancelled or (lambda: False))
            _check(partial, md5)
            partial.settle(final)
            return final
    except Timeout as error:
        raise DownloadError("CIFAR-10 is already being downloaded, by this app or another one.") from error
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise DownloadError(
            f"The download of CIFAR-10 broke off ({_reason(error)}). Start it again to continue where it stopped. "
            f"Without a network: fetch {ARCHIVE} from {url} on another computer and put it into {final.parent}."
        ) from error
    except OSError as error:
        raise not_stored(final.parent, error) from error


@dataclass(frozen=True)
class _Partial:
    """What has arrived so far, and beside it which version of the file on the server it is part of."""

    path: Path
    url: str

    @property
    def _memory(self) -> Path:
        return self.path.with_suffix(".partial.json")

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def validator(self) -> str | None:
        """What the server called the version this is part of, or None where continuing would be a guess."""
        try:
            memory = json.loads(self._memory.read_text(encoding="utf-8"))
            return str(memory["validator"]) if memory["url"] == self.url else None
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def begin(self, validator: str | None) -> None:
        self.discard()
        if validator is not None:
            write_json(self._memory, {"url": self.url, "validator": validator})

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._memory.unlink(missing_ok=True)

    def settle(self, final: Path) -> None:
        self.path.replace(final)
        self._memory.unlink(missing_ok=True)


def _fetch(
    partial: _Partial, progress: Callable[[int, int | None], None] | None, cancelled: Callable[[], bool]
) -> None:
    """Bring the partial file to its full length."""
    with requests.Session() as session:
        response = _ask(session, partial)
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            response.close()
            partial.discard()
            response = _ask(session, partial)
        with response:
            response.raise_for_status()
            start = _continues_at(response, partial)
            length = response.headers.get("Content-Length", "")
            total = start + int(length) if length.isdecimal() else None
            with partial.path.open("ab") as file:
                _copy(response, file, start, total, progress, cancelled)


def _ask(session: requests.Session, partial: _Partial) -> requests.Response:
    headers = {"Accept-Encoding": "identity"}
    have, validator = partial.size(), partial.validator()
    if have and validator is not None:
        headers |= {"Range": f"bytes={have}-", "If-Range": validator}
    return session.get(partial.url, headers=headers, stream=True, timeout=_TIMEOUTS)


def _continues_at(response: requests.Response, partial: _Partial) -> int:
    """The byte the response starts at; where that is not what we have, what we have is dropped."""
    have = partial.size()
    if response.status_code == requests.codes.partial_content:
        match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
        if match and int(match[1]) == have:
            return have
        partial.discard()
        raise DownloadError("The server continued at another place than asked. Start the download again.")
    entity = response.headers.get("ETag", "")
    # A weak ETag does not promise the same bytes, so it cannot say that a rest fits.
    strong = entity if entity and not entity.startswith("W/") else None
    partial.begin(strong or response.headers.get("Last-Modified"))
    return 0


def _copy(
    response: requests.Response,
    file: BinaryIO,
    done: int,
    total: int | None,
    progress: Callable[[int, int | None], None] | None,
    cancelled: Callable[[], bool],
) -> None:
    # Raw pieces: a server that labels the .gz as an encoding must not have it unpacked on the way.
    for piece in response.raw.stream(_CHUNK, decode_content=False):
        file.write(piece)
        done += len(piece)
        if progress is not None:
            progress(done, total)
        if cancelled():
            raise DownloadCancelledError(
                f"The download was cancelled after {done / 1e6:,.1f} MB, which are kept: start it again to go on."
            )


def _check(partial: _Partial, md5: str) -> None:
    received = _md5(partial.path)
    if received != md5:
        size = partial.size()
        partial.discard()
        raise DownloadError(
            f"What {partial.url} sent is not the official archive: its md5 is {received} ({size:,} bytes), "
            f"expected {md5}. It was deleted. Start the download again; if that does not help, something between "
            "here and the server changes the file."
        )


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _reason(error: Exception) -> str:
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return "no answer in time"
    return "connection lost"
