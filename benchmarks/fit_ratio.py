"""What a run costs beside Keras's own `fit` of the same thing. Prints JSON.

    python -m benchmarks.fit_ratio [--data sample|cifar10] [--per-class N] [--epochs N] [--repeats 5]

Both sides train the first phase of `a-initial` in this process, taking turns. `ours` is `train`, reporting into a
real store as a worker does, its run stopped by nobody but looked after: flag and lease are polled. `bare` is
`model.fit` on float32 arrays with the same layers, batches, optimizer and images, validation included. A ratio is
ours / bare of one turn. `first_epoch` goes from the choice of images to the end of the first epoch, compilation and
our validation before any step included; `steady` are the other epochs. `watching` is our callbacks' share of the
run's CPU seconds, with the store and the threads that poll flag and lease.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np

from cifar_core.data.arrays import Images
from cifar_core.data.catalogue import open_images
from cifar_core.data.split import select
from cifar_core.experiment.applications import BaseLayer
from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.recipes import RECIPES
from cifar_core.experiment.settings import apply
from cifar_core.home import home
from cifar_core.runs.policy import Policy
from cifar_core.runs.store import Store
from cifar_core.training import trainer
from cifar_core.training.callbacks import Measure
from cifar_core.training.hardware import hardware, versions
from cifar_core.training.ledger import Ledger
from cifar_core.training.networks import keras_layer
from cifar_core.worker.job import Job

Moment = tuple[float, float]  # CPU seconds of this process, wall seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=["sample", "cifar10"], default="sample")
    parser.add_argument("--per-class", type=int)
    parser.add_argument("--epochs", type=int, default=3, help="at least 2; the first is kept apart")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="accepted for likeness: the output always is JSON")
    chosen = parser.parse_args()
    if chosen.epochs < 2 or chosen.repeats < 1:
        parser.error("at least 2 epochs and 1 repeat")
    experiment = apply(
        RECIPES["a-initial"].experiment,
        [
            f"data.name={chosen.data}",
            f"data.per_class={json.dumps(chosen.per_class)}",
            f"phases.0.epochs={chosen.epochs}",
        ],
    )
    images = open_images(experiment.data, home=home())
    turns = []
    for seed in range(chosen.repeats):
        (ours, watching), bare = _ours(experiment, images, seed), _bare(experiment, images, seed)
        turns.append({"ours": ours, "bare": bare, "watching": watching})
        print(f"turn {seed + 1} of {chosen.repeats} done", file=sys.stderr)
    print(json.dumps(_document(vars(chosen), turns), indent=2))


def _ours(experiment: Experiment, images: Images, seed: int) -> tuple[list[Moment], dict[str, float]]:
    """Train as a worker does, and return the moments at the start, after each epoch and at the end."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        run = store.submit(experiment, seed, "benchmark")
        store.claim("benchmark", run=run)
        sys.stdin = os.fdopen(os.pipe()[0])  # never ends: the supervisor that a worker listens to
        job = WatchedJob(Path(folder), run, "benchmark", time.time())
        over = threading.Event()
        lease = threading.Thread(target=job.timed_to_its_end, args=(lambda: _renew(store, run, over),))
        lease.start()
        Watched.job, trainer.Measure = job, Watched  # type: ignore[attr-defined]
        moments = [_now()]
        job.moments = moments
        trainer.train(experiment, images, seed, job, Ledger(), folder=job.folder)
        moments.append(_now())
        over.set()
        job.end()
        lease.join()
        store.close()
        job.store.close()
    spent = moments[-1][0] - moments[0][0]
    callbacks = job.seconds["callbacks"] - job.seconds["reports inside callbacks"]
    shares = {"callbacks": callbacks, "store": job.seconds["reports"], "heartbeat": job.seconds["heartbeat"]}
    return moments, {"cpu_seconds": spent, **shares, "share": sum(shares.values()) / spent}


