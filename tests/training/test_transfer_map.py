"""Points of the transfer map as Keras models: the first blocks are copied, whatever comes behind starts anew."""

import numpy as np
import pytest

from cifar_core.experiment.recipes import recipe
from cifar_core.experiment.settings import changed
from cifar_core.experiment.transfer_map import Point, TransferMap
from cifar_core.training.networks import build

A = recipe("a-initial").experiment


@pytest.mark.parametrize("backbone", ["two-conv", "bn-conv", "resnet18-32"])
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_copied_blocks_have_the_weights_of_the_first_training_and_the_others_new_ones(
    backbone: str, depth: int
) -> None:
    map = TransferMap.of(changed(A, backbone=backbone), epochs=1)
    experiment = map.experiments[Point("AnB", depth)]
    first = build(experiment, 0, seed=1)
    second = build(experiment, 1, seed=1, previous=first)
    for layer in experiment.networks[1].layers:
        ours, theirs = (model.get_layer(layer.name) for model in (second, first))
        if layer.params:
            copied = layer.block in map.blocks[:depth]
            assert np.array_equal(ours.get_weights()[0], theirs.get_weights()[0]) == (
                copied or layer.statistics > 0  # of BatchNorm, which starts at one in every network
            )
            assert ours.trainable is not copied
