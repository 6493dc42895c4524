"""Published system E: a three-conv CNN learns five classes, then a new head the other five."""

from cifar_core.experiment.experiment import ClassSplit, Experiment, Freeze, Head, Phase, Validation
from cifar_core.experiment.layers import Dense
from cifar_core.experiment.recipe import CIFAR10, Published, Recipe

_E_SOURCE = "Transfer Learning on CIFAR10 dataset: README and results"
SYSTEM_E = (
    Recipe(
        id="e",
        title="E, two stages",
        summary="Three convolutions learn classes 0–4; then they are frozen under a new head for classes 5–9.",
        source=_E_SOURCE,
        experiment=Experiment(
            data=CIFAR10,
            split=ClassSplit(source=(0, 1, 2, 3, 4), target=(5, 6, 7, 8, 9)),
            backbone="three-conv",
            validation=Validation(on="train share", share=0.2),
            phases=(
                Phase(
                    name="stage 1", train_on="source", epochs=10, batch_size=32, optimizer="adam", learning_rate=1e-3
                ),
                Phase(
                    name="stage 2",
                    train_on="target",
                    freeze=Freeze(rule="first_layers", count=6),
                    head=Head(from_layer="dense_1", layers=(Dense(name="dense_1", units=128),), outputs="data set"),
                    epochs=10,
                    batch_size=32,
                    optimizer="adam",
                    learning_rate=1e-3,
                ),
            ),
        ),
        published={
            0: Published(val_accuracy=0.6903, time="16:14 on a CPU"),
            1: Published(val_accuracy=0.7606, time="6:49 on a CPU"),
        },
        decisions=(
            "Optimizer, learning rate and batch size are not published: Adam, 0.001 and 32, Keras's usual ones.",
            "As in the original, the new output layer has ten units and labels stay as they are: 5–9. Five outputs are "
            "of no class that it sees.",
            "Which 20 % of the training images validate is not published: a seeded share of each class.",
        ),
    ),
)
