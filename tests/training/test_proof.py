"""Proof of freezing, on networks made by hand where the backbones have no such layer."""

from typing import Any

import keras
import numpy as np
import pytest

from cifar_core.experiment.layers import Dense
from cifar_core.experiment.measured import LayerChange
from cifar_core.experiment.network import Network, NetworkLayer
from cifar_core.training import trainer
from cifar_core.training.networks import build
from cifar_core.training.proof import FrozenLayerMovedError, changes, snapshot
from tests.training.makers import done, experiment, run


def normalizing(*, frozen: bool) -> tuple[Network, keras.Model]:
    """A network of a BatchNorm, frozen or not, and an output, as data and as a model."""
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.BatchNormalization(name="norm", trainable=not frozen),
            keras.layers.Dense(2, name="output"),
        ]
    )
    model.compile("sgd", "mse")
    rows = [
        NetworkLayer(Dense(name=name, units=2), "a", 0, (2,), 1, trainable=trainable)
        for name, trainable in (("norm", not frozen), ("output", True))
    ]
    return Network(tuple(rows)), model


def fitted(network: Network, model: keras.Model) -> dict[str, LayerChange]:
    before = snapshot(model)
    generator = np.random.default_rng(0)
    model.fit(generator.normal(3, 2, (32, 3)), generator.normal(size=(32, 2)), verbose=0)
    return {row.layer: row for row in changes(network, before, snapshot(model))}


def test_statistics_are_told_apart_from_what_is_learned() -> None:
    network, model = normalizing(frozen=False)
    moved = fitted(network, model)
    assert moved["norm"].statistics is not None
    assert moved["norm"].statistics > 0
    assert moved["norm"].change > 0
    assert moved["output"].statistics is None


def test_a_frozen_batch_norm_keeps_its_statistics() -> None:
    moved = fitted(*normalizing(frozen=True))
    assert (moved["norm"].frozen, moved["norm"].change, moved["norm"].statistics) == (True, 0, 0)
    assert moved["output"].change > 0


def test_statistics_that_move_in_a_frozen_layer_are_reported() -> None:
    network, model = normalizing(frozen=True)
    before = snapshot(model)
    model.get_layer("norm").moving_mean.assign([0, 0, 1e-6])
    with pytest.raises(FrozenLayerMovedError, match="Frozen layers changed while training: norm"):
        changes(network, before, snapshot(model))


def test_a_frozen_weight_that_is_no_number_any_more_is_reported() -> None:
    network, model = normalizing(frozen=True)
    before = snapshot(model)
    model.get_layer("norm").gamma.assign([1, 1, np.nan])
    with pytest.raises(FrozenLayerMovedError, match="norm"):
        changes(network, before, snapshot(model))


def test_looking_at_a_model_does_not_thaw_it() -> None:
    _, model = normalizing(frozen=True)
    snapshot(model)
    assert not model.get_layer("norm").trainable
    assert [variable.name for variable in model.trainable_weights] == ["kernel", "bias"]


def test_a_snapshot_is_a_copy() -> None:
    network, model = normalizing(frozen=False)
    before = snapshot(model)
    model.get_layer("output").bias.assign([3, 4])
    (_, output) = changes(network, before, snapshot(model))
    assert output.change == 5
    assert output.norm == pytest.approx(float(np.linalg.norm(model.get_layer("output").kernel)))


def test_frozen_layers_do_not_move_and_the_others_do() -> None:
    _, notes = done()
    assert {name: row.change > 0 for name, row in notes.moved[0].items()} == dict.fromkeys(
        ("conv_1", "dense_1", "output"), True
    )
    assert {name: (row.frozen, row.change > 0) for name, row in notes.moved[1].items()} == {
        "conv_1": (True, False),
        "dense_1": (False, True),
        "output": (False, True),
    }


def test_a_run_whose_frozen_layer_moves_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def thawed(*arguments: Any, **options: Any) -> keras.Model:
        model = build(*arguments, **options)
        for layer in model.layers:
            layer.trainable = True
        model.compile("sgd", model.loss, metrics=["accuracy"])
        return model

    monkeypatch.setattr(trainer, "build", thawed)
    with pytest.raises(FrozenLayerMovedError, match="conv_1"):
        run(experiment())
