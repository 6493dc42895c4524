"""What is done to pixel values before a network sees them: one row per convention, as data."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PixelScale:
    """Raw pixels (0 to 255, red green blue) become `scale * pixel + offset`, a number or one per channel.

    With `reverse` the channels are put into the order blue, green, red first.
    """

    title: str
    scale: float | tuple[float, float, float]
    offset: float | tuple[float, float, float] = 0.0
    reverse: bool = False


_TORCH_MEAN, _TORCH_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

PIXEL_SCALES: dict[str, PixelScale] = {
    "0 to 255": PixelScale("as they are, 0 to 255", 1.0),
    "0 to 1": PixelScale("divided by 255: 0 to 1", 1 / 255),
    "-1 to 1": PixelScale("scaled to −1 to 1", 1 / 127.5, -1.0),
    "caffe": PixelScale("blue green red, ImageNet's mean taken off", 1.0, (-103.939, -116.779, -123.68), reverse=True),
    "torch": PixelScale(
        "divided by 255, then ImageNet's mean and deviation taken out",
        tuple(1 / 255 / deviation for deviation in _TORCH_DEVIATION),  # type: ignore[arg-type]  # three of them
        tuple(-mean / deviation for mean, deviation in zip(_TORCH_MEAN, _TORCH_DEVIATION, strict=True)),  # type: ignore[arg-type]
    ),
}
