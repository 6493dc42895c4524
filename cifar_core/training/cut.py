"""Where a network can be cut in two: what is frozen and never random before, what trains after."""

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np

NEVER_FIXED = (keras.layers.Lambda, keras.layers.SpectralNormalization)
"""Layers that may draw, or move their weights, whatever their `trainable` says."""


@dataclass(frozen=True, eq=False)
class Cut:
    """A model in two parts that share its layers: `rest(prefix(images))` is the model.

    `tensors` are the symbolic tensors that cross the cut, in the order of `prefix.outputs` and `rest.inputs`;
    `layers` names the prefix's layers from input to cut.
    """

    tensors: tuple[keras.KerasTensor, ...]
    prefix: keras.Model
    rest: keras.Model
    layers: tuple[str, ...]

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shape of each tensor for one image."""
        return tuple(tuple(tensor.shape[1:]) for tensor in self.tensors)

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Type of each tensor as the network computes it."""
        return tuple(tensor.dtype for tensor in self.tensors)

    @property
    def bytes_per_image(self) -> int:
        """Size of the tensors for one image."""
        return sum(map(_bytes, self.tensors))

    @property
    def contents(self) -> tuple[str, ...]:
        """For each tensor, a hash of all that decides its values: see `_contents`."""
        return tuple(self._contents[id(tensor)] for tensor in self.tensors)

    def behind(self, contents: Sequence[str]) -> keras.Model | None:
        """Return what of the prefix makes the cut's tensors of those with these contents; None where it needs more."""
        known = {self._contents[id(tensor)]: tensor for node in self._nodes for tensor in node.output_tensors}
        if not all(content in known for content in contents):
            return None
        inputs = {id(known[content]): _input_like(known[content]) for content in contents}
        needed, waiting = set[int](), list(self.tensors)
        while waiting:
            tensor = waiting.pop()
            node = _maker(tensor)
            if id(tensor) in inputs or id(node) in needed:
                continue
            if node.is_input:
                return None
            needed.add(id(node))
            waiting += node.input_tensors
        nodes = (node for node in self._nodes if id(node) in needed)
        return _called_again(nodes, inputs, self.prefix, f"{self.prefix.name}_behind")

    @cached_property
    def _nodes(self) -> list[Any]:
        return _in_order(self.tensors)

    @cached_property
    def _contents(self) -> dict[int, str]:
        return _contents(self._nodes)


def find_cut(model: keras.Model) -> Cut | None:
    """Cut a functional or sequential model behind the largest part that gives an image the same values in every epoch.

    A layer belongs to that part when its inputs do, it is frozen or has no weights, nothing about it is random, and it
    hands on no mask. Frozen BatchNorm belongs to it, Dropout does not. Nested models are looked into. Layers without
    weights at the end of that part are left to the rest where this makes what crosses the cut smaller: an average of a
    tensor that crosses the cut anyway, for example. None when no layer with weights lies before the cut.

    Raises:
        ValueError: for a model that is no graph of layers, or images of no fixed size, and where a nested model has a
            layer with the name of another.
    """
    if not getattr(model, "inputs", None):
        raise ValueError(
            f'The model "{model.name}" is no graph of layers: expected a functional model, or a sequential one with an '
            "Input. Build it with keras.Model(inputs, outputs)."
        )
    model = _unnested(model)
    graph = _Graph(model)
    trained = {id(weight) for weight in model.trainable_variables}
    before: set[int] = set()
    for node in graph.nodes:
        parents_before = all(id(parent) in before for parent in node.parent_nodes)
        if parents_before and (node.is_input or _is_fixed(node, trained)):
            before.add(id(node))
    if not any(_has_weights(node) for node in graph.nodes if id(node) in before):
        return None
    for node in reversed(graph.nodes):
        if id(node) in before and not node.is_input:
            shorter = before - graph.from_here_on(node)
            lost = (each for each in graph.nodes if id(each) in before - shorter)
            if not any(map(_has_weights, lost)) and graph.size_behind(shorter) < graph.size_behind(before):
                before = shorter
    crossing = graph.crossing(before)
    if any(None in tensor.shape[1:] for tensor in crossing):
        shapes = ", ".join(str(tensor.shape[1:]) for tensor in crossing)
        raise ValueError(f"Features need a fixed size, received {shapes}. Give the model's Input a fixed shape.")
    prefix = keras.Model(model.inputs, crossing, name=f"{model.name}_before_cut")
    inputs = {id(tensor): _input_like(tensor) for tensor in crossing}
    rest = _called_again((node for node in graph.nodes if id(node) not in before), inputs, model, f"{model.name}_rest")
    kept = [node for node in graph.nodes if id(node) in before]
    names = dict.fromkeys(node.operation.name for node in kept if not node.is_input)
    return Cut(tuple(crossing), prefix, rest, tuple(names))


def _unnested(model: keras.Model) -> keras.Model:
    """Return the same function of the same layers, nested models that train in part opened."""
    nodes = _in_order(model.outputs)
    if not any(_opens(node.operation) for node in nodes):
        return model
    inputs = {id(tensor): tensor for tensor in model.inputs}
    try:
        return _called_again((node for node in nodes if not node.is_input), inputs, model, model.name)
    except ValueError as error:  # Keras wants each name once in a model
        raise ValueError(
            f'"{model.name}" cannot be opened ({error}). Give layers of nested models other names.'
        ) from error


def _opens(layer: Any) -> bool:
    """Whether a layer is a nested graph of which a part is frozen, and which leaves to its layers what they train."""
    if not isinstance(layer, keras.Model) or not getattr(layer, "inputs", None):
        return False
    inside = [weight for part in layer.layers for weight in part.trainable_weights]
    return {id(weight) for weight in layer.trainable_weights} == {id(weight) for weight in inside}


