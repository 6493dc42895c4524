"""What runs, what waits and what finished; and one run, live."""

import streamlit as st

from cifar_core.analysis.wording import status
from cifar_core.experiment.measured import Run, State
from cifar_core.ui import reads
from cifar_core.ui.curves import curves
from cifar_core.ui.page import set_up, unfolded
from cifar_core.ui.run_header import badges, chosen_run, reason, settings
from cifar_core.ui.text import plain

set_up("Live")
store = reads.store()


def stop(run: str) -> None:
    """Ask a run to stop."""
    store.request_stop(run)
    reads.runs.clear()


def move_up(run: str, before: str) -> None:
    """Let a waiting run go before another."""
    store.move(run, before)
    reads.runs.clear()


def one_run(run_id: str, waiting: list[Run]) -> None:
    """The state in words, the progress, Stop, and the curves of one run."""
    run = store.run(run_id)
    position = next((place for place, each in enumerate(waiting, start=1) if each.id == run.id), None)
    words, button = st.columns([5, 1], vertical_alignment="center")
    with words.container(key="status"):
        st.markdown(f"**{plain(status(run, position))}**")
    if run.state.is_finished:
        button.page_link(
            "pages/3_Results.py", label="See the results", icon=":material/fact_check:", query_params={"run": run.id}
        )
    else:
        label = "Cancel" if position else "Stop"
        button.button(
            label, icon=":material/stop:", key="stop", on_click=stop, args=(run.id,), disabled=run.stop_requested
        )
    st.progress(run.progress.fraction if run.progress else float(run.state is State.DONE))
    reason(run)
    curves([(run, reads.history(run.id))], key="live")


def queue(active: list[Run], waiting: list[Run]) -> None:
    """What runs and what waits, in order, with ways to reorder and cancel."""
    if not active and not waiting:
        st.caption("Nothing runs and nothing waits.")
    for position, run in enumerate([*active, *waiting], start=-len(active) + 1):
        name, up, cancel = st.columns([6, 1, 1], vertical_alignment="center")
        label = plain(f"{status(run, position if position > 0 else None)} · {run.name}")
        name.page_link("pages/2_Live.py", label=label, icon=":material/monitoring:", query_params={"run": run.id})
        if position > 1:
            before = waiting[position - 2].id
            up.button(
                "Move up", icon=":material/arrow_upward:", key=f"up.{run.id}", on_click=move_up, args=(run.id, before)
            )
        if position > 0:
            cancel.button("Cancel", icon=":material/close:", key=f"cancel.{run.id}", on_click=stop, args=(run.id,))


st.title("Live")
found = reads.runs()
run_id = chosen_run(found)
if run_id is None:
    st.info("No run yet. Choose an experiment and press Start.", icon=":material/play_arrow:")
    st.page_link("pages/1_Experiment.py", label="Go to the experiment form", icon=":material/tune:")
    st.stop()

badges(store.run(run_id))
moving = any(not run.state.is_finished for run in found)


@st.fragment(run_every=1.0 if moving else None)
def watch(run_id: str) -> None:
    """Look once a second as long as something moves; then once more as a whole page, and rest."""
    active, waiting = store.runs(states=[state for state in State if state.is_active]), store.queue()
    one_run(run_id, waiting)
    st.subheader("Queue")
    queue(active, waiting)
    if moving and not active and not waiting:
        reads.runs.clear()
        st.rerun()


watch(run_id)
if inside := unfolded("Settings of this run", key="settings"):
    with inside:
        settings(store.run(run_id), key="settings")
st.subheader("Finished")
finished = [run for run in found if run.state.is_finished]
for run in finished[:10]:
    label = plain(f"{status(run)} · {run.name}")
    st.page_link("pages/3_Results.py", label=label, icon=":material/fact_check:", query_params={"run": run.id})
if not finished:
    st.caption("Nothing has finished yet.")
