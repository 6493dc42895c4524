"""What each training option changes, and that it changes nothing else."""

from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from cifar_core.experiment.experiment import EarlyStopping, Freeze, Phase
from cifar_core.experiment.schedules import Cosine, Exponential, Milestone, Plateau, Schedule, Steps
from cifar_core.training import optimizers
from cifar_core.training.feeding import feed
from cifar_core.training.networks import build
from cifar_core.training.optimizers import compile_for, loss, schedule
from tests.training.makers import WITHOUT_DROPOUT, Notes, done, experiment, images, phase, run, tuning

OUTPUT_ONLY = Freeze(rule="all_but_block", block="output")
NEVER_BETTER: dict[str, Any] = {"optimizer": "sgd", "learning_rate": 1e-12, "layers": WITHOUT_DROPOUT}
"""Steps too small to change a validation loss."""


def moved(**fields: Any) -> dict[str, np.ndarray[Any, Any]]:
    """How the first step moves each kernel: the same gradients whatever the options."""
    described = experiment(phase(layers=WITHOUT_DROPOUT, **fields))
    model = build(described, 0, seed=0)
    model.compile(model.optimizer, model.loss, run_eagerly=True)  # one step is not worth compiling
    chosen = feed(described, 0, images(), seed=0).train
    before = {layer.name: layer.kernel.numpy() for layer in model.layers if layer.weights}
    model.train_on_batch(chosen.values[0], chosen.labels)
    return {name: model.get_layer(name).kernel.numpy() - kernel for name, kernel in before.items()}


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "sgd"},
        {"optimizer": "sgd", "momentum": 0.9},
        {"optimizer": "adam"},
        {"optimizer": "rmsprop"},
        {"optimizer": "adamw", "weight_decay": 0.9},
    ],
    ids=str,
)
def test_each_block_has_a_factor_of_the_rate_of_the_block_after_it(options: dict[str, Any]) -> None:
    whole, scaled = moved(**options), moved(block_rate_factor=0.5, **options)
    for name, factor in {"conv_1": 0.25, "dense_1": 0.5, "output": 1}.items():
        assert scaled[name] == pytest.approx(factor * whole[name], rel=1e-3, abs=1e-7)


def test_frozen_blocks_count_among_the_blocks() -> None:
    options: dict[str, Any] = {"optimizer": "sgd", "freeze": Freeze(rule="all_but_block", block="conv_1")}
    whole, scaled = moved(**options), moved(block_rate_factor=0.5, **options)
    assert scaled["conv_1"] == pytest.approx(0.25 * whole["conv_1"], rel=1e-3, abs=1e-7)
    assert not scaled["output"].any()


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"optimizer": "sgd", "momentum": 0.9, "block_rate_factor": 0.5}, marks=pytest.mark.thorough),
        pytest.param({"optimizer": "rmsprop", "momentum": 0.5}, marks=pytest.mark.thorough),
        {"optimizer": "adam", "clip_norm": 0.1},
        pytest.param({"optimizer": "adamw", "weight_decay": 0.9}, marks=pytest.mark.thorough),
        {"optimizer": "adamw", "weight_decay": 0.9, "block_rate_factor": 0.5},
    ],
    ids=str,
)
def test_an_update_in_one_kernel_is_the_same_up_to_rounding(options: dict[str, Any]) -> None:
    described = experiment(phase(layers=WITHOUT_DROPOUT, **options))
    chosen = feed(described, 0, images(), seed=0).train
    weights, states = [], []
    for one_kernel in (False, True):
        model = build(described, 0, seed=0)
        compile_for(described.phases[0], described.networks[0], model, one_kernel=one_kernel)
        for rate in (0.01, 0.001):
            model.optimizer.learning_rate = rate
            model.fit(chosen.values[0], chosen.labels, shuffle=False, verbose=0)
        weights.append(np.concatenate([weight.ravel() for weight in model.get_weights()]))
        states.append([(state.name, state.shape) for state in model.optimizer.variables])
    assert weights[1] == pytest.approx(weights[0], rel=1e-4, abs=1e-6)
    assert states[1] == states[0]  # a checkpoint is the same


