"""ResNet18, which `keras.applications` has not: He et al. 2015, *Deep Residual Learning*, version 1."""

import keras
from keras import layers


def resnet18(input_tensor: keras.KerasTensor, *, small_stem: bool) -> keras.Model:
    """Return ResNet18 without pooling and output, on an image (height, width, 3).

    Convolutions have no bias; where a block changes the shape, its shortcut is a 1×1 convolution. The stem is
    ImageNet's (7×7 with stride 2, then max pooling), or, `small_stem`, one 3×3 convolution with stride 1 as is usual
    for images of 32×32. Weights start as He et al. propose.
    """
    if small_stem:
        values = _conv(input_tensor, 64, 3, 1, "stem")
        values = layers.ReLU(name="stem_out")(values)
    else:
        values = layers.ReLU(name="stem_relu")(_conv(input_tensor, 64, 7, 2, "stem"))
        values = layers.MaxPooling2D(3, strides=2, padding="same", name="stem_out")(values)
    for stage, filters in enumerate((64, 128, 256, 512), 2):
        for block in (1, 2):
            stride = 2 if block == 1 and stage > 2 else 1
            values = _block(values, filters, stride, f"conv{stage}_block{block}")
    return keras.Model(keras.utils.get_source_inputs(input_tensor), values)


def _block(values: keras.KerasTensor, filters: int, stride: int, name: str) -> keras.KerasTensor:
    shortcut = values if stride == 1 else _conv(values, filters, 1, stride, f"{name}_shortcut")
    values = layers.ReLU(name=f"{name}_1_relu")(_conv(values, filters, 3, stride, f"{name}_1"))
    values = _conv(values, filters, 3, 1, f"{name}_2")
    return layers.ReLU(name=f"{name}_out")(layers.Add(name=f"{name}_add")([shortcut, values]))


def _conv(values: keras.KerasTensor, filters: int, size: int, stride: int, name: str) -> keras.KerasTensor:
    values = layers.Conv2D(
        filters,
        size,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(values)
    return layers.BatchNormalization(name=f"{name}_bn")(values)
