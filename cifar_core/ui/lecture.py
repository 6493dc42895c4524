"""Lectures: what stands in the presenter's link, and in this server's memory how far all who watch have come.

Nothing of it is kept: a lecture is over with the server, and its link begins it anew.
"""

import secrets
import threading
import time
from dataclasses import dataclass, field, replace
from typing import Any

import segno
import streamlit as st

from cifar_core.analysis.recording import SPEEDS, WHOLE, Playback
from cifar_core.experiment.links import Query, first, whole

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
SUBJECT = ("start", "set", "strategies", "last", "block", "seeds", "runs")
"""The parameters that say what is shown."""
TITLE = "Which one wins?"
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
    """How a lecture looks, as its link says: type in percent, what is hidden, and the speed of replays."""

    title: str
    type: int
    hidden: tuple[str, ...]
    speed: str

    @classmethod
    def of(cls, query: Query) -> "Look":
        """Return what a link says; what it leaves out or gets wrong is as usual."""
        hidden = query["hide"][0].split(",") if query.get("hide") else HIDDEN
        speed = first(query, "speed", SPEED)
        return cls(
            title=first(query, "title", TITLE)[:200],
            type=max(LEAST_TYPE, whole(first(query, "type"), TYPE, MOST_TYPE)),
            hidden=tuple(part for part in PARTS if part in hidden),
            speed=speed if speed in SPEEDS else WHOLE,
        )

    @property
    def query(self) -> Query:
        """The parameters that say so, without what is as usual."""
        found = {
            "title": "" if self.title == TITLE else self.title,
            "type": "" if self.type == TYPE else str(self.type),
            "speed": "" if self.speed == SPEED else self.speed,
        }
        hide = {} if self.hidden == HIDDEN else {"hide": [",".join(self.hidden)]}
        return {name: [value] for name, value in found.items() if value} | hide

    @property
    def font(self) -> int:
        """The letters of charts, in pixels."""
        return round(14 * self.type / 100)

    @property
    def steps(self) -> list[str]:
        """The steps of the lecture, in order."""
        return [step for step in STEPS if step != "guess" or "guess" not in self.hidden]

    def apply(self) -> None:
        """Make everything on the page as large as is asked for, where the window has room, and hide what is hidden."""
        large = f"clamp(16px, {1.15 * self.type / 100:.2f}vw, {16 * self.type / 100:.1f}px)"
        hide = ".st-key-navigation { display: none; }" if "navigation" in self.hidden else ""
        top = ".stMainBlockContainer { padding-top: 2rem; } .stAppHeader { background: transparent; }"
        st.html(f"<style>html:root {{ font-size: {large}; }} {top} {hide}</style>")


@dataclass(frozen=True)
class Standing:
    """How far a lecture has come. `live` are runs, by title, that train for it; `shows_live` says whether they show."""

    query: Query
    step: str = "question"
    playback: Playback = field(default_factory=Playback)
    live: tuple[tuple[str, str], ...] = ()
    shows_live: bool = False
    changes: int = 0


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

    def open(self, query: Query) -> Standing:
        """Begin the lecture of a presenter's link, or go on with it where it stands."""
        with self._lock:
            if self._standing is None:
                self._standing = Standing(query)
            elif self._standing.query != query:
                self._standing = replace(self._standing, query=query, changes=self._standing.changes + 1)
            return self._standing

    def change(self, **fields: Any) -> None:
        """Bring all who watch to another standing."""
        with self._lock:
            if self._standing is not None:
                self._standing = replace(self._standing, **fields, changes=self._standing.changes + 1)

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
