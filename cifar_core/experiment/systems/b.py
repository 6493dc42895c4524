"""Published system B: a CNN learns seven classes, then a new output layer the other three."""

from cifar_core.experiment.experiment import ClassSplit, Experiment, Freeze, Head, Phase, Validation
from cifar_core.experiment.recipe import CIFAR10, Published, Recipe

_SCORES = "precision and recall at a probability of .5 (as Keras counts them), macro F1 of the most probable class"

SYSTEM_B = (
    Recipe(
        id="b",
        title="B, two stages",
        summary="A CNN learns seven classes; then all but a new output layer is frozen for the other three.",
        source="Transfer Learning with CIFAR-10, a two-stage approach: README",
        experiment=Experiment(
            data=CIFAR10,
            split=ClassSplit(source=(0, 1, 2, 3, 4, 5, 6), target=(7, 8, 9)),
            backbone="conv-dense",
            validation=Validation(on="test"),
            phases=(
                Phase(name="stage 1", train_on="source", epochs=10, batch_size=64, optimizer="adam"),
                Phase(
                    name="stage 2",
                    train_on="target",
                    freeze=Freeze(rule="all_but_last_layers", count=1),
                    head=Head(),
                    epochs=10,
                    batch_size=64,
                    optimizer="adam",
                ),
            ),
        ),
        published={
            0: Published(val_accuracy=0.7310, precision=0.7756, recall=0.6806, f1=0.7217, scores=_SCORES),
            1: Published(val_accuracy=0.8383, precision=0.8688, recall=0.7943, f1=0.8374, scores=_SCORES),
        },
        contradictions=(
            "The F1 scores do not follow from the precision and recall beside them, whose harmonic means are .7250 and "
            ".8299. On balanced classes macro recall equals accuracy, so these fit a threshold of .5, and the F1 "
            "scores fit the most probable class; this is inferred, not stated.",
        ),
        decisions=(
            "The sizes of the layers are not published: those of TensorFlow's CNN tutorial for CIFAR-10 (32, 64, 64 "
            "filters of 3×3, 64 units).",
            "Which layers stage 2 freezes is not published: all of stage 1 but its output layer, which is new.",
            "Optimizer, learning rate, batch size and epochs are not published: Adam, 0.001, 64 and 10 in each stage.",
        ),
    ),
)
