"""Transfer Lab's front door, and the server whose background threads run what is queued.

The server listens before it imports the rest of Transfer Lab: a browser needs as long to load Streamlit's own part.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import streamlit as st

if __name__ == "__main__":  # as a page; the server imports this file, too
    from cifar_core.analysis.wording import percent, status
    from cifar_core.ui import form, reads
    from cifar_core.ui.page import set_up
    from cifar_core.ui.start import start
    from cifar_core.ui.text import plain


RESUMES = "TRANSFER_LAB_RESUMES"
"""Set in the environment to how often an interrupted run goes on without being asked; 0 without."""


@asynccontextmanager
async def supervising(_: st.App) -> AsyncIterator[dict[str, Any]]:
    """Run the supervisor as long as the server lives, visitors or none."""
    starting = asyncio.create_task(asyncio.to_thread(supervise))
    try:
        yield {}
    finally:
        await asyncio.to_thread(await starting)


def supervise() -> Callable[[], None]:
    """Import what the first page needs, start the supervisor, and return what stops it."""
    from cifar_core.home import home
    from cifar_core.runs.errors import StoreError
    from cifar_core.runs.supervisor import Policy, Supervisor
    from cifar_core.ui import start  # noqa: F401

    try:
        supervisor = Supervisor(home(), policy=Policy(resumes=int(os.environ.get(RESUMES, "0"))))
    except StoreError as error:
        logging.getLogger(__name__).error("Nothing will run: %s", error)
        return lambda: None  # the pages say the same
    supervisor.start()
    return supervisor.stop


def explain(error: Exception) -> bool:
    """Say on the page what went wrong, in words."""
    from cifar_core.ui import page

    return page.explain(error)


def front_door() -> None:
    """What this is, a start with one click, what is running, and the latest results."""
    set_up("Home")
    st.title("Transfer Lab")
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
            if st.button("Start the sample experiment", type="primary", icon=":material/play_arrow:"):
                start(form.FIRST, 0)
            st.page_link("pages/1_Experiment.py", label="Choose your own", icon=":material/tune:")
    found = reads.runs()
    st.subheader("Running and waiting")
    moving = [run for run in found if not run.state.is_finished]
    for run in moving:
        label = plain(f"{status(run)} · {run.name}")
        st.page_link("pages/2_Live.py", label=label, icon=":material/monitoring:", query_params={"run": run.id})
    if not moving:
        st.caption("Nothing runs and nothing waits.")
    st.subheader("Latest results")
    finished = [run for run in found if run.state.is_finished][:5]
    for run in finished:
        accuracy = run.metrics.get("test", {}).get("accuracy")
        words = f"{percent(accuracy)} of the test images" if accuracy is not None else str(run.state)
        label = plain(f"{words} · {run.name}")
        st.page_link("pages/3_Results.py", label=label, icon=":material/fact_check:", query_params={"run": run.id})
    if not finished:
        st.caption("No run has finished yet.")


app = st.App(__file__, lifespan=supervising, on_script_error=explain)

if __name__ == "__main__":
    front_door()
