"""Where a run's seconds went."""

import time
from collections.abc import Mapping


class Ledger:
    """Wall-clock seconds by kind of work: at any moment exactly one entry is running."""

    def __init__(self, before: Mapping[str, float] | None = None) -> None:
        """Count on from `before`, what a run had taken until it was stopped or interrupted."""
        self.seconds = dict(before or {})
        self._entry = ""
        self._since = time.perf_counter()

    def switch(self, entry: str) -> None:
        """Count from now on under `entry`."""
        now = time.perf_counter()
        if self._entry:
            self.add(self._entry, now - self._since)
        self._entry, self._since = entry, now

    def add(self, entry: str, seconds: float) -> None:
        """Count seconds that have passed elsewhere."""
        self.seconds[entry] = self.seconds.get(entry, 0.0) + seconds

    def close(self) -> dict[str, float]:
        """Count no longer, and return the seconds."""
        self.switch("")
        return self.seconds
