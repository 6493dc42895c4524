import pytest

from cifar_core.experiment.experiment import Data, Experiment
from cifar_core.experiment.recipes import RECIPES, Published, reaches, recipe, recipe_of, with_random_weights
from cifar_core.experiment.record import ExperimentError
from cifar_core.experiment.settings import SMOKE_PER_CLASS, apply, smoke
from cifar_core.experiment.wording import run_name

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


@pytest.mark.parametrize(("features", "comparable"), [("full", True), ("off", True), ("half", False)])
def test_features_in_half_the_size_follow_a_recipe_but_are_not_compared_with_its_publication(
    features: str, comparable: bool
) -> None:
    experiment = apply(RECIPES["a-ft1"].experiment, [f"features={features}"])
    assert recipe_of(experiment) is RECIPES["a-ft1"]
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


@pytest.mark.parametrize(
    ("name", "accuracies"),
    [
        ("a-ft2", [0.8614, 0.6146, 0.7826]),
        ("b", [0.7310, 0.8383]),
        ("c1", [0.7449]),
        ("c2a", [0.7869]),
        ("c2b", [0.6222]),
        ("c2c", [0.2377]),
        ("c2d", [0.7892]),
        ("c2e", [None]),
        ("c2e-frozen", [None]),
        ("c3", [0.5867, 0.7372]),
        ("d-small", [0.7834]),
        ("d1", [0.9346]),
        ("d2", [0.9372]),
        ("e", [0.6903, 0.7606]),
    ],
)
def test_the_published_accuracies_are_those_of_the_publications(name: str, accuracies: list[float | None]) -> None:
    rows = RECIPES[name].published.values()
    assert [row.test_accuracy if row.val_accuracy is None else row.val_accuracy for row in rows] == accuracies


def test_what_else_was_published_in_numbers_is_that_of_the_publications() -> None:
    rows = {name: list(recipe.published.values()) for name, recipe in RECIPES.items()}
    assert [row.first_loss for row in rows["a-ft2"]] == [0.9643, 2.9138, 0.8779]
    assert [row.first_val_accuracy for row in rows["a-ft2"]] == [0.7332, 0.5574, 0.7292]
    assert [row.best_val_accuracy for name in ("d1", "d2") for row in rows[name]] == [0.9404, 0.9412]
    classes = ("dog", "frog", "horse", "ship", "truck")
    for name, scores in {"d1": (0.90, 0.95, 0.92, 0.95, 0.95), "d2": (0.90, 0.95, 0.92, 0.96, 0.96)}.items():
        assert rows[name][0].f1_by_class == dict(zip(classes, scores, strict=True))
        experiment = RECIPES[name].experiment
        assert classes == tuple(experiment.dataset.classes[index] for index in experiment.split.target)


def test_the_machine_of_published_times_is_named() -> None:
    compared = [recipe for name, recipe in RECIPES.items() if name.startswith("c2")]
    assert all("Apple M1 (16 GB) with TensorFlow 2.16.1 and Keras 3.3.3" in recipe.source for recipe in compared)


def test_what_a_second_place_of_a_publication_gives_stands_beside_the_first() -> None:
    second = {name: recipe.published[0].also for name, recipe in RECIPES.items() if recipe.published[0].also}
    assert second == {
        "c1": Published(
            test_accuracy=0.7494, loss=0.478351, val_loss=0.87868, precision=0.752366, recall=0.7494, f1=0.744412
        ),
        "c2b": Published(val_accuracy=0.6228),
        "c2d": Published(val_accuracy=0.7873, precision=0.79, recall=0.79, f1=0.78),
    }
    also = RECIPES["a-ft1"].published[1].also
    assert also is not None
    assert (also.accuracy, also.val_accuracy) == (0.9196, 0.8762)


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("a-ft2", [(949_029, 949_029), (645, 949_029), (938_885, 949_029)]),
        ("a-ft2-direct", [(949_029, 949_029), (938_885, 949_029)]),
        ("b", [(122_375, 122_375), (195, 122_115)]),
        ("c1", [(1_147_914, 1_148_362)]),
        ("c2a", [(11_181_642, 11_191_242)]),
        ("c2b", [(5_130, 14_719_818)]),
        ("c2c", [(10_250, 3_239_114)]),
        ("c2d", [(652_426, 652_874)]),
        ("c2e", [(21_788_842, 21_823_274)]),
        ("c2e-frozen", [(20_490, 21_823_274)]),
        ("c3", [(5_130, 14_719_818), (7_084_554, 14_719_818)]),
        ("d-small", [(122_245, 122_245)]),
        ("d1", [(262_917, 22_065_701)]),
        ("d2", [(263_109, 22_065_701)]),
        ("e", [(119_581, 119_581), (103_818, 120_226)]),
    ],
)
def test_every_phase_trains_as_many_parameters_as_published_or_decided(
    name: str, counts: list[tuple[int, int]]
) -> None:
    assert [(network.trainable, network.total) for network in RECIPES[name].experiment.networks] == counts


def test_a_recipe_from_random_weights_is_the_recipe_under_another_label_and_comparable_with_nothing() -> None:
    random = with_random_weights(RECIPES["d1"].experiment)
    assert recipe_of(random) is RECIPES["d1"]
    assert run_name(random, 3) == "D, strategy 1 · from random weights · seed 3"
    assert not reaches(random, RECIPES["d1"], 0)


@pytest.mark.parametrize("name", RECIPES)
def test_the_smoke_size_of_every_recipe_is_one_epoch_of_few_images(name: str) -> None:
    small = smoke(RECIPES[name].experiment)
    assert {phase.epochs for phase in small.phases} == {1}
    assert small.data.per_class == SMOKE_PER_CLASS
    assert [phase.name for phase in small.phases] == [phase.name for phase in RECIPES[name].experiment.phases]
