import time
from typing import Any

import keras
import numpy as np
import pytest

from cifar_core.data.errors import SelectionError
from cifar_core.experiment.experiment import ClassSplit, Data, Experiment, Head, Validation
from cifar_core.training.feeding import Shuffled, feed
from cifar_core.training.ledger import Ledger
from cifar_core.training.networks import build
from cifar_core.training.streams import stream
from cifar_core.training.trainer import probabilities, train
from tests.training.makers import (
    WITHOUT_DROPOUT,
    Notes,
    done,
    experiment,
    images,
    phase,
    run,
    small,
    tuning,
)


def test_the_same_seed_gives_the_same_history_bit_for_bit() -> None:
    trained, notes = run(experiment())
    assert [notes.history(index) for index in range(2)] == [done()[1].history(index) for index in range(2)]
    assert notes.moved == done()[1].moved
    pixels = images().test_images
    assert np.array_equal(trained.model.predict(pixels, verbose=0), done()[0].model.predict(pixels, verbose=0))


def test_another_seed_gives_another_history() -> None:
    assert run(experiment(), seed=1)[1].history(0) != done()[1].history(0)


def test_a_phase_draws_the_same_whatever_was_drawn_in_the_phases_before() -> None:
    """The first phase moves nothing, by a rate that is zero in float32: only what it draws could matter."""
    still: dict[str, Any] = {"optimizer": "sgd", "learning_rate": 1e-46}
    short, long = (run(experiment(phase(epochs=epochs, **still), tuning()))[1] for epochs in (1, 3))
    assert short.moved[0]["conv_1"].change == long.moved[0]["conv_1"].change == 0
    assert short.history(1) == long.history(1)


def test_every_epoch_begins_its_own_stream_of_dropout() -> None:
    (generator,) = (each for each in done()[0].model.variables if each.name == "seed_generator_state")
    assert int(generator[0]) == stream(0, "layers", 1, 2, 0)  # as the second epoch of the second phase set it


def test_a_new_head_on_the_same_classes_has_labels_of_its_own() -> None:
    phases = phase(epochs=1), phase("again", epochs=1, outputs="data set")
    trained, _ = run(experiment(*phases, split=ClassSplit(source=(5, 3, 9), target=(0, 1))))
    assert set(trained.feed.train.labels.numpy()) == {3, 5, 9}


def test_a_phase_begins_where_the_one_before_has_ended() -> None:
    _, notes = run(experiment(phase(), phase("again", "source", ())))
    assert notes.befores[1].val_loss == notes.epochs[0][-1].val_loss


def test_layers_frozen_under_a_new_head_stay_those_of_the_first_phase() -> None:
    head = Head(from_layer="dense_1", layers=(), outputs="data set")
    described = experiment(phase(epochs=1), tuning(head=head, epochs=1))
    first = run(experiment(phase(epochs=1)))[0].model
    second = run(described)[0].model
    assert np.array_equal(first.get_layer("conv_1").kernel, second.get_layer("conv_1").kernel)
    assert second.output.shape == (None, 10)


def test_training_equals_a_plain_fit_on_floats_in_the_same_order() -> None:
    described = experiment(phase(layers=WITHOUT_DROPOUT, epochs=3, batch_size=10))
    chosen = feed(described, 0, images(), seed=0)
    model = build(described, 0, seed=0)
    plain = keras.Sequential([keras.Input((32, 32, 3)), *model.layers[2:]])
    plain.compile(keras.optimizers.RMSprop(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    pixels, labels = chosen.train.values[0].numpy() / np.float32(255), chosen.train.labels.numpy()
    validation = chosen.validation.values[0].numpy() / np.float32(255), chosen.validation.labels.numpy()
    expected = list(plain.evaluate(*validation, verbose=0))
    for epoch in (1, 2, 3):
        order = np.random.default_rng(stream(0, "order", 0, epoch)).permutation(len(pixels))
        fit = plain.fit(
            pixels[order], labels[order], batch_size=10, shuffle=False, validation_data=validation, verbose=0
        )
        expected += [fit.history[name][0] for name in ("loss", "accuracy", "val_loss", "val_accuracy")]
    assert run(described)[1].history(0) == pytest.approx(expected, rel=1e-5)


def test_a_step_is_traced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tracing a large network takes long. TensorFlow does so again where the first time has made variables."""
    traced, batch = [], Shuffled.batch

    def counted(self: Shuffled, step: Any) -> Any:
        traced.append(step)
        return batch(self, step)

    monkeypatch.setattr(Shuffled, "batch", counted)
    run(experiment(phase(optimizer="adam", label_smoothing=0.1)))
    assert len(traced) == 1


def test_a_result_carries_the_last_phases_images() -> None:
    trained, _ = done()
    assert set(images().test_labels[trained.feed.test.indices]) == {3, 5, 9}
    assert not trained.stopped


def test_probabilities_keep_the_order_of_the_examples() -> None:
    trained, notes = done()
    predicted = probabilities(trained, trained.feed.validation, Notes())
    labels = trained.feed.validation.labels.numpy()
    assert predicted.shape == (len(labels), 3)
    assert predicted.dtype == np.float32
    assert predicted.sum(1) == pytest.approx(1, abs=1e-5)
    assert float((predicted.argmax(1) == labels).mean()) == pytest.approx(notes.epochs[1][-1].val_accuracy)


def test_phases_report_in_order() -> None:
    _, notes = done()
    measured = [event for event in notes.events if event[0] != "points"]
    assert measured == [
        ("base", 0),
        ("before", 0),
        ("epoch", 0),
        ("epoch", 0),
        ("changes", 0),
        ("tuned", 1),
        ("before", 1),
        ("epoch", 1),
        ("epoch", 1),
        ("changes", 1),
    ]


@pytest.mark.parametrize(
    "described",
    [
        small(),
        small(batch_size=65_536),
        small(batch_size=1, epochs=1),
        experiment(phase(epochs=1), validation=Validation(on="test"), data=Data(per_class=2)),
    ],
    ids=["two images", "a batch larger than the data", "batches of one", "validation on the test images"],
)
def test_the_smallest_sizes_train(described: Experiment) -> None:
    _, notes = run(described)
    images_in_all = 6 if described.validation.on == "test" else 2
    assert [row.images for row in notes.epochs[0]] == [images_in_all] * described.phases[0].epochs


def test_classes_without_images_are_refused_before_anything_trains() -> None:
    notes = Notes()
    with pytest.raises(SelectionError):
        run(experiment(validation=Validation(share=0.99), split=ClassSplit(source=(0, 1), target=(0, 1))), notes=notes)
    assert notes.events == []


def test_the_ledger_adds_up_to_the_time_that_passed() -> None:
    ledger, began = Ledger(), time.perf_counter()
    train(experiment(phase()), images(), 0, Notes(), ledger)
    seconds, passed = ledger.close(), time.perf_counter() - began
    assert seconds.keys() == {"data", "build", "validation", "first_step", "steps"}
    assert sum(seconds.values()) == pytest.approx(passed, abs=0.2)
    assert min(seconds.values()) > 0
