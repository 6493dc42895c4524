"""What a phase trains: the network's layers in order, which are new, which are frozen, and the counts that follow.

One pure description serves the form, the command line and the training itself.
"""

import itertools
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from cifar_core.experiment.applications import BaseLayer
from cifar_core.experiment.backbones import BACKBONES
from cifar_core.experiment.layers import IMAGE_LAYERS, Dense, Layer, Shape
from cifar_core.experiment.record import choice

if TYPE_CHECKING:
    from cifar_core.experiment.experiment import Experiment, Freeze, Head, Phase


RESERVED = frozenset({"output", "pixels", "resize", "rescale"})
"""Names of the layers that every model has at its ends."""


@dataclass(frozen=True)
class NetworkLayer:
    """One layer in its place. `since` is the phase (counted from 0) in which its weights start afresh.

    `params` counts all of its parameters, `statistics` those that no gradient changes (BatchNorm's mean and
    variance): frozen or not, they are not trained.
    """

    layer: Layer | BaseLayer
    block: str
    since: int
    output_shape: Shape
    params: int
    statistics: int = 0
    trainable: bool = True

    @property
    def name(self) -> str:
        """The layer's name, unique in its network."""
        return self.layer.name

    @property
    def trained(self) -> int:
        """Parameters that the phase trains."""
        return self.params - self.statistics if self.trainable else 0


@dataclass(frozen=True)
class BlockRow:
    """One block of a network as the form draws it."""

    name: str
    layers: tuple[str, ...]
    params: int
    trainable: int


@dataclass(frozen=True)
class Network:
    """The network of one phase. Shapes leave out the batch; optimizer variables are not counted, as in Keras."""

    layers: tuple[NetworkLayer, ...]

    @cached_property
    def total(self) -> int:
        """Parameters altogether."""
        return sum(layer.params for layer in self.layers)

    @cached_property
    def trainable(self) -> int:
        """Parameters that the phase trains."""
        return sum(layer.trained for layer in self.layers)

    @property
    def non_trainable(self) -> int:
        """Parameters that stay as they are."""
        return self.total - self.trainable

    @property
    def outputs(self) -> int:
        """Number of classes the output layer tells apart."""
        return self.layers[-1].output_shape[-1]

    @cached_property
    def blocks(self) -> tuple[BlockRow, ...]:
        """The blocks from image to classes."""
        rows = []
        for name in dict.fromkeys(layer.block for layer in self.layers):
            members = [layer for layer in self.layers if layer.block == name]
            rows.append(
                BlockRow(
                    name,
                    tuple(layer.name for layer in members),
                    sum(layer.params for layer in members),
                    sum(layer.trained for layer in members),
                )
            )
        return tuple(rows)


_Placed = tuple[Layer | BaseLayer, str, int]
"""A layer, its block, and the phase in which its weights start afresh."""


def networks(experiment: "Experiment") -> tuple[Network, ...]:
    """Return the network of every phase, in order.

    Raises:
        ValueError: naming the phase, where a head or freeze depth does not fit the network.
    """
    said = tuple((phase.head, phase.freeze, _outputs(experiment, phase)) for phase in experiment.phases)
    return _networks(experiment.backbone, experiment.input_shape, said)


def _outputs(experiment: "Experiment", phase: "Phase") -> int:
    all_classes = phase.head is not None and phase.head.outputs == "data set"
    return experiment.class_count if all_classes else len(experiment.classes_of(phase))


@lru_cache(maxsize=256)  # thousands of stored experiments differ in what does not change their networks
def _networks(
    backbone: str, shape: Shape, said: tuple[tuple["Head | None", "Freeze", int], ...]
) -> tuple[Network, ...]:
    """`said`: of each phase its head, its freeze depth, and how many outputs a new output layer has."""
    layers: list[_Placed] = [(layer, block, 0) for layer, block in BACKBONES[backbone].layers()]
    result: list[Network] = []
    for index, (head, freeze, outputs) in enumerate(said):
        try:
            if head is not None:
                layers = _with_new_head(layers, head, index)
            if head is not None or index == 0:
                output = Dense(name="output", units=outputs, activation="softmax")
                layers = [*(entry for entry in layers if entry[0].name != "output"), (output, "output", index)]
            result.append(_freeze(_shaped(layers, shape), freeze))
        except ValueError as error:
            raise ValueError(f"phases.{index}.{error}") from None
    return tuple(result)