@pytest.mark.parametrize("has_compiler", [True, False])
def test_an_update_is_compiled_where_there_is_a_compiler(has_compiler: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    described = experiment()
    model = build(described, 0, seed=0)
    monkeypatch.setattr(optimizers, "_can_compile", lambda: has_compiler)
    compile_for(described.phases[0], described.networks[0], model, one_kernel=True)
    gradients = [tf.zeros(variable.shape) for variable in model.trainable_variables]
    step = tf.function(lambda: model.optimizer.apply(gradients, model.trainable_variables)).get_concrete_function()
    compiled = ("_XlaMustCompile" in function.attr for function in step.graph.as_graph_def().library.function)
    assert any(compiled) is has_compiler


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam", "adamw"])
def test_the_output_blocks_rate_is_the_phases_own(optimizer: str) -> None:
    decay = 0.1 if optimizer == "adamw" else 0.0
    options: dict[str, Any] = {"optimizer": optimizer, "freeze": OUTPUT_ONLY, "weight_decay": decay}
    plain, scaled = (run(experiment(phase(block_rate_factor=factor, **options)))[1] for factor in (1.0, 0.5))
    assert scaled.history(0) == pytest.approx(plain.history(0), rel=1e-6)


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"optimizer": "sgd", "momentum": 0.9}, keras.optimizers.SGD),
        ({"optimizer": "rmsprop", "momentum": 0.5}, keras.optimizers.RMSprop),
        ({"optimizer": "adam", "clip_norm": 1.5}, keras.optimizers.Adam),
        ({"optimizer": "adamw", "weight_decay": 0.25}, keras.optimizers.AdamW),
    ],
)
def test_without_a_factor_the_optimizer_is_keras_own(
    options: dict[str, Any], kind: type[keras.optimizers.Optimizer]
) -> None:
    made = build(experiment(phase(**options)), 0, seed=0).optimizer
    assert type(made) is kind
    assert getattr(made, "momentum", 0.0) == options.get("momentum", 0.0)
    assert made.global_clipnorm == options.get("clip_norm")
    assert made.weight_decay == options.get("weight_decay")


def test_clipping_bounds_the_norm_of_all_gradients_together() -> None:
    described = experiment(phase(epochs=1, batch_size=36, optimizer="sgd", learning_rate=1.0, clip_norm=1e-3))
    changes = run(described)[1].moved[0].values()
    assert sum(change.change**2 for change in changes) ** 0.5 == pytest.approx(1e-3, rel=1e-3)


def rates(chosen: Schedule, epochs: int, **fields: Any) -> list[float]:
    """The learning rate of each epoch, as it was measured."""
    _, notes = run(experiment(phase(schedule=chosen, epochs=epochs, **fields)))
    return [epoch.learning_rate for epoch in notes.epochs[0]]


def test_a_rate_changes_at_its_milestones() -> None:
    milestones = Milestone(after_epochs=1, factor=0.1), Milestone(after_epochs=3, factor=0.01)
    assert rates(Steps(milestones=milestones), 4) == pytest.approx([0.01, 0.001, 0.001, 0.0001])


def test_an_exponential_rate_falls_after_every_epoch() -> None:
    assert rates(Exponential(factor=0.5), 3) == pytest.approx([0.01, 0.005, 0.0025])


def test_a_cosine_falls_with_every_step_and_an_epoch_names_its_last() -> None:
    chosen = Cosine(final=0.1)
    assert rates(chosen, 2, batch_size=9) == pytest.approx([0.01 * chosen.share(at, 2) for at in (2 / 3, 5 / 3)])


def test_a_rate_on_a_plateau_falls_for_the_epochs_after_it() -> None:
    found = rates(Plateau(factor=0.1, patience=2), 6, **NEVER_BETTER)
    assert found == pytest.approx([1e-12, 1e-12, 1e-12, 1e-13, 1e-13, 1e-14])


def test_any_fall_of_the_validation_loss_ends_a_plateau() -> None:
    (callback,) = schedule(phase(schedule=Plateau(factor=0.5, patience=1), epochs=5), steps=2)
    model = SimpleNamespace(optimizer=SimpleNamespace(learning_rate=np.float32(0.01)))
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, val_loss in enumerate((1.0, 1 - 1e-5, 1 - 2e-5)):
        callback.on_epoch_end(epoch, {"loss": 1.0, "val_loss": val_loss})
        assert model.optimizer.learning_rate == np.float32(0.01)
    callback.on_epoch_end(3, {"loss": 0.1, "val_loss": 1 - 2e-5})
    assert model.optimizer.learning_rate == pytest.approx(0.005)


def test_a_rate_depends_on_the_position_alone() -> None:
    """So a phase that is continued in its third epoch goes on with the rates it would have had."""
    whole = steps_of(Cosine(warm_up=1), range(4))
    assert whole[0] == 0
    assert whole[2] == pytest.approx(0.01)  # one epoch of two steps warms up
    assert steps_of(Cosine(warm_up=1), range(2, 4)) == whole[4:]


def steps_of(chosen: Schedule, epochs: range) -> list[float]:
    (callback,) = schedule(phase(schedule=chosen, epochs=4), steps=2)
    model, found = SimpleNamespace(optimizer=SimpleNamespace(learning_rate=None)), []
    callback.set_model(model)
    for epoch in epochs:
        callback.on_epoch_begin(epoch)
        for batch in range(2):
            callback.on_train_batch_begin(batch)
            found.append(model.optimizer.learning_rate)
    return found


def test_a_constant_rate_needs_no_callback() -> None:
    assert schedule(phase(), steps=3) == []


