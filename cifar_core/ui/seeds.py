"""Groups of runs that differ in their seeds alone, as Plan and Compare show them."""

from collections.abc import Mapping, Sequence

import streamlit as st

from cifar_core.analysis.comparison import same_test_images
from cifar_core.analysis.groups import Group, against, each_against, shown, table
from cifar_core.analysis.predictions import Predictions
from cifar_core.analysis.verdict import verdict
from cifar_core.ui import reads
from cifar_core.ui.page import section, unfolded
from cifar_core.ui.text import plain


def show_groups(compared: Sequence[Group], baseline: str, *, seconds: Mapping[str, float], alt: str) -> None:
    """Say what groups are worth against the baseline (a title), then show all of them in a table.

    `seconds` are those of training to be shown, by run; `alt` names the table for a screen reader.
    """
    show_verdict(compared, baseline)
    rows = table(compared, baseline, seconds=seconds)
    st.dataframe(shown(rows), hide_index=True, height="content", alt=alt)


def show_verdict(compared: Sequence[Group], baseline: str) -> None:
    """Say what the best group is worth against the baseline (a title), and folded what each of them is."""
    base = next((group for group in compared if group.title == baseline), None)
    if base is None:
        st.caption(plain(verdict(compared, baseline)))
        return
    others = [group for group in compared if group is not base and same_test_images(group.runs[0], base.runs[0])]
    best = max(others, key=lambda group: group.mean, default=base)
    predictions = predictions_of([best, base])
    first, _, limits = verdict(compared, baseline, predictions).partition("\n")
    section(plain(first))
    found = against(best, base, predictions) if best is not base else None
    has_seeds = found is not None and found.seeds > 1
    for sentence in found.in_words if found and has_seeds else []:
        st.markdown(plain(sentence))
    st.markdown(plain(limits))
    if len(compared) < (3 if has_seeds else 2):
        return
    if inside := unfolded("Each against the baseline, by seeds and by images", key="fold.against", in_link=True):
        for title, sentences in each_against(compared, baseline, predictions_of(compared)).items():
            inside.markdown("\n".join([f"**{plain(title)}**", *(f"- {plain(sentence)}" for sentence in sentences)]))


def predictions_of(groups: Sequence[Group]) -> dict[str, Predictions]:
    """Return what the runs of groups predicted of the test images, by run id, as far as they kept it."""
    kept = {run.id: reads.predictions(run.id, "test") for group in groups for run in group.runs}
    return {run: found for run, found in kept.items() if found is not None}
