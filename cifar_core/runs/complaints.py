"""Complaints of what goes on: a log that fills up hides what matters."""

import logging
import time

_SECONDS_BETWEEN_COMPLAINTS = 60.0


class OnceAMinute(logging.Filter):
    """Lets the words of an error through once a minute: what is tried every second fails every second, too."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the words are news."""
        if record.levelno < logging.ERROR:
            return True
        words, now = record.getMessage(), time.monotonic()
        self._said = {said: at for said, at in self._said.items() if now - at < _SECONDS_BETWEEN_COMPLAINTS}
        return self._said.setdefault(words, now) == now
