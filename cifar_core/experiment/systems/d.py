"""Published system D: InceptionV3 as learned on ImageNet, a new head for five classes, two freeze depths."""

from cifar_core.experiment.experiment import ClassSplit, Experiment, Freeze, Head, InitialWeights, Phase, Validation
from cifar_core.experiment.layers import Dense, Dropout
from cifar_core.experiment.recipe import CIFAR10, Published, Recipe

_HEAD = Head(layers=(Dense(name="dense_1", units=128), Dropout(name="dropout_1", rate=0.5)))
_HEAD_LAYERS = 4
"""Pooling, dense, dropout, output: what lies behind the base."""

_DECISIONS = (
    "InceptionV3 never sees the first five classes. The notebook also trains a small CNN of three blocks on them "
    "(validation accuracy .7834, 25.1 s) and discards it; its sizes are not published, and it is left out here.",
)


def _strategy(identifier: str, title: str, summary: str, base_layers: int, published: Published, claim: str) -> Recipe:
    return Recipe(
        id=identifier,
        title=title,
        summary=summary,
        source="elifirinci/cifar-10: README and notebook",
        experiment=Experiment(
            data=CIFAR10,
            split=ClassSplit(source=(0, 1, 2, 3, 4), target=(5, 6, 7, 8, 9)),
            backbone="inception-v3",
            initial_weights=InitialWeights(source="imagenet"),
            input_side=150,
            validation=Validation(on="test"),
            phases=(
                Phase(
                    name="fine-tuning",
                    train_on="target",
                    freeze=Freeze(rule="all_but_last_layers", count=_HEAD_LAYERS + base_layers),
                    head=_HEAD,
                    epochs=10,
                    batch_size=32,
                    optimizer="rmsprop",
                    learning_rate=1e-3,
                ),
            ),
        ),
        published={0: published},
        contradictions=(
            claim,
            "The total that its code prints (22,328,620 and 22,328,812) includes the optimizer's variables; the "
            "network has 22,065,701 parameters.",
        ),
        decisions=_DECISIONS,
    )


SYSTEM_D = (
    _strategy(
        "d1",
        "D, strategy 1",
        "InceptionV3 stays as learned on ImageNet; a new head learns five classes at 150×150 pixels.",
        0,
        Published(
            val_accuracy=0.9346,
            best_val_accuracy=0.9404,
            accuracy=0.9473,
            time="24 s an epoch on a GPU, the first 60 s",
        ),
        "The text says that all but the output layer is frozen; its code trains the dense layer before it too.",
    ),
    _strategy(
        "d2",
        "D, strategy 2",
        "The last ten layers of InceptionV3 train too: 192 parameters more.",
        10,
        Published(
            val_accuracy=0.9372,
            best_val_accuracy=0.9412,
            accuracy=0.9418,
            time="24 s an epoch on a GPU, the first 56 s",
        ),
        "The text claims 94.5 % for this strategy; its code printed .9372 after the last epoch and .9412 at best. It "
        "says that all but the fully connected and output layers is frozen; its code also trains the last ten layers "
        "of the base, of which one batch normalization alone has parameters: 192.",
    ),
)
