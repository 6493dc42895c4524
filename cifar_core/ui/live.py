"""A live run as everybody sees it who watches: looked up once for all, and sent to those whose pages show it.

A page that watches takes a seat and names its elements that change from look to look; `send_news`, a task of the
server, fills them. Where more than their contents has changed, it asks the browsers to run their pages again: not all
at once, since that costs the server a hundred times as much.
"""

import asyncio
import logging
import random
import shutil
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from cifar_core.analysis.labels import labels
from cifar_core.experiment.measured import Measured, Run
from cifar_core.home import home
from cifar_core.runs import places
from cifar_core.runs.errors import StoreError
from cifar_core.ui import reads
from cifar_core.ui.push import Content, Screen

TICK_SECONDS = 60
"""How often a page that is sent news looks all the same: a browser that lost its connection joins again by that."""

_LOG = logging.getLogger(__name__)
# The least time between two looks at the store.
_LOOK_SECONDS = 0.5
# What a lecture hall's wireless network carries beside everything else.
_BYTES_PER_SECOND = 10e6
# Below that, the store takes nothing more, or soon will.
_BYTES_OF_A_FULL_DISK = 500_000
# What a page takes to run (`benchmarks/viewers.py`), and when the first browser that is asked for it does so.
_PAGE_CPU_SECONDS = 0.02
_SOON_SECONDS = 0.2


@dataclass(frozen=True)
class News:
    """A run with what it measured, and what works and waits beside it, at one moment."""

    run: Run
    measured: Measured
    standing: reads.Standing

    @cached_property
    def outline(self) -> Hashable:
        """What decides which elements a page has: where it changes, the page has to run."""
        run, standing = self.run, self.standing
        return (
            (run.name, run.state.is_finished, run.stop_requested, run.reason, tuple(labels(run))),
            tuple(each.id for each in standing.active),
            tuple(each.id for each in standing.waiting),
            str(places.capacity()),
            no_room(),
        )


Make = Callable[[News], Content | None]
"""What an element shows, or None where the news says nothing about it."""


def no_room() -> str:
    """Say it where the disk is full; "" where it is not."""
    if shutil.disk_usage(home()).free > _BYTES_OF_A_FULL_DISK:
        return ""
    return (
        f"The disk of {home()} is full: what runs do now cannot be kept, nor shown here. Delete runs that have ended, "
        "or free room otherwise."
    )


def look(run: str) -> News:
    """Return how a run stands now.

    Raises:
        StoreError: it was deleted, or the store cannot be read.
    """
    standing = reads.standing()
    found = standing.run(run)
    return News(found, (found, reads.history(run, found.version)), standing)


class Seat:
    """One browser's place among those who watch, anew whenever its whole page runs."""

    def __init__(self) -> None:
        self.screen = Screen()
        self.run = ""
        self.outline: Hashable = None
        self.makes: dict[str, Make] = {}
        self.shows: dict[str, Content] = {}
        self.is_called = False
        _seats.pop(self.screen.session, None)

    @contextmanager
    def part(self, name: str, make: Make) -> Iterator[None]:
        """Name the element that is drawn inside, and say what it shows."""
        with self.screen.remember(name):
            yield
        self.makes[name] = make
        self.shows.pop(name, None)

    def take(self, news: News) -> None:
        """Be sent what is newer than `news`, which decided what the page looks like."""
        self.run, self.outline = news.run.id, news.outline
        if _sending:
            _seats[self.screen.session] = self


Changed = dict[str, tuple[Make, Content]]
_seats: dict[str, Seat] = {}
_sending = False


def is_sending() -> bool:
    """Whether pages that watch are sent what is new; else they have to look."""
    return _sending


async def send_news() -> None:
    """Send what is new to all seats, as long as the server lives; after an error, a while later."""
    global _sending
    while True:
        _sending = True
        try:
            while True:
                await asyncio.sleep(await _round())
        except Exception:
            _LOG.exception("News cannot be sent: pages look by themselves for a while.")
        finally:
            _sending = False
            _seats.clear()
        await asyncio.sleep(TICK_SECONDS)


async def _round() -> float:
    """Send once what is new, and return how many seconds to wait then."""
    began, size = time.process_time(), 0
    for session, seat in list(_seats.items()):
        if not seat.screen.is_open and _seats.get(session) is seat:
            _seats.pop(session, None)
    for seat, changed, calls in await asyncio.to_thread(_news, list(_seats.values())):
        if seat.screen.is_ready and _seats.get(seat.screen.session) is seat:
            size += _send(seat, changed, calls)
            await asyncio.sleep(0)  # others want to be served meanwhile
    return max(_LOOK_SECONDS, (time.process_time() - began) / reads.SHARE, size / _BYTES_PER_SECOND)


def _news(seats: Sequence[Seat]) -> list[tuple[Seat, Changed, bool]]:
    """Return what each seat does not show yet, and whether its page has to run."""
    found: dict[str, News | None] = {}
    for run in {seat.run for seat in seats}:
        try:
            found[run] = look(run)
        except StoreError:  # the page will say what is wrong
            found[run] = None
    answers = []
    for seat in seats:
        news, changed = found[seat.run], Changed()
        for name, make in list(seat.makes.items()):
            content = make(news) if news else None
            if content is not None and content != seat.shows.get(name):
                changed[name] = make, content
        answers.append((seat, changed, news is None or news.outline != seat.outline))
    return answers


def _send(seat: Seat, changed: Changed, calls: bool) -> int:
    """Send what has changed, and return how many bytes that took."""
    size = 0
    for name, (make, content) in changed.items():
        if seat.makes[name] is make:  # else the page has run since, and shows something else here
            size += seat.screen.fill(name, content)
            seat.shows[name] = content
    if calls and not seat.is_called:
        seat.is_called = True
        all_seconds = len(_seats) * _PAGE_CPU_SECONDS / reads.SHARE
        seat.screen.run_again(random.uniform(_SOON_SECONDS, _SOON_SECONDS + all_seconds))
    return size
