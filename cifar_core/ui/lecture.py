"""Lectures: what stands in the presenter's link, and in this server's memory how far all who watch have come.

Nothing of it is kept: a lecture is over with the server, and its link begins it anew.
"""

import secrets
import threading
import time
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import segno
import streamlit as st

from cifar_core.analysis import recording
from cifar_core.analysis.linked import Subject, subject_of
from cifar_core.analysis.plan import Found, is_moving
from cifar_core.analysis.recording import SPEEDS, WHOLE, Playback, speed
from cifar_core.experiment.images_now import ImagesNow
from cifar_core.experiment.links import Query, first, whole
from cifar_core.experiment.measured import Measured, Run, State
from cifar_core.ui import people, reads

STEPS = {"question": "Question", "guess": "Guess", "curves": "Curves", "reveal": "Reveal"}
PARTS = {
    "navigation": "Navigation",
    "code": "Link and code for the audience",
    "guess": "Guessing",
    "tally": "Guesses of others, until the reveal",
    "answers": "The three questions, at the reveal",
    "controls": "Presenter's buttons (keys go on working)",
}
"""What a presenter may hide."""
HIDDEN = ("navigation",)
TYPE, LEAST_TYPE, MOST_TYPE = 160, 100, 250
SPEED = WHOLE
_MOST_GUESSES = 5000
_COOKIE, _VIEWER = "transfer_lab_viewer", "lecture.viewer"
_DAY_SECONDS = 24 * 3600
_MOST_LETTERS = 32
_GONE = 20.0  # seconds without a look, after which a viewer is not counted any more
_VIEWERS_A_SECOND = 30.0  # looks that a server answers without effort


@dataclass(frozen=True)
class Look:
    """How a lecture looks, as its link says: type in percent, what is hidden, and the speed of replays.

    Without a `title`, the question is the subject's own.
    """

    title: str
    type: int
    hidden: tuple[str, ...]
    speed: str

    @classmethod
    def of(cls, query: Query) -> "Look":
        """Return what a link says; what it leaves out or gets wrong is as usual."""
        hidden = query["hide"][0].split(",") if query.get("hide") else HIDDEN
        named = first(query, "speed", SPEED)
        return cls(
            title=first(query, "title")[:200],
            type=max(LEAST_TYPE, whole(first(query, "type"), TYPE, MOST_TYPE)),
            hidden=tuple(part for part in PARTS if part in hidden),
            speed=named if named in SPEEDS else WHOLE,
        )

    @property
    def query(self) -> Query:
        """The parameters that say so, without what is as usual."""
        found = {
            "title": self.title,
            "type": "" if self.type == TYPE else str(self.type),
            "speed": "" if self.speed == SPEED else self.speed,
        }
        hide = {} if self.hidden == HIDDEN else {"hide": [",".join(self.hidden)]}
        return {name: [value] for name, value in found.items() if value} | hide

    @property
    def font(self) -> int:
        """The letters of charts, in pixels."""
        return round(14 * self.type / 100)

    def apply(self) -> None:
        """Make everything on the page as large as is asked for, where the window has room, and hide what is hidden."""
        large = f"clamp(16px, {1.15 * self.type / 100:.2f}vw, {16 * self.type / 100:.1f}px)"
        hide = ".st-key-navigation { display: none; }" if "navigation" in self.hidden else ""
        top = ".stMainBlockContainer { padding-top: 2rem; } .stAppHeader { background: transparent; }"
        keys = ".st-key-presenter kbd { color: inherit; opacity: 1; }"  # Streamlit's are too faint to read
        st.html(f"<style>html:root {{ font-size: {large}; }} {top} {keys} {hide}</style>")


@dataclass(frozen=True)
class Standing:
    """How far a lecture has come. `live` are runs, by title, that train for it; `shows_live` says whether they show."""

    query: Query
    step: str = "question"
    playback: Playback = field(default_factory=Playback)
    live: tuple[tuple[str, str], ...] = ()
    shows_live: bool = False
    changes: int = 0

    @cached_property
    def subject(self) -> Subject:
        """What it is about."""
        return Subject.of(self.query)

    @cached_property
    def look(self) -> Look:
        """How it looks."""
        return Look.of(self.query)

    @cached_property
    def images(self) -> ImagesNow | None:
        """The images of its plan as they were when it came to this standing, where something can be said of them."""
        return images_of(self.subject)

    @property
    def choices(self) -> list[str]:
        """What can be guessed: nothing where one alone is shown."""
        found = self.subject.choices(every_run())
        return found if len(found) > 1 and "guess" not in self.look.hidden else []

    @property
    def steps(self) -> list[str]:
        """The steps of the lecture, in order."""
        return [step for step in STEPS if step != "guess" or self.choices]

    @property
    def found(self) -> Found:
        """The runs that are shown: the recorded ones, or those that train for it."""
        if not self.shows_live:
            return self.subject.recorded(every_run(), self.images)
        known = {run.id: run for run in every_run()}
        return {
            title: {known[id].seed: replace(known[id], name=title)} if id in known else {} for title, id in self.live
        }

    def length(self, found: Found) -> float:
        """Return the seconds of the recording of the runs found."""
        return recording.length(racers_of(found)) if self.subject.map is None else recording.map_length(found)

    @property
    def trains(self) -> bool:
        """Whether the runs that train for it still do."""
        return self.shows_live and is_moving(self.found)


