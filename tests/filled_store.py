"""A store full of runs in every state, with made-up, plausible measurements: written as a worker would, untrained."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cifar_core.analysis.metrics import measure
from cifar_core.analysis.predictions import Predictions
from cifar_core.data.arrays import Images, open_arrays
from cifar_core.data.sample import VERSION
from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.links import FIRST
from cifar_core.experiment.measured import Before, Epoch, LayerChange, Point, Progress, State
from cifar_core.experiment.recipes import recipe
from cifar_core.experiment.settings import apply
from cifar_core.experiment.wording import run_name
from cifar_core.runs.store import Store

FOR_EVER = 1e9
IMAGES = 200
NASTY_NAME = "<script>alert(1)</script> **bold** [link](http://example.org) `code` $x^2$ :red[red]"
LOG = 'Traceback (most recent call last):\n  File "worker.py", line 96, in _work\nRuntimeError: the end of the log'
ENVIRONMENT = {
    "hardware": "2 cores",
    "versions": {"python": "3.11", "keras": "3"},
    "provenance": "Synthetic: drawn by Transfer Lab.",
    "official": True,
}
SECONDS = {"queue": 0.4, "start": 3.1, "data": 0.2, "build": 0.3, "first_step": 1.1, "steps": 14.0, "evaluation": 0.5}
HEAD_ONLY = apply(FIRST, ['phases.1.freeze={"rule":"all_but_last_layers","count":1}'])
WHOLE_DATA_SET = apply(recipe("e").experiment, ["data.name=sample"])


@dataclass(frozen=True)
class Writer:
    """One claimed run, and what a worker would write into it."""

    store: Store
    run: str
    owner: str
    experiment: Experiment

    def trains(self, until: float = 1.0, reached: float = 0.8, *, diverges: bool = False) -> None:
        """Measure the share `until` of all epochs."""
        store, planned, at = self.store, sum(phase.epochs for phase in self.experiment.phases), 0.0
        left = measured = round(planned * until)
        for index, phase in enumerate(self.experiment.phases):
            if left <= 0:
                break
            store.begin_phase(self.run, self.owner, index, phase.name)
            store.record_before(self.run, self.owner, index, Before(1.6, 0.2, at))
            for number in range(1, min(phase.epochs, left) + 1):
                level = reached * (1 - 0.5**number)
                loss = math.nan if diverges else 1.5 - level
                store.add_points(self.run, self.owner, index, [Point(number - 0.5, loss, level - 0.1, at + 1)])
                at, left = at + 2, left - 1
                epoch = Epoch(number, loss, level, loss, level - 0.05, 1e-3, 2.0, 500.0, 1000, at)
                store.add_epoch(self.run, self.owner, index, epoch)
                done = Progress(index + 1, number, (measured - left) / planned, 80.0)
                store.set_progress(self.run, self.owner, done)
            if left > 0 or until >= 1:
                store.record_changes(self.run, self.owner, index, self._changes(index))

    def _changes(self, phase: int) -> Sequence[LayerChange]:
        layers = self.experiment.networks[phase].layers
        return [
            LayerChange(layer.name, not layer.trainable, 2.5 if layer.trainable else 0.0, 10.0)
            for layer in layers
            if layer.params
        ]

    def predicts(self, right: float) -> dict[str, dict[str, float]]:
        """Keep predictions of both splits, and return their metrics."""
        last = len(self.experiment.phases) - 1
        outputs = self.experiment.output_classes(last)
        taught = [outputs.index(index) for index in self.experiment.classes_of(self.experiment.phases[last])]
        names = [
            f"output {place}" if index is None else self.experiment.dataset.classes[index]
            for place, index in enumerate(outputs)
        ]
        metrics = {}
        for seed, split in enumerate(("test", "validation")):
            found = predicted(names, taught, right, seed)
            found.save(self.store.files.folder(self.run) / f"{split}.npz")
            metrics[split] = measure(found)
        return metrics

    def ends(self, state: State, **ending: Any) -> None:
        """Finish the run."""
        self.store.finish(self.run, self.owner, state, seconds=SECONDS, **ending)


def predicted(names: Sequence[str], taught: Sequence[int], right: float, seed: int) -> Predictions:
    """Return predictions of which about the share `right` is right; only the outputs `taught` occur."""
    random = np.random.default_rng(seed)
    labels = random.choice(taught, IMAGES)
    guess = np.where(random.random(IMAGES) < right, labels, random.choice(taught, IMAGES))
    probabilities = random.random((IMAGES, len(names))).astype(np.float32)
    probabilities[np.arange(IMAGES), guess] += 2
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return Predictions(probabilities, labels, np.arange(IMAGES), tuple(names))


def queue(store: Store, experiment: Experiment = FIRST, seed: int = 0, name: str = "") -> str:
    """Queue a run and return its id."""
    return store.submit(experiment, seed, name or run_name(experiment, seed))


def claim(
    store: Store,
    experiment: Experiment = FIRST,
    seed: int = 0,
    name: str = "",
    *,
    images: Images | None = None,
    **lease: float,
) -> Writer:
    """Queue a run and claim it, for ever unless a `lease` is given; on the sample, unless on other images."""
    run = queue(store, experiment, seed, name)
    store.claim(f"worker of {run}", run=run, **({"lease": FOR_EVER} | lease))
    images = images or open_arrays(store.home / "data" / f"sample-{VERSION}")
    environment = ENVIRONMENT | {"fingerprint": images.fingerprint if images else "not drawn yet"}
    store.set_environment(run, f"worker of {run}", environment)
    return Writer(store, run, f"worker of {run}", experiment)


def finished(
    store: Store,
    experiment: Experiment = FIRST,
    seed: int = 0,
    name: str = "",
    *,
    right: float = 0.8,
    images: Images | None = None,
) -> str:
    """Add a run that is done, with predictions, and return its id."""
    writer = claim(store, experiment, seed, name, images=images)
    writer.trains(reached=right)
    writer.ends(State.DONE, metrics=writer.predicts(right))
    return writer.run


def failed(store: Store) -> str:
    """Add a run that failed in its second phase, with the end of a log."""
    writer = claim(store, seed=11)
    writer.trains(0.7)
    writer.ends(State.FAILED, reason=f"The machine ran out of memory. Try a smaller batch.\n\n{LOG}")
    return writer.run


def diverged(store: Store) -> str:
    """Add a run whose losses are not numbers."""
    writer = claim(store, seed=12)
    writer.trains(0.5, diverges=True)
    writer.ends(State.FAILED, reason="The loss is not a number any more. Try a lower learning rate.")
    return writer.run


def stopped(store: Store) -> str:
    """Add a run that was stopped: no predictions."""
    writer = claim(store, seed=13)
    writer.trains(0.4)
    store.request_stop(writer.run)
    writer.ends(State.STOPPED, reason="Stopped on request.")
    return writer.run


def interrupted(store: Store) -> str:
    """Add a run whose program disappeared."""
    writer = claim(store, seed=14, lease=-1.0)
    writer.trains(0.4)
    assert writer.run in store.reconcile()
    return writer.run


def training(store: Store) -> str:
    """Add a run in the middle of its second phase."""
    writer = claim(store, seed=15)
    store.set_state(writer.run, writer.owner, State.TRAINING)
    writer.trains(0.7)
    return writer.run


def fill(store: Store) -> dict[str, str]:
    """Add a run in every state there is, and return their ids."""
    runs = {
        "done": finished(store),
        "other seed": finished(store, seed=1, right=0.77),
        "head only": finished(store, HEAD_ONLY, right=0.6),
        "whole data set": finished(store, WHOLE_DATA_SET, seed=2, right=0.7),
        "nasty": finished(store, seed=4, name=NASTY_NAME),
        "archived": finished(store, seed=5, name="put away"),
        "failed": failed(store),
        "diverged": diverged(store),
        "stopped": stopped(store),
        "interrupted": interrupted(store),
        "training": training(store),
        "queued": queue(store, seed=16),
        "queued last": queue(store, HEAD_ONLY, seed=17),
    }
    store.archive(runs["archived"])
    return runs


def filled(home: Path) -> tuple[Store, dict[str, str]]:
    """Return a store with a run in every state, and their ids."""
    store = Store(home)
    return store, fill(store)
