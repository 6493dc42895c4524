"""What pages ask of networks (`cifar_core.runs.inspect`), answered with arrays."""

import base64
import os
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cifar_core import limits
from cifar_core.analysis.transferability import leep, logme
from cifar_core.data.arrays import Images
from cifar_core.data.catalogue import open_images
from cifar_core.data.feature_store import feature_store
from cifar_core.experiment.beginning import source_phases
from cifar_core.experiment.experiment import Experiment, InitialWeights, Phase, Validation
from cifar_core.experiment.measured import MODEL, Run
from cifar_core.experiment.settings import changed
from cifar_core.experiment.wording import output_names
from cifar_core.runs.store import Store
from cifar_core.training.augmenting import examples
from cifar_core.training.checkpoint import end_of_phase
from cifar_core.training.feeding import feed
from cifar_core.training.followed import evenly
from cifar_core.training.initial_weights import initialize
from cifar_core.training.inside import PROJECTED, inside, look, watched
from cifar_core.training.kept import NoNetworkError, kept_network, network_before
from cifar_core.training.networks import build
from cifar_core.training.step_costs import step_costs
from cifar_core.worker.errors import EXPLAINED
from cifar_core.worker.weights import initial_weights_file

if TYPE_CHECKING:
    import keras

SECONDS_BETWEEN_LOOKS = 0.3
GUESSED_ON = 2000
"""Images that a guess is made on at most: it takes seconds then, however large the data set."""
PROBE = Phase(name="guess", train_on="target")


def answer(question: dict[str, Any]) -> None:
    """Answer a page's question into a file; what cannot be told in words ends the process, with a traceback."""
    answers = {
        "augmentation": _augmented,
        "inside": _inside,
        "look": _looks,
        "guess": _guesses,
        "step costs": _step_costs,
    }
    result, answering = Path(question["result"]), threading.Lock()
    try:
        allowed = limits.limits()
        if allowed != limits.Limits():
            threading.Thread(target=_watch_question, args=(allowed, result, answering), daemon=True).start()
        found = answers[question["inspect"]](question)
    except EXPLAINED as error:
        found = {"error": np.array(str(error))}
    answering.acquire()  # for good: only one answers, and who is late waits for the end of the process
    np.savez(result, **found)


def _watch_question(allowed: limits.Limits, result: Path, answering: threading.Lock) -> None:
    """End a question that uses more than a run may, with the reason for an answer."""
    began = time.monotonic()
    while not (over := allowed.exceeded(result.parent, time.monotonic() - began)):
        time.sleep(SECONDS_BETWEEN_LOOKS)
    if answering.acquire(blocking=False):
        np.savez(result, error=np.array(f"What was asked for was given up. {over.partition('. ')[0]}."))
        os._exit(0)


def _augmented(question: dict[str, Any]) -> dict[str, Any]:
    experiment = Experiment.parse_json(question["experiment"])
    images = open_images(experiment.data, home=Path(question["home"]))
    trained_on = feed(experiment, question["phase"], images, question["seed"]).train
    first_of_each_class = np.unique(trained_on.labels, return_index=True)[1]
    shown = trained_on.values[0].numpy()[first_of_each_class]
    augmentation = experiment.phases[question["phase"]].augmentation
    return {"images": shown, "changed": examples(shown, augmentation, question["seed"])}


def _inside(question: dict[str, Any]) -> dict[str, Any]:
    """What is in the network of a run, and in it before the target classes: see `training.inside.inside`."""
    store = Store(Path(question["home"]))
    run, phase = _run_with_network(store, question["run"])
    experiment = run.experiment
    after = kept_network(store.files.path(run.id, MODEL))
    images = _images_of(run, store)
    test = feed(experiment, phase, images, run.seed).test
    chosen = np.random.default_rng(0).permutation(len(test))[:PROJECTED]
    networks = experiment.networks[max(0, source_phases(experiment) - 1)], experiment.networks[phase]
    try:
        before, no_before = before_target_classes(store, run, phase), ""
    except EXPLAINED as error:
        before, no_before = None, str(error)
    found = inside(after, before, networks, images.test_images[test.indices[chosen]])
    return found | {
        "no_before": np.array(no_before),
        "images": test.indices[chosen],
        "labels": test.labels.numpy()[chosen].astype(np.int64),
        "class_names": np.array(output_names(experiment, phase)),
    }


def before_target_classes(store: Store, run: Run, last: int) -> "keras.Model":
    """The network of a run, of which `last` is the last phase begun, as it was before any phase on target classes."""
    experiment, phase = run.experiment, source_phases(run.experiment)
    if last < phase:
        raise NoNetworkError("This run trained on no target classes, so there is no before and after them.")
    if phase:
        return network_before(store.files.path(run.id, end_of_phase(phase - 1)), experiment, phase, run.seed)
    if experiment.initial_weights.source == "random":
        raise NoNetworkError("This run met the target classes with random weights: there is nothing learned before.")
    weights = initial_weights_file(run, store)
    if weights is not None and run.started is not None and weights.stat().st_mtime > run.started.timestamp():
        raise NoNetworkError("The file of the weights that this run began with was written anew since.")
    model = build(experiment, 0, run.seed)
    initialize(model, experiment, weights, lambda step: None)
    return model


