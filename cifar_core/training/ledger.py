"""Where a run's seconds went."""

import time


class Ledger:
    """Wall-clock seconds by kind of work: at any moment exactly one entry is running."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._entry = ""
        self._since = time.perf_counter()

    def switch(self, entry: str) -> None:
        """Count from now on under `entry`."""
        now = time.perf_counter()
        if self._entry:
            self.seconds[self._entry] = self.seconds.get(self._entry, 0.0) + now - self._since
        self._entry, self._since = entry, now

    def close(self) -> dict[str, float]:
        """Count no longer, and return the seconds."""
        self.switch("")
        return self.seconds
