"""Networks of `keras.applications` (and ResNet18) as data: their layers, how they connect, and what each learns.

The tables are written by `python -m cifar_core.training.applications` and ship as JSON beside this module, so that a
form can show any network at any input size without Keras; a test compares them with the networks that Keras builds.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from pydantic import TypeAdapter

from cifar_core.experiment.layers import Shape


@dataclass(frozen=True)
class BaseLayer:
    """One layer of such a network.

    `inputs` are the layers that feed it ("" is the image). `channels` is the last side of its output, whatever the
    image's size. `window` is (size, stride, padding) of a convolution or pooling, `pad` what padding adds to an even
    and to an odd side; `flat` marks an output of channels alone, `pooled` one of 1 × 1 × channels.
    """

    name: str
    keras_type: str
    inputs: tuple[str, ...]
    channels: int
    weights: int = 0
    measured: int = 0
    window: tuple[int, int, str] | None = None
    pad: tuple[int, int] | None = None
    flat: bool = False
    pooled: bool = False
    kind: str = "base"

    def output_shape(self, *shapes: Shape) -> Shape:
        """Return the output's shape for those of the layer's inputs, each (height, width, channels) or (channels,)."""
        if self.pooled:
            return (1, 1, self.channels)
        shape = max(shapes)
        if self.flat or len(shape) == 1:
            return (self.channels,)
        return (*(self._side(side) for side in shape[:2]), self.channels)

    def _side(self, side: int) -> int:
        if self.pad is not None:
            return side + self.pad[side % 2]
        if self.window is None:
            return side
        size, stride, padding = self.window
        return -(-side // stride) if padding == "same" else (side - size) // stride + 1

    def params(self, *shapes: Shape) -> int:
        """Return the number of the layer's parameters."""
        return self.weights

    def statistics(self, *shapes: Shape) -> int:
        """Return the number of parameters that are measured, not trained."""
        return self.measured


@cache
def base_layers(backbone: str) -> tuple[BaseLayer, ...]:
    """Return the layers of a backbone's table, in Keras's order, without the input."""
    table = files("cifar_core.experiment").joinpath("applications_data", f"{backbone}.json")
    return TypeAdapter(tuple[BaseLayer, ...]).validate_json(table.read_bytes())
