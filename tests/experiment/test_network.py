import math

import pytest
from hypothesis import given

from cifar_core.experiment.experiment import ClassSplit, Experiment
from cifar_core.experiment.links import FIRST
from cifar_core.experiment.network import Network
from cifar_core.experiment.recipes import RECIPES
from cifar_core.experiment.settings import apply, changed
from tests.experiment.makers import PHASE, frozen, plain, refusal, with_layers, with_phase
from tests.experiment.strategies import experiments

TWO_CONV = ["conv_1", "conv_2", "pool_1", "dropout_1", "flatten", "dense_1", "dropout_2", "dense_2", "dropout_3"]


def counts(network: Network) -> tuple[int, int, int]:
    return network.total, network.trainable, network.non_trainable


def trained(experiment: Experiment) -> list[str]:
    return [layer.name for layer in experiment.networks[-1].layers if layer.trainable]


@pytest.mark.parametrize(
    ("recipe", "phase", "published"),
    [
        ("a-ft2", 0, (949_029, 949_029, 0)),
        ("a-ft2", 1, (949_029, 645, 948_384)),
        ("a-ft2", 2, (949_029, 938_885, 10_144)),
        ("a-ft2-direct", 1, (949_029, 938_885, 10_144)),
        ("e", 0, (119_581, 119_581, 0)),
        ("e", 1, (120_226, 103_818, 16_408)),
    ],
)
def test_parameters_are_counted_as_published(recipe: str, phase: int, published: tuple[int, int, int]) -> None:
    assert counts(RECIPES[recipe].experiment.networks[phase]) == published


def test_the_layers_of_system_a_count_as_published() -> None:
    layers = RECIPES["a-initial"].experiment.networks[0].layers
    assert [layer.params for layer in layers if layer.params] == [896, 9248, 921_728, 16_512, 645]
    assert dict((layer.name, layer.output_shape) for layer in layers)["flatten"] == (7200,)


@pytest.mark.parametrize("change", ["phases.1.learning_rate=0.5", "data.per_class=20", "phases.2.name=last"])
def test_what_changes_no_layer_leaves_the_networks_as_they_are(change: str) -> None:
    base = apply(RECIPES["a-ft2"].experiment, ["phases.0.batch_size=50"])  # its networks are looked up now
    assert base.networks is apply(base, [change]).networks


@pytest.mark.parametrize(
    "change",
    [
        *("backbone=three-conv", "input_side=40", "split.source=[0,1]", "split.target=[0,1]"),
        *("phases.1.train_on=source", "phases.1.head.outputs=data set", "phases.1.freeze.count=1"),
    ],
)
def test_what_changes_a_layer_makes_networks_of_their_own(change: str) -> None:
    base = changed(FIRST, split=ClassSplit(source=(0, 1, 2), target=(5, 6, 7, 8)))
    assert apply(base, [change]).networks != base.networks


@given(experiments())
def test_a_network_adds_up(experiment: Experiment) -> None:
    for network in experiment.networks:
        names = [layer.name for layer in network.layers]
        assert len(set(names)) == len(names)
        assert network.total == sum(block.params for block in network.blocks)
        assert network.trainable == sum(block.trainable for block in network.blocks)
        assert [name for block in network.blocks for name in block.layers] == names
        assert all(math.prod(layer.output_shape) > 0 for layer in network.layers)
        assert network.trainable > 0


@given(experiments())
def test_weights_are_new_only_where_a_phase_has_a_new_head(experiment: Experiment) -> None:
    for index, (phase, network) in enumerate(zip(experiment.phases, experiment.networks, strict=True)):
        assert all(layer.since <= index for layer in network.layers)
        assert (network.layers[-1].since == index) == (phase.head is not None or index == 0)


