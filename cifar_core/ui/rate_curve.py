"""The learning rate over the epochs of a phase, as a small curve."""

import streamlit as st

from cifar_core.experiment.experiment import Phase
from cifar_core.experiment.schedules import Steps

_PLACES = 200


def rates(phase: Phase) -> list[dict[str, float]]:
    """Return the learning rate after so many epochs, from 0 to the phase's end, at 200 places or a few more."""
    plan, epochs = phase.schedule, phase.epochs
    count = _PLACES if plan.changes_by == "step" else min(epochs, _PLACES)
    places = {epochs * place / count for place in range(count)}
    if isinstance(plan, Steps):
        places |= {float(milestone.after_epochs) for milestone in plan.milestones}
    drawn = [{"epoch": place, "rate": phase.learning_rate * plan.share(place, epochs)} for place in sorted(places)]
    end = epochs if plan.changes_by == "step" else drawn[-1]["epoch"]  # the rate of the last epoch lasts to its end
    return [*drawn, {"epoch": float(epochs), "rate": phase.learning_rate * plan.share(end, epochs)}]


def rate_curve(phase: Phase, *, key: str) -> None:
    """Draw the learning rate where the schedule alone decides about it."""
    if phase.schedule.kind in ("constant", "plateau"):
        return
    curve = rates(phase)
    step = phase.schedule.changes_by == "epoch"
    axis = {"labelFontSize": 12, "titleFontSize": 12, "grid": False, "title": None}
    st.vega_lite_chart(
        {
            "data": {"values": curve},
            "mark": {"type": "line", "interpolate": "step-after" if step else "linear"},
            "encoding": {
                "x": {
                    "field": "epoch",
                    "type": "quantitative",
                    "scale": {"domain": [0, phase.epochs], "nice": False},
                    "axis": axis | {"title": "epochs", "tickMinStep": 1, "tickCount": 6},
                },
                "y": {"field": "rate", "type": "quantitative", "axis": axis | {"format": "~g", "tickCount": 3}},
            },
        },
        height=160,
        key=key,
        alt=f"Learning rate of the phase {phase.name}: from {curve[0]['rate']:.3g} to {curve[-1]['rate']:.3g}",
    )
