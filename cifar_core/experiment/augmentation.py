"""Random changes to training images, as data: each image gets new ones in every epoch. Validation never does."""

from typing import Annotated, Literal

from pydantic import Field

from cifar_core.experiment.record import Real, Record, Whole


class Flip(Record):
    """Mirror an image left to right, with probability one half."""

    kind: Literal["flip"] = "flip"


class Crop(Record):
    """Shift an image by up to `padding` pixels each way; what comes in from outside mirrors the border."""

    kind: Literal["crop"] = "crop"
    padding: Whole = Field(4, ge=1, le=128)


class Cutout(Record):
    """Paint a square of `size` pixels grey at a random place (DeVries & Taylor 2017); it may stick out."""

    kind: Literal["cutout"] = "cutout"
    size: Whole = Field(8, ge=1, le=512)


class Colour(Record):
    """Change brightness, contrast and saturation, each by a random factor within 1 ± `strength`."""

    kind: Literal["colour"] = "colour"
    strength: Real = Field(0.2, gt=0, le=1)


class Mixup(Record):
    """Mix each image, and its label, with another of the batch (Zhang et al. 2018); `alpha` is the Beta's."""

    kind: Literal["mixup"] = "mixup"
    alpha: Real = Field(0.2, gt=0, le=10)


Augmentation = Annotated[Flip | Crop | Cutout | Colour | Mixup, Field(discriminator="kind")]
