"""What every page begins with, and what becomes of its errors."""

import logging

import streamlit as st

from cifar_core.data.errors import DataError
from cifar_core.experiment.record import ExperimentError
from cifar_core.runs.errors import StoreError
from cifar_core.ui.text import plain

_LOG = logging.getLogger(__name__)
_PAGES = (
    ("app.py", "Home", "home"),
    ("pages/1_Experiment.py", "Experiment", "tune"),
    ("pages/2_Live.py", "Live", "monitoring"),
    ("pages/3_Results.py", "Results", "fact_check"),
    ("pages/4_Compare.py", "Compare", "compare_arrows"),
    ("pages/5_Published.py", "Published", "library_books"),
    ("pages/6_Glossary.py", "Glossary", "menu_book"),
)


def set_up(title: str) -> None:
    """Give the page its title and width, and draw the navigation."""
    st.set_page_config(page_title=f"{title} · Transfer Lab", page_icon=":material/experiment:", layout="wide")
    with st.sidebar:
        st.markdown("**Transfer Lab**")
        for path, label, icon in _PAGES:
            st.page_link(path, label=label, icon=f":material/{icon}:")


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
