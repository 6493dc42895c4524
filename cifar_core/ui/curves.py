"""Live curves, as Live, Results and Compare show them."""

from collections.abc import Sequence

import streamlit as st

from cifar_core.analysis.curves import ZOOM, ZOOM_HINT, Measure, X, live_chart
from cifar_core.analysis.history import Measured
from cifar_core.ui.page import is_dark

_AXES: dict[X, str] = {"epoch": "epochs", "seconds": "seconds", "images": "images"}


def curves(runs: Sequence[Measured], *, key: str, baseline: str | None = None) -> None:
    """Draw accuracy and loss of one or several runs over a chosen axis."""
    x: X = st.segmented_control(
        "Curves over",
        list(_AXES),
        format_func=_AXES.__getitem__,
        default="epoch",
        required=True,
        key=f"{key}.x",
        help="Epochs show learning per pass, seconds what it cost on this machine, images what it saw.",
    )
    columns = st.columns(2)
    measures: tuple[Measure, ...] = ("accuracy", "loss")
    for column, measure in zip(columns, measures, strict=True):
        with column:
            st.markdown(f"**{measure.capitalize()}**")
            st.vega_lite_chart(
                live_chart(runs, measure, x, dark=is_dark(), baseline=baseline),
                key=f"{key}.{measure}.{x}",
                on_select="rerun",
                selection_mode=[ZOOM],
                alt=f"{measure.capitalize()} over {_AXES[x]}; the same numbers stand in the table of epochs",
            )
    st.caption(f"Training solid, validation dashed; dots are training between epochs. {ZOOM_HINT}")