@pytest.mark.parametrize(
    ("rule", "freeze", "expected"),
    [
        ("nothing", {}, [*TWO_CONV, "output"]),
        ("first_layers", {"count": 6}, [*TWO_CONV[6:], "output"]),
        ("first_layers", {"count": 9}, ["output"]),
        ("all_but_last_layers", {"count": 1}, ["output"]),
        ("all_but_last_layers", {"count": 3}, ["dense_2", "dropout_3", "output"]),
        ("all_but_last_layers", {"count": 10}, [*TWO_CONV, "output"]),
        ("first_blocks", {"count": 1}, [*TWO_CONV[1:], "output"]),
        ("first_blocks", {"count": 2}, [*TWO_CONV[5:], "output"]),
        ("all_but_block", {"block": "conv_1"}, ["conv_1"]),
        ("all_but_block", {"block": "dense_1"}, ["dense_1", "dropout_2"]),
        ("all_but_block", {"block": "output"}, ["output"]),
    ],
)
def test_a_freeze_depth_leaves_these_layers_trainable(
    rule: str, freeze: dict[str, object], expected: list[str]
) -> None:
    assert trained(frozen(rule, **freeze)) == expected


@pytest.mark.parametrize(
    ("freeze", "said"),
    [
        ({"rule": "first_layers", "count": 11}, "phases.0.freeze.count: received 11, but the network has 10 layers"),
        ({"rule": "first_blocks", "count": 6}, "phases.0.freeze.count: received 6, but the network has 5 blocks"),
        (
            {"rule": "all_but_last_layers", "count": 11},
            "phases.0.freeze.count: received 11, but the network has 10 layers, from conv_1 to output.",
        ),
        ({"rule": "first_layers", "count": 10}, "phases.0.freeze: nothing would train"),
        ({"rule": "first_blocks", "count": 5}, "phases.0.freeze: nothing would train"),
        ({"rule": "first_layers"}, 'phases.0.freeze: the rule "first_layers" needs a count of at least 1, received 0'),
        ({"rule": "nothing", "count": 2}, 'phases.0.freeze: the rule "nothing" takes no count, received 2.'),
        ({"rule": "all_but_block", "block": "output", "count": 2}, 'the rule "all_but_block" takes no count'),
        ({"rule": "first_blocks", "count": 1, "block": "x"}, 'the rule "first_blocks" takes no block, received "x".'),
        ({"rule": "all_but_block"}, 'phases.0.freeze.block: there is no block ""; there is: conv_1,'),
        ({"count": -1}, "phases.0.freeze.count: expected greater than or equal to 0, received -1."),
    ],
)
def test_a_freeze_depth_that_does_not_fit_is_refused(freeze: dict[str, object], said: str) -> None:
    assert said in refusal(with_phase(freeze=freeze))


def test_a_block_without_parameters_cannot_be_all_that_trains() -> None:
    layers = [{"kind": "conv", "filters": 2, "kernel": 3}, {"kind": "flatten"}]
    experiment = with_phase(
        head={"from_layer": "conv_1", "layers": layers}, freeze={"rule": "first_layers", "count": 2}
    )
    assert trained(Experiment.parse(experiment)) == ["output"]


def test_unnamed_layers_get_free_names_by_their_kind() -> None:
    dense = {"kind": "dense", "units": 3}
    network = Experiment.parse(with_layers(dense, {"kind": "dropout", "rate": 0.1}, dense)).networks[0]
    assert [layer.name for layer in network.layers[-4:]] == ["dense_3", "dropout_4", "dense_4", "output"]


def test_a_new_dense_layer_begins_a_block_that_carries_its_name() -> None:
    layers = [{"kind": "dense", "units": 3, "name": "neck"}, {"kind": "dropout", "rate": 0.1, "name": "noise"}]
    blocks = Experiment.parse(with_layers(*layers, from_layer="dense_1")).networks[0].blocks
    assert [(block.name, block.layers) for block in blocks[2:]] == [
        ("neck", ("neck", "noise")),
        ("output", ("output",)),
    ]


