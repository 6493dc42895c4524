"""The transfer map's experiments are those of Yosinski et al. 2014, and are recognized as such."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cifar_core.experiment.backbones import BACKBONES
from cifar_core.experiment.beginning import fingerprint
from cifar_core.experiment.experiment import ClassSplit, Data, Experiment
from cifar_core.experiment.recipes import recipe
from cifar_core.experiment.settings import apply, changed
from cifar_core.experiment.strategies import STRATEGIES
from cifar_core.experiment.transfer_map import CURVES, Point, TransferMap

A = recipe("a-initial").experiment
DEEP = ("inception-v3", "xception")
"""With so many blocks that it takes long to look at all points of their maps."""
LOOKED_AT = [name for name in BACKBONES if name not in DEEP]


def of(backbone: str) -> TransferMap:
    return TransferMap.of(changed(A, backbone=backbone), epochs=2)


def test_system_a_has_four_depths_four_curves_and_both_bases() -> None:
    assert TransferMap.of(A).blocks == ("conv_1", "conv_2", "dense_1", "dense_2")
    assert len(TransferMap.of(A).experiments) == 4 * 4 + 2


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_has_a_map_and_each_of_its_depths_has_weights(backbone: str) -> None:
    map = of(backbone)
    blocks = map.target.networks[0].blocks
    assert [block.name for block in blocks] == [*map.blocks, "output"]
    assert all(block.params for block in blocks)


@pytest.mark.parametrize("backbone", LOOKED_AT)
def test_every_point_ends_with_the_same_network(backbone: str) -> None:
    map = of(backbone)
    whole = map.target.networks[0]
    for point, experiment in map.experiments.items():
        network = experiment.networks[-1]
        assert [layer.layer for layer in network.layers] == [layer.layer for layer in whole.layers], point
        assert [layer.block for layer in network.layers] == [layer.block for layer in whole.layers], point


@pytest.mark.parametrize("backbone", LOOKED_AT)
@pytest.mark.parametrize("curve", CURVES)
def test_the_first_blocks_are_copied_and_the_others_start_anew(backbone: str, curve: str) -> None:
    map = of(backbone)
    for depth, name in enumerate(map.blocks, start=1):
        experiment = next(each for at, each in map.experiments.items() if at == Point(curve, depth))  # type: ignore[arg-type]
        layers = [layer for layer in experiment.networks[1].layers if layer.params]
        copied = [layer for layer in layers if layer.since == 0]
        assert copied[-1].block == name
        assert {layer.block for layer in copied} == set(map.blocks[:depth])
        assert all(layer.trainable for layer in layers if layer.since == 1)
        assert {layer.trainable for layer in copied} == {curve.endswith("+")}
        assert experiment.phases[0].train_on == ("source" if curve.startswith("A") else "target")
        assert experiment.phases[1].train_on == "target"


@given(
    st.sampled_from(("two-conv", "bn-conv-dense", "resnet18-32")),
    st.integers(1, 9),
    st.sampled_from([(0, 1, 2), (2, 1, 0), (5, 6, 7, 8, 9)]),
    st.sampled_from([(3, 4), (5, 6, 7, 8, 9), (0, 1, 2)]),
    st.sampled_from(["adam", "rmsprop", "sgd"]),
    st.none() | st.integers(2, 500),
)
def test_every_point_is_recognized_from_its_experiment_alone(
    backbone: str, epochs: int, source: tuple[int, ...], target: tuple[int, ...], optimizer: str, per_class: int | None
) -> None:
    base = changed(
        apply(A, [f"phases.0.optimizer={optimizer}"]),
        backbone=backbone,
        split=ClassSplit(source=source, target=target),
        data=Data(name="sample", per_class=per_class),
    )
    map = TransferMap.of(base, epochs)
    same_classes = source == target  # then A is B, and copies of either are the same
    for point, experiment in map.experiments.items():
        found = map.point_of(Experiment.parse_json(experiment.to_json()))
        assert found == point or same_classes


def test_points_are_recognized_whatever_their_phases_are_called_and_wherever_the_images_lie() -> None:
    map = TransferMap.of(A)
    point, experiment = next((at, each) for at, each in map.experiments.items() if at.title == "A2B+")
    other = apply(experiment, ["phases.0.name=stage 1", "phases.1.name=stage 2", "data.location=/elsewhere"])
    assert other != experiment
    assert map.point_of(other) == point


def test_other_trainings_are_no_points() -> None:
    map = TransferMap.of(A)
    assert map.point_of(recipe("a-ft1").experiment) is None
    assert map.point_of(TransferMap.of(A, epochs=3).target) is None


def test_fine_tuning_everything_behind_a_new_output_is_a_point_of_the_map() -> None:
    map = TransferMap.of(A)
    assert map.point_of(STRATEGIES["everything"].experiment(A)) == Point("AnB+", 4)


def test_the_base_of_a_map_says_all_about_it() -> None:
    map = TransferMap.of(A)
    assert TransferMap.of(map.target) == map
    assert map.target.phases[0].train_on == "target"


def test_experiments_that_train_the_same_have_one_fingerprint() -> None:
    assert fingerprint(A) == fingerprint(apply(A, ["split.target=2,3", "phases.0.name=other"]))
    assert fingerprint(A) != fingerprint(apply(A, ["split.source=2,3"]))
    assert fingerprint(recipe("a-ft1").experiment, 1) == fingerprint(A)
