import pytest

from cifar_core.experiment.applications import BaseLayer
from cifar_core.experiment.backbones import BACKBONES
from cifar_core.experiment.experiment import Data, Experiment, Phase
from cifar_core.experiment.record import ExperimentError

ONE_PHASE = [{"name": "a", "train_on": "source"}]
FOLDER = {"name": "folder", "location": "/pictures", "classes": list("abcdefghij"), "image_side": 24}


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("data", [{"name": "cifar10"}, FOLDER], ids=["cifar10", "folder"])
def test_every_backbone_makes_a_network_for_images_of_any_size(name: str, data: dict[str, object]) -> None:
    experiment = Experiment(data=Data.parse(data), backbone=name, phases=(Phase(name="a", train_on="source"),))
    assert experiment.networks[0].outputs == 5
    assert min(experiment.input_shape[:2]) >= max(BACKBONES[name].smallest_input)


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_is_filed_under_its_name_and_says_where_it_comes_from(name: str) -> None:
    row = BACKBONES[name]
    assert row.name == name
    assert row.title
    assert row.source


@pytest.mark.parametrize("name", BACKBONES)
def test_the_layers_and_blocks_of_every_backbone_have_names_of_their_own(name: str) -> None:
    names = [layer.name for layer, _ in BACKBONES[name].layers()]
    assert all(names)
    assert len({*names, "output"}) == len(names) + 1
    blocks = list(dict.fromkeys(block for _, block in BACKBONES[name].layers()))
    assert len({*blocks, "output"}) == len(blocks) + 1


@pytest.mark.parametrize("name", [name for name, row in BACKBONES.items() if row.application is None])
def test_the_smallest_input_of_our_own_layers_is_the_smallest(name: str) -> None:
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


@pytest.mark.parametrize("name", [name for name, row in BACKBONES.items() if row.application is not None])
def test_the_blocks_of_every_application_end_where_its_row_says(name: str) -> None:
    row = BACKBONES[name]
    assert row.application is not None
    last = {block: layer.name for layer, block in row.layers() if isinstance(layer, BaseLayer)}
    assert {block: last[block] for block, _ in row.application.blocks} == dict(row.application.blocks)


def test_an_input_below_what_the_backbone_allows_is_refused_with_its_size() -> None:
    with pytest.raises(ExperimentError, match="InceptionV3 needs images of 75×75 pixels or more, received 50"):
        Experiment.parse({"backbone": "inception-v3", "input_side": 50, "phases": ONE_PHASE})


def test_images_below_what_the_backbone_allows_are_brought_to_its_smallest_size() -> None:
    assert Experiment.parse({"backbone": "inception-v3", "phases": ONE_PHASE}).input_shape == (75, 75, 3)
    assert Experiment.parse({"backbone": "vgg16", "phases": ONE_PHASE}).input_shape == (32, 32, 3)
    assert Experiment.parse({"backbone": "vgg16", "input_side": 64, "phases": ONE_PHASE}).input_shape == (64, 64, 3)


def test_imagenet_weights_are_refused_where_there_are_none() -> None:
    wanted = {"backbone": "resnet18", "initial_weights": {"source": "imagenet"}, "phases": ONE_PHASE}
    with pytest.raises(ExperimentError, match="no ImageNet weights for ResNet18; there are for: vgg16"):
        Experiment.parse(wanted)


def test_a_new_head_starts_behind_a_network_that_branches() -> None:
    head = {"from_layer": "mixed5", "layers": []}
    with pytest.raises(ExperimentError, match='can start at "pool" or behind it; received "mixed5"'):
        Experiment.parse({"backbone": "inception-v3", "phases": [{**ONE_PHASE[0], "head": head}]})
