"""Experiment, and what it consists of: plain, frozen, validated data with a JSON round trip."""

from dataclasses import replace
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from cifar_core.experiment.augmentation import Augmentation
from cifar_core.experiment.backbones import BACKBONES, Backbone
from cifar_core.experiment.datasets import DATASETS, DataSet
from cifar_core.experiment.layers import Layer
from cifar_core.experiment.network import Network, networks
from cifar_core.experiment.pixels import PIXEL_SCALES, PixelScale
from cifar_core.experiment.record import Real, Record, Whole, choice, shown
from cifar_core.experiment.schedules import Constant, Schedule, refuse_longer_than

FeatureSize = Literal["full", "half", "off"]
"""How stored features are kept: in float32, in float16, or not at all."""
ClassIndices = Annotated[tuple[Whole, ...], Field(min_length=2)]


class ClassSplit(Record):
    """The classes learned first and the classes transferred to, as indices into the data set's classes.

    Any classes on either side, overlap allowed, at least two a side. The order of the indices is kept: it is the
    order of the network's outputs.
    """

    source: ClassIndices = (0, 1, 2, 3, 4)
    target: ClassIndices = (5, 6, 7, 8, 9)

    @field_validator("source", "target")
    @classmethod
    def _refuse_repeated_classes(cls, classes: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(classes)) != len(classes):
            raise ValueError(f"each class may stand once on a side, received {list(classes)}.")
        return classes


class Data(Record):
    """Which images: a data set's name, how many images of each class at most, and where the files are.

    `per_class` takes that many training images and that many test images of each class, for a quick look.
    `location` is a folder or archive of the user's; without it the usual places are looked through.

    For the user's own images (`name` "folder"), `classes` are the names of the folders in `location`, in the order
    of the labels, and `image_side` the height and width in pixels that every image is brought to.
    """

    name: str = "sample"
    per_class: Whole | None = Field(None, ge=2)
    location: str | None = Field(None, max_length=4096)
    classes: tuple[str, ...] = Field((), max_length=1000)
    image_side: Whole | None = Field(None, ge=8, le=512)

    @field_validator("name")
    @classmethod
    def _must_be_a_data_set(cls, name: str) -> str:
        if name not in DATASETS:
            raise ValueError(choice("data set", name, DATASETS))
        return name

    @model_validator(mode="after")
    def _own_images_say_what_they_are(self) -> Self:
        if DATASETS[self.name].classes:
            for field in ("classes", "image_side"):
                if getattr(self, field):
                    raise ValueError(f"{DATASETS[self.name].title} takes no {field}: its own are known.")
            return self
        if self.location is None:
            raise ValueError("location: a folder of images per class needs the folder's path.")
        if len(self.classes) < 2 or len(set(self.classes)) < len(self.classes):
            raise ValueError(f"classes: expected two or more names, each once, received {shown(self.classes)}.")
        if self.image_side is None:
            raise ValueError("image_side: expected the height and width in pixels that images are brought to.")
        return self

    @property
    def dataset(self) -> DataSet:
        """The data set's row, with the classes and the size of the user's own images filled in."""
        row = DATASETS[self.name]
        if row.classes or self.image_side is None:
            return row
        return replace(row, classes=self.classes, image_shape=(self.image_side, self.image_side, 3))


class Freeze(Record):
    """Which layers a phase freezes, counted from the image.

    `nothing`; `first_blocks` and `first_layers` freeze the first `count`; `all_but_last_layers` trains only the
    last `count` layers; `all_but_block` trains only the named block (surgical fine-tuning, Lee et al. 2022).
    Layers are counted as Keras lists them, without the input and the preprocessing.
    """

    rule: Literal["nothing", "first_blocks", "first_layers", "all_but_last_layers", "all_but_block"] = "nothing"
    count: Whole = Field(0, ge=0)
    block: str = ""

    @model_validator(mode="after")
    def _one_meaning(self) -> Self:
        counted = self.rule in ("first_blocks", "first_layers", "all_but_last_layers")
        if counted and self.count < 1:
            raise ValueError(f'the rule "{self.rule}" needs a count of at least 1, received {self.count}.')
        if not counted and self.count:
            raise ValueError(f'the rule "{self.rule}" takes no count, received {self.count}.')
        if self.block and self.rule != "all_but_block":
            raise ValueError(f'the rule "{self.rule}" takes no block, received "{self.block}".')
        return self


