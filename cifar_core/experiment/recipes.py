"""The recipe table: the published systems as named experiments."""

from cifar_core.experiment.experiment import Experiment, InitialWeights
from cifar_core.experiment.recipe import Published, Recipe
from cifar_core.experiment.record import ExperimentError, choice
from cifar_core.experiment.systems.a import SYSTEM_A
from cifar_core.experiment.systems.b import SYSTEM_B
from cifar_core.experiment.systems.c import SYSTEM_C
from cifar_core.experiment.systems.d import SYSTEM_D
from cifar_core.experiment.systems.e import SYSTEM_E

__all__ = ["RECIPES", "Published", "Recipe", "reaches", "recipe", "recipe_of", "with_random_weights"]

RECIPES: dict[str, Recipe] = {recipe.id: recipe for recipe in (*SYSTEM_A, *SYSTEM_B, *SYSTEM_C, *SYSTEM_D, *SYSTEM_E)}


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
    """Return the recipe that an experiment follows, whatever its images and however features are kept, or None.

    From random weights instead of ImageNet's it follows the recipe too; what it measures is not comparable then.
    """
    for candidate in RECIPES.values():
        other = {"data": candidate.experiment.data, "features": candidate.experiment.features}
        same = experiment.model_copy(update=other)
        if same in (candidate.experiment, with_random_weights(candidate.experiment)):
            return candidate
    return None


def reaches(experiment: Experiment, target: Recipe, phase: int) -> bool:
    """Return whether an experiment does, up to a phase, what a recipe does up to it, on all of its own images.

    Without stored features it does the same as with them; with such in half the size, which rounds them, it does not.
    """
    data = experiment.data.model_copy(update={"location": target.experiment.data.location})
    features = "full" if experiment.features == "off" else experiment.features
    alike = {"data": data, "features": features, "phases": target.experiment.phases}
    return (
        data == target.experiment.data
        and experiment.phases[: phase + 1] == target.experiment.phases[: phase + 1]
        and experiment.model_copy(update=alike) == target.experiment
    )


def with_random_weights(experiment: Experiment) -> Experiment:
    """Return the experiment without the weights learned elsewhere: for computers that cannot have them."""
    return experiment.model_copy(update={"initial_weights": InitialWeights()})