def _step_costs(question: dict[str, Any]) -> dict[str, Any]:
    """What steps of a run's last phase cost the ordinary way: see `training.step_costs`."""
    store = Store(Path(question["home"]))
    run, phase = _run_with_network(store, question["run"])
    model = kept_network(store.files.path(run.id, MODEL))
    return asdict(
        step_costs(model, run.experiment, phase, feed(run.experiment, phase, _images_of(run, store), run.seed))
    )


def _looks(question: dict[str, Any]) -> dict[str, Any]:
    """What the networks of runs make of an image, given for each run in its size: see `training.inside.look`."""
    store = Store(Path(question["home"]))
    answer: dict[str, Any] = {}
    for place, (id, pixels) in enumerate(zip(question["runs"], question["images"], strict=True)):
        run, phase = _run_with_network(store, id)
        image = np.frombuffer(base64.b64decode(pixels), np.uint8).reshape(run.experiment.image_shape)
        model = kept_network(store.files.path(run.id, MODEL))
        found = look(model, run.experiment.networks[phase], image)
        found["class_names"] = np.array(output_names(run.experiment, phase))
        answer |= {f"{place}/{name}": value for name, value in found.items()}
    return answer


def _guesses(question: dict[str, Any]) -> dict[str, Any]:
    """What starting networks promise for the target classes of an experiment: see `analysis.transferability`.

    A start is a run, whose network counts as its phases on source classes left it, or a backbone with ImageNet's
    weights. Features are what reaches `layer`, or the output where a network has none of that name. A start that cannot
    be used says so in its place.
    """
    store, target = Store(Path(question["home"])), Experiment.parse_json(question["experiment"])
    kept = feature_store(store.home)
    probe = {"backbone": "two-conv", "input_side": None, "phases": [PROBE], "validation": Validation(on="test")}
    images = open_images(target.data, home=store.home)
    train = feed(changed(target, initial_weights=InitialWeights(), **probe), 0, images, seed=0).train
    rows = np.sort(evenly(train.labels.numpy(), GUESSED_ON))
    places, labels = train.indices[rows], train.labels.numpy()[rows]
    answer: dict[str, Any] = {}
    for number, (kind, name) in enumerate(question["starts"]):
        began = time.perf_counter()
        try:
            model = _source_network(store, name) if kind == "run" else _imagenet_network(target, name)
            if model.input.shape[1:] != images.dataset.image_shape:
                raise NoNetworkError(
                    f"It takes images of {model.input.shape[1]} pixels, not {images.dataset.image_shape[0]}."
                )
            reaching, outputs = watched(model, question["layer"], images, places, kept)
            found = {
                "logme": logme(reaching, labels),
                "leep": leep(outputs, labels) if kind == "run" else np.nan,  # ImageNet's own output layer is not there
                "images": len(places),
                "features": reaching[0].size,
                "seconds": time.perf_counter() - began,
            }
        except EXPLAINED as error:
            found = {"error": np.array(str(error))}
        answer |= {f"{number}/{key}": np.array(value) for key, value in found.items()}
    return answer


def _source_network(store: Store, id: str) -> "keras.Model":
    run, last = _run_with_network(store, id)
    before = source_phases(run.experiment)
    if not before or last < before - 1:
        raise NoNetworkError("This run has not finished a phase on source classes.")
    if before == len(run.experiment.phases):
        return kept_network(store.files.path(id, MODEL))
    return network_before(store.files.path(id, end_of_phase(before - 1)), run.experiment, before, run.seed)


def _imagenet_network(target: Experiment, backbone: str) -> "keras.Model":
    weights = InitialWeights(source="imagenet")
    meant = changed(target, initial_weights=weights, backbone=backbone, input_side=None, pixels=None, phases=[PROBE])
    model = build(meant, 0, seed=0)
    initialize(model, meant, None, lambda step: None)
    return model


def _images_of(run: Run, store: Store) -> Images:
    """The very images that a run was computed on."""
    images = open_images(run.experiment.data, home=store.home)
    if images.fingerprint != run.environment.get("fingerprint"):
        raise NoNetworkError("The images of this run are others now, or are not on this computer.")
    return images


def _run_with_network(store: Store, id: str) -> tuple[Run, int]:
    """A run, and the phase that its network was in when the run ended."""
    run = store.run(id)
    begun = store.history(id, points=2)
    if not begun:
        raise NoNetworkError("This run has kept no model: it ended before there was one.")
    return run, begun[-1].index
