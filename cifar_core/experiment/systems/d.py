"""Published system D: InceptionV3 as learned on ImageNet, a new head for five classes, two freeze depths."""

from cifar_core.experiment.experiment import ClassSplit, Experiment, Freeze, Head, InitialWeights, Phase, Validation
from cifar_core.experiment.layers import Dense, Dropout
from cifar_core.experiment.recipe import CIFAR10, Published, Recipe

_HEAD = Head(layers=(Dense(name="dense_1", units=128), Dropout(name="dropout_1", rate=0.5)))
_HEAD_LAYERS = 4
"""Pooling, dense, dropout, output: what lies behind the base."""

_SOURCE = "elifirinci/cifar-10: README and notebook"
_SPLIT = ClassSplit(source=(0, 1, 2, 3, 4), target=(5, 6, 7, 8, 9))
_TRAINING = Phase(name="training", train_on="source", epochs=10, batch_size=32, optimizer="rmsprop", learning_rate=1e-3)
_DISCARDED = (
    "InceptionV3 never sees the first five classes: the notebook trains a small CNN on them, and discards it. That is "
    "D, small CNN.",
)


def _strategy(identifier: str, title: str, summary: str, base_layers: int, published: Published, claim: str) -> Recipe:
    return Recipe(
        id=identifier,
        title=title,
        summary=summary,
        source=_SOURCE,
        experiment=Experiment(
            data=CIFAR10,
            split=_SPLIT,
            backbone="inception-v3",
            initial_weights=InitialWeights(source="imagenet"),
            input_side=150,
            validation=Validation(on="test"),
            phases=(
                _TRAINING.model_copy(
                    update={
                        "name": "fine-tuning",
                        "train_on": "target",
                        "freeze": Freeze(rule="all_but_last_layers", count=_HEAD_LAYERS + base_layers),
                        "head": _HEAD,
                    }
                ),
            ),
        ),
        published={0: published},
        contradictions=(
            claim,
            "The total that its code prints (22,328,620 and 22,328,812) includes the optimizer's variables; the "
            "network has 22,065,701 parameters.",
        ),
        decisions=_DISCARDED,
    )


def _f1(*scores: float) -> dict[str, float]:
    return dict(zip(("dog", "frog", "horse", "ship", "truck"), scores, strict=True))


SYSTEM_D = (
    Recipe(
        id="d-small",
        title="D, small CNN",
        summary="A CNN of three blocks learns the first five classes from scratch; nothing is transferred from it.",
        source=_SOURCE,
        experiment=Experiment(
            data=CIFAR10, split=_SPLIT, backbone="conv-dense", validation=Validation(on="test"), phases=(_TRAINING,)
        ),
        published={0: Published(val_accuracy=0.7834, time="25.1 s on a GPU")},
        decisions=(
            "The sizes of its three blocks are not published: those of B, TensorFlow's tutorial CNN for CIFAR-10.",
            "How it was trained is not published: like the strategies, 10 epochs of RMSprop at 0.001 in batches of 32.",
        ),
    ),
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
            f1_by_class=_f1(0.90, 0.95, 0.92, 0.95, 0.95),
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
            f1_by_class=_f1(0.90, 0.95, 0.92, 0.96, 0.96),
        ),
        "The text claims 94.5 % for this strategy; its code printed .9372 after the last epoch and .9412 at best. It "
        "says that all but the fully connected and output layers is frozen; its code also trains the last ten layers "
        "of the base, of which one batch normalization alone has parameters: 192.",
    ),
)