def _called_again(
    nodes: Iterable[Any], inputs: dict[int, keras.KerasTensor], model: keras.Model, name: str
) -> keras.Model:
    """Call layers again on other inputs. Keras's own keras.Model(tensors, outputs) fails where a layer is shared."""
    tensors = dict(inputs)
    _call_again(nodes, tensors)
    outputs = [tensors[id(tensor)] for tensor in model.outputs]
    return keras.Model(list(inputs.values()), outputs if len(outputs) > 1 else outputs[0], name=name)


def _call_again(nodes: Iterable[Any], tensors: dict[int, keras.KerasTensor]) -> None:
    for node in nodes:
        layer = node.operation
        if _opens(layer):
            given = (tensors[id(tensor)] for tensor in node.input_tensors)
            inside = {id(tensor): value for tensor, value in zip(layer.inputs, given, strict=True)}
            _call_again((each for each in _in_order(layer.outputs) if not each.is_input), inside)
            returned: Any = [inside[id(tensor)] for tensor in layer.outputs]
        else:
            positional, named = node.arguments.fill_in(tensors)
            returned = keras.tree.flatten(layer(*positional, **named))
        tensors.update((id(tensor), value) for tensor, value in zip(node.output_tensors, returned, strict=True))


class _Graph:
    """The calls of a model's layers, each after those that it depends on."""

    def __init__(self, model: keras.Model):
        self.outputs = list(model.outputs)
        self.nodes = _in_order(model.outputs)
        self._parents = {id(node): {id(parent) for parent in node.parent_nodes} for node in self.nodes}

    def from_here_on(self, first: Any) -> set[int]:
        """Return a call and all that depend on it."""
        reached = {id(first)}
        for node in self.nodes:
            if self._parents[id(node)] & reached:
                reached.add(id(node))
        return reached

    def crossing(self, before: set[int]) -> list[keras.KerasTensor]:
        """Return the tensors that the calls in `before` hand over to the others, and to the caller."""
        taken = [tensor for node in self.nodes if id(node) not in before for tensor in node.input_tensors]
        wanted = {id(tensor) for tensor in [*taken, *self.outputs]}
        given = [tensor for node in self.nodes if id(node) in before for tensor in node.output_tensors]
        return [tensor for tensor in given if id(tensor) in wanted]

    def size_behind(self, before: set[int]) -> int:
        """Return the bytes for one image that cross the cut."""
        return sum(map(_bytes, self.crossing(before)))


def _in_order(outputs: Iterable[keras.KerasTensor]) -> list[Any]:
    found: dict[int, Any] = {}
    waiting = [(_maker(tensor), False) for tensor in outputs]
    while waiting:  # no recursion: networks are deeper than Python's stack
        node, parents_done = waiting.pop()
        if parents_done:
            found.setdefault(id(node), node)
        elif id(node) not in found:
            waiting += [(node, True), *((parent, False) for parent in node.parent_nodes)]
    return list(found.values())


def _maker(tensor: keras.KerasTensor) -> Any:
    """The call that made a tensor. Keras keeps it with the tensor, and offers no public way to it."""
    operation, position, _ = tensor._keras_history
    return operation._inbound_nodes[position]


def _is_fixed(node: Any, trained: set[int]) -> bool:
    layer = node.operation
    if not isinstance(layer, keras.Layer):
        return True
    if any(id(weight) in trained for weight in layer.weights) or _hands_on_a_mask(node):
        return False
    return not any(
        isinstance(part, NEVER_FIXED)
        or getattr(part, "stateful", False)
        or part.activity_regularizer is not None  # what it adds to the loss would be missing
        or part._seed_generators  # it draws; Dropout with a rate of zero holds no generator
        or (part.trainable and part._non_trainable_variables)  # statistics that follow the images
        for part in layer._flatten_layers()
    )


def _hands_on_a_mask(node: Any) -> bool:
    """Whether what a call returns has a mask: Keras keeps it beside the tensor, so it would not cross the cut.

    A nested model marks its own outputs, and the tensors that its call returns only when it runs.
    """
    nested = (part for part in node.operation._flatten_layers() if isinstance(part, keras.Model))
    ends = [tensor for part in nested for tensor in getattr(part, "outputs", None) or ()]
    return any(getattr(tensor, "_keras_mask", None) is not None for tensor in [*node.output_tensors, *ends])


def _contents(nodes: Iterable[Any]) -> dict[int, str]:
    """For every tensor, a hash of all that decides its values: layers, their weights, and how they are joined.

    Equal networks have equal hashes, whatever their layers are called.
    """
    layers: dict[int, str] = {}
    tensors: dict[int, str] = {}
    for node in nodes:
        layer = node.operation
        if id(layer) not in layers:
            config = {name: value for name, value in layer.get_config().items() if name not in ("name", "trainable")}
            total = hashlib.sha256(json.dumps([type(layer).__name__, config], default=repr).encode())
            for weight in getattr(layer, "weights", ()):
                total.update(np.ascontiguousarray(weight.numpy()).data)
            layers[id(layer)] = total.hexdigest()
        call = [layers[id(layer)], node.arguments.fill_in(tensors)]
        for place, tensor in enumerate(node.output_tensors):
            tensors[id(tensor)] = hashlib.sha256(json.dumps([*call, place], default=repr).encode()).hexdigest()
    return tensors


def _input_like(tensor: keras.KerasTensor) -> keras.KerasTensor:
    return keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype)


def _has_weights(node: Any) -> bool:
    return bool(getattr(node.operation, "weights", None))


def _bytes(tensor: keras.KerasTensor) -> int:
    size: int = math.prod(tensor.shape[1:]) * np.dtype(tensor.dtype).itemsize
    return size