def _with_new_head(layers: list[_Placed], head: "Head", phase: int) -> list[_Placed]:
    names = [layer.name for layer, _, _ in layers] + ["output"]
    if head.from_layer not in names:
        raise ValueError(f"head.from_layer: {choice('layer', head.from_layer, dict.fromkeys(names))}")
    kept, replaced = layers[: names.index(head.from_layer)], layers[names.index(head.from_layer) :]
    if any(isinstance(layer, BaseLayer) for layer, _, _ in replaced):
        behind = next(layer.name for layer, _, _ in layers if not isinstance(layer, BaseLayer))
        raise ValueError(
            f'head.from_layer: this network branches inside, so that a new head can start at "{behind}" or behind it; '
            f'received "{head.from_layer}".'
        )
    if head.anew_from:
        kept = _anew(kept, head.anew_from, phase)
    taken = {layer.name for layer, _, _ in kept} | RESERVED
    block = kept[-1][1] if kept else "head"
    for layer in head.layers:
        name = layer.name or _free_name(layer.kind, taken)
        if name in taken:
            raise ValueError(f'head.layers: the name "{name}" is taken by a layer of this network.')
        taken.add(name)
        if layer.kind in ("dense", "conv"):
            block = name
        kept = [*kept, (layer.model_copy(update={"name": name}), block, phase)]
    return kept


def _anew(layers: list[_Placed], first: str, phase: int) -> list[_Placed]:
    blocks = list(dict.fromkeys(block for _, block, _ in layers))
    if not phase:
        raise ValueError(f'head.anew_from: in the first phase all layers are new, received "{first}"; leave it out.')
    if first not in blocks:
        raise ValueError(f"head.anew_from: {choice('block', first, blocks)}")
    again = blocks[blocks.index(first) :]
    return [(layer, block, phase if block in again else since) for layer, block, since in layers]


def _free_name(kind: str, taken: set[str]) -> str:
    return next(name for n in itertools.count(1) if (name := f"{kind}_{n}") not in taken)


def _shaped(layers: list[_Placed], shape: Shape) -> Network:
    shaped: list[NetworkLayer] = []
    shapes = {"": shape}
    for layer, block, since in layers:
        received = [shapes[source] for source in layer.inputs] if isinstance(layer, BaseLayer) else [shape]
        if layer.kind in IMAGE_LAYERS and len(shape) != 3:
            raise ValueError(f"head.layers: {layer.name} needs an image, but receives a row of {shape[0]} values.")
        params, statistics = layer.params(*received), layer.statistics(*received)
        shapes[layer.name] = shape = layer.output_shape(*received)
        if min(shape) < 1:
            raise ValueError(
                f"head.layers: nothing is left of the image after {layer.name}; use fewer or smaller layers."
            )
        shaped.append(NetworkLayer(layer, block, since, shape, params, statistics))
    if len(shape) != 1:
        raise ValueError(
            "head.layers: an image reaches the output layer; put a flatten or global_average_pool layer before it."
        )
    return Network(tuple(shaped))


def _freeze(network: Network, freeze: "Freeze") -> Network:
    names = [layer.name for layer in network.layers]
    blocks = [block.name for block in network.blocks]
    match freeze.rule:
        case "nothing":
            frozen: set[str] = set()
        case "first_layers":
            frozen = set(names[: freeze.count])
        case "all_but_last_layers":
            frozen = set(names[: -freeze.count])
        case "first_blocks":
            frozen = {layer.name for layer in network.layers if layer.block in blocks[: freeze.count]}
        case "all_but_block":
            if freeze.block not in blocks:
                raise ValueError(f"freeze.block: {choice('block', freeze.block, blocks)}")
            frozen = {layer.name for layer in network.layers if layer.block != freeze.block}
    counted, parts = (blocks, "blocks") if freeze.rule == "first_blocks" else (names, "layers")
    if freeze.count > len(counted):
        raise ValueError(
            f"freeze.count: received {freeze.count}, but the network has {len(counted)} {parts}, from {counted[0]} to "
            f"{counted[-1]}."
        )
    result = Network(tuple(replace(layer, trainable=layer.name not in frozen) for layer in network.layers))
    if not result.trainable:
        raise ValueError("freeze: nothing would train; leave at least one layer with parameters trainable.")
    return result