class Head(Record):
    """A new end of the network: from the named layer on, these layers and a new output layer.

    `outputs` is "classes" for one output per class of the phase, or "data set" for one per class of the data set,
    labels kept as they are (as published system E does). `anew_from` names a block: what the network keeps from there
    on starts at random again (Yosinski et al. 2014), whether its blocks branch inside or not.
    """

    from_layer: str = "output"
    anew_from: str = ""
    layers: tuple[Layer, ...] = Field((), max_length=100)
    outputs: Literal["classes", "data set"] = "classes"


class EarlyStopping(Record):
    """End a phase when the watched measure has not improved for `patience` epochs; the best weights are kept."""

    watch: Literal["val_loss", "val_accuracy"] = "val_loss"
    patience: Whole = Field(3, ge=1, le=1000)
    smallest_gain: Real = Field(0.0, ge=0, le=1)


class Phase(Record):
    """One training: on which classes, what is frozen, which head, and the usual hyperparameters.

    Without a `head` the network of the phase before goes on as it is, output layer included.

    `momentum` is for SGD and RMSprop; `weight_decay` for AdamW (decoupled, Loshchilov & Hutter 2019).
    `block_rate_factor` below 1 gives each block that factor of the learning rate of the block after it, the output
    layer having all of it (discriminative fine-tuning, Howard & Ruder 2018). `clip_norm` bounds the norm of all
    gradients together. `class_weights` "balanced" weighs classes by the inverse of their number of images.

    Augmentation changes images anew in every epoch; with `augmented_copies`, so many times when the phase begins, and
    each epoch draws one of its copies for each image: then what frozen layers make of them can be stored.
    """

    name: str = Field(min_length=1, max_length=60)
    train_on: Literal["source", "target"]
    freeze: Freeze = Freeze()
    head: Head | None = None
    epochs: Whole = Field(5, ge=1, le=10_000)
    batch_size: Whole = Field(64, ge=1, le=65_536)
    optimizer: Literal["rmsprop", "adam", "adamw", "sgd"] = "rmsprop"
    learning_rate: Real = Field(1e-3, gt=0, le=100)
    momentum: Real = Field(0.0, ge=0, lt=1)
    weight_decay: Real = Field(0.0, ge=0, le=1)
    block_rate_factor: Real = Field(1.0, gt=0, le=1)
    clip_norm: Real | None = Field(None, gt=0)
    schedule: Schedule = Constant()
    early_stopping: EarlyStopping | None = None
    label_smoothing: Real = Field(0.0, ge=0, lt=1)
    class_weights: Literal["equal", "balanced"] = "equal"
    augmentation: tuple[Augmentation, ...] = Field((), max_length=5)
    augmented_copies: Whole | None = Field(None, ge=1, le=100)

    @model_validator(mode="after")
    def _options_fit_together(self) -> Self:
        if self.momentum and self.optimizer not in ("sgd", "rmsprop"):
            raise ValueError(f"momentum: {self.optimizer} has none of its own to set; it is for sgd and rmsprop.")
        if self.weight_decay and self.optimizer != "adamw":
            raise ValueError(f"weight_decay: {self.optimizer} takes none; choose adamw, or l2 in a layer.")
        kinds = [change.kind for change in self.augmentation]
        if len(set(kinds)) != len(kinds):
            raise ValueError(f"augmentation: each kind may stand once, received {kinds}.")
        if self.augmented_copies is not None and (not kinds or "mixup" in kinds):
            raise ValueError(
                f"augmented_copies: {self.augmented_copies} copies of each image need augmentation that changes single "
                f"images, received {kinds or 'none'}; leave augmented_copies out."
            )
        refuse_longer_than(self.schedule, self.epochs)
        if self.early_stopping is not None and self.early_stopping.patience >= self.epochs > 1:
            raise ValueError(
                f"early_stopping.patience: {self.early_stopping.patience} epochs of patience in a phase of "
                f"{self.epochs} never end it early; use less patience or more epochs."
            )
        return self

    @property
    def learns_one_hot(self) -> bool:
        """Whether the loss needs a probability per class instead of the number of the right one."""
        return self.label_smoothing > 0 or any(change.kind == "mixup" for change in self.augmentation)

    def with_epochs(self, epochs: int) -> "Phase":
        """Return the phase with another number of epochs; what would wait for later epochs is shortened."""
        stopping = self.early_stopping
        if stopping is not None and stopping.patience >= epochs:
            stopping = stopping.model_copy(update={"patience": epochs - 1}) if epochs > 1 else None
        changed = {"epochs": epochs, "schedule": self.schedule.shortened(epochs), "early_stopping": stopping}
        return Phase.parse(dict(self) | changed)