def every_run() -> tuple[Run, ...]:
    """Return all runs that a lecture may show."""
    return reads.runs(archived=True)


def images_of(subject: Subject) -> ImagesNow | None:
    """Return the images of a subject's plan as they are now, where it has one and something can be said of them."""
    return None if subject.data is None else reads.images_now(subject.data)


def racers_of(found: Found) -> dict[str, list[Measured]]:
    """Return what the runs that have begun measured so far."""
    return {
        title: [(run, reads.history(run.id)) for run in runs.values() if run.state is not State.QUEUED]
        for title, runs in found.items()
    }


class Lecture:
    """One lecture of this server, for all who watch it. May be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._standing: Standing | None = None
        self._guesses: dict[str, str] = {}
        self._looks: dict[str, float] = {}

    @property
    def standing(self) -> Standing | None:
        """How far it has come; None before its presenter has opened it."""
        return self._standing

    @property
    def guesses(self) -> dict[str, str]:
        """What each viewer guesses."""
        with self._lock:
            return dict(self._guesses)

    def open(self, query: Query) -> None:
        """Begin the lecture of a presenter's link, or go on with it where it stands while it is about the same."""
        with self._lock:
            before = self._standing
            if before is None or subject_of(before.query) != subject_of(query):
                self._standing = Standing(query, changes=before.changes + 1 if before else 0)
                self._guesses.clear()
            elif before.query != query:
                self._standing = replace(before, query=query, changes=before.changes + 1)

    def change(self, **fields: Any) -> None:
        """Bring all who watch to another standing."""
        with self._lock:
            if self._standing is not None:
                self._standing = replace(self._standing, **fields, changes=self._standing.changes + 1)

    def go(self, step: str) -> None:
        """Bring all who watch to a step; curves wait for Start, unless one comes back to them."""
        if (standing := self._standing) is not None:
            waits = step == "curves" and standing.step != "reveal"
            self.change(step=step, playback=Playback() if waits else standing.playback)

    def play_or_pause(self, chosen: str, length: float) -> None:
        """Start or pause a recording of so many seconds; `chosen` is its speed as links name it."""
        if (standing := self._standing) is not None:
            now, playback = time.monotonic(), standing.playback
            plays = playback.plays(now, length)
            self.change(playback=playback.pause(now) if plays else playback.play(now, length, speed(chosen, length)))

    def play_at(self, chosen: str, length: float) -> None:
        """Go on at another speed, where a recording plays."""
        standing, now = self._standing, time.monotonic()
        if standing is not None and standing.playback.plays(now, length):
            self.change(playback=standing.playback.play(now, length, speed(chosen, length)))

    def train(self) -> None:
        """Queue every experiment once more, and show those runs; a second click finds them at work."""
        if (standing := self._standing) is None:
            return
        ids = [id for _, id in standing.live]
        if any(not run.state.is_finished for run in reads.store().runs(archived=True, ids=ids)):
            return
        subject, live = standing.subject, []
        seeds = {title: min(runs, default=0) for title, runs in subject.recorded(every_run(), standing.images).items()}
        for title, experiment in subject.experiments(every_run()).items():
            live.append((title, people.submit(experiment, seeds[title], f"{title} · live · seed {seeds[title]}")))
        reads.runs.clear()
        self.change(live=tuple(live), shows_live=True)

    def guess(self, viewer: str, title: str) -> None:
        """Take a viewer's guess, or another one instead; after the step of guessing nothing changes any more."""
        with self._lock:
            is_open = self._standing is not None and self._standing.step == "guess"
            if is_open and (viewer in self._guesses or len(self._guesses) < _MOST_GUESSES):
                self._guesses[viewer] = title

    def forget_guesses(self) -> None:
        """Begin guessing anew."""
        with self._lock:
            self._guesses.clear()

    def seen_by(self, viewer: str | None) -> int:
        """Note that a viewer looks, or with None nobody new, and return how many do."""
        now = time.monotonic()
        with self._lock:
            if viewer is not None:
                self._looks[viewer] = now
            self._looks = {each: at for each, at in self._looks.items() if now - at < _GONE}
            return len(self._looks)


@st.cache_resource(max_entries=200, show_spinner=False)
def lecture(id: str) -> Lecture:
    """Return the lecture with this id."""
    return Lecture()


def pace(viewers: int) -> float:
    """Return the seconds from look to look: one, and more in a full hall."""
    return max(1.0, viewers / _VIEWERS_A_SECOND)


def code(address: str, width: str) -> None:
    """Draw an address as a QR code, `width` in CSS."""
    drawn = segno.make(address, micro=False).svg_data_uri(omitsize=True, light="#fff")
    st.html(f'<img src="{drawn}" alt="QR code of the link" style="width: {width}; max-width: 100%">')


def viewer() -> str:
    """Return who looks: this browser, known again after a reload by a cookie, so that it has one guess."""
    known = st.context.cookies.get(_COOKIE, "")
    if _VIEWER not in st.session_state:
        st.session_state[_VIEWER] = known if known.isalnum() and len(known) <= _MOST_LETTERS else secrets.token_hex(8)
    mine = str(st.session_state[_VIEWER])
    if mine != known:
        cookie = f"{_COOKIE}={mine}; path=/; max-age={_DAY_SECONDS}; SameSite=Lax"
        st.html(f'<script>document.cookie = "{cookie}"</script>', unsafe_allow_javascript=True)
    return mine
