"""Patience with a store that takes nothing for a moment: it is locked, its disk is full, its server starts again."""

import logging
import math
import threading
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from cifar_core.runs.errors import StoreUnusable

SECONDS_OF_PATIENCE = 60.0
SECONDS_BETWEEN_TRIES = 0.3

_P = ParamSpec("_P")
_T = TypeVar("_T")
_LOG = logging.getLogger(__name__)


class Patience:
    """Tries again what a store refuses, until it has refused everything for so many seconds or an event is set.

    Once it is over, each further thing is tried once, until the store takes something again. Nothing is lost by trying
    what was done already, its answer being lost; at worst one point of a curve is there twice. For one thread.
    """

    def __init__(self, seconds: float | None = None, until: threading.Event | None = None):
        self._seconds = SECONDS_OF_PATIENCE if seconds is None else seconds
        self._until = until or threading.Event()
        self._refused_since = math.inf

    def __call__(self, act: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Return what the act returns.

        Raises:
            StoreUnusable: when patience is over. Whatever else the act raises comes at once.
        """
        while True:
            try:
                done = act(*args, **kwargs)
            except StoreUnusable as error:
                now = time.monotonic()
                if self._refused_since > now:
                    self._refused_since = now
                    _LOG.error("Nothing is lost yet, it is tried again: %s", error)
                if now - self._refused_since >= self._seconds or self._until.wait(SECONDS_BETWEEN_TRIES):
                    raise
            else:
                self._refused_since = math.inf
                return done
