import hashlib
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from filelock import FileLock

from cifar_core.data import download as module
from cifar_core.data import download_cifar10, open_images
from cifar_core.data.download import ARCHIVE, downloads
from cifar_core.data.errors import DataNotStoredError, DownloadCancelledError, DownloadError
from tests.data.makers import archive, cifar10, python_files

PIECE = 1 << 12


@dataclass
class Server:
    """A web server with one file, and the ways in which servers differ and fail."""

    content: bytes
    ranges: bool = True
    etag: str | None = '"first"'
    cut_after: int | None = None
    status: int = 200
    says_length: bool = True
    shift: int = 0
    labels_encoding: bool = False
    asked: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    @property
    def md5(self) -> str:
        return hashlib.md5(self.content).hexdigest()

    def fetch(self, home: Path, **options: object) -> Path:
        return download_cifar10(home, **{"url": self.url, "md5": self.md5, **options})  # type: ignore[arg-type]


class Handler(BaseHTTPRequestHandler):
    def __init__(self, server: Server, *rest: object) -> None:
        self.told = server
        super().__init__(*rest)  # type: ignore[arg-type]

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        told = self.told
        told.asked.append(dict(self.headers))
        start, wanted = 0, re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if told.ranges and wanted and self.headers.get("If-Range") == told.etag:
            start = int(wanted[1]) + told.shift
        if start >= len(told.content):
            self.send_response(416)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = told.content[start:]
        self.send_response(206 if start and told.status == 200 else told.status)
        if told.etag is not None:
            self.send_header("ETag", told.etag)
        if told.says_length:
            self.send_header("Content-Length", str(len(body)))
        if told.labels_encoding:
            self.send_header("Content-Encoding", "gzip")
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(told.content) - 1}/{len(told.content)}")
        self.end_headers()
        self.wfile.write(body if told.cut_after is None else body[: told.cut_after])


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(module, "_CHUNK", PIECE)
    made = Server(archive(tmp_path / "made.tar.gz", python_files()).read_bytes())
    running = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, made))
    made.url = f"http://127.0.0.1:{running.server_port}/{ARCHIVE}"
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    running.shutdown()
    thread.join()
    running.server_close()


def only_the_archive(home: Path) -> bool:
    return {path.name for path in downloads(home).iterdir()} <= {ARCHIVE, "lock"}


def test_the_archive_arrives_is_checked_and_opens(server: Server, home: Path) -> None:
    heard: list[tuple[int, int | None]] = []
    path = server.fetch(home, progress=lambda done, total: heard.append((done, total)))
    assert path == downloads(home) / ARCHIVE
    assert path.read_bytes() == server.content
    assert heard[-1] == (len(server.content), len(server.content))
    assert [done for done, _ in heard] == sorted(done for done, _ in heard)
    assert only_the_archive(home)
    assert len(open_images(cifar10(), home=home).train_labels) == 50


def test_a_server_that_does_not_say_the_size_is_no_trouble(server: Server, home: Path) -> None:
    server.says_length = False
    heard: list[int | None] = []
    server.fetch(home, progress=lambda _, total: heard.append(total))
    assert set(heard) == {None}


def test_an_archive_that_is_there_is_not_fetched_again(server: Server, home: Path) -> None:
    server.fetch(home)
    server.fetch(home)
    assert len(server.asked) == 1


def test_a_cancelled_download_is_kept_and_continued(server: Server, home: Path) -> None:
    with pytest.raises(DownloadCancelledError, match=r"cancelled after .* MB, which are kept"):
        server.fetch(home, cancelled=lambda: True)
    assert not (downloads(home) / ARCHIVE).exists()
    heard: list[tuple[int, int | None]] = []
    server.fetch(home, progress=lambda done, total: heard.append((done, total)))
    assert server.asked[1]["Range"] == f"bytes={PIECE}-"
    assert server.asked[1]["If-Range"] == '"first"'
    assert heard[0] == (2 * PIECE, len(server.content))
    assert (downloads(home) / ARCHIVE).read_bytes() == server.content


def test_a_lost_connection_is_said_and_the_next_start_continues(server: Server, home: Path) -> None:
    server.cut_after = 3 * PIECE
    with pytest.raises(DownloadError, match=r"broke off .*Start it again to continue where it stopped"):
        server.fetch(home)
    server.cut_after = None
    assert server.fetch(home).read_bytes() == server.content
    assert server.asked[1]["Range"] == f"bytes={3 * PIECE}-"


