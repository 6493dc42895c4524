"""What fine-tuning on stored features costs beside Keras's own `fit` with the same layers frozen. Prints JSON.

    python -m benchmarks.stored_features --case a-ft1|a-ft2|e|d1|d2 [--epochs 10] [--per-class N] [--data cifar10]

All sides train the same phase in this process, one after the other, from the same weights, on the same images. Before
it A and E train their first phase for one epoch; D starts from random weights (InceptionV3's arithmetic is the same).

`bare` is `model.fit` on float32 arrays in memory, scaled and resized beforehand, with shuffle=True and the same
validation, at the faster of steps_per_execution 1 and 32 (told apart by the second epoch of each). `ours` is `train`
with an empty feature store and checkpoints after every epoch; `rerun` the same again over the features that are there
by then. Ratios are bare / ours, without building, choice of images and first step, which are given apart; extraction
and our validation before the first step are included. `by_epochs` is computed from the parts measured, not measured.

`head_loop_ratio_cpu` is what an epoch's steps cost in the second run, Keras's callbacks, live points and checkpoint
included, by the least that they can cost: a plain `tf.function` loop over batches gathered from the same features,
with the same dropout, loss and optimizer, and nothing that looks on.

`step_difference` and `epoch_difference` compare `train` with and without stored features: the largest relative
difference of the losses of the first 20 steps, and of those of the first three epochs.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from cifar_core.data.arrays import Images
from cifar_core.data.catalogue import open_images
from cifar_core.data.feature_store import FeatureStore
from cifar_core.experiment.applications import BaseLayer
from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.measured import Before, Epoch, LayerChange, Moment, Point, Progress
from cifar_core.experiment.recipes import RECIPES, with_random_weights
from cifar_core.experiment.settings import apply
from cifar_core.home import home
from cifar_core.training import callbacks, executions, trainer
from cifar_core.training.applications import base
from cifar_core.training.checkpoint import Position, end_of_phase, save
from cifar_core.training.cost import operations
from cifar_core.training.cut import find_cut
from cifar_core.training.feeding import Examples, feed
from cifar_core.training.hardware import hardware, versions
from cifar_core.training.ledger import Ledger
from cifar_core.training.networks import build, keras_layer
from cifar_core.training.optimizers import compile_for
from cifar_core.training.shortcut import find_shortcut
from cifar_core.training.trainer import train

CASES = {"a-ft1": ("a-ft1", 1), "a-ft2": ("a-ft2-direct", 1), "e": ("e", 1), "d1": ("d1", 0), "d2": ("d2", 0)}
APART = ("data", "build", "first_step", "saving")
SEED = 0
Cost = tuple[float, float]  # CPU seconds of this process, wall seconds


class Clocks(Ledger):
    """A ledger that counts the CPU seconds of this process too."""

    def __init__(self) -> None:
        super().__init__()
        self.cpu: dict[str, float] = {}
        self._cpu_since = time.process_time()

    def switch(self, entry: str) -> None:
        now = time.process_time()
        if self._entry:
            self.cpu[self._entry] = self.cpu.get(self._entry, 0.0) + now - self._cpu_since
        self._cpu_since = now
        super().switch(entry)

    def cost(self) -> Cost:
        return tuple(sum(s for entry, s in side.items() if entry not in APART) for side in (self.cpu, self.seconds))  # type: ignore[return-value]

    def parts(self) -> dict[str, list[float]]:
        return {entry: [round(self.cpu[entry], 3), round(self.seconds[entry], 3)] for entry in self.seconds}


class Notes:
    """A reporter that keeps losses, and the moments between which features were computed."""

    def __init__(self) -> None:
        self.why = ""
        self.steps: list[float] = []
        self.epochs: list[Epoch] = []
        self.computed: list[tuple[int, float, float]] = []

    def __call__(self, done: int, images: int, eta: float | None) -> None:
        self.computed.append((done, time.process_time(), time.perf_counter()))

    def features(self, phase: int, sentence: str, seconds: float, *, of_others: bool) -> None:
        self.why = sentence

    def points(self, phase: int, points: list[Point]) -> None:
        self.steps += [point.loss for point in points]

    def epoch(self, phase: int, epoch: Epoch) -> None:
        self.epochs.append(epoch)

    def preparing(self, step: str) -> None: ...
    def phase(self, index: int, name: str) -> None: ...
    def phase_ended(self, index: int) -> None: ...
    def before(self, phase: int, before: Before) -> None: ...
    def followed(self, moment: Moment) -> None: ...
    def changes(self, phase: int, changes: list[LayerChange]) -> None: ...
    def kept(self, phase: int, epoch: int) -> None: ...
    def progress(self, progress: Progress) -> None: ...

    def should_stop(self) -> bool:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=CASES, required=True)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--per-class", type=int, help="default: all; for D 500")
    parser.add_argument("--data", choices=["sample", "cifar10"], default="cifar10")
    parser.add_argument("--no-difference", action="store_true", help="leave the comparison of losses out")
    parser.add_argument("--json", action="store_true", help="accepted for likeness: the output always is JSON")
    chosen = parser.parse_args()
    recipe, index = CASES[chosen.case]
    per_class = chosen.per_class or (500 if chosen.case.startswith("d") else None)
    changes = [f"data.name={chosen.data}", f"data.per_class={json.dumps(per_class)}"]
    changes += [f"phases.{index}.epochs={chosen.epochs}"] + (["phases.0.epochs=1"] if index else [])
    experiment = apply(with_random_weights(RECIPES[recipe].experiment), changes)
    images = open_images(experiment.data, home=home())
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(_measured(experiment, index, images, Path(folder), chosen), indent=2))


def _measured(
    experiment: Experiment, index: int, images: Images, folder: Path, chosen: argparse.Namespace
) -> dict[str, Any]:
    first = build(experiment, 0, SEED)
    if index:
        first = train(experiment.model_copy(update={"phases": experiment.phases[:1]}), images, SEED, Notes(), Clocks())
        first = first.model
    model = build(experiment, index, SEED, first) if index else first
    bare = Bare(experiment, index, model, images)
    trials = bare.trials()
    together = faster(trials)
    tell("bare trials", trials)
    store = FeatureStore(folder / "features", 10**11)
    peaks = [_peak()]
    ours, notes = our_way(experiment, index, images, first, folder, store)
    peaks.append(_peak())
    tell("ours", ours.parts())
    bare_cost, bare_apart, bare_epochs = bare.fit(chosen.epochs, together)
    tell("bare", bare_cost)
    rerun, again = our_way(experiment, index, images, first, folder, store)
    tell("rerun", rerun.parts())
    loop = head_loop(experiment, index, images, first, store)
    tell("an epoch of the plain loop", loop)
    cost, rerun_cost = ours.cost(), rerun.cost()
    document: dict[str, Any] = {
        "ratio_cpu": bare_cost[0] / cost[0],
        "ratio_wall": bare_cost[1] / cost[1],
        "rerun_ratio_cpu": bare_cost[0] / rerun_cost[0],
        "rerun_ratio_wall": bare_cost[1] / rerun_cost[1],
        "head_loop_ratio_cpu": rerun.cpu["steps"] / chosen.epochs / loop[0],
        "head_loop_ratio_wall": rerun.seconds["steps"] / chosen.epochs / loop[1],
    }
    if not chosen.no_difference:
        document |= differences(experiment, index, images, first, folder, store)
    cut = find_cut(model)
    assert cut is not None
    return document | {
        "case": chosen.case,
        "epochs": chosen.epochs,
        "images": bare.sizes,
        "ours_cpu_wall": cost,
        "ours_parts_cpu_wall": ours.parts(),
        "rerun_parts_cpu_wall": rerun.parts(),
        "bare_cpu_wall": bare_cost,
        "bare_apart_cpu_wall": bare_apart,
        "bare_steps_per_execution": together,
        "bare_trials_cpu_wall": trials,
        "by_epochs_cpu": _by_epochs(ours.cpu, bare_epochs, chosen.epochs),
        "ours_says": notes.why,
        "rerun_says": again.why,
        "prefix_operations_per_image": operations(cut.prefix),
        **_extraction(notes.computed, operations(cut.prefix), peaks),
        "load_average": os.getloadavg(),
        "machine": hardware(),
        "versions": versions(),
    }


class Bare:
    """The phase as any Keras script fits it."""

    def __init__(self, experiment: Experiment, index: int, like: keras.Model, images: Images):
        self._experiment, self._index, self._like = experiment, index, like
        prepared = {layer.name: layer for layer in like.layers}
        scaled = keras.Model(like.input, (prepared.get("resize") or prepared["rescale"]).output)
        chosen = feed(experiment, index, images, SEED)
        self._train, self._validation = (_as_floats(scaled, each) for each in (chosen.train, chosen.validation))
        self.sizes = {"train": len(chosen.train), "validation": len(chosen.validation)}

    def trials(self, several: Sequence[int] = (1, 32)) -> dict[int, Cost]:
        """Return the cost of an epoch by how many steps are executed at once.

        The first step of 32 at once may be the whole epoch: only later epochs compare.
        """
        return {together: self.fit(2, together)[2][0] for together in several}

    def fit(self, epochs: int, together: int) -> tuple[Cost, Cost, list[Cost]]:
        """Return the cost of all but building and first step, that of these, and each later epoch's."""
        experiment, phase = self._experiment, self._experiment.phases[self._index]
        moments = [_now()]
        keras.utils.set_random_seed(SEED)
        pixels = keras.Input(experiment.input_shape)
        values = base(experiment.backbone_row, pixels).output if experiment.backbone_row.application else pixels
        network = experiment.networks[self._index]
        for layer in network.layers:
            if not isinstance(layer.layer, BaseLayer):
                values = keras_layer(layer.layer)(values)
        model = keras.Model(pixels, values)
        for layer in network.layers:
            model.get_layer(layer.name).trainable = layer.trainable
            model.get_layer(layer.name).set_weights(self._like.get_layer(layer.name).get_weights())
        compile_for(phase, network, model)
        model.steps_per_execution = together
        watch = Moments(moments)
        model.fit(
            *self._train,
            batch_size=phase.batch_size,
            epochs=epochs,
            validation_data=self._validation,
            shuffle=True,
            verbose=0,
            callbacks=[watch],
        )
        ends = watch.epochs
        later = [_between(one, other) for one, other in pairwise(ends)]
        return _between(moments[1], ends[-1]), _between(moments[0], moments[1]), later


