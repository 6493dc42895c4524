"""The backbone table: one row per network, in blocks from image to classes.

A block is a natural freeze boundary. The output layer is not part of a row: its size follows from the classes.
A network is either layers in a row, given here, or one of `keras.applications`, whose table ships as JSON.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from cifar_core.experiment.applications import BaseLayer, base_layers
from cifar_core.experiment.layers import (
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool,
    Layer,
    MaxPool,
    Relu,
)

KERAS_SERVER = "https://storage.googleapis.com/tensorflow/keras-applications"


@dataclass(frozen=True)
class Block:
    """A named run of layers that is frozen or trained as one."""

    name: str
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class Application:
    """A network that a library builds: `builder` is its name in `keras.applications`, or ours for ResNet18.

    `blocks` names each block with the last of its layers, from image to features. `imagenet` is the file, in
    Keras's folder `models`, of the weights that Keras has for it, learned on ImageNet; without one there are none.
    On the server that Keras takes it from it lies in `folder`; `file_hash` is its MD5 or SHA-256, where Keras knows it.
    """

    builder: str
    imagenet: str
    blocks: tuple[tuple[str, str], ...]
    folder: str = ""
    file_hash: str | None = None

    @property
    def address(self) -> str:
        """Where Keras takes the file of ImageNet weights from."""
        return f"{KERAS_SERVER}/{self.folder}/{self.imagenet}"


@dataclass(frozen=True)
class Backbone:
    """A named network without its output layer.

    `pixels` is what its pixels are scaled to, a row of `PIXEL_SCALES`; `smallest_input` is (height, width) in
    pixels; `source` says who published the layers. `blocks` follow the layers of an `application`, where there is
    one.
    """

    name: str
    title: str
    source: str
    smallest_input: tuple[int, int]
    pixels: str
    blocks: tuple[Block, ...]
    application: Application | None = None

    def layers(self) -> Iterator[tuple[Layer | BaseLayer, str]]:
        """Return every layer with the name of its block, in order."""
        if self.application is not None:
            ends = iter(self.application.blocks)
            block, last = next(ends)
            for tabled in base_layers(self.name):
                yield tabled, block
                if tabled.name == last:
                    block, last = next(ends, (block, ""))
        for own in self.blocks:
            for layer in own.layers:
                yield layer, own.name


def _application(name: str, title: str, pixels: str, application: Application, smallest: int = 32) -> Backbone:
    return Backbone(
        name=name,
        title=title,
        source=f"keras.applications.{application.builder}, without its top, then global average pooling",
        smallest_input=(smallest, smallest),
        pixels=pixels,
        blocks=(Block(application.blocks[-1][0], (GlobalAveragePool(name="pool"),)),),
        application=application,
    )


def _bn_conv(number: int, filters: int, padding: str, *after: Layer) -> Block:
    return Block(
        f"conv_{number}",
        (
            Conv(name=f"conv_{number}", filters=filters, kernel=3, padding=padding, activation="linear"),
            BatchNorm(name=f"norm_{number}"),
            Relu(name=f"relu_{number}"),
            *after,
        ),
    )


def _resnet18(name: str, title: str, builder: str, stem: str) -> Backbone:
    return Backbone(
        name=name,
        title=title,
        source=f"He et al. 2015, v1, projections of 1×1 where the shape changes; with {stem}. Keras has no ResNet18",
        smallest_input=(8, 8) if name.endswith("32") else (32, 32),
        pixels="torch",
        blocks=(Block(_RESNET18[-1][0], (GlobalAveragePool(name="pool"),)),),
        application=Application(builder, "", _RESNET18),
    )


_RESNET = (
    ("stem", "pool1_pool"),
    *((f"conv{stage}", f"conv{stage}_block{last}_out") for stage, last in ((2, 3), (3, 4), (4, 6), (5, 3))),
)
_RESNET18 = (("stem", "stem_out"), *((f"conv{stage}", f"conv{stage}_block2_out") for stage in (2, 3, 4, 5)))

BACKBONES: dict[str, Backbone] = {
    row.name: row
    for row in (
        Backbone(
            name="two-conv",
            title="Two-conv CNN",
            source="published system A (CIFAR-10 dataset and fine-tuning)",
            smallest_input=(4, 4),
            pixels="0 to 1",
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
            pixels="0 to 1",
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
        Backbone(
            name="conv-dense",
            title="Three-conv CNN with max pooling",
            source="published system B gives no sizes: those of TensorFlow's CNN tutorial for CIFAR-10",
            smallest_input=(18, 18),
            pixels="0 to 1",
            blocks=(
                Block("conv_1", (Conv(name="conv_1", filters=32, kernel=3), MaxPool(name="pool_1"))),
                Block("conv_2", (Conv(name="conv_2", filters=64, kernel=3), MaxPool(name="pool_2"))),
                Block("conv_3", (Conv(name="conv_3", filters=64, kernel=3), Flatten(name="flatten"))),
                Block("dense_1", (Dense(name="dense_1", units=64),)),
            ),
        ),
        Backbone(
            name="bn-conv",
            title="BatchNorm CNN",
            source="published system C1; kernels of 3×3 without padding, Keras's usual, are our choice",
            smallest_input=(18, 18),
            pixels="0 to 1",
            blocks=(
                _bn_conv(1, 32, "valid", MaxPool(name="pool_1")),
                _bn_conv(2, 64, "valid", MaxPool(name="pool_2")),
                _bn_conv(3, 128, "valid", Flatten(name="flatten")),
                Block("dense_1", (Dense(name="dense_1", units=512), Dropout(name="dropout_1", rate=0.5))),
            ),
        ),
        Backbone(
            name="bn-conv-dense",
            title="BatchNorm CNN with two dense layers",
            source="published system C2d gives no sizes: 32, 64, 128 filters of 3×3, 256 and 128 units are ours",
            smallest_input=(8, 8),
            pixels="0 to 1",
            blocks=(
                _bn_conv(1, 32, "same", MaxPool(name="pool_1"), Dropout(name="dropout_1", rate=0.25)),
                _bn_conv(2, 64, "same", MaxPool(name="pool_2"), Dropout(name="dropout_2", rate=0.25)),
                _bn_conv(
                    3,
                    128,
                    "same",
                    MaxPool(name="pool_3"),
                    Dropout(name="dropout_3", rate=0.25),
                    Flatten(name="flatten"),
                ),
                Block("dense_1", (Dense(name="dense_1", units=256), Dropout(name="dropout_4", rate=0.5))),
                Block("dense_2", (Dense(name="dense_2", units=128),)),
            ),
        ),
        _resnet18("resnet18", "ResNet18", "ResNet18", "its ImageNet stem (7×7, stride 2, then pooling)"),
        _resnet18(
            "resnet18-32", "ResNet18, stem for 32 pixels", "ResNet18Small", "a 3×3 stem with stride 1, no pooling"
        ),
        _application(
            "vgg16",
            "VGG16",
            "caffe",
            Application(
                "VGG16",
                "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
                tuple((f"block{number}", f"block{number}_pool") for number in range(1, 6)),
                folder="vgg16",
                file_hash="6d6bbae143d832006294945121d1f1fc",
            ),
        ),
        _application(
            "resnet50",
            "ResNet50",
            "caffe",
            Application(
                "ResNet50",
                "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
                _RESNET,
                folder="resnet",
                file_hash="4d473c1dd8becc155b73f8504c6f6626",
            ),
        ),
        _application(
            "resnet50-v2",
            "ResNet50V2",
            "-1 to 1",
            Application(
                "ResNet50V2",
                "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
                (*_RESNET[:-1], ("conv5", "post_relu")),
                folder="resnet",
                file_hash="fac2f116257151a9d068a22e544a4917",
            ),
        ),
        _application(
            "inception-v3",
            "InceptionV3",
            "-1 to 1",
            Application(
                "InceptionV3",
                "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
                (
                    ("stem_1", "max_pooling2d"),
                    ("stem_2", "max_pooling2d_1"),
                    *((f"mixed{number}", f"mixed{number}") for number in range(11)),
                ),
                folder="inception_v3",
                file_hash="bcbd6486424b2319ff4ef7d526e38f63",
            ),
            smallest=75,
        ),
        _application(
            "xception",
            "Xception",
            "-1 to 1",
            Application(
                "Xception",
                "xception_weights_tf_dim_ordering_tf_kernels_notop.h5",
                (
                    ("block1", "block1_conv2_act"),
                    *((f"block{number}", "add" if number == 2 else f"add_{number - 2}") for number in range(2, 14)),
                    ("block14", "block14_sepconv2_act"),
                ),
                folder="xception",
                file_hash="b0042744bf5b25fce3cb969f33bebb97",
            ),
            smallest=71,
        ),
        _application(
            "mobilenet",
            "MobileNet",
            "-1 to 1",
            Application(
                "MobileNet",
                "mobilenet_1_0_224_tf_no_top.h5",
                (
                    ("stem", "conv1_relu"),
                    *((f"stage_{stage}", f"conv_pw_{last}_relu") for stage, last in enumerate((1, 3, 5, 11, 13), 1)),
                ),
                folder="mobilenet",
            ),
        ),
        _application(
            "mobilenet-v2",
            "MobileNetV2",
            "-1 to 1",
            Application(
                "MobileNetV2",
                "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
                (
                    ("stem", "Conv1_relu"),
                    ("stage_1", "expanded_conv_project_BN"),
                    *((f"stage_{stage}", f"block_{last}_add") for stage, last in enumerate((2, 5, 9, 12, 15), 2)),
                    ("stage_7", "block_16_project_BN"),
                    ("top", "out_relu"),
                ),
                folder="mobilenet_v2",
            ),
        ),
        _application(
            "mobilenet-v3",
            "MobileNetV3 Small",
            "0 to 255",
            Application(
                "MobileNetV3Small",
                "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5",
                (
                    ("stem", "activation"),
                    ("stage_1", "expanded_conv_project_bn"),
                    ("stage_2", "expanded_conv_2_add"),
                    ("stage_3", "expanded_conv_5_add"),
                    ("stage_4", "expanded_conv_7_add"),
                    ("stage_5", "expanded_conv_10_add"),
                    ("top", "activation_17"),
                ),
                folder="mobilenet_v3",
                file_hash="d3e8ec802a04aa4fc771ee12a9a9b836",
            ),
        ),
        _application(
            "efficientnet-v2",
            "EfficientNetV2-B0",
            "0 to 255",
            Application(
                "EfficientNetV2B0",
                "efficientnetv2-b0_notop.h5",
                (
                    ("stem", "stem_activation"),
                    ("block1", "block1a_project_activation"),
                    *((f"block{last[0]}", f"block{last}_add") for last in ("2b", "3b", "4c", "5e", "6h")),
                    ("top", "top_activation"),
                ),
                folder="efficientnet_v2",
                file_hash="893217f2bb855e2983157299931e43ff",
            ),
        ),
        _application(
            "densenet121",
            "DenseNet121",
            "torch",
            Application(
                "DenseNet121",
                "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5",
                (
                    ("stem", "pool1"),
                    *((f"dense_block_{number - 1}", f"pool{number}_pool") for number in (2, 3, 4)),
                    ("dense_block_4", "relu"),
                ),
                folder="densenet",
                file_hash="30ee3e1110167f948a6b9946edeeb738",
            ),
        ),
        _application(
            "convnext-tiny",
            "ConvNeXtTiny",
            "0 to 255",
            Application(
                "ConvNeXtTiny",
                "convnext_tiny_notop.h5",
                (
                    ("stem", "convnext_tiny_stem"),
                    *(
                        (f"stage_{stage + 1}", f"convnext_tiny_stage_{stage}_block_{last}_identity")
                        for stage, last in enumerate((2, 2, 8, 2))
                    ),
                    ("top", "layer_normalization"),
                ),
                folder="convnext",
                file_hash="d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1",
            ),
        ),
    )
}
