"""The top of a page about one run: which one, how it stands, and its own settings."""

from collections.abc import Container, Sequence

import streamlit as st

from cifar_core.analysis.labels import labels
from cifar_core.analysis.wording import status
from cifar_core.data.folders import shortened
from cifar_core.experiment import links
from cifar_core.experiment.measured import LOG, Run, State
from cifar_core.experiment.wording import how_it_trains, initial_weights, network_input
from cifar_core.runs.errors import StoreError, UnknownRun
from cifar_core.runs.room import NO_ROOM
from cifar_core.ui import people, reads
from cifar_core.ui.network_picture import network_picture, show_layers
from cifar_core.ui.page import unfolded
from cifar_core.ui.start import has_room
from cifar_core.ui.text import plain

LISTED = 200
"""How many runs a list to choose from holds: thousands could not be looked through, and cost time on every look."""


def chosen_run(candidates: Sequence[Run]) -> str | None:
    """Choose a run among candidates; `?run=…` in the address names it, and keeps naming it."""
    wanted, before = st.query_params.get("run", ""), st.session_state.get("run.choice")
    known = {run.id: run for place, run in enumerate(candidates) if place < LISTED or run.id in (wanted, before)}
    if wanted and wanted not in known:
        try:
            known[wanted] = reads.store().run(wanted)
        except UnknownRun as error:
            st.error(plain(str(error)), icon=":material/link_off:")
            st.page_link("app.py", label="All that runs, and the latest results", icon=":material/home:")
            st.stop()
    if not known:
        return None
    if wanted and st.session_state.get("run.link") != wanted:
        st.session_state["run.choice"] = wanted
    if st.session_state.get("run.choice") not in known:
        st.session_state["run.choice"] = next(iter(known))
    chosen: str = st.selectbox(
        "Run",
        list(known),
        format_func=lambda run: known[run].name,
        key="run.choice",
        help=f"Newest first, at most {LISTED}: the Notebook finds the others. The address keeps naming the chosen run.",
    )
    with st.container(key="whole_name"):  # on a phone alone, where the box cuts it off
        st.caption(plain(known[chosen].name))
    st.query_params["run"] = st.session_state["run.link"] = chosen
    return chosen


def linked_runs(known: Container[str]) -> list[str]:
    """Return the runs that `?runs=…` in the address names, of those that are known, and say which ones are not."""
    wanted = list(filter(None, st.query_params.get("runs", "").split(",")))
    if gone := [run for run in wanted if run not in known]:
        st.warning(
            f"The link names runs that this page cannot show, or that were deleted: {plain(shortened(gone))}.",
            icon=":material/link_off:",
        )
    return [run for run in wanted if run in known]


def badges(run: Run) -> None:
    """Show whose run it is, and what must be said beside its numbers."""
    with st.container(horizontal=True, gap="small"):
        if whose := people.whose(run):
            st.badge(plain(whose), icon=":material/person:", color="blue" if whose == "yours" else "gray")
        for label in labels(run):
            st.badge(label, icon=":material/flag:", color="gray")


def reason(run: Run) -> None:
    """Show why a run ended as it did; offer its log where it failed, and to go on."""
    summary = run.reason.partition("\n\n")[0]
    if summary and summary.splitlines()[0] not in status(run):
        st.warning(plain(summary), icon=":material/info:")
    if not run.state.can_go_on:
        return
    barred = people.why_not_go_on(run) or ("" if has_room([run.experiment]) else NO_ROOM)
    log = reads.artifact(run.id, LOG) if run.state is State.FAILED else None
    with st.container(horizontal=True):
        is_wanted = st.button(
            "Go on from the last finished epoch",
            icon=":material/resume:",
            disabled=bool(barred),
            help=barred or "To the same end as an undisturbed run.",
        )
        if log is not None:
            st.download_button(
                "Log (.txt)", log.read_bytes, f"{run.id}-log.txt", "text/plain", icon=":material/description:"
            )
    if is_wanted:
        try:
            people.go_on(run.id)
        except StoreError as error:
            st.error(plain(str(error)), icon=":material/error:")
        else:
            st.switch_page("pages/2_Live.py", query_params={"run": run.id})


def settings(run: Run, *, key: str) -> None:
    """Show the run's own settings: network by phase, layers, and a link that opens a form with them."""
    experiment = run.experiment
    st.markdown(plain(f"{initial_weights(experiment)} {network_input(experiment)}"))
    for index, phase in enumerate(experiment.phases):
        st.markdown(f"**Phase {index + 1}: {plain(phase.name)}**, on {phase.train_on} classes · {how_it_trains(phase)}")
        network_picture(experiment, index, key=f"{key}.{index}")
        if layers := unfolded("Layers", key=f"{key}.layers.{index}"):
            with layers:
                show_layers(experiment, index)
    edit_link(run)


def edit_link(run: Run) -> None:
    """Lead to the form, filled with the run's settings: to run it again or change it."""
    st.page_link(
        "pages/1_Experiment.py",
        label="Open these settings in the form",
        icon=":material/edit:",
        query_params=links.link(links.SCRATCH, run.experiment, run.seed),
    )
