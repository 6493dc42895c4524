"""Published system A: a two-conv CNN, five classes and five, two ways to fine-tune."""

from cifar_core.experiment.experiment import ClassSplit, Experiment, Freeze, Phase, Validation
from cifar_core.experiment.recipe import CIFAR10, Published, Recipe

_A_SOURCE = "CIFAR-10 dataset and fine-tuning (onlinEngineer): README and notebook"
_A_INITIAL = Phase(name="initial", train_on="source", epochs=10, batch_size=64, optimizer="rmsprop", learning_rate=1e-3)
_A_FT1 = _A_INITIAL.model_copy(
    update={
        "name": "fine-tune 1",
        "train_on": "target",
        "freeze": Freeze(rule="all_but_last_layers", count=1),
    }
)
_A_FT2 = _A_FT1.model_copy(update={"name": "fine-tune 2", "freeze": Freeze(rule="first_blocks", count=2)})
_A_PUBLISHED = {
    "initial": Published(
        val_accuracy=0.8614,
        val_loss=0.4941,
        accuracy=0.9198,
        loss=0.2308,
        first_loss=0.9643,
        first_val_accuracy=0.7332,
        time="2:34.6 printed by the code",
    ),
    "fine-tune 1": Published(
        val_accuracy=0.6146,
        val_loss=0.9731,
        accuracy=0.5720,
        loss=1.0492,
        first_loss=2.9138,
        first_val_accuracy=0.5574,
        time="37.8 s",
        also=Published(val_accuracy=0.8762, val_loss=0.3806, accuracy=0.9196, loss=0.2329, first_loss=0.9894),
    ),
    "fine-tune 2": Published(
        val_accuracy=0.7826,
        val_loss=0.7666,
        accuracy=0.9030,
        loss=0.2800,
        first_loss=0.8779,
        first_val_accuracy=0.7292,
        time="53.3 s",
    ),
}
_A_SIDES = (
    "The text says that pretraining used classes 0–4 and fine-tuning 5–9; the notebook's code does the reverse. "
    "This recipe follows the code."
)
_A_CONTRADICTIONS = {
    "initial": (_A_SIDES, "The text gives the initial training over 9½ minutes; its code printed 2:34.6."),
    "fine-tune 1": ("The text gives fine-tuning 1 the accuracies .9196 and .8762 in one place, and .61 in another.",),
    "fine-tune 2": (
        "The text calls fine-tuning 2 about 8 times faster than the initial training; by the printed times it is "
        "2.9 times faster.",
    ),
}
_A_HEAD_KEPT = (
    "The output layer of the source classes is kept, as in the code; the optimizer starts anew in every phase."
)


def _system_a(identifier: str, title: str, summary: str, *phases: Phase, comparable: bool = True) -> Recipe:
    names = [phase.name for phase in phases]
    return Recipe(
        id=identifier,
        title=title,
        summary=summary,
        source=_A_SOURCE,
        experiment=Experiment(
            data=CIFAR10,
            split=ClassSplit(source=(5, 6, 7, 8, 9), target=(0, 1, 2, 3, 4)),
            backbone="two-conv",
            validation=Validation(on="test"),
            phases=phases,
        ),
        published={index: _A_PUBLISHED[name] for index, name in enumerate(names) if comparable or name == "initial"},
        contradictions=tuple(sentence for name in names for sentence in _A_CONTRADICTIONS[name]),
        decisions=(_A_HEAD_KEPT,) if len(phases) > 1 else (),
    )


SYSTEM_A = (
    _system_a("a-initial", "A, initial training", "A two-conv CNN learns classes 5–9 from scratch.", _A_INITIAL),
    _system_a(
        "a-ft1",
        "A, fine-tuning 1",
        "Then all but its output layer is frozen, and the output layer learns classes 0–4.",
        _A_INITIAL,
        _A_FT1,
    ),
    _system_a(
        "a-ft2",
        "A, fine-tuning 2 after 1",
        "Then only the convolutions are frozen, going on from fine-tuning 1, as the notebook's code does.",
        _A_INITIAL,
        _A_FT1,
        _A_FT2,
    ),
    _system_a(
        "a-ft2-direct",
        "A, fine-tuning 2 directly",
        "Fine-tuning 2 straight from the initial model: what the text describes, but not what its code ran.",
        _A_INITIAL,
        _A_FT2,
        comparable=False,
    ),
)
