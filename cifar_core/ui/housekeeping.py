"""Keeping runs in order, for the pages that do: name and note, the archive, and deleting for good."""

from collections.abc import Sequence

import streamlit as st

from cifar_core.experiment.measured import Run
from cifar_core.ui import people, reads
from cifar_core.ui.text import plain


def name_and_note(run: Run) -> None:
    """Offer to change what a run is called and what is noted about it."""
    barred = people.why_not(run)
    st.text_input(
        "Name",
        run.name,
        key=f"name.{run.id}",
        max_chars=200,
        disabled=bool(barred),
        help=barred or "What the run is called everywhere.",
        on_change=_rename,
        args=(run,),
    )
    st.text_area(
        "Note",
        run.note,
        key=f"note.{run.id}",
        max_chars=5000,
        disabled=bool(barred),
        help=barred or "Anything worth remembering about this run.",
        on_change=_note,
        args=(run,),
    )


def _rename(run: Run) -> None:
    if name := st.session_state[f"name.{run.id}"].strip():
        people.changing(run.id).rename(run.id, name)
        reads.runs.clear()


def _note(run: Run) -> None:
    """Set the note; what was noted elsewhere since this page was drawn is shown once more, since it is lost."""
    store = people.changing(run.id)
    before = store.run(run.id).note
    store.set_note(run.id, st.session_state[f"note.{run.id}"])
    if before not in ("", run.note, st.session_state[f"note.{run.id}"]):
        st.warning(
            f"Your note has replaced another one, written meanwhile: {plain(before)}", icon=":material/edit_note:"
        )
    reads.runs.clear()


def archive(runs: Sequence[Run], archived: bool) -> None:
    """Put runs away, or get them back."""
    for run in runs:
        people.changing(run.id).archive(run.id, archived)
    reads.runs.clear()


def delete(runs: Sequence[Run]) -> None:
    """Delete those of the runs that have ended."""
    for run in runs:
        if run.state.is_finished:
            people.changing(run.id).delete(run.id)
    reads.runs.clear()