def faster(trials: dict[int, Cost]) -> int:
    """Return which of the trials took the fewest CPU seconds."""
    return min(trials, key=lambda each: trials[each][0])


class Moments(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Notes when the first step and each epoch have ended."""

    def __init__(self, moments: list[Cost]):
        super().__init__()
        self._moments = moments
        self.epochs: list[Cost] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if len(self._moments) == 1:
            self._moments.append(_now())

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epochs.append(_now())


def _as_floats(scaled: keras.Model, examples: Examples) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    pixels: NDArray[np.float32] = scaled.predict(examples.in_order(), verbose=0)
    return pixels, examples.labels.numpy()


def our_way(
    experiment: Experiment, index: int, images: Images, first: keras.Model, folder: Path, store: FeatureStore | None
) -> tuple[Clocks, Notes]:
    notes, clocks = Notes(), Clocks()
    setattr(trainer, "Steps", lambda reporter: notes)  # noqa: B010 - it hears of every batch that is computed
    with tempfile.TemporaryDirectory(dir=folder) as own:
        if index:
            save(Path(own) / end_of_phase(0), Position(0, 1), first.layers)
        train(experiment, images, SEED, notes, clocks, features=store, folder=Path(own))
    clocks.close()
    return clocks, notes


def head_loop(
    experiment: Experiment, index: int, images: Images, first: keras.Model, store: FeatureStore, epochs: int = 5
) -> Cost:
    """Return what an epoch of the layers behind the cut costs at least, the median of a few."""
    phase, network = experiment.phases[index], experiment.networks[index]
    model = build(experiment, index, SEED, first) if index else first
    given = feed(experiment, index, images, SEED)
    shortcut, why = find_shortcut(model, experiment, index, given, images, store, Notes())
    assert shortcut is not None, why
    with shortcut.around(given.train) as (examples,):
        rest, size = shortcut.rest, phase.batch_size
        compile_for(phase, network, rest, one_kernel=True)
        rest.optimizer.build(rest.trainable_variables)
        rows = tf.constant(examples.rows)

        def all_steps(order: tf.Tensor) -> None:
            for step in tf.range(-(-len(examples) // size)):
                values, labels = examples.gather(rows, order[step * size : (step + 1) * size])
                with tf.GradientTape() as tape:
                    loss = rest.compute_loss(y=labels, y_pred=rest(values, training=True))
                gradients = tape.gradient(loss, rest.trainable_variables)
                rest.optimizer.apply(gradients, rest.trainable_variables)

        epoch, moments = tf.function(all_steps), []
        for count in range(1 + epochs):
            order = tf.constant(np.random.default_rng(count).permutation(len(examples)))
            began = _now()
            epoch(order)
            moments.append(_between(began, _now()))
    cpu, wall = (float(np.median(side)) for side in zip(*moments[1:], strict=True))
    return cpu, wall


def differences(
    experiment: Experiment, index: int, images: Images, first: keras.Model, folder: Path, store: FeatureStore
) -> dict[str, float]:
    short = apply(experiment, [f"phases.{index}.epochs=3"])
    callbacks.SECONDS_BETWEEN_POINTS = 0
    executions.SECONDS_TO_COMPILE = -1e9  # as ten epochs are trained
    setattr(trainer, "steps_per_execution", lambda *_, **__: 1)  # noqa: B010 - every step by itself
    stored, ordinary = (our_way(short, index, images, first, folder, each)[1] for each in (store, None))
    assert stored.why.startswith("Stored") and not ordinary.why.startswith("Stored")

    def largest(one: Sequence[float], other: Sequence[float]) -> float:
        return max(abs(a - b) / abs(b) for a, b in zip(one, other, strict=True))

    def of_epochs(measure: Callable[[Epoch], float]) -> tuple[list[float], list[float]]:
        return [measure(epoch) for epoch in stored.epochs], [measure(epoch) for epoch in ordinary.epochs]

    accuracies = of_epochs(lambda epoch: epoch.accuracy), of_epochs(lambda epoch: epoch.val_accuracy)
    return {
        "step_difference": largest(stored.steps[:20], ordinary.steps[:20]),
        "epoch_difference": max(
            largest(*of_epochs(lambda epoch: epoch.loss)), largest(*of_epochs(lambda epoch: epoch.val_loss))
        ),
        "accuracy_difference": max(abs(a - b) for pair in accuracies for a, b in zip(*pair, strict=True)),
    }


def _by_epochs(ours: dict[str, float], bare_epochs: list[Cost], epochs: int) -> dict[int, float]:
    if not bare_epochs:
        return {}
    bare = float(np.median([cpu for cpu, _ in bare_epochs]))
    an_epoch = (ours["steps"] + ours["validation"]) / epochs
    return {count: count * bare / (ours["extract"] + count * an_epoch) for count in (1, 3, 10, 30)}


def _extraction(computed: list[tuple[int, float, float]], each: int, peaks: list[Cost]) -> dict[str, Any]:
    """How near the layers before the cut come to the machine's matrix product, compilation left out."""
    batches = [
        (done - before, cpu - cpu_before, wall - wall_before)
        for (before, cpu_before, wall_before), (done, cpu, wall) in pairwise(computed)
        if done > before  # not the first batch of the test images
    ]
    if not batches:
        return {}
    count, *seconds = (sum(column) for column in zip(*batches, strict=True))
    cpu, wall = (count * each / spent for spent in seconds)
    return {
        "extraction_share_of_peak": cpu / max(peak[0] for peak in peaks),
        "extraction_share_of_peak_wall": wall / max(peak[1] for peak in peaks),
        "extraction_images_per_second": wall / each,
        "peak_operations_per_cpu_and_wall_second": peaks,
    }


def _peak() -> Cost:
    """Multiplications and additions per CPU second and per wall second in a product of 2048×2048 float32."""
    one = tf.random.normal((2048, 2048))
    product = tf.function(lambda: tf.reduce_sum(one @ one))
    product()
    best = (0.0, 0.0)
    for _ in range(10):
        began = _now()
        for _ in range(5):
            product().numpy()
        cpu, wall = _between(began, _now())
        best = max(best[0], 5 * 2 * 2048**3 / cpu), max(best[1], 5 * 2 * 2048**3 / wall)
    return best


def _now() -> Cost:
    return time.process_time(), time.perf_counter()


def _between(begin: Cost, end: Cost) -> Cost:
    return end[0] - begin[0], end[1] - begin[1]


def tell(what: str, figures: Any) -> None:
    print(f"{what}: {figures}", file=sys.stderr)


if __name__ == "__main__":
    main()
