"""Accuracy against what it costs, as Compare shows it."""

from collections.abc import Sequence

import streamlit as st

from cifar_core.analysis.comparison import other_machines
from cifar_core.analysis.pareto import COSTS, Cost, pareto, pareto_figure, pareto_table
from cifar_core.experiment.measured import Measured
from cifar_core.ui.export import draw
from cifar_core.ui.page import is_dark, unfolded
from cifar_core.ui.text import plain


@st.fragment
def show_pareto(runs: Sequence[Measured], baseline: str) -> None:
    """Draw the runs by accuracy and a chosen cost, folded, with the front and a table."""
    if (inside := unfolded("Accuracy against what it costs", key="fold.pareto", in_link=True)) is None:
        return
    with inside:
        found = pareto(runs, baseline)
        if len(found) < 2:
            st.caption("Fewer than two of these runs were tested on the baseline's images.")
            return
        cost: Cost = st.segmented_control(
            "Cost",
            list(COSTS),
            format_func=COSTS.__getitem__,
            default="seconds",
            required=True,
            key="pareto.cost",
            bind="query-params",
        )
        if cost == "seconds" and (warning := other_machines(run for run, _ in runs if run.id in found.index)):
            st.warning(plain(warning), icon=":material/flag:")
        draw(
            pareto_figure(found, cost, [run.id for run, _ in runs], baseline=baseline, dark=is_dark()),
            "accuracy-against",
            cost,
            key=f"pareto.{cost}",
            alt=f"Test accuracy against {COSTS[cost]}; numbered as in the table below",
        )
        st.dataframe(pareto_table(found, cost), hide_index=True, height="content", alt="The runs, the cheapest first")
        st.caption(
            "On the front (diamonds): no other run shown is as accurate for less, or more accurate for no more. "
            "Only runs tested on the baseline's images are shown."
        )
