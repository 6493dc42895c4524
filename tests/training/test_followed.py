"""The images that are followed through the epochs: which, that they are right, and that nothing else changes."""

import time
from functools import partialmethod
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from cifar_core.analysis import moments
from cifar_core.data.feature_store import FeatureStore
from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.measured import State
from cifar_core.runs.store import Store
from cifar_core.training import features, followed, trainer
from cifar_core.training.feeding import Examples
from cifar_core.training.followed import evenly
from cifar_core.training.ledger import Ledger
from cifar_core.training.trainer import train
from cifar_core.worker.job import REUSE, Job
from tests.training.makers import Notes, done, experiment, images, phase, run, tuning


def test_as_many_images_of_each_class_are_followed_as_there_are() -> None:
    labels = np.repeat([0, 1, 2], [50, 3, 20]).astype(np.int32)
    rows = evenly(labels, 23)
    assert np.bincount(labels[rows]).tolist() == [10, 3, 10]
    assert labels[rows][:6].tolist() == [0, 1, 2, 0, 1, 2]
    assert len(set(rows)) == 23
    assert np.array_equal(rows[:9], evenly(labels, 9))
    assert sorted(evenly(labels, 1000)) == list(range(73))


def test_more_classes_than_images_have_one_image_of_some() -> None:
    labels = np.arange(50, dtype=np.int32)
    assert len(set(labels[evenly(labels, 20)])) == 20


def test_every_epoch_of_every_phase_is_followed_on_the_same_images() -> None:
    _, notes = done()
    assert list(notes.answers) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    for index in (0, 1):
        first, *others = [answers for (phase, _), answers in notes.answers.items() if phase == index]
        assert all(np.array_equal(first[0], other[0]) for other in others)


def test_what_is_followed_is_what_the_network_makes_of_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine images, two in a batch: they do not go up evenly."""
    monkeypatch.setattr(Examples, "in_order", partialmethod(Examples.in_order, batch_size=2))
    monkeypatch.setattr(followed, "evenly", lambda labels: evenly(labels, 7))
    trained, notes = run(experiment(phase(batch_size=2, epochs=2)))
    numbers, labels, probabilities = notes.answers[0, 2]
    pixels, truth = images().train_images[numbers], images().train_labels[numbers]
    assert [experiment().split.source[label] for label in labels] == truth.tolist()
    assert np.bincount(labels).tolist() == [3, 2, 2]
    assert probabilities == pytest.approx(trained.model.predict(pixels, verbose=0), abs=1e-6)


def test_all_validation_images_together_have_the_accuracy_that_is_reported() -> None:
    _, notes = done()
    for (index, epoch), (_, labels, probabilities) in notes.answers.items():
        reported = notes.epochs[index][epoch - 1] if epoch else notes.befores[index]
        assert (probabilities.argmax(axis=1) == labels).mean() == pytest.approx(reported.val_accuracy)


def test_to_follow_changes_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    class NotFollowing(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
        def leave(self) -> None: ...

    followed_run, followed_notes = done()  # before it is patched: it is kept for other tests
    monkeypatch.setattr(trainer, "Follow", lambda *_: NotFollowing())
    trained, notes = run(experiment())
    assert not notes.answers
    assert [notes.history(index) for index in range(2)] == [followed_notes.history(index) for index in range(2)]
    assert all(map(np.array_equal, trained.model.get_weights(), followed_run.model.get_weights()))


def test_stored_features_are_followed_as_their_images_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _, ordinary = done()
    for name, value in (("SECONDS_TO_SET_UP", 0), ("FROM_MEMORY", 1e15)):
        monkeypatch.setattr(features, name, value)
    notes = Notes()
    train(experiment(), images(), 0, notes, Ledger(), features=FeatureStore(tmp_path, 10**9))
    assert notes.whys[1].startswith("Stored features")
    for key, (numbers, labels, probabilities) in ordinary.answers.items():
        assert np.array_equal(notes.answers[key][0], numbers)
        assert np.array_equal(notes.answers[key][1], labels)
        assert notes.answers[key][2] == pytest.approx(probabilities, abs=1e-4)


OWNER = "a test"


def claimed(store: Store, meant: Experiment) -> str:
    run = store.submit(meant, 1, "a run")
    assert store.claim(OWNER, run=run, lease=600) is not None
    return run


def kept(store: Store, run: str) -> dict[tuple[int, int], Any]:
    found = moments.read(store.files.folder(run) / moments.FILE)
    return {(each.phase, each.epoch): each.probabilities.tolist() for each in found}


def test_a_reused_phase_brings_its_epochs_along_and_no_others(store: Store) -> None:
    meant = experiment(phase(epochs=1), tuning(epochs=2))
    other = experiment(phase(epochs=1), tuning("otherwise", epochs=1, learning_rate=0.5))
    first, second = (claimed(store, each) for each in (meant, other))
    for each in (first, second):
        Job(store.home, each, OWNER, time.time()).do()
        assert store.run(each).state is State.DONE
    assert store.run(second).environment["reused"]["run"] == first
    theirs, ours = kept(store, first), kept(store, second)
    assert list(ours) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert all(ours[0, epoch] == theirs[0, epoch] for epoch in (0, 1))
    assert ours[1, 1] != theirs[1, 1]


def test_a_run_that_was_cut_off_has_the_epochs_of_an_undisturbed_one(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(REUSE, "off")
    whole, run = (claimed(store, experiment(phase(epochs=3))) for _ in range(2))
    Job(store.home, whole, OWNER, time.time()).do()
    job = Job(store.home, run, OWNER, time.time())

    class KilledError(BaseException):
        """Nothing of ours catches this, as nothing can catch a kill."""

    def die_before_the_checkpoint(phase: int, epoch: Any) -> None:
        if epoch.epoch == 2:
            raise KilledError

    monkeypatch.setattr(job, "epoch", die_before_the_checkpoint)
    with pytest.raises(KilledError):
        job.do()
    with (store.files.folder(run) / moments.FILE).open("ab") as file:
        file.write(b"\x93NUMPY half a table")
    store.finish(run, OWNER, State.INTERRUPTED)
    store.resume(run)
    assert store.claim("another", run=run, lease=600) is not None
    Job(store.home, run, "another", time.time()).do()
    assert store.run(run).state is State.DONE
    assert kept(store, run) == kept(store, whole)
    assert len(kept(store, run)) == 4
