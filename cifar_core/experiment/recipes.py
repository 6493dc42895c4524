"""The recipe table: named experiments, with what was published about them and what had to be decided."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cifar_core.experiment.experiment import ClassSplit, Data, Experiment, Freeze, Head, Phase, Validation
from cifar_core.experiment.layers import Dense
from cifar_core.experiment.record import ExperimentError, choice


@dataclass(frozen=True)
class Published:
    """What a publication reports of one phase. Accuracies are shares of 1; `time` is as printed."""

    val_accuracy: float | None = None
    val_loss: float | None = None
    accuracy: float | None = None
    loss: float | None = None
    first_val_accuracy: float | None = None
    time: str = ""


@dataclass(frozen=True)
class Recipe:
    """An experiment with a name; `published` maps the index of a phase to what was reported of it.

    `contradictions` are places where a publication contradicts itself or its code's own printout; `decisions` are
    what it leaves open and how it was fixed here, before anything was measured.
    """

    id: str
    title: str
    summary: str
    source: str
    experiment: Experiment
    published: Mapping[int, Published] = field(default_factory=dict)
    contradictions: tuple[str, ...] = ()
    decisions: tuple[str, ...] = ()


_CIFAR = Data(name="cifar10")

# --- System A

_A_SOURCE = "CIFAR-10 dataset and fine-tuning (onlinEngineer): README and notebook"
_A_INITIAL = Phase(name="initial", train_on="source", epochs=10, batch_size=64, optimizer="rmsprop", learning_rate=1e-3)
_A_FT1 = Phase(
    name="fine-tune 1",
    train_on="target",
    freeze=Freeze(rule="all_but_last_layers", count=1),
    epochs=10,
    batch_size=64,
    optimizer="rmsprop",
    learning_rate=1e-3,
)
_A_FT2 = _A_FT1.model_copy(update={"name": "fine-tune 2", "freeze": Freeze(rule="first_blocks", count=2)})
_A_PUBLISHED = {
    "initial": Published(
        val_accuracy=0.8614,
        val_loss=0.4941,
        accuracy=0.9198,
        loss=0.2308,
        first_val_accuracy=0.7332,
        time="2:34.6 printed by the code",
    ),
    "fine-tune 1": Published(
        val_accuracy=0.6146,
        val_loss=0.9731,
        accuracy=0.5720,
        loss=1.0492,
        first_val_accuracy=0.5574,
        time="37.8 s",
    ),
    "fine-tune 2": Published(
        val_accuracy=0.7826,
        val_loss=0.7666,
        accuracy=0.9030,
        loss=0.2800,
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
            data=_CIFAR,
            split=ClassSplit(source=(5, 6, 7, 8, 9), target=(0, 1, 2, 3, 4)),
            backbone="two-conv",
            validation=Validation(on="test"),
            phases=phases,
        ),
        published={index: _A_PUBLISHED[name] for index, name in enumerate(names) if comparable or name == "initial"},
        contradictions=tuple(sentence for name in names for sentence in _A_CONTRADICTIONS[name]),
        decisions=(_A_HEAD_KEPT,) if len(phases) > 1 else (),
    )


# --- System E

_E_SOURCE = "Transfer Learning on CIFAR10 dataset: README and results"
_E = Recipe(
    id="e",
    title="E, two stages",
    summary="Three convolutions learn classes 0–4; then they are frozen under a new head for classes 5–9.",
    source=_E_SOURCE,
    experiment=Experiment(
        data=_CIFAR,
        split=ClassSplit(source=(0, 1, 2, 3, 4), target=(5, 6, 7, 8, 9)),
        backbone="three-conv",
        validation=Validation(on="train share", share=0.2),
        phases=(
            Phase(name="stage 1", train_on="source", epochs=10, batch_size=32, optimizer="adam", learning_rate=1e-3),
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
        "Which 20 % of the training images validate is not published: a seeded share of each class.",
    ),
)

RECIPES: dict[str, Recipe] = {
    recipe.id: recipe
    for recipe in (
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
        _E,
    )
}


def recipe(identifier: str) -> Recipe:
    """Return a recipe by its id.

    Raises:
        ExperimentError: when there is none, naming those that there are.
    """
    if identifier not in RECIPES:
        message = choice("recipe", identifier, RECIPES)
        raise ExperimentError(message[0].upper() + message[1:])
    return RECIPES[identifier]


def recipe_of(experiment: Experiment) -> Recipe | None:
    """Return the recipe that an experiment follows, whatever its images, or None."""
    for candidate in RECIPES.values():
        if experiment.model_copy(update={"data": candidate.experiment.data}) == candidate.experiment:
            return candidate
    return None


def reaches(experiment: Experiment, target: Recipe, phase: int) -> bool:
    """Return whether an experiment does, up to a phase, what a recipe does up to it, on all of its own images."""
    data = experiment.data.model_copy(update={"location": target.experiment.data.location})
    return (
        data == target.experiment.data
        and experiment.phases[: phase + 1] == target.experiment.phases[: phase + 1]
        and experiment.model_copy(update={"data": data, "phases": target.experiment.phases}) == target.experiment
    )