class WatchedJob(Job):
    """A worker's job that counts the CPU seconds of its reports and of the threads that look after it."""

    def __init__(self, folder: Path, run: str, owner: str, claimed_at: float):
        self.seconds = dict.fromkeys(("callbacks", "reports", "reports inside callbacks", "heartbeat"), 0.0)
        self.in_callback = False
        self.moments: list[Moment] = []
        self._flag: threading.Thread | None = None
        super().__init__(folder, run, owner, claimed_at)
        for name in ("phase", "before", "points", "epoch", "changes", "progress", "should_stop"):
            setattr(self, name, self._timed(getattr(self, name)))

    def _timed(self, report: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*measured: Any) -> Any:
            began = time.thread_time()
            result = report(*measured)
            spent = time.thread_time() - began
            self.seconds["reports"] += spent
            self.seconds["reports inside callbacks"] += spent * self.in_callback
            if report.__name__ == "epoch":
                self.moments.append(_now())
            return result

        return timed

    def timed_to_its_end(self, work: Callable[[], None]) -> None:
        """Do a thread's work and add what the thread has used."""
        work()
        self.seconds["heartbeat"] += time.thread_time()

    def _watch_stop_flag(self) -> None:
        self._flag = threading.current_thread()
        self.timed_to_its_end(super()._watch_stop_flag)

    def end(self) -> None:
        """End the threads and wait for their figures."""
        self.store.request_stop(self.id)
        assert self._flag is not None
        self._flag.join()


class Watched(Measure):
    """The trainer's callback, its CPU seconds counted."""

    job: WatchedJob


def _watched(name: str) -> Callable[..., None]:
    def method(self: Watched, *arguments: Any, **logs: Any) -> None:
        began, self.job.in_callback = time.thread_time(), True
        getattr(Measure, name)(self, *arguments, **logs)
        self.job.in_callback = False
        self.job.seconds["callbacks"] += time.thread_time() - began

    return method


for _name in [name for name in vars(Measure) if name.startswith("on_")]:
    setattr(Watched, _name, _watched(_name))


def _renew(store: Store, run: str, over: threading.Event) -> None:
    """What a supervisor's threads do for a run."""
    policy = Policy()
    beats = round(policy.heartbeat / policy.poll)
    beat = 0
    while not over.wait(policy.poll):
        beat += 1
        if beat % beats == 0:
            store.renew(run, "benchmark")


def _bare(experiment: Experiment, images: Images, seed: int) -> list[Moment]:
    """Fit as any Keras script does."""
    phase, classes = experiment.phases[0], experiment.classes_of(experiment.phases[0])
    moments = [_now()]
    keras.utils.set_random_seed(seed)
    chosen = select(images, classes, per_class=experiment.data.per_class, validate_on_test=True, seed=seed)
    train = images.train_images[chosen.train] / np.float32(255)
    test = images.test_images[chosen.test] / np.float32(255)
    layers = [keras_layer(layer) for layer, _ in experiment.backbone_row.layers() if not isinstance(layer, BaseLayer)]
    model = keras.Sequential([keras.Input(experiment.image_shape), *layers])
    optimizer = keras.optimizers.get({"class_name": phase.optimizer, "config": {"learning_rate": phase.learning_rate}})
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(
        train,
        images.train_labels[chosen.train] - min(classes),
        batch_size=phase.batch_size,
        epochs=phase.epochs,
        validation_data=(test, images.test_labels[chosen.test] - min(classes)),
        shuffle=True,
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: moments.append(_now()))],
    )
    moments.append(_now())
    return moments


def _now() -> Moment:
    return time.process_time(), time.perf_counter()


def _document(settings: dict[str, Any], turns: list[dict[str, Any]]) -> dict[str, Any]:
    parts: dict[str, tuple[int, int]] = {"first_epoch": (0, 1), "steady": (1, -2), "whole": (0, -1)}

    def spent(moments: list[Moment], part: str, clock: int) -> float:
        start, end = parts[part]
        return moments[end][clock] - moments[start][clock]

    figures: dict[str, Any] = {}
    for part in parts:
        for clock, name in enumerate(("cpu", "wall")):
            ours, bare = ([spent(turn[side], part, clock) for turn in turns] for side in ("ours", "bare"))
            figures.setdefault(part, {})[name] = {
                "ratio": _spread([one / other for one, other in zip(ours, bare, strict=True)]),
                "ours_seconds": _spread(ours),
                "bare_seconds": _spread(bare),
            }
    watching = [turn["watching"] for turn in turns]
    return {
        "machine": hardware(),
        "versions": versions(),
        "settings": settings,
        **figures,
        "watching": {name: _spread([turn[name] for turn in watching]) for name in watching[0]},
    }


def _spread(values: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 4),
        "least": round(min(values), 4),
        "most": round(max(values), 4),
    }


if __name__ == "__main__":
    main()
