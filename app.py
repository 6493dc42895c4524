"""Transfer Lab's front door, and the server whose background threads run what is queued.

The server listens before it imports the rest of Transfer Lab: a browser needs as long to load Streamlit's own part.
"""

import asyncio
import importlib
import logging
import os
import pkgutil
import shutil
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import psutil
import streamlit as st

from cifar_core.memory import keep_small, lasting

if __name__ == "__main__":  # as a page; the server imports this file, too
    from cifar_core.analysis.labels import SEPARATOR, data_labels
    from cifar_core.analysis.wording import percent, size, status
    from cifar_core.data.feature_store import FeatureStore, feature_store
    from cifar_core.experiment import links
    from cifar_core.home import home
    from cifar_core.ui import people, reads
    from cifar_core.ui.glossary import help_for
    from cifar_core.ui.page import section, set_up, unfolded
    from cifar_core.ui.start import start
    from cifar_core.ui.text import plain


LOG = logging.getLogger(__name__)
SECONDS_FOR_A_FIRST_PAGE = 3
SECONDS_BETWEEN_TRIES = 5
SECONDS_TO_WAIT_FOR_A_THREAD = 0.0005
"""A tenth of Python's own: while one thread imports or draws, others have files and messages to send."""


@asynccontextmanager
async def supervising(_: st.App) -> AsyncIterator[dict[str, Any]]:
    """Run the supervisor, and send news to who watches, as long as the server lives, visitors or none."""
    send_at_once()
    sys.setswitchinterval(SECONDS_TO_WAIT_FOR_A_THREAD)
    tidying = asyncio.create_task(keep_small())
    leaving = threading.Event()
    starting = asyncio.create_task(asyncio.to_thread(supervise, leaving))
    sending = asyncio.create_task(send_news(starting))
    try:
        yield {}
    finally:
        sending.cancel()
        tidying.cancel()
        leaving.set()
        await asyncio.to_thread(await starting)


def send_at_once() -> None:
    """Let this process send what it writes at once, however little: a page comes as dozens of files and messages.

    Streamlit's socket is not marked as one of TCP, so that asyncio leaves Nagle's algorithm on: the second part of each
    answer waits for the browser's acknowledgement, which takes 40 ms on Linux. Connections inherit what is set here.
    """
    for connection in psutil.Process().net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.fd >= 0:  # Windows gives no number
            with socket.socket(fileno=os.dup(connection.fd)) as listening:
                listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


async def send_news(started: asyncio.Task[Callable[[], None]]) -> None:
    """Send news, once what that needs is imported: not before somebody's first page."""
    await asyncio.shield(started)
    await asyncio.sleep(SECONDS_FOR_A_FIRST_PAGE)
    await asyncio.to_thread(prepare_pages)
    from cifar_core.ui import live

    await live.send_news()


def prepare_pages() -> None:
    """Import what pages need, so that nobody's first click on one of them waits for that."""
    from cifar_core import analysis, ui

    with lasting():
        for package in (analysis, ui):
            for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
                importlib.import_module(module.name)


def supervise(leaving: threading.Event) -> Callable[[], None]:
    """Import what the first page needs, start the supervisor as soon as its store opens, and return what stops it."""
    with lasting():
        from cifar_core.home import cluster_address, home
        from cifar_core.limits import RESUMES, RUNS_AT_ONCE, setting
        from cifar_core.runs.errors import StoreError
        from cifar_core.runs.policy import Policy
        from cifar_core.runs.supervisor import Supervisor
        from cifar_core.ui import reads, start  # noqa: F401

    policy, slots, said = Policy(resumes=setting(RESUMES) or 0), setting(RUNS_AT_ONCE) or 1, ""
    while not leaving.is_set():
        try:
            supervisor = Supervisor(home(), slots=slots, policy=policy, cluster=cluster_address())
        except StoreError as error:  # the pages say the same
            if str(error) != said:
                LOG.error("Nothing will run until the store opens: %s", said := str(error))
            leaving.wait(SECONDS_BETWEEN_TRIES)
            continue
        supervisor.start()
        with suppress(StoreError):
            reads.runs()  # before anybody asks: of thousands of runs, the first reading takes seconds
        return supervisor.stop
    return lambda: None


