"""Layers as data: what a backbone or a head consists of, with the shapes and counts that follow from it.

The arithmetic is Keras's own (`keras.layers`, channels last, stride 1, bias everywhere); a test compares it with
the networks that Keras builds.
"""

import math
import re
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from cifar_core.experiment.record import Real, Record, Whole, shown

Shape = tuple[int, ...]
Activation = Literal["linear", "relu", "softmax"]


def _name(name: str) -> str:
    if not re.fullmatch(r"([A-Za-z][A-Za-z0-9_-]{0,59})?", name):
        raise ValueError(
            f'expected at most 60 letters, digits, "_" and "-", the first a letter; received {shown(name)}.'
        )
    return name


LayerName = Annotated[str, AfterValidator(_name)]


class Conv(Record):
    """A two-dimensional convolution with a bias."""

    keras_type: ClassVar[str] = "Conv2D"
    kind: Literal["conv"] = "conv"
    name: LayerName = ""
    filters: Whole = Field(ge=1, le=4096)
    kernel: Whole = Field(ge=1, le=31)
    padding: Literal["same", "valid"] = "valid"
    activation: Activation = "relu"

    def output_shape(self, shape: Shape) -> Shape:
        """Return (height, width, filters) for an input of (height, width, channels)."""
        lost = 0 if self.padding == "same" else self.kernel - 1
        return (*(side - lost for side in shape[:2]), self.filters)

    def params(self, shape: Shape) -> int:
        """Return the number of weights and biases."""
        return (self.kernel**2 * shape[-1] + 1) * self.filters


class MaxPool(Record):
    """Max pooling over squares, with strides as large."""

    keras_type: ClassVar[str] = "MaxPooling2D"
    kind: Literal["max_pool"] = "max_pool"
    name: LayerName = ""
    size: Whole = Field(2, ge=2, le=32)

    def output_shape(self, shape: Shape) -> Shape:
        """Return (height // size, width // size, channels)."""
        return (*(side // self.size for side in shape[:2]), shape[-1])

    def params(self, shape: Shape) -> int:
        """Return 0: pooling learns nothing."""
        return 0


class Dropout(Record):
    """Dropout: during training each input is zeroed with this probability, frozen or not."""

    keras_type: ClassVar[str] = "Dropout"
    kind: Literal["dropout"] = "dropout"
    name: LayerName = ""
    rate: Real = Field(ge=0, lt=1)

    def output_shape(self, shape: Shape) -> Shape:
        """Return the input's shape."""
        return shape

    def params(self, shape: Shape) -> int:
        """Return 0: dropout learns nothing."""
        return 0


class Flatten(Record):
    """Everything of an image in one row."""

    keras_type: ClassVar[str] = "Flatten"
    kind: Literal["flatten"] = "flatten"
    name: LayerName = ""

    def output_shape(self, shape: Shape) -> Shape:
        """Return (number of values,)."""
        return (math.prod(shape),)

    def params(self, shape: Shape) -> int:
        """Return 0: reshaping learns nothing."""
        return 0


class Dense(Record):
    """A fully connected layer with a bias."""

    keras_type: ClassVar[str] = "Dense"
    kind: Literal["dense"] = "dense"
    name: LayerName = ""
    units: Whole = Field(ge=1, le=65536)
    activation: Activation = "relu"

    def output_shape(self, shape: Shape) -> Shape:
        """Return the input's shape with the last side replaced by the units."""
        return (*shape[:-1], self.units)

    def params(self, shape: Shape) -> int:
        """Return the number of weights and biases."""
        return (shape[-1] + 1) * self.units


Layer = Annotated[Conv | MaxPool | Dropout | Flatten | Dense, Field(discriminator="kind")]
