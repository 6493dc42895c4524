"""Published system C: all ten classes, a CNN with batch normalization, a family of backbones, and two-step tuning."""

from typing import Any

from cifar_core.experiment.augmentation import Crop, Flip
from cifar_core.experiment.experiment import (
    ClassSplit,
    Experiment,
    Freeze,
    Head,
    InitialWeights,
    Phase,
    Validation,
)
from cifar_core.experiment.layers import Flatten
from cifar_core.experiment.recipe import CIFAR10, Published, Recipe
from cifar_core.experiment.schedules import Milestone, Steps

_SOURCE = "Image classification project report on CIFAR-10"
_COMPARISON = f"{_SOURCE}; computed on an Apple M1 (16 GB) with TensorFlow 2.16.1 and Keras 3.3.3"
_TEN = tuple(range(10))
_AUGMENTATION = (Flip(), Crop(padding=4))
_FROZEN_BASE = Freeze(rule="all_but_last_layers", count=2)
_BATCH = "The batch size is not published here: 32, as in C1 and C3."
_VALIDATED = "What the curves were validated on is not published: the test images, as in C3."
_WHICH_AUGMENTATION = "Which augmentation is not published: mirroring, and shifts by up to 4 pixels."
_FROZEN_HERE = (
    "Whether the base is frozen is not published: frozen, with ImageNet's weights; the report calls it pre-trained."
)
_PIXELS = "How its pixels are scaled is not published: divided by 255, as the report says of its own CNN."


def _experiment(backbone: str, *phases: Phase, **settings: Any) -> Experiment:
    return Experiment(
        data=CIFAR10,
        split=ClassSplit(source=_TEN, target=_TEN),
        backbone=backbone,
        **{"validation": Validation(on="test"), **settings},
        phases=phases,
    )


def _training(epochs: int, *milestones: tuple[int, float], **settings: Any) -> Phase:
    steps = tuple(Milestone(after_epochs=after, factor=factor) for after, factor in milestones)
    schedule = {"schedule": Steps(milestones=steps)} if steps else {}
    return Phase(
        **{
            "name": "training",
            "train_on": "source",
            "epochs": epochs,
            "batch_size": 32,
            "optimizer": "adam",
            **schedule,
            **settings,
        }
    )


_IMAGENET = InitialWeights(source="imagenet")
_C3_FIRST = _training(
    10, name="feature extraction", freeze=_FROZEN_BASE, head=Head(from_layer="pool", layers=(Flatten(name="flatten"),))
)
_C3_SECOND = _training(10, name="fine-tuning", freeze=Freeze(rule="all_but_last_layers", count=6), learning_rate=1e-4)