def test_a_head_replaces_everything_from_its_layer_on() -> None:
    head = {"from_layer": "dense_1", "layers": [{"kind": "dense", "units": 7}], "outputs": "data set"}
    phases = [PHASE, {"name": "target", "train_on": "target", "head": head}]
    network = Experiment.parse(plain(phases=phases)).networks[1]
    assert [layer.name for layer in network.layers] == [*TWO_CONV[:5], "dense_1", "output"]
    assert [layer.since for layer in network.layers] == [0, 0, 0, 0, 0, 1, 1]
    assert network.outputs == 10


def test_a_head_may_replace_the_whole_network() -> None:
    network = Experiment.parse(with_layers({"kind": "flatten"}, from_layer="conv_1")).networks[0]
    assert [layer.name for layer in network.layers] == ["flatten_1", "output"]
    assert network.total == (3072 + 1) * 5


@pytest.mark.parametrize("name", ["conv_1", "output", "pixels", "rescale"])
def test_a_new_layer_may_not_take_a_name_of_its_network(name: str) -> None:
    message = refusal(with_layers({"kind": "dense", "units": 2, "name": name}))
    assert message == f'phases.0.head.layers: the name "{name}" is taken by a layer of this network.'


def test_a_new_layer_may_take_the_name_of_one_it_replaces() -> None:
    network = Experiment.parse(
        with_layers({"kind": "dense", "units": 2, "name": "dense_2"}, from_layer="dense_2")
    ).networks[0]
    assert [layer.output_shape for layer in network.layers if layer.name == "dense_2"] == [(2,)]


def test_kept_blocks_can_start_anew_in_networks_that_branch_too() -> None:
    base, again = {"name": "base", "train_on": "source"}, {"name": "again", "train_on": "target"}
    phases = [base, again | {"head": {"anew_from": "conv4"}}]
    network = Experiment.parse({"backbone": "resnet18-32", "phases": phases}).networks[1]
    since = {layer.block: layer.since for layer in network.layers}
    assert since == {"stem": 0, "conv2": 0, "conv3": 0, "conv4": 1, "conv5": 1, "output": 1}
    assert all(layer.since == since[layer.block] for layer in network.layers)


@pytest.mark.parametrize(
    ("phase", "block", "said"),
    [
        (0, "conv_2", "phases.0.head.anew_from: in the first phase"),
        (1, "conv_9", "phases.1.head.anew_from: there is no block"),
    ],
)
def test_a_block_that_cannot_start_anew_is_refused(phase: int, block: str, said: str) -> None:
    phases: list[dict[str, object]] = [{"name": "base", "train_on": "source"}, {"name": "next", "train_on": "target"}]
    phases[phase]["head"] = {"anew_from": block}
    assert said in refusal({"phases": phases})


@pytest.mark.parametrize(
    ("layers", "from_layer", "said"),
    [
        ([], "conv_1", "an image reaches the output layer; put a flatten or global_average_pool layer before it."),
        ([{"kind": "conv", "filters": 1, "kernel": 3}], "output", "conv_3 needs an image, but receives a row of 128"),
        ([{"kind": "max_pool"}], "dense_1", "max_pool_1 needs an image, but receives a row of 7200 values."),
        ([{"kind": "max_pool", "size": 32}], "pool_1", "nothing is left of the image after max_pool_1"),
        ([{"kind": "conv", "filters": 1, "kernel": 31}], "pool_1", "nothing is left of the image after conv_3"),
    ],
)
def test_layers_that_do_not_fit_behind_each_other_are_refused(layers: list[object], from_layer: str, said: str) -> None:
    assert refusal(with_layers(*layers, from_layer=from_layer)).startswith(f"phases.0.head.layers: {said}")


def test_the_phase_that_does_not_fit_is_named() -> None:
    phases = [PHASE, {"name": "b", "train_on": "target", "freeze": {"rule": "first_layers", "count": 99}}]
    assert refusal(plain(phases=phases)).startswith("phases.1.freeze.count: received 99")
