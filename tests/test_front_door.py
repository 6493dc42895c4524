"""What the server does before anybody comes."""

import socket

from app import send_at_once


def test_what_is_written_to_a_browser_is_sent_at_once() -> None:
    with socket.socket() as listening:  # made as Streamlit makes its own
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        send_at_once()
        with socket.create_connection(listening.getsockname()):
            accepted, _ = listening.accept()
            with accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
