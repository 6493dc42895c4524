"""A run's files on their way into the object store, beside its training."""

import socket
import threading
import time
from collections.abc import Callable

from cifar_core.runs.errors import ClaimLost, StoreError
from cifar_core.runs.patience import Patience
from cifar_core.runs.store import Store
from cifar_core.worker.errors import log

SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_BETWEEN_LOOKS_AT_THE_END = 0.1


class Keeper(threading.Thread):
    """Keeps in the object store what changes in a run's folder: always the latest, and training never waits for it.

    An object store that does not answer ends nothing: the files are on this machine, and it is tried again and again.
    """

    def __init__(self, store: Store, run: str, owner: str):
        super().__init__(name="files of the run", daemon=True)
        self._store, self._run, self._owner = store, run, owner
        self._ending = threading.Event()
        self._problem = ""

    def run(self) -> None:
        """Keep what there is, until the end, and at the end."""
        try:
            while not self._ending.wait(SECONDS_BETWEEN_LOOKS):
                self._keep(Patience(0))
            self._keep(Patience(0 if self._problem else None), last=True)
        except ClaimLost:
            return  # the run's own next write says so

    def end(self, seconds: Callable[[], float]) -> str:
        """Keep what is left within `seconds`, which may become fewer; return in words what could not be kept, or ""."""
        self._ending.set()
        if self.ident is None:  # the run ended before it began
            return ""
        began = time.monotonic()
        while self.is_alive() and time.monotonic() - began < seconds():
            self.join(SECONDS_BETWEEN_LOOKS_AT_THE_END)
        if self.is_alive():
            took = time.monotonic() - began
            self._problem = self._problem or f"They were still on their way after {took:.0f} s."
        if not self._problem:
            return ""
        return (
            f"The last files of this run are only on the machine {socket.gethostname()}. {self._problem} Once that is "
            "solved, this command there makes up for it: python -m cifar_core keep"
        )

    def _keep(self, patiently: Patience, *, last: bool = False) -> None:
        try:
            patiently(self._store.files.keep, self._run, self._owner, last=last)
        except ClaimLost:
            raise
        except StoreError as error:
            if self._problem != str(error):
                log(f"It goes on, but: {error}")
            self._problem = str(error)
        else:
            self._problem = ""
