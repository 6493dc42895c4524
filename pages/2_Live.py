"""What runs, what waits and what finished; and one run, live."""

from collections.abc import Sequence

import streamlit as st

from cifar_core.analysis.wording import status
from cifar_core.experiment.measured import Run, State
from cifar_core.runs import places
from cifar_core.ui import people, reads
from cifar_core.ui.curves import curves
from cifar_core.ui.page import section, set_up, unfolded
from cifar_core.ui.run_header import badges, chosen_run, reason, settings
from cifar_core.ui.text import plain

set_up("Live")
QUEUE_SECONDS = 5.0
WAITING_SHOWN = 10


def stop(run: str) -> None:
    """Ask a run to stop."""
    people.changing(run).request_stop(run)
    reads.runs.clear()
    reads.standing.clear()


def move_up(run: str, before: str) -> None:
    """Let a waiting run go before another of the same person."""
    people.changing(run).move(run, before)
    reads.runs.clear()
    reads.standing.clear()


def one_run(run: Run, waiting: Sequence[Run]) -> None:
    """The state in words, the progress, Stop, and the curves of one run."""
    position = next((place for place, each in enumerate(waiting, start=1) if each.id == run.id), None)
    words, button = st.columns([5, 1], vertical_alignment="center")
    with words.container(key="status"):
        st.markdown(f"**{plain(status(run, position))}**")
    if run.state.is_finished:
        button.page_link(
            "pages/3_Results.py", label="See the results", icon=":material/fact_check:", query_params={"run": run.id}
        )
    else:
        barred = people.why_not(run)
        button.button(
            "Cancel" if position else "Stop",
            icon=":material/stop:",
            key="stop",
            on_click=stop,
            args=(run.id,),
            disabled=run.stop_requested or bool(barred),
            help=barred,
        )
    st.progress(run.progress.fraction if run.progress else float(run.state is State.DONE))
    reason(run)
    curves([(run, reads.history(run.id, run.version))], key="live")


def queue(active: Sequence[Run], waiting: Sequence[Run]) -> None:
    """What runs and what waits, in order, with ways to reorder and cancel: the first ones, and all of one's own."""
    if not active and not waiting:
        st.caption("Nothing runs and nothing waits.")
    left_out = 0
    for position, run in enumerate([*active, *waiting], start=-len(active) + 1):
        if position > WAITING_SHOWN and people.whose(run) != "yours":
            left_out += 1
            continue
        name, up, cancel = st.columns([6, 1, 1], vertical_alignment="center")
        label = plain(f"{status(run, position if position > 0 else None)} · {people.name_of(run)}")
        name.page_link("pages/2_Live.py", label=label, icon=":material/monitoring:", query_params={"run": run.id})
        if position < 1:
            continue
        barred = people.why_not(run)
        before = [each.id for each in waiting[: position - 1] if each.person == run.person]
        if before:
            up.button(
                "Move up",
                icon=":material/arrow_upward:",
                key=f"up.{run.id}",
                on_click=move_up,
                args=(run.id, before[-1]),
                disabled=bool(barred),
                help=barred,
            )
        cancel.button(
            "Cancel",
            icon=":material/close:",
            key=f"cancel.{run.id}",
            on_click=stop,
            args=(run.id,),
            disabled=bool(barred),
            help=barred,
        )
    if left_out:
        st.caption(f"And {left_out} more wait in between or behind.")
    if len({run.person for run in waiting}) > 1:
        st.caption("People take turns: whoever's latest run started longest ago is next.")


st.title("Live", anchor=False)
found = reads.runs()
run_id = chosen_run(found)
if run_id is None:
    st.info("No run yet. Choose an experiment and press Start.", icon=":material/play_arrow:")
    st.page_link("pages/1_Experiment.py", label="Go to the experiment form", icon=":material/tune:")
    st.stop()

opened = reads.standing().run(run_id)
badges(opened)
going_on = not opened.state.is_finished
moving = any(not run.state.is_finished for run in found)
pace = reads.pace()


@st.fragment(run_every=pace.seconds if going_on else None)
def watch(run_id: str) -> None:
    """Look again and again as long as the run goes on; then once more as a whole page, and rest."""
    standing = reads.standing()
    run = standing.run(run_id)
    one_run(run, standing.waiting)
    if pace.seconds > 1:
        st.caption(f"{pace.viewers} people are watching: the curves follow every {pace.seconds} s.")
    if going_on and (run.state.is_finished or reads.pace(pace) != pace):
        reads.runs.clear()
        st.rerun()


@st.fragment(run_every=QUEUE_SECONDS if moving else None)
def line() -> None:
    """The queue, which moves less often than a run."""
    standing = reads.standing()
    if found := places.capacity():
        st.caption(plain(str(found)))
    queue(standing.active, standing.waiting)
    if moving and not standing.active and not standing.waiting:
        reads.runs.clear()
        st.rerun()


watch(run_id)
section("Queue")
line()
if inside := unfolded("Settings of this run", key="settings"):
    with inside:
        settings(opened, key="settings")
section("Finished")
finished = [run for run in found if run.state.is_finished]
for run in finished[:10]:
    label = plain(f"{status(run)} · {people.name_of(run)}")
    st.page_link("pages/3_Results.py", label=label, icon=":material/fact_check:", query_params={"run": run.id})
if not finished:
    st.caption("Nothing has finished yet.")
