"""What the server does before anybody comes."""

import socket

import pytest

from app import AT_ONCE, send_at_once, setting


def test_what_is_written_to_a_browser_is_sent_at_once() -> None:
    with socket.socket() as listening:  # made as Streamlit makes its own
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        send_at_once()
        with socket.create_connection(listening.getsockname()):
            accepted, _ = listening.accept()
            with accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize(("received", "meant"), [(None, 1), ("3", 3), ("0", 1), ("-2", 1), ("many", 1), ("", 1)])
def test_what_is_no_number_of_runs_at_once_is_logged_and_means_one(
    received: str | None, meant: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv(AT_ONCE, raising=False)
    if received is not None:
        monkeypatch.setenv(AT_ONCE, received)
    assert setting(AT_ONCE, least=1) == meant
    assert (AT_ONCE in caplog.text) == (received not in (None, "3"))
