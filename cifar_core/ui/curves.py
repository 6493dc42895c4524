"""Live curves, as Live, Results and Compare show them."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache, partial
from typing import Any

import pandas as pd
import pyarrow  # type: ignore[import-untyped]
import streamlit as st

from cifar_core.analysis.comparison import other_machines
from cifar_core.analysis.curves import ZOOM, ZOOM_HINT, Measure, X, live_chart
from cifar_core.analysis.labels import others_features, titles
from cifar_core.experiment.measured import Measured, PhaseHistory
from cifar_core.ui import reads
from cifar_core.ui.export import save_chart
from cifar_core.ui.page import is_dark
from cifar_core.ui.text import plain

Data = Callable[[Sequence[Measured]], dict[str, bytes]]
"""What a chart shows of runs: its data sets by name, in Arrow's format."""
# More digits than a chart can show cost a hall's network.
_SMALLER = {pyarrow.float64(): pyarrow.float32(), pyarrow.int64(): pyarrow.int32()}
_AXES: dict[X, str] = {"epoch": "epochs", "seconds": "seconds", "images": "images"}


class _Drawn:
    """Runs as a chart shows them: the same as long as nothing was added, which costs less to see than to draw."""

    def __init__(self, runs: Sequence[Measured]):
        self.runs = runs
        self.mark = tuple(
            (run.id, run.name, phase.index, phase.before, len(phase.points), phase.points[-1:], phase.epochs[-1:])
            for run, histories in runs
            for phase in histories or (PhaseHistory(0, ""),)
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Drawn) and self.mark == other.mark

    def __hash__(self) -> int:
        return hash(self.mark)


@lru_cache(maxsize=64)
def _chart(drawn: _Drawn, measure: Measure, x: X, dark: bool, baseline: str | None) -> dict[str, Any]:
    """The chart, made once for all who look at it, its data as Streamlit sends it."""
    spec = live_chart(drawn.runs, measure, x, dark=dark, baseline=baseline)
    return spec | {"datasets": {name: _in_arrow(frame) for name, frame in spec["datasets"].items()}}


def _in_arrow(frame: pd.DataFrame) -> bytes:
    table = pyarrow.Table.from_pandas(frame, preserve_index=False)
    for place, column in enumerate(table.columns):
        if column.type in _SMALLER:
            table = table.set_column(place, table.column_names[place], column.cast(_SMALLER[column.type]))
        elif not pyarrow.types.is_primitive(column.type):  # few texts, often repeated
            table = table.set_column(place, table.column_names[place], column.dictionary_encode())
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())


def _data(runs: Sequence[Measured], measure: Measure, x: X, dark: bool, baseline: str | None) -> dict[str, bytes]:
    datasets: dict[str, bytes] = _chart(_Drawn(runs), measure, x, dark, baseline)["datasets"]
    return datasets


def _light(runs: Sequence[Measured], measure: Measure, x: X, baseline: str | None) -> dict[str, Any]:
    """The chart for paper, with what the runs have measured until now: the page may have been drawn long ago."""
    now = [(run, reads.history(run.id)) for run, _ in runs]
    return live_chart(now, measure, x, baseline=baseline)


def curves(
    runs: Sequence[Measured],
    *,
    key: str,
    baseline: str | None = None,
    part: Callable[[str, Data], AbstractContextManager[None]] = lambda name, data: nullcontext(),
) -> None:
    """Draw accuracy and loss of one or several runs over a chosen axis, each chart inside of a `part` of the page."""
    x: X = st.segmented_control(
        "Curves over",
        list(_AXES),
        format_func=_AXES.__getitem__,
        default="epoch",
        required=True,
        key=f"{key}.x",
        bind="query-params",
        help="Epochs show learning per pass, seconds what it cost on this machine, images what it saw.",
    )
    if x == "seconds" and (warning := other_machines(run for run, _ in runs)):
        st.warning(plain(warning), icon=":material/flag:")
    names = titles([run for run, _ in runs])
    if x == "seconds" and (said := others_features({names[run.id]: [(run, phases)] for run, phases in runs})):
        st.caption(plain(said))
    drawn, columns = _Drawn(runs), st.columns(2)
    measures: tuple[Measure, ...] = ("accuracy", "loss")
    for column, measure in zip(columns, measures, strict=True):
        with column, st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{measure.capitalize()}**", width="content")
            name = (measure, runs[0][0].id) if len(runs) == 1 else (measure, "comparison")
            save_chart(partial(_light, runs, measure, x, baseline), *name, key=f"{key}.{measure}.svg")
        data = partial(_data, measure=measure, x=x, dark=is_dark(), baseline=baseline)
        with column, part(measure, data):
            st.vega_lite_chart(
                _chart(drawn, measure, x, is_dark(), baseline),
                key=f"{key}.{measure}.{x}",
                on_select="rerun",
                selection_mode=[ZOOM],
                alt=f"{measure.capitalize()} over {_AXES[x]}; the same numbers stand in the table of epochs below",
            )
    shapes = "; every run has a shape of its own" if len(runs) > 1 else ""
    st.caption(f"Training solid, validation dashed; dots are training between epochs{shapes}. {ZOOM_HINT}")