def test_a_server_without_ranges_starts_over_correctly(server: Server, home: Path) -> None:
    server.ranges = False
    with pytest.raises(DownloadCancelledError):
        server.fetch(home, cancelled=lambda: True)
    assert server.fetch(home).read_bytes() == server.content


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_strong_validator_nothing_is_pieced_together(server: Server, home: Path, etag: str | None) -> None:
    server.etag = etag
    with pytest.raises(DownloadCancelledError):
        server.fetch(home, cancelled=lambda: True)
    assert server.fetch(home).read_bytes() == server.content
    assert "Range" not in server.asked[1]


def test_a_file_that_changed_on_the_server_is_fetched_from_its_start(server: Server, home: Path) -> None:
    with pytest.raises(DownloadCancelledError):
        server.fetch(home, cancelled=lambda: True)
    server.content, server.etag = server.content[::-1], '"second"'
    assert server.fetch(home).read_bytes() == server.content


def test_another_address_does_not_continue_what_came_from_the_first(server: Server, home: Path) -> None:
    with pytest.raises(DownloadCancelledError):
        server.fetch(home, cancelled=lambda: True)
    assert server.fetch(home, url=f"{server.url}?mirror").read_bytes() == server.content
    assert "Range" not in server.asked[1]


def test_a_server_that_continues_elsewhere_is_not_believed(server: Server, home: Path) -> None:
    with pytest.raises(DownloadCancelledError):
        server.fetch(home, cancelled=lambda: True)
    server.shift = 5
    with pytest.raises(DownloadError, match="continued at another place"):
        server.fetch(home)
    assert server.fetch(home).read_bytes() == server.content


def test_a_partial_file_that_is_already_whole_is_fetched_anew(server: Server, home: Path) -> None:
    with pytest.raises(DownloadCancelledError):
        server.fetch(home, cancelled=lambda: True)
    (downloads(home) / f"{ARCHIVE}.partial").write_bytes(server.content)
    assert server.fetch(home).read_bytes() == server.content
    assert len(server.asked) == 3


def test_a_wrong_checksum_is_an_error_and_the_file_goes(server: Server, home: Path) -> None:
    with pytest.raises(DownloadError, match=r"not the official archive: its md5 is .*expected c58f.*It was deleted"):
        server.fetch(home, md5=module.MD5)
    assert list(downloads(home).glob(f"{ARCHIVE}*")) == []


def test_a_corrupted_file_in_place_is_replaced(server: Server, home: Path) -> None:
    server.fetch(home).write_bytes(b"spoilt since")
    assert server.fetch(home).read_bytes() == server.content


def test_a_server_that_calls_the_gz_an_encoding_does_not_get_it_unpacked(server: Server, home: Path) -> None:
    server.labels_encoding = True
    assert server.fetch(home).read_bytes() == server.content


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_a_refusal_of_the_server_is_said_with_its_number(server: Server, home: Path, status: int) -> None:
    server.status = status
    with pytest.raises(DownloadError, match=f"the server answered {status}"):
        server.fetch(home)
    assert only_the_archive(home)


def test_a_refusal_does_not_cost_what_already_arrived(server: Server, home: Path) -> None:
    with pytest.raises(DownloadCancelledError):
        server.fetch(home, cancelled=lambda: True)
    server.status = 503
    with pytest.raises(DownloadError):
        server.fetch(home)
    server.status = 200
    server.fetch(home)
    assert server.asked[-1]["Range"] == f"bytes={PIECE}-"


def test_without_a_network_a_sentence_says_what_to_do_by_hand(home: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/{ARCHIVE}"
    with pytest.raises(DownloadError) as caught:
        download_cifar10(home, url=url)
    assert "no connection" in str(caught.value)
    assert f"fetch {ARCHIVE} from {url} on another computer and put it into {downloads(home)}" in str(caught.value)


def test_two_downloads_at_once_do_not_write_one_file(server: Server, home: Path) -> None:
    downloads(home).mkdir(parents=True)
    with FileLock(downloads(home) / "lock"), pytest.raises(DownloadError, match="already being downloaded"):
        server.fetch(home)
    assert server.asked == []


def test_a_disk_that_refuses_is_a_sentence(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataNotStoredError, match="Nothing could be written"):
        server.fetch(tmp_path / "file")