@pytest.mark.parametrize("watch", ["val_loss", "val_accuracy"])
def test_a_phase_ends_early_with_the_weights_of_its_best_epoch(watch: str) -> None:
    trained, notes = run(experiment(phase(epochs=60, early_stopping=EarlyStopping(watch=watch, patience=3))))
    measured = [getattr(epoch, watch) for epoch in notes.epochs[0]]
    best = int(np.argmin(measured) if watch == "val_loss" else np.argmax(measured))
    assert notes.kepts == {0: best + 1}
    assert len(measured) == best + 1 + 3 < 60
    kept = notes.epochs[0][best]
    now = trained.model.evaluate(trained.feed.validation.in_order(), verbose=0)
    assert now == [kept.val_loss, kept.val_accuracy]


def test_the_best_weights_are_kept_at_a_planned_end_too() -> None:
    described = phase(epochs=3, early_stopping=EarlyStopping(patience=2, smallest_gain=1.0))
    trained, notes = run(experiment(described))
    assert len(notes.epochs[0]) == 3
    assert notes.kepts == {0: 1}  # nothing later gained as much as was asked for
    kept = trained.model.evaluate(trained.feed.validation.in_order(), verbose=0)[0]
    assert kept == notes.epochs[0][0].val_loss


def test_the_next_phase_and_the_proof_begin_and_end_with_the_kept_weights() -> None:
    stopping = phase(epochs=5, early_stopping=EarlyStopping(patience=1, smallest_gain=1.0), train_on="target")
    _, notes = run(experiment(stopping, tuning(epochs=1)))
    assert notes.befores[1].val_loss == notes.epochs[0][notes.kepts[0] - 1].val_loss
    first_epoch = run(experiment(stopping.with_epochs(1)))[1]
    assert notes.moved[0]["conv_1"].change == pytest.approx(first_epoch.moved[0]["conv_1"].change)


def test_progress_reaches_the_end_though_phases_end_early() -> None:
    ends: dict[str, Any] = {"early_stopping": EarlyStopping(patience=1, smallest_gain=1.0), "epochs": 10}
    _, notes = run(experiment(phase(**ends), tuning(**ends)))
    assert [len(epochs) for epochs in notes.epochs.values()] == [2, 2]
    fractions = [progress.fraction for progress in notes.progresses]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert 0.5 in fractions
    assert notes.progresses[-1].eta_seconds in (0, None)


def test_a_phase_that_was_stopped_says_nothing_of_kept_weights() -> None:
    notes = Notes(stop=lambda notes: notes.asked == 8)
    run(experiment(phase(epochs=9, early_stopping=EarlyStopping())), notes=notes)
    assert notes.kepts == {}


def test_a_smoothed_loss_is_keras_own() -> None:
    smooth = phase(label_smoothing=0.2, epochs=1)
    right, predicted = np.eye(3, dtype=np.float32)[[0, 2]], np.array([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4]], np.float32)
    by_hand = -np.sum((right * 0.8 + 0.2 / 3) * np.log(predicted), axis=1).mean()
    assert float(loss(smooth)(right, predicted)) == pytest.approx(by_hand)
    chosen = feed(experiment(smooth), 0, images(), seed=0).validation
    predictions = build(experiment(smooth), 0, seed=0).predict(chosen.values[0], verbose=0)
    expected = keras.losses.categorical_crossentropy(np.eye(3)[chosen.labels], predictions, label_smoothing=0.2)
    before = run(experiment(smooth))[1].befores[0]
    assert before.val_loss == pytest.approx(float(np.mean(expected)))
    assert before.val_accuracy == done()[1].befores[0].val_accuracy


@pytest.mark.parametrize("outputs", ["classes", "data set"])
def test_one_hot_labels_of_almost_no_smoothing_train_as_numbers_do(outputs: str) -> None:
    plain, smooth = (
        run(experiment(phase(train_on="target", outputs=outputs, label_smoothing=smoothing)))[1].history(0)
        for smoothing in (0.0, 1e-9)
    )
    assert smooth == pytest.approx(plain, rel=1e-4)


def test_balanced_weights_of_equally_many_images_change_nothing() -> None:
    balanced = run(experiment(phase(class_weights="balanced")))[1]
    assert balanced.history(0) == pytest.approx(done()[1].history(0), rel=1e-5)


def test_a_loss_that_is_no_number_is_told_with_every_option_on() -> None:
    everything = Phase.parse(
        {
            **phase(layers=WITHOUT_DROPOUT, epochs=3, batch_size=9).model_dump(),
            "optimizer": "sgd",
            "learning_rate": 100.0,
            "label_smoothing": 0.1,
            "class_weights": "balanced",
            "block_rate_factor": 0.9,
            "schedule": {"kind": "cosine"},
            "early_stopping": {"patience": 2},
            "augmentation": [{"kind": kind} for kind in ("flip", "crop", "cutout", "colour", "mixup")],
        }
    )
    model_diverges = experiment(everything.model_copy(update={"learning_rate": 1e30}))
    with pytest.raises(RuntimeError, match="The loss is no longer a finite number"):
        run(model_diverges)
