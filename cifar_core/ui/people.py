"""Who looks at the pages and what they may do: decided here, for all pages.

Where Streamlit's login is configured, a person is `st.user`. Else a person is a name that was typed once; the browser
keeps it in a cookie, which a link does not hand on as an address would. Such a name keeps people from stopping
each other's runs by mistake; who must keep out malice configures login.
"""

import hmac
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

import streamlit as st

from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.links import VIEW_ONLY
from cifar_core.experiment.measured import Run
from cifar_core.limits import RUNS_PER_PERSON, setting
from cifar_core.runs.errors import StoreError, TooManyRuns
from cifar_core.runs.store import Store
from cifar_core.ui import reads
from cifar_core.ui.text import plain

PRESENTER = "TRANSFER_LAB_PRESENTER"
"""Set in the environment to a key: who opens `?presenter=KEY`, or types it, may change everybody's runs."""
READ_ONLY = "TRANSFER_LAB_READ_ONLY"
"""Set in the environment to "on", or anything but "off": only a presenter starts or changes anything."""

_COOKIE = "transfer_lab_name"
_YEAR_SECONDS = 365 * 24 * 3600
_NAME, _TYPED, _NEW = "people.name", "people.typed", "people.new"
_KEY, _KEY_TYPED, _WATCHING, _LOGIN = "people.key", "people.key_typed", "people.watching", "people.login"


class NotAllowed(StoreError):  # noqa: N818 - says what has happened
    """Whoever looks at this page may not do this."""


def arrive() -> None:
    """Take over what the address says about who is looking: for watching only, or the presenter's key."""
    state, address = st.session_state, st.query_params
    if "presenter" in address:
        state[_KEY] = address["presenter"]
        del address["presenter"]  # nobody shall read it from the projector
    if VIEW_ONLY in address.get_all("view"):
        state[_WATCHING] = True
    elif state.get(_WATCHING):
        address["view"] = [*address.get_all("view"), VIEW_ONLY]


def carried() -> dict[str, Any]:
    """Return what every address must go on saying, for pages that write a whole new one."""
    return {"view": [VIEW_ONLY]} if st.session_state.get(_WATCHING) else {}


def me() -> str:
    """Return who is looking, or "" for nobody in particular."""
    if _NAME not in st.session_state:
        if not _login():
            st.session_state[_NAME] = unquote(st.context.cookies.get(_COOKIE, ""))
        else:
            st.session_state[_NAME] = identity(st.user.to_dict()) if st.user.is_logged_in else ""
    return str(st.session_state[_NAME])


def identity(claims: Mapping[str, Any]) -> str:
    """Return who has logged in, by the address that the provider gives, or else by what it calls nobody but them.

    Two people may have one name, and choose it themselves (OpenID Connect Core 1.0, 5.7): it only stands beside that.
    """
    if address := claims.get("email"):
        return str(address)
    name, subject = claims.get("preferred_username") or claims.get("name"), claims.get("sub", "")
    return f"{name} ({subject})" if name and subject else str(subject)


def is_presenter() -> bool:
    """Whether whoever looks has shown the presenter's key."""
    key, shown = os.environ.get(PRESENTER, ""), st.session_state.get(_KEY, "")
    return bool(key) and hmac.compare_digest(key.encode(), shown.encode())


def why_not(run: Run | None = None) -> str | None:
    """Return why whoever looks may not change a run, or without one may start none, in words; None: they may."""
    if st.session_state.get(_WATCHING):
        return "This link is for watching only."
    if is_presenter():
        return None
    if os.environ.get(READ_ONLY, "").strip().lower() not in ("", "off"):
        return "This server is for watching: only the presenter starts and changes runs."
    if _login() and not me():
        return "Log in first, at the top of the page."
    if run is None or run.person == me():
        return None
    if run.person:
        return f"{plain(run.person)} started this run: only {_masters(run)} may do this."
    return "Nobody started this run on these pages: only the presenter may do this." if _login() else None


def why_not_start(count: int = 1) -> str | None:
    """Return why whoever looks may not start so many runs now, in words; None: they may."""
    return why_not() or _nameless() or _too_many(me(), count)


