"""Networks of `keras.applications` built on a tensor, and the tables of them that ship as data.

`python -m cifar_core.training.applications` writes the tables of `cifar_core.experiment.applications` anew.
"""

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import keras

from cifar_core.experiment import applications
from cifar_core.experiment.applications import BaseLayer, base_layers
from cifar_core.experiment.backbones import BACKBONES, Backbone
from cifar_core.training.resnet18 import resnet18

EVEN_SIDES, ODD_SIDES = 224, 193
"""Inputs whose side is even, or odd, at every padding of every network on its way through it."""


def base(backbone: Backbone, values: keras.KerasTensor) -> keras.Model:
    """Return the application's network on (n, height, width, 3) values already scaled, its layers named as tabled.

    Keras numbers unnamed layers by what was built before; the tables' names do not depend on that.
    """
    model = _built(backbone, values)
    known = {id(operation) for operation in keras.Model(model.inputs, values).operations}
    own = [layer for layer in model.layers if id(layer) not in known]
    for layer, row in zip(own, base_layers(backbone.name), strict=True):
        layer.name = row.name
    return model


def _built(backbone: Backbone, values: keras.KerasTensor) -> keras.Model:
    assert backbone.application is not None
    builder = backbone.application.builder
    if builder.startswith("ResNet18"):
        return resnet18(values, small_stem=builder.endswith("Small"))
    return getattr(keras.applications, builder)(include_top=False, weights=None, input_tensor=values)


def table(backbone: Backbone) -> list[BaseLayer]:
    """Return the rows of an application's table, read off the networks that Keras builds."""
    even, odd = (_at(backbone, side) for side in (EVEN_SIDES, ODD_SIDES))
    return [_row(layer, twin) for layer, twin in zip(even.layers[1:], odd.layers[1:], strict=True)]


def _at(backbone: Backbone, side: int) -> keras.Model:
    keras.utils.clear_session()  # names as in a fresh process
    return _built(backbone, keras.Input((side, side, 3), name="image"))


def _row(layer: keras.layers.Layer, odd: keras.layers.Layer) -> BaseLayer:
    shape, pad, window = layer.output.shape, None, None
    if isinstance(layer, keras.layers.ZeroPadding2D):
        even_pad, odd_pad = (sum(each.padding[0]) for each in (layer, odd))
        pad = (even_pad, odd_pad)
    elif (windowed := _windowed(layer)) is not None:
        size = windowed.pool_size if hasattr(windowed, "pool_size") else windowed.kernel_size
        window = (size[0], windowed.strides[0], windowed.padding)
    return BaseLayer(
        name=layer.name,
        keras_type=type(layer).__name__,
        inputs=tuple(dict.fromkeys(_sources(layer))),
        channels=shape[-1],
        weights=layer.count_params(),
        measured=sum(int(keras.ops.size(weight)) for weight in layer.non_trainable_weights),
        window=window,
        pad=pad,
        flat=len(shape) == 2,
        pooled=len(shape) == 4 and isinstance(layer, keras.layers.GlobalAveragePooling2D | keras.layers.Reshape),
    )


def _windowed(layer: keras.layers.Layer) -> Any:
    """The convolution or pooling that decides the layer's output side: itself, or one inside a nested network."""
    if isinstance(layer, keras.Model):
        return next((inner for inner in map(_windowed, layer.layers) if inner is not None), None)
    return layer if hasattr(layer, "strides") and hasattr(layer, "padding") else None


def _sources(operation: Any) -> list[str]:
    """Names of the layers that feed an operation; operations that are no layers pass on what feeds them."""
    names = []
    for tensor in operation._inbound_nodes[-1].input_tensors:
        source = tensor._keras_history.operation
        if isinstance(source, keras.layers.InputLayer):
            names.append("")
        elif isinstance(source, keras.layers.Layer):
            names.append(source.name)
        else:
            names.extend(_sources(source))
    return names


def _plain(row: BaseLayer) -> dict[str, Any]:
    """The row without what is as usual."""
    usual = {field.name: field.default for field in fields(BaseLayer)}
    return {name: value for name, value in asdict(row).items() if value != usual[name]}


def main() -> None:
    """Write every application's table."""
    folder = Path(applications.__file__).with_name("applications_data")
    folder.mkdir(exist_ok=True)
    for backbone in BACKBONES.values():
        if backbone.application is not None:
            rows = ",\n".join(json.dumps(_plain(row)) for row in table(backbone))
            (folder / f"{backbone.name}.json").write_text(f"[\n{rows}\n]\n", encoding="utf-8")
            print(backbone.name)


if __name__ == "__main__":
    main()
