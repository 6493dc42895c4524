"""What the server does before anybody comes."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import app
from app import send_at_once, supervise
from cifar_core.runs import supervisor
from cifar_core.runs.errors import StoreError


def test_what_is_written_to_a_browser_is_sent_at_once() -> None:
    with socket.socket() as listening:  # made as Streamlit makes its own
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        send_at_once()
        with socket.create_connection(listening.getsockname()):
            accepted, _ = listening.accept()
            with accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


class Unopened:
    """A supervisor whose store opens at the third try."""

    tries = 0

    def __init__(self, *_: object, **__: object):
        Unopened.tries += 1
        if Unopened.tries < 3:
            raise StoreError("The database does not answer.")

    def start(self) -> None:
        """Nothing runs here."""

    stop = start


@pytest.fixture
def unopened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRANSFER_LAB_HOME", str(tmp_path))
    monkeypatch.setattr(supervisor, "Supervisor", Unopened)
    monkeypatch.setattr(Unopened, "tries", 0)


@pytest.mark.usefixtures("unopened")
def test_a_store_that_does_not_open_is_logged_once_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(app, "SECONDS_BETWEEN_TRIES", 0.001)
    supervise(threading.Event())()
    assert Unopened.tries == 3
    assert caplog.text.count("The database does not answer.") == 1


@pytest.mark.usefixtures("unopened")
def test_a_server_that_ends_waits_for_no_store() -> None:
    leaving = threading.Event()
    with ThreadPoolExecutor() as pool:
        supervising = pool.submit(supervise, leaving)
        while not Unopened.tries:
            assert not supervising.done()
        leaving.set()
        supervising.result(timeout=app.SECONDS_BETWEEN_TRIES - 1)()
    assert Unopened.tries == 1
