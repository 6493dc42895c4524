"""A worker that finds no network: `python -m cifar_core.offline` is `cifar_core.worker` with every connection refused.

So whatever a run needs from elsewhere shows before the network is really missing. Connections are refused where Python
makes them, which is how Keras and Transfer Lab download.
"""

import errno
import runpy
import socket
from typing import Any, NoReturn


def refuse(*_: Any, **__: Any) -> NoReturn:
    """Fail as a connection does on a computer without a network.

    Raises:
        OSError: always.
    """
    raise OSError(errno.ENETUNREACH, "This is tried without a network, and something wanted to connect")


def cut_off() -> None:
    """Refuse every connection of this process from now on."""
    for name in ("connect", "connect_ex", "sendto"):
        setattr(socket.socket, name, refuse)
    socket.getaddrinfo = refuse


if __name__ == "__main__":
    cut_off()
    runpy.run_module("cifar_core.worker", run_name="__main__", alter_sys=True)