class InitialWeights(Record):
    """Where the backbone's weights come from before the first phase; the output layer and new heads start at random.

    `imagenet` are Keras's own, learned on ImageNet; `file` is a weights file of the user's (`path`); `run` takes the
    backbone of another run's final model (`run`, its id).
    """

    source: Literal["random", "imagenet", "file", "run"] = "random"
    path: str | None = Field(None, max_length=4096)
    run: str | None = Field(None, max_length=64)

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        for field, source in (("path", "file"), ("run", "run")):
            if (self.source == source) != bool(getattr(self, field)):
                wanted = "needs one" if self.source == source else "takes none"
                raise ValueError(f'{field}: the source "{self.source}" {wanted}.')
        return self


class Validation(Record):
    """What the curves are validated on: a share of the training images, or the test images.

    The share is drawn by the seed, as large from each class (`stratified`) or from all images alike (`random`), or
    it is the `last` of the images, as Keras's `validation_split` takes it. Validating on the test set, as most
    publications did, makes its numbers optimistic wherever they are used to choose; they are flagged as such.
    """

    on: Literal["train share", "test"] = "train share"
    share: Real = Field(0.1, gt=0, lt=1)
    drawn: Literal["stratified", "random", "last"] = "stratified"


class Experiment(Record):
    """Everything that decides what a run does, apart from its seed.

    Two-stage transfer, feature extraction then fine-tuning, LP-FT and gradual unfreezing are lists of phases.

    Images are resized inside the model (bilinear) to `input_side` pixels a side; without one, only images smaller
    than the backbone allows are, to the smallest that it does. `pixels` is what their values are scaled to, a row of
    `PIXEL_SCALES`; without one, what the backbone was made for.

    `features` is how the output of frozen layers is kept where that saves time: in "half" the size, every value is
    rounded to float16, by 2**-11 of itself at most, and the training differs by what that makes; with "off", frozen
    layers are computed anew in every epoch. The computer that runs it may allow less.
    """

    version: Literal[1] = 1
    data: Data = Data()
    split: ClassSplit = ClassSplit()
    backbone: str = "two-conv"
    initial_weights: InitialWeights = InitialWeights()
    input_side: Whole | None = Field(None, ge=1, le=1024)
    pixels: str | None = None
    validation: Validation = Validation()
    features: FeatureSize = "full"
    phases: tuple[Phase, ...] = Field(min_length=1, max_length=12)

    @field_validator("backbone")
    @classmethod
    def _must_be_a_backbone(cls, name: str) -> str:
        if name not in BACKBONES:
            raise ValueError(choice("backbone", name, BACKBONES))
        return name

    @field_validator("pixels")
    @classmethod
    def _must_be_a_scale(cls, name: str | None) -> str | None:
        if name is not None and name not in PIXEL_SCALES:
            raise ValueError(choice("pixel scale", name, PIXEL_SCALES))
        return name

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for side, classes in (("source", self.split.source), ("target", self.split.target)):
            for index in classes:
                if not 0 <= index < self.class_count:
                    raise ValueError(
                        f"split.{side}: received the class {shown(index)}; {self.dataset.title} has the classes 0 to "
                        f"{self.class_count - 1} ({', '.join(self.dataset.classes)})."
                    )
        smallest = max(self.backbone_row.smallest_input)
        if self.input_side is not None and self.input_side < smallest:
            raise ValueError(
                f"input_side: {self.backbone_row.title} needs images of {smallest}×{smallest} pixels or more, received "
                f"{self.input_side}; leave it out, and smaller images are brought to that size."
            )
        application = self.backbone_row.application
        if self.initial_weights.source == "imagenet" and (application is None or not application.imagenet):
            raise ValueError(
                f"initial_weights.source: there are no ImageNet weights for {self.backbone_row.title}; there are for: "
                f"{', '.join(name for name, row in BACKBONES.items() if row.application and row.application.imagenet)}."
            )
        names = [phase.name for phase in self.phases]
        if len(set(names)) != len(names):
            raise ValueError(f"phases: each phase needs a name of its own, received {names}.")
        for index, (phase, network) in enumerate(zip(self.phases, self.networks, strict=True)):
            if network.outputs < len(self.classes_of(phase)):
                raise ValueError(
                    f"phases.{index}.head: the kept output layer tells {network.outputs} classes apart, but "
                    f"{phase.train_on} has {len(self.classes_of(phase))}; give the phase a new head."
                )
        return self

    @property
    def dataset(self) -> DataSet:
        """The data set's row."""
        return self.data.dataset

    @property
    def class_count(self) -> int:
        """Number of classes in the data set."""
        return len(self.dataset.classes)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the images."""
        return self.dataset.image_shape

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of what the network sees: the images, resized where they have to be."""
        height, width, channels = self.image_shape
        if self.input_side is not None:
            return (self.input_side, self.input_side, channels)
        smallest = self.backbone_row.smallest_input
        enough = height >= smallest[0] and width >= smallest[1]
        return self.image_shape if enough else (*smallest, channels)

    @property
    def pixel_scale(self) -> PixelScale:
        """What is done to pixel values before the network sees them."""
        return PIXEL_SCALES[self.pixels or self.backbone_row.pixels]

    @property
    def backbone_row(self) -> Backbone:
        """The backbone's row."""
        return BACKBONES[self.backbone]

    @cached_property
    def networks(self) -> tuple[Network, ...]:
        """The network of every phase, frozen as the phase says."""
        return networks(self)

    def classes_of(self, phase: Phase) -> tuple[int, ...]:
        """Return the class indices that the phase trains on."""
        return self.split.source if phase.train_on == "source" else self.split.target

    def output_classes(self, index: int) -> tuple[int | None, ...]:
        """Return, for every output of the phase's network, the class it stands for (None: for no class here).

        With outputs for the whole data set, output i is class i; otherwise output i is the phase's i-th class.
        """
        outputs = self.networks[index].outputs
        if self._head_of(index) == "data set":
            return tuple(range(outputs))
        classes: tuple[int | None, ...] = self.classes_of(self.phases[index])
        return classes + (None,) * (outputs - len(classes))

    def _head_of(self, index: int) -> str:
        heads = [phase.head for phase in self.phases[: index + 1] if phase.head is not None]
        return heads[-1].outputs if heads else "classes"

    def to_json(self) -> str:
        """Return JSON that `parse_json` reads back into an equal experiment."""
        return self.model_dump_json(indent=2)
