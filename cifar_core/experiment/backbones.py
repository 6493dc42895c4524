"""The backbone table: one row per network, its layers as data in blocks from image to classes.

A block is a natural freeze boundary. The output layer is not part of a row: its size follows from the classes.
"""

from dataclasses import dataclass

from cifar_core.experiment.layers import Conv, Dense, Dropout, Flatten, Layer, MaxPool


@dataclass(frozen=True)
class Block:
    """A named run of layers that is frozen or trained as one."""

    name: str
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class Backbone:
    """A named network without its output layer.

    `pixel_scale` is what raw pixels (0 to 255) are multiplied by, inside the model; `smallest_input` is (height,
    width) in pixels; `source` says who published the layers.
    """

    name: str
    title: str
    source: str
    smallest_input: tuple[int, int]
    pixel_scale: float
    blocks: tuple[Block, ...]


BACKBONES: dict[str, Backbone] = {
    row.name: row
    for row in (
        Backbone(
            name="two-conv",
            title="Two-conv CNN",
            source="published system A (CIFAR-10 dataset and fine-tuning)",
            smallest_input=(4, 4),
            pixel_scale=1 / 255,
            blocks=(
                Block("conv_1", (Conv(name="conv_1", filters=32, kernel=3, padding="same"),)),
                Block(
                    "conv_2",
                    (
                        Conv(name="conv_2", filters=32, kernel=3),
                        MaxPool(name="pool_1", size=2),
                        Dropout(name="dropout_1", rate=0.25),
                        Flatten(name="flatten"),
                    ),
                ),
                Block("dense_1", (Dense(name="dense_1", units=128), Dropout(name="dropout_2", rate=0.25))),
                Block("dense_2", (Dense(name="dense_2", units=128), Dropout(name="dropout_3", rate=0.25))),
            ),
        ),
        Backbone(
            name="three-conv",
            title="Three-conv CNN",
            source="published system E (Transfer learning on CIFAR10 dataset)",
            smallest_input=(14, 14),
            pixel_scale=1 / 255,
            blocks=(
                Block("conv_1", (Conv(name="conv_1", filters=32, kernel=5),)),
                Block("conv_2", (Conv(name="conv_2", filters=16, kernel=5), MaxPool(name="pool_1", size=2))),
                Block(
                    "conv_3",
                    (
                        Conv(name="conv_3", filters=8, kernel=3),
                        Flatten(name="flatten"),
                        Dropout(name="dropout_1", rate=0.42),
                    ),
                ),
                Block("dense_1", (Dense(name="dense_1", units=128),)),
            ),
        ),
    )
}
