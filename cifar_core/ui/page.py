"""What every page begins with, and what becomes of its errors."""

import logging
from collections.abc import Sized
from typing import Literal

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from cifar_core.data.errors import DataError
from cifar_core.experiment.record import ExperimentError
from cifar_core.runs.errors import StoreError
from cifar_core.ui import people, reads
from cifar_core.ui.text import plain

_LOG = logging.getLogger(__name__)
# Of a table on a page: rows that are all shown, and pixels that are left to more.
_MOST_ROWS, _TALL = 40, 700
# Drawn here: Streamlit would fetch an icon named ":material/…:" from the internet.
_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><rect x="2" y="3" width="5" height="18" rx="1.5" '
    'fill="#5aa9f0"/><rect x="9.5" y="6" width="5" height="12" rx="1.5" fill="#5aa9f0"/><rect x="17" y="9" width="5" '
    'height="6" rx="1.5" fill="#e07b39"/></svg>'
)
# What Streamlit's theme has no setting for. A chosen option must be readable in the dark, where the primary colour is
# for white words on it; names of runs differ at their ends, so on a phone they wrap instead of being cut off.
_STYLE = """<style>
[data-testid="stButtonGroup"] [data-selected="true"] p, [data-testid="stTab"][aria-selected="true"] p {
  color: light-dark(#0b5cad, #7cbcf5);
}
@media (min-width: 641px) { :has(> .st-key-whole_name) { display: none; } }
@media (max-width: 640px) {
  [data-testid="stMain"] [data-testid="stPageLink-NavLink"] p { white-space: normal; overflow-wrap: anywhere; }
  [data-testid="stMultiSelect"] :is([role="group"], [data-testid="stMultiSelectTagsContainer"]) { max-height: none; }
  [data-testid="stMultiSelect"] [data-tag] { height: auto; }
  [data-testid="stMultiSelect"] input { min-width: 24px; }
  [data-testid="stMultiSelect"] [data-tag] > span { white-space: normal; overflow-wrap: anywhere; }
}
</style>"""
_PAGES = (
    ("app.py", "Transfer Lab", "home"),
    ("pages/1_Experiment.py", "Experiment", "tune"),
    ("pages/2_Live.py", "Live", "monitoring"),
    ("pages/3_Results.py", "Results", "fact_check"),
    ("pages/4_Compare.py", "Compare", "compare_arrows"),
    ("pages/7_Plan.py", "Plan", "checklist"),
    ("pages/10_Lecture.py", "Lecture", "co_present"),
    ("pages/8_Try.py", "Try", "image_search"),
    ("pages/9_Notebook.py", "Notebook", "history_edu"),
    ("pages/5_Published.py", "Published", "library_books"),
    ("pages/6_Glossary.py", "Glossary", "menu_book"),
)


def set_up(title: str) -> None:
    """Give the page its title and width, and draw the navigation and who is looking."""
    st.set_page_config(page_title=f"{title} · Transfer Lab", page_icon=_ICON, layout="wide")
    people.arrive()
    reads.say_anew()
    st.html(_STYLE)
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="navigation"):
        for path, label, icon in _PAGES:
            st.page_link(path, label=label, icon=f":material/{icon}:")
        people.sign_in()


def section(words: str, *, help: str | None = None) -> None:
    """Draw the heading of a part of the page, without the link to itself that would be one more stop of the Tab key."""
    st.header(words, anchor=False, help=help)


def unfolded(label: str, *, key: str, in_link: bool = False) -> DeltaGenerator | None:
    """Draw a fold, and return it when it is open: what nobody looks at is neither computed nor sent.

    With `in_link`, the page's address says whether it is open.
    """
    fold = st.expander(label, key=key, on_change="rerun", bind="query-params" if in_link else None)
    return fold if fold.open else None


def height_of(table: Sized) -> int | Literal["content"]:
    """Return how high a table is drawn: as its content, as far as that may be looked over."""
    return "content" if len(table) <= _MOST_ROWS else _TALL


def is_dark() -> bool:
    """Whether the person looks at the dark theme."""
    return st.context.theme.type == "dark"


def explain(error: Exception) -> bool:
    """Say on the page what went wrong, in words; the traceback goes to the server's log."""
    if isinstance(error, ExperimentError | StoreError | DataError):
        st.error(plain(str(error)), icon=":material/error:")
    else:
        _LOG.error("A page failed", exc_info=error)
        st.error(
            "Something unexpected went wrong on this page. Runs are not affected: they go on, and everything "
            "measured is kept. Reload the page; if it happens again, the server's log says what it was.",
            icon=":material/error:",
        )
    return True
