import pytest

from cifar_core.experiment.experiment import Data, Experiment
from cifar_core.experiment.recipes import RECIPES, reaches, recipe, recipe_of
from cifar_core.experiment.record import ExperimentError
from cifar_core.experiment.settings import apply

A = ("a-initial", "a-ft1", "a-ft2", "a-ft2-direct")


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_valid_and_explains_itself(name: str) -> None:
    row = RECIPES[name]
    assert row.id == name
    assert all((row.title, row.summary, row.source))
    assert Experiment.parse_json(row.experiment.to_json()) == row.experiment
    assert row.published
    assert set(row.published) <= set(range(len(row.experiment.phases)))


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_recognized_whatever_its_images(name: str) -> None:
    assert recipe_of(RECIPES[name].experiment) is RECIPES[name]
    assert recipe_of(apply(RECIPES[name].experiment, ["data.name=sample", "data.per_class=20"])) is RECIPES[name]


@pytest.mark.parametrize("changed", ["phases.0.epochs=9", "validation.share=0.3", "split.source=0,1,2,3,5"])
def test_an_experiment_that_differs_in_more_than_its_images_follows_no_recipe(changed: str) -> None:
    assert recipe_of(apply(RECIPES["e"].experiment, [changed])) is None


@pytest.mark.parametrize(
    ("data", "comparable"),
    [
        (Data(name="cifar10"), True),
        (Data(name="cifar10", location="elsewhere"), True),
        (Data(name="cifar10", per_class=5000), False),
        (Data(name="sample"), False),
    ],
)
def test_published_figures_stand_only_beside_all_images_of_their_data_set(data: Data, comparable: bool) -> None:
    experiment = Experiment.parse({**RECIPES["a-ft1"].experiment.model_dump(), "data": data})
    assert reaches(experiment, RECIPES["a-ft1"], 1) == comparable


def test_an_experiment_of_ones_own_is_compared_with_no_publication() -> None:
    assert not reaches(apply(RECIPES["e"].experiment, ["phases.0.epochs=9"]), RECIPES["e"], 0)


def test_a_longer_recipe_reaches_the_shorter_ones_it_begins_with_and_no_other() -> None:
    longest = RECIPES["a-ft2"].experiment
    assert reaches(longest, RECIPES["a-initial"], 0)
    assert reaches(longest, RECIPES["a-ft1"], 1)
    assert not reaches(RECIPES["a-ft2-direct"].experiment, RECIPES["a-ft1"], 1)


def test_an_unknown_recipe_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ExperimentError, match=r'There is no recipe "a-ft3".* Did you mean "a-ft'):
        recipe("a-ft3")


def test_a_recipe_is_found_by_its_id() -> None:
    assert recipe("e") is RECIPES["e"]


@pytest.mark.parametrize("name", A)
def test_system_a_goes_from_the_last_five_classes_to_the_first_as_its_code_does(name: str) -> None:
    experiment = RECIPES[name].experiment
    assert (experiment.split.source, experiment.split.target) == ((5, 6, 7, 8, 9), (0, 1, 2, 3, 4))
    assert experiment.validation.on == "test"
    assert all(phase.head is None for phase in experiment.phases)
    assert {(phase.optimizer, phase.batch_size, phase.epochs) for phase in experiment.phases} == {("rmsprop", 64, 10)}


def test_fine_tuning_2_follows_fine_tuning_1_unless_it_is_called_direct() -> None:
    assert [phase.name for phase in RECIPES["a-ft2"].experiment.phases] == ["initial", "fine-tune 1", "fine-tune 2"]
    assert [phase.name for phase in RECIPES["a-ft2-direct"].experiment.phases] == ["initial", "fine-tune 2"]


def test_fine_tuning_2_directly_was_never_published() -> None:
    assert set(RECIPES["a-ft2-direct"].published) == {0}


def test_the_published_accuracies_are_those_of_the_publications() -> None:
    accuracies = {name: [row.val_accuracy for row in RECIPES[name].published.values()] for name in ("a-ft2", "e")}
    assert accuracies == {"a-ft2": [0.8614, 0.6146, 0.7826], "e": [0.6903, 0.7606]}