def why_not_go_on(run: Run) -> str | None:
    """Return why whoever looks may not let a run go on now, in words; None: they may."""
    return why_not(run) or _nameless() or _too_many(run.person, 1)


def submit(experiment: Experiment, seed: int, name: str, token: str | None = None) -> str:
    """Queue a run of whoever is looking and return its id; as `Store.submit`.

    Raises:
        StoreError: saying why, when they may not.
    """
    if reason := why_not() or _nameless():
        raise NotAllowed(reason)
    return reads.store().submit(experiment, seed, name, token=token, person=me(), most=_most())


def changing(run: str) -> Store:
    """Return the store for a change of a run by whoever is looking.

    Raises:
        StoreError: saying why, when they may not.
    """
    if reason := why_not(reads.store().run(run)):
        raise NotAllowed(reason)
    return reads.store()


def go_on(run: str) -> None:
    """Let a run go on for whoever is looking; as `Store.resume`.

    Raises:
        StoreError: saying why, when they may not.
    """
    store = changing(run)
    if reason := _nameless():
        raise NotAllowed(reason)
    store.resume(run, most=_most())


def whose(run: Run) -> str:
    """Return whose run it is: "yours", a name, or "" for nobody's in particular."""
    return "yours" if run.person and run.person == me() else run.person


def name_of(run: Run) -> str:
    """Return a run's name, and whose it is."""
    return " · ".join(filter(None, (run.name, whose(run))))


def sign_in() -> None:
    """Draw, small, who is looking, with a way to say it."""
    if st.session_state.pop(_NEW, False):
        cookie = f"{_COOKIE}={quote(me(), safe='')}; path=/; max-age={_YEAR_SECONDS}; SameSite=Lax"
        st.html(f'<script>document.cookie = "{cookie}"</script>', unsafe_allow_javascript=True)
    watching = bool(st.session_state.get(_WATCHING))
    nobody = "Not logged in" if _login() else "Your name"
    said = "Watching" if watching else "Presenter" if is_presenter() else plain(me()) or nobody
    with st.popover(said, type="tertiary", icon=":material/person:", key="people"):
        if watching:
            st.write("This link is for watching: runs can be neither started nor changed.")
        elif _login():
            st.write(plain(me()) or "Log in to start runs and to change your own.")
            st.button("Log out", on_click=st.logout) if me() else st.button("Log in", on_click=st.login)
        else:
            st.text_input(
                "Your name",
                me(),
                key=_TYPED,
                max_chars=40,
                on_change=_typed,
                help="Your runs bear it, and only you change them. People's runs take turns in the queue.",
            )
        if os.environ.get(PRESENTER) and not (watching or is_presenter()):
            st.text_input("Presenter's key", type="password", key=_KEY_TYPED, on_change=_key_typed)
            if st.session_state.get(_KEY):
                st.caption("That was another key.")


def _typed() -> None:
    st.session_state[_NAME], st.session_state[_NEW] = " ".join(st.session_state[_TYPED].split()), True


def _key_typed() -> None:
    st.session_state[_KEY] = st.session_state[_KEY_TYPED]


def _masters(run: Run) -> str:
    return plain(run.person) + (" or the presenter" if os.environ.get(PRESENTER) else "")


def _most() -> int | None:
    return None if is_presenter() else setting(RUNS_PER_PERSON)


def _nameless() -> str | None:
    """Why nobody in particular starts runs, or lets them go on, where those of each person are counted, in words."""
    if me() or _most() is None:
        return None
    return "Type your name at the top of the page first: this server counts the runs of each person."


def _too_many(person: str, count: int) -> str | None:
    """Why a person cannot have so many more runs waiting and working, in words."""
    if (most := _most()) is None or not person:
        return None
    unfinished = sum(run.person == person and not run.state.is_finished for run in reads.runs(archived=True))
    return str(TooManyRuns(unfinished, count, most)) if unfinished + count > most else None


def _login() -> bool:
    # Asked once a session: Streamlit looks for its secrets anew each time.
    if _LOGIN not in st.session_state:
        st.session_state[_LOGIN] = "is_logged_in" in st.user
    return bool(st.session_state[_LOGIN])
