import pytest

from cifar_core.experiment.backbones import BACKBONES
from cifar_core.experiment.datasets import DATASETS
from cifar_core.experiment.experiment import Data, Experiment, Phase


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("dataset", DATASETS)
def test_every_backbone_makes_a_network_for_every_data_set(name: str, dataset: str) -> None:
    experiment = Experiment(data=Data(name=dataset), backbone=name, phases=(Phase(name="a", train_on="source"),))
    assert experiment.networks[0].outputs == 5


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_is_filed_under_its_name_and_says_where_it_comes_from(name: str) -> None:
    row = BACKBONES[name]
    assert row.name == name
    assert row.title
    assert row.source


@pytest.mark.parametrize("name", BACKBONES)
def test_the_layers_and_blocks_of_every_backbone_have_names_of_their_own(name: str) -> None:
    names = [layer.name for block in BACKBONES[name].blocks for layer in block.layers]
    assert all(names)
    assert len({*names, "output"}) == len(names) + 1
    blocks = [block.name for block in BACKBONES[name].blocks]
    assert len({*blocks, "output"}) == len(blocks) + 1


@pytest.mark.parametrize("name", BACKBONES)
def test_the_smallest_input_of_every_backbone_is_the_smallest(name: str) -> None:
    side, _ = BACKBONES[name].smallest_input
    assert min(_smallest_side(name, side)) >= 1
    assert min(_smallest_side(name, side - 1)) < 1


def _smallest_side(name: str, side: int) -> list[int]:
    """The smallest sides that an image of this side has on its way through the network."""
    shape, sides = (side, side, 3), [side]
    for block in BACKBONES[name].blocks:
        for layer in block.layers:
            shape = layer.output_shape(shape)  # type: ignore[assignment]
            sides.append(min(shape))
    return sides
