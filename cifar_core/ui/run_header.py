"""The top of a page about one run: which one, how it stands, and its own settings."""

from collections.abc import Sequence

import streamlit as st

from cifar_core.analysis.labels import labels
from cifar_core.analysis.wording import status
from cifar_core.experiment.measured import Run
from cifar_core.experiment.wording import how_it_trains, initial_weights, network_input
from cifar_core.runs.errors import StoreError, UnknownRun
from cifar_core.ui import form, reads
from cifar_core.ui.network_picture import network_picture, show_layers
from cifar_core.ui.page import unfolded
from cifar_core.ui.text import plain


def chosen_run(candidates: Sequence[Run]) -> str | None:
    """Choose a run among candidates; `?run=…` in the address names it, and keeps naming it."""
    known = {run.id: run for run in candidates}
    wanted = st.query_params.get("run", "")
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
        help="Newest first. The page's address keeps naming the chosen run.",
    )
    st.query_params["run"] = st.session_state["run.link"] = chosen
    return chosen


def badges(run: Run) -> None:
    """Show what must be said beside the run's numbers."""
    with st.container(horizontal=True, gap="small"):
        for label in labels(run):
            st.badge(label, icon=":material/flag:", color="gray")


def reason(run: Run) -> None:
    """Show why a run ended as it did, and the end of its log where there is one."""
    summary, _, log = run.reason.partition("\n\n")
    if summary and summary.splitlines()[0] not in status(run):
        st.warning(plain(summary), icon=":material/info:")
    if log:
        st.code(log, language=None)
    if run.state.can_go_on and st.button(
        "Go on from the last finished epoch", icon=":material/resume:", help="To the same end as an undisturbed run."
    ):
        try:
            reads.store().resume(run.id)
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
    st.page_link(
        "pages/1_Experiment.py",
        label="Open these settings in the form",
        icon=":material/edit:",
        query_params=form.link(form.SCRATCH, experiment, run.seed),
    )
