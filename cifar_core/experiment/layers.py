"""Layers as data: what a backbone or a head consists of, with the shapes and counts that follow from it.

The arithmetic is Keras's own (`keras.layers`, channels last); a test compares it with the networks that Keras builds.
`params` counts all of a layer's parameters, `statistics` those among them that no gradient ever changes.
"""

import math
import re
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from cifar_core.experiment.record import Real, Record, Whole, shown

Shape = tuple[int, ...]
Activation = Literal["linear", "relu", "softmax"]
MOST_UNITS = 65_536


def _name(name: str) -> str:
    if not re.fullmatch(r"([A-Za-z][A-Za-z0-9_-]{0,59})?", name):
        raise ValueError(
            f'expected at most 60 letters, digits, "_" and "-", the first a letter; received {shown(name)}.'
        )
    return name


LayerName = Annotated[str, AfterValidator(_name)]


class LayerRecord(Record):
    """What all layers share. A layer without a name gets one from its kind when it is put into a network."""

    keras_type: ClassVar[str]
    name: LayerName = ""

    def statistics(self, shape: Shape) -> int:
        """Return the number of parameters that are measured, not trained."""
        return 0


class Conv(LayerRecord):
    """A two-dimensional convolution with a bias, with stride 1. `l2` is the penalty on its kernel."""

    keras_type: ClassVar[str] = "Conv2D"
    kind: Literal["conv"] = "conv"
    filters: Whole = Field(ge=1, le=4096)
    kernel: Whole = Field(ge=1, le=31)
    padding: Literal["same", "valid"] = "valid"
    activation: Activation = "relu"
    l2: Real = Field(0.0, ge=0, le=1)

    def output_shape(self, shape: Shape) -> Shape:
        """Return (height, width, filters) for an input of (height, width, channels)."""
        lost = 0 if self.padding == "same" else self.kernel - 1
        return (*(side - lost for side in shape[:2]), self.filters)

    def params(self, shape: Shape) -> int:
        """Return the number of weights and biases."""
        return (self.kernel**2 * shape[-1] + 1) * self.filters


class MaxPool(LayerRecord):
    """Max pooling over squares, with strides as large."""

    keras_type: ClassVar[str] = "MaxPooling2D"
    kind: Literal["max_pool"] = "max_pool"
    size: Whole = Field(2, ge=2, le=32)

    def output_shape(self, shape: Shape) -> Shape:
        """Return (height // size, width // size, channels)."""
        return (*(side // self.size for side in shape[:2]), shape[-1])

    def params(self, shape: Shape) -> int:
        """Return 0: pooling learns nothing."""
        return 0


class Dropout(LayerRecord):
    """Dropout: during training each input is zeroed with this probability, frozen or not."""

    keras_type: ClassVar[str] = "Dropout"
    kind: Literal["dropout"] = "dropout"
    rate: Real = Field(ge=0, lt=1)

    def output_shape(self, shape: Shape) -> Shape:
        """Return the input's shape."""
        return shape

    def params(self, shape: Shape) -> int:
        """Return 0: dropout learns nothing."""
        return 0


class Flatten(LayerRecord):
    """Everything of an image in one row."""

    keras_type: ClassVar[str] = "Flatten"
    kind: Literal["flatten"] = "flatten"

    def output_shape(self, shape: Shape) -> Shape:
        """Return (number of values,)."""
        return (math.prod(shape),)

    def params(self, shape: Shape) -> int:
        """Return 0: reshaping learns nothing."""
        return 0


class Dense(LayerRecord):
    """A fully connected layer with a bias. `l2` is the penalty on its kernel."""

    keras_type: ClassVar[str] = "Dense"
    kind: Literal["dense"] = "dense"
    units: Whole = Field(ge=1, le=MOST_UNITS)
    activation: Activation = "relu"
    l2: Real = Field(0.0, ge=0, le=1)

    def output_shape(self, shape: Shape) -> Shape:
        """Return the input's shape with the last side replaced by the units."""
        return (*shape[:-1], self.units)

    def params(self, shape: Shape) -> int:
        """Return the number of weights and biases."""
        return (shape[-1] + 1) * self.units


class BatchNorm(LayerRecord):
    """Batch normalization over channels. Frozen, it uses the statistics it has; trained, those of each batch."""

    keras_type: ClassVar[str] = "BatchNormalization"
    kind: Literal["batch_norm"] = "batch_norm"

    def output_shape(self, shape: Shape) -> Shape:
        """Return the input's shape."""
        return shape

    def params(self, shape: Shape) -> int:
        """Return four a channel: scale, offset, mean and variance."""
        return 4 * shape[-1]

    def statistics(self, shape: Shape) -> int:
        """Return two a channel: mean and variance."""
        return 2 * shape[-1]


class Relu(LayerRecord):
    """A rectified linear unit as a layer of its own, for example behind batch normalization."""

    keras_type: ClassVar[str] = "ReLU"
    kind: Literal["relu"] = "relu"

    def output_shape(self, shape: Shape) -> Shape:
        """Return the input's shape."""
        return shape

    def params(self, shape: Shape) -> int:
        """Return 0: rectifying learns nothing."""
        return 0


class GlobalAveragePool(LayerRecord):
    """The mean of each channel over the image."""

    keras_type: ClassVar[str] = "GlobalAveragePooling2D"
    kind: Literal["global_average_pool"] = "global_average_pool"

    def output_shape(self, shape: Shape) -> Shape:
        """Return (channels,)."""
        return shape[-1:]

    def params(self, shape: Shape) -> int:
        """Return 0: pooling learns nothing."""
        return 0


Layer = Annotated[
    Conv | MaxPool | Dropout | Flatten | Dense | BatchNorm | Relu | GlobalAveragePool, Field(discriminator="kind")
]
IMAGE_LAYERS = ("conv", "max_pool", "global_average_pool")
"""Kinds that need (height, width, channels)."""