SYSTEM_C = (
    Recipe(
        id="c1",
        title="C1, BatchNorm CNN",
        summary="Three convolutions with batch normalization learn all ten classes from scratch.",
        source=_SOURCE,
        experiment=_experiment(
            "bn-conv", _training(10), validation=Validation(on="train share", share=0.2, drawn="last")
        ),
        published={
            0: Published(
                test_accuracy=0.7449,
                loss=0.4421,
                val_loss=1.0566,
                precision=0.7495,
                recall=0.7449,
                f1=0.7447,
                also=Published(
                    test_accuracy=0.7494,
                    loss=0.478351,
                    val_loss=0.87868,
                    precision=0.752366,
                    recall=0.7494,
                    f1=0.744412,
                ),
            )
        },
        contradictions=(
            "A second table of the same report gives a training loss of .478351, a validation loss of .87868, a test "
            "accuracy of .7494 and macro precision, recall and F1 of .752366, .7494 and .744412.",
        ),
        decisions=(
            "Kernel sizes and padding are not published: 3×3 without padding, Keras's usual.",
            "The learning rate is not published: 0.001, Keras's usual for Adam.",
        ),
    ),
    Recipe(
        id="c2a",
        title="C2a, ResNet18",
        summary="ResNet18 learns all ten classes; the learning rate drops to a fifth after 28 of 50 epochs.",
        source=_COMPARISON,
        experiment=_experiment("resnet18", _training(50, (28, 0.2))),
        published={
            0: Published(
                val_accuracy=0.7869,
                val_loss=0.6208,
                precision=0.79,
                recall=0.79,
                f1=0.78,
                time="24:13, 31.63 s an epoch, Apple M1",
            )
        },
        contradictions=("31.63 s an epoch for 50 epochs are 26:22, not 24:13.",),
        decisions=(
            "Optimizer and initial weights are not published: Adam, and random weights (Keras has none for ResNet18).",
            "Which ResNet18 is not published: version 1 with ImageNet's stem, on images of 32×32 pixels.",
            _BATCH,
            _VALIDATED,
        ),
    ),
    Recipe(
        id="c2b",
        title="C2b, VGG16",
        summary="A new output layer on VGG16, frozen as learned on ImageNet, learns all ten classes.",
        source=_COMPARISON,
        experiment=_experiment(
            "vgg16",
            _training(50, augmentation=_AUGMENTATION, freeze=_FROZEN_BASE),
            initial_weights=_IMAGENET,
            pixels="0 to 1",
        ),
        published={
            0: Published(
                val_accuracy=0.6222,
                precision=0.62,
                recall=0.62,
                f1=0.62,
                time="21:40, 40 s an epoch, Apple M1",
                also=Published(val_accuracy=0.6228),
            )
        },
        contradictions=(
            "A table of the same report gives the accuracy .6228.",
            "40 s an epoch for 50 epochs are 33:20, not 21:40.",
        ),
        decisions=(_FROZEN_HERE, _PIXELS, _WHICH_AUGMENTATION, _BATCH, _VALIDATED),
    ),
    Recipe(
        id="c2c",
        title="C2c, MobileNet",
        summary="A new output layer on MobileNet, frozen as learned on ImageNet, learns all ten classes.",
        source=_COMPARISON,
        experiment=_experiment(
            "mobilenet",
            _training(50, (30, 0.2), (40, 0.04), augmentation=_AUGMENTATION, freeze=_FROZEN_BASE),
            initial_weights=_IMAGENET,
            pixels="0 to 1",
        ),
        published={
            0: Published(
                val_accuracy=0.2377, precision=0.25, recall=0.24, f1=0.22, time="35:16, 42.32 s an epoch, Apple M1"
            )
        },
        decisions=(
            "When the learning rate drops from 0.0002 to 0.00004 is not published: after 40 epochs.",
            _FROZEN_HERE,
            _PIXELS,
            _WHICH_AUGMENTATION,
            _BATCH,
            _VALIDATED,
        ),
    ),
    Recipe(
        id="c2d",
        title="C2d, custom CNN",
        summary="Three convolutions and two dense layers learn all ten classes in 100 epochs.",
        source=_COMPARISON,
        experiment=_experiment("bn-conv-dense", _training(100, (20, 0.1), (40, 0.01), (60, 0.001), (80, 0.0001))),
        published={
            0: Published(
                val_accuracy=0.7892,
                precision=0.79,
                recall=0.80,
                f1=0.79,
                time="11:40, 1:44 an epoch, Apple M1",
                also=Published(val_accuracy=0.7873, precision=0.79, recall=0.79, f1=0.78),
            )
        },
        contradictions=(
            "A table of the same report gives the accuracy .7873, and .79, .79 and .78 for precision, recall and F1.",
            "1:44 an epoch for 100 epochs are nearly three hours, not 11:40.",
        ),
        decisions=(
            "Sizes, and where batch normalization and dropout stand, are not published: 32, 64 and 128 filters of 3×3, "
            "each normalized; 256 and 128 units; dropout of .25 behind each pooling, .5 behind the first dense layer.",
            _BATCH,
            _VALIDATED,
        ),
    ),
    Recipe(
        id="c2e",
        title="C2e, InceptionV3, all of it",
        summary="All of InceptionV3 learns all ten classes on images of 75×75 pixels: given up after 48 hours.",
        source=_COMPARISON,
        experiment=_experiment("inception-v3", _training(10), initial_weights=_IMAGENET, input_side=75),
        published={0: Published(time="given up: over 48 h for 10 epochs, Apple M1")},
        decisions=(
            "Whether the base was frozen is not published; here everything trains. The other half is C2e with the base "
            "frozen.",
            "Optimizer and rate are not published: Adam, 0.001.",
            _BATCH,
            _VALIDATED,
        ),
    ),
    Recipe(
        id="c2e-frozen",
        title="C2e, InceptionV3, base frozen",
        summary="A new output layer on InceptionV3, frozen as learned on ImageNet, at 75×75 pixels.",
        source=_COMPARISON,
        experiment=_experiment(
            "inception-v3", _training(10, freeze=_FROZEN_BASE), initial_weights=_IMAGENET, input_side=75
        ),
        published={0: Published(time="given up: over 48 h for 10 epochs, Apple M1")},
        decisions=(
            "Whether the base was frozen is not published; here it is.",
            "Optimizer and rate are not published: Adam, 0.001.",
            _BATCH,
            _VALIDATED,
        ),
    ),
    Recipe(
        id="c3",
        title="C3, feature extraction, then fine-tuning",
        summary="An output layer on VGG16 as learned on ImageNet; then the last four layers of the base train too.",
        source=_SOURCE,
        experiment=_experiment("vgg16", _C3_FIRST, _C3_SECOND, initial_weights=_IMAGENET, pixels="0 to 1"),
        published={
            0: Published(
                val_accuracy=0.5867,
                val_loss=1.1979,
                accuracy=0.6049,
                loss=1.1457,
                precision=0.5871,
                recall=0.5867,
                f1=0.5847,
                time="473–773 images a second",
            ),
            1: Published(
                val_accuracy=0.7372,
                val_loss=0.8172,
                accuracy=0.9229,
                loss=0.2549,
                precision=0.7483,
                recall=0.7372,
                f1=0.7402,
                time="270–373 images a second",
            ),
        },
        decisions=(
            "The base is not named; VGG16 at 32×32 pixels fits the description.",
            "The learning rates are not published: 0.001, and then 0.0001 for what the report calls a lower rate.",
        ),
    ),
)
