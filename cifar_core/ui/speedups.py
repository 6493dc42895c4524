"""What freezing and stored features saved a run, measured when somebody asks for it."""

from collections.abc import Mapping, Sequence

import streamlit as st

from cifar_core.analysis.speedup import froze_layers, speedup
from cifar_core.experiment.measured import Measured
from cifar_core.home import home
from cifar_core.runs import inspect
from cifar_core.ui import reads
from cifar_core.ui.text import plain


def that_froze(measured: Sequence[Measured]) -> list[Measured]:
    """Return those whose last phase froze layers, and whose network is kept: what it cost can be measured."""
    return [
        (run, histories)
        for run, histories in measured
        if histories and reads.has_model(run) and froze_layers(run, histories[-1])
    ]


def show_speedups(freezing: Sequence[Measured], names: Mapping[str, str]) -> None:
    """Take apart the seconds of runs `that_froze`, each called by its name; a click measures what is missing."""
    costs = {run.id: inspect.kept_step_costs(home(), run.id) for run, _ in freezing}
    if missing := [id for id, cost in costs.items() if cost is None]:
        st.caption("A few steps are run again, with the frozen layers and with none: about ten seconds for each run.")
        if st.button("Measure", icon=":material/timer:", key=f"speedup.measure.{'.'.join(costs)}"):
            for lacking in missing:
                try:
                    with st.spinner(f"Measuring {plain(names[lacking])} …", show_time=True):
                        costs[lacking] = inspect.step_costs(home(), lacking)
                except inspect.InspectionFailed as error:
                    st.error(plain(str(error)), icon=":material/error:")
    for run, histories in freezing:
        name, cost = names[run.id], costs[run.id]
        if cost is not None and (found := speedup(run, histories[-1], cost)) is not None:
            st.markdown(f"**{plain(name)}.** {plain(found.text)}")
            seconds = {"seconds": st.column_config.NumberColumn(format="%.1f")}
            st.dataframe(
                found.table(), hide_index=True, height="content", column_config=seconds, alt=f"What {name} saved"
            )
