"""Why fine-tuning was faster: what a run's last phase would have taken otherwise, taken apart.

Three things are saved when layers are frozen: their updates, the gradients that lead to them, and with stored features
their forward part, which is computed once instead of in every epoch.
"""

import math
from dataclasses import dataclass

import pandas as pd

from cifar_core.analysis.history import training_seconds
from cifar_core.analysis.wording import count, duration, number, ratio
from cifar_core.experiment.measured import PhaseHistory, Run, StepCosts


@dataclass(frozen=True)
class Speedup:
    """Seconds of a phase: `measured`, and estimated for training it otherwise. `what` it was stands in words.

    `ordinary` is the phase with the same layers frozen and nothing stored; training every layer adds `gradients` and
    `updates` of the frozen ones to that. `computing_again` is what stored features saved: None without them.
    """

    what: str
    measured: float
    ordinary: float
    gradients: float
    updates: float
    computing_again: float | None
    hint: str

    @property
    def everything(self) -> float:
        """Seconds of training every layer."""
        return self.ordinary + self.gradients + self.updates

    @property
    def text(self) -> str:
        """Say what was saved, and that it is an estimate."""
        other = f"the ordinary way {duration(self.ordinary)}, and training every layer {duration(self.everything)}"
        factors = f"{ratio(self.ordinary / self.measured)} and {ratio(self.everything / self.measured)} as long"
        return f"{self.what} took {duration(self.measured)}; {other}: {factors}. {self.hint}"

    def table(self) -> pd.DataFrame:
        """Return what is saved, from training every layer down to what was measured, in seconds."""
        rows = [
            ("training every layer (estimate)", self.everything),
            ("less: updating the frozen layers", -self.updates),
            ("less: gradients for the frozen layers", -self.gradients),
            ("with frozen layers, the ordinary way (estimate)", self.ordinary),
        ]
        if self.computing_again is not None:
            rows.append(("less: computing the frozen layers in every epoch", -self.computing_again))
        rows.append(("measured", self.measured))
        return pd.DataFrame(rows, columns=["last phase", "seconds"])


def froze_layers(run: Run, history: PhaseHistory) -> bool:
    """Whether a phase left layers with weights frozen."""
    return any(layer.params and not layer.trainable for layer in run.experiment.networks[history.index].layers)


def speedup(run: Run, history: PhaseHistory, costs: StepCosts) -> Speedup | None:
    """Take apart why a phase was faster than training every layer; None before its first epoch."""
    if not history.epochs:
        return None
    batch = run.experiment.phases[history.index].batch_size
    steps = sum(math.ceil(epoch.images / batch) for epoch in history.epochs)
    validation = len(history.epochs) * costs.validation_images * costs.evaluation
    measured, ordinary = training_seconds(history), steps * costs.step + validation
    updates = steps * max(0.0, costs.update_of_all - costs.update)
    hint = f"Estimated from {costs.measured_steps} steps of either kind"
    if run.environment.get("hardware") == costs.hardware:
        hint += f", measured on the same computer, {costs.hardware}."
    else:
        hint += f", measured on {costs.hardware}: another computer than the run's, so the seconds hardly compare."
    if history.features_of_others:
        hint += " Another run had stored the features: computing them is not in the seconds measured."
    epochs, images = count(len(history.epochs), "epoch"), number(history.epochs[0].images)
    return Speedup(
        what=f"{epochs} of {images} images in batches of {batch}",
        measured=measured,
        ordinary=ordinary,
        gradients=max(0.0, steps * (costs.step_of_all - costs.step) - updates),
        updates=updates,
        computing_again=ordinary - measured if history.on_stored_features else None,
        hint=hint,
    )
