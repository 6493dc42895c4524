"""What runs, what waits and what finished; and one run, live."""

from functools import partial

import streamlit as st

from cifar_core.analysis.history import epochs
from cifar_core.analysis.wording import share, status
from cifar_core.experiment.measured import Run
from cifar_core.runs import places
from cifar_core.ui import live, people, reads
from cifar_core.ui.curves import curves
from cifar_core.ui.page import section, set_up, unfolded
from cifar_core.ui.run_header import badges, chosen_run, reason, settings
from cifar_core.ui.text import plain

set_up("Live")
QUEUE_SECONDS = 5.0
TABLE_SECONDS = 5.0
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


def headline(news: live.News) -> str:
    """Where the run stands."""
    return f"**{plain(status(news.run, news.standing.position(news.run.id)))}**"


def progress(news: live.News) -> float:
    """How far the run has come."""
    return share(news.run)


def one_run(news: live.News) -> None:
    """The state in words, the progress, Stop, and the curves of one run."""
    run, position = news.run, news.standing.position(news.run.id)
    words, button = st.columns([5, 1], vertical_alignment="center")
    with words.container(key="status"), seat.part("status", headline):
        st.markdown(headline(news))
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
    with seat.part("progress", progress):
        st.progress(progress(news))
    if full := live.no_room():
        st.error(plain(full), icon=":material/hard_drive:")
    reason(run)
    curves(
        [news.measured],
        key="live",
        part=lambda name, data: seat.part(name, lambda news: data([news.measured])),
    )


def entry(run: Run, position: int | None, whose: str) -> str:
    """A run's line in the queue."""
    return plain(" · ".join(filter(None, (status(run, position), run.name, whose))))


def newer_entry(news: live.News, run: str, whose: str) -> str | None:
    """The same line at another moment, unless the run has left the queue."""
    found = news.standing.get(run)
    return entry(found, news.standing.position(run), whose) if found else None


def queue(standing: reads.Standing) -> None:
    """What runs and what waits, in order, with ways to reorder and cancel: the first ones, and all of one's own."""
    active, waiting = standing.active, standing.waiting
    if not active and not waiting:
        st.caption("Nothing runs and nothing waits.")
    left_out = 0
    for position, run in enumerate([*active, *waiting], start=-len(active) + 1):
        if position > WAITING_SHOWN and people.whose(run) != "yours":
            left_out += 1
            continue
        name, up, cancel = st.columns([6, 1, 1], vertical_alignment="center")
        with seat.part(f"queue.{run.id}", partial(newer_entry, run=run.id, whose=people.whose(run))):
            label = entry(run, position if position > 0 else None, people.whose(run))
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


seat = live.Seat()
st.title("Live", anchor=False)
found = reads.runs()
run_id = chosen_run(found)
if run_id is None:
    st.info("No run yet. Choose an experiment and press Start.", icon=":material/play_arrow:")
    st.page_link("pages/1_Experiment.py", label="Go to the experiment form", icon=":material/tune:")
    st.stop()

opened = live.look(run_id)
badges(opened.run)
going_on = not opened.run.state.is_finished
moving = going_on or any(not run.state.is_finished for run in found)
told = live.is_sending()
pace = None if told else reads.pace()
looks_every = live.TICK_SECONDS if pace is None else pace.seconds


@st.fragment(run_every=looks_every if moving else None)
def watch(run_id: str) -> None:
    """Be told as long as anything goes on, or look again and again; then once more as a whole page, and rest."""
    news = live.look(run_id)
    has_ended = going_on and news.run.state.is_finished
    another_way = live.is_sending() != told or (pace is not None and reads.pace(pace) != pace)
    if moving and (seat.is_called or has_ended or another_way):  # at rest only a click leads here, which must count
        reads.runs.clear()
        st.rerun()
    one_run(news)
    if pace is not None and pace.seconds > 1:
        st.caption(f"{pace.viewers} people are watching: the curves follow every {pace.seconds} s.")


@st.fragment(run_every=QUEUE_SECONDS if moving and not told else None)
def line() -> None:
    """The queue, which moves less often than a run."""
    standing = reads.standing()
    if found := places.capacity():
        st.caption(plain(str(found)))
    queue(standing)
    if moving and not standing.active and not standing.waiting:
        reads.runs.clear()
        st.rerun()


@st.fragment(run_every=TABLE_SECONDS if going_on else None)
def table(run_id: str) -> None:
    """What the curves show, in numbers."""
    st.dataframe(epochs(reads.history(run_id)), hide_index=True, alt="All epochs of the run so far")


watch(run_id)
if inside := unfolded("Epochs as a table", key="live.epochs", in_link=True):
    with inside:
        table(run_id)
section("Queue")
line()
if moving:
    seat.take(opened)
if inside := unfolded("Settings of this run", key="settings"):
    with inside:
        settings(opened.run, key="settings")
section("Finished")
finished = [run for run in found if run.state.is_finished]
for run in finished[:10]:
    label = plain(f"{status(run)} · {people.name_of(run)}")
    st.page_link("pages/3_Results.py", label=label, icon=":material/fact_check:", query_params={"run": run.id})
if not finished:
    st.caption("Nothing has finished yet.")