def explain(error: Exception) -> bool:
    """Say on the page what went wrong, in words."""
    from cifar_core.ui import page

    return page.explain(error)


def front_door() -> None:
    """What this is, a start with one click, what is running, and the latest results."""
    set_up("Home")
    st.title("Transfer Lab", anchor=False)
    st.markdown(
        "A network learns to tell some classes apart. Then part of it is **frozen**, and the rest is **fine-tuned** "
        "for other classes. How well does that work, how many parameters does it train, and why is it faster? "
        "Choose, press Start, watch, compare."
    )
    with st.container(border=True):
        st.markdown("**Your first experiment, in under a minute**")
        st.caption(
            "A small network learns five classes of the built-in sample; its convolutions are frozen, and the rest "
            "learns five others. The pictures are synthetic, drawn by Transfer Lab: nothing is downloaded."
        )
        with st.container(horizontal=True):
            reason = people.why_not_start()
            if st.button(
                "Start the sample experiment",
                type="primary",
                icon=":material/play_arrow:",
                disabled=bool(reason),
                help=reason,
            ):
                start(links.FIRST, 0)
            st.page_link("pages/1_Experiment.py", label="Choose your own", icon=":material/tune:")
    found = reads.runs()
    section("Running and waiting")
    moving = [run for run in found if not run.state.is_finished]
    for run in moving:
        label = plain(f"{status(run)} · {people.name_of(run)}")
        st.page_link("pages/2_Live.py", label=label, icon=":material/monitoring:", query_params={"run": run.id})
    if not moving:
        st.caption("Nothing runs and nothing waits.")
    section("Latest results")
    finished = [run for run in found if run.state.is_finished][:5]
    for run in finished:
        accuracy = run.metrics.get("test", {}).get("accuracy")
        words = f"{percent(accuracy)} of the test images" if accuracy is not None else str(run.state)
        label = plain(SEPARATOR.join([words, people.name_of(run), *(data_labels(run) if accuracy is not None else ())]))
        st.page_link("pages/3_Results.py", label=label, icon=":material/fact_check:", query_params={"run": run.id})
    if not finished:
        st.caption("No run has finished yet.")
    if inside := unfolded("Room on the disk", key="fold.disk"):
        with inside:
            disk(sum(run.size for run in reads.runs(archived=True)))


def clear(store: "FeatureStore") -> None:
    """Remove the stored features that nobody uses."""
    store.clear()


def disk(of_runs: int) -> None:
    """What runs and stored features take, and a way to have the features' room back."""
    free = shutil.disk_usage(home()).free
    st.markdown(f"Runs take {size(of_runs)}; the Notebook page deletes them. {size(free)} are free.")
    store = feature_store(home())
    if store is None:
        st.caption("Stored features are switched off.")
        return
    entries = store.entries()
    taken = sum(entry.bytes for entry in entries)
    st.markdown(
        f"Stored features take {size(taken)} of the {size(store.budget)} that they may; those unused for longest give "
        "way.",
        help=help_for("stored features"),
    )
    if not entries:
        return
    st.dataframe(
        {
            "features of": [entry.label for entry in entries],
            "MB": [entry.bytes / 1e6 for entry in entries],
            "last used": [datetime.fromtimestamp(entry.used, UTC) for entry in entries],
            "now": ["in use" if entry.in_use else "complete" if entry.complete else "unfinished" for entry in entries],
        },
        column_config={
            "MB": st.column_config.NumberColumn(format="%.1f"),
            "last used": st.column_config.DatetimeColumn(format="distance"),
        },
        hide_index=True,
        height="content",
        alt="Stored features",
    )
    reason = people.why_not()
    st.button(
        "Clear stored features",
        icon=":material/delete:",
        on_click=clear,
        args=(store,),
        disabled=bool(reason),
        help=reason or "Nothing that runs use is removed. Later runs compute them again.",
    )


app = st.App(__file__, lifespan=supervising, on_script_error=explain)

if __name__ == "__main__":
    front_door()
