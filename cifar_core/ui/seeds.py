"""Groups of runs that differ in their seeds alone, as Plan and Compare show them."""

from collections.abc import Mapping, Sequence

import streamlit as st

from cifar_core.analysis.groups import against, shown, table
from cifar_core.analysis.verdict import Group, verdict
from cifar_core.ui import reads
from cifar_core.ui.page import section
from cifar_core.ui.text import plain


def show_groups(compared: Sequence[Group], baseline: str, *, seconds: Mapping[str, float], alt: str) -> None:
    """Say what the best group is worth against the baseline (a title), then show all of them in a table.

    `seconds` are those of training to be shown, by run; `alt` names the table for a screen reader.
    """
    base = next((group for group in compared if group.title == baseline), None)
    if base is not None:
        best = max((each for each in compared if each is not base), key=lambda each: each.mean, default=None)
        near = [run for group in (base, best) if group for run in group.runs]
        kept = {run.id: reads.predictions(run.id, "test") for run in near}
        predictions = {run: found for run, found in kept.items() if found is not None}
        every = [run for each in compared for run in each.runs]
        first, _, limits = verdict(every, base.runs[0].id, predictions).partition("\n")
        section(plain(first))
        set_against = against(best, base, predictions) if best else None
        for sentence in set_against.in_words if set_against else []:
            st.markdown(plain(sentence))
        st.markdown(plain(limits))
    else:
        st.caption(plain(f"The baseline, “{baseline}”, is not done yet: the verdict follows."))
    rows = table(compared, baseline, seconds=seconds)
    st.dataframe(shown(rows), hide_index=True, height="content", alt=alt)
