import pytest
from hypothesis import given

from cifar_core.experiment.experiment import ClassSplit, Data, Experiment, Head, Phase
from cifar_core.experiment.recipes import RECIPES
from tests.experiment.makers import plain, refusal, with_phase
from tests.experiment.strategies import experiments


@given(experiments())
def test_an_experiment_comes_back_equal_from_its_json(experiment: Experiment) -> None:
    assert Experiment.parse_json(experiment.to_json()) == experiment


@given(experiments())
def test_every_class_of_a_phase_has_exactly_one_output(experiment: Experiment) -> None:
    for index, phase in enumerate(experiment.phases):
        outputs = experiment.output_classes(index)
        assert len(outputs) == experiment.networks[index].outputs
        assert all(outputs.count(wanted) == 1 for wanted in experiment.classes_of(phase))


def test_an_experiment_that_was_saved_before_features_were_a_choice_keeps_them_in_full() -> None:
    saved = RECIPES["d1"].experiment.model_dump(mode="json")
    del saved["features"]
    assert Experiment.parse(saved) == RECIPES["d1"].experiment


def test_an_experiment_cannot_be_changed() -> None:
    experiment = Experiment.parse(plain())
    with pytest.raises(ValueError, match="frozen"):
        experiment.backbone = "three-conv"  # type: ignore[misc]


def test_sides_may_overlap_and_keep_the_order_of_their_classes() -> None:
    split = ClassSplit.parse({"source": [9, 0, 3], "target": [3, 9]})
    assert (split.source, split.target) == ((9, 0, 3), (3, 9))


def test_a_side_needs_two_classes() -> None:
    assert refusal(plain(split={"source": [1]})) == "split.source: expected at least 2 items, received [1]."


def test_a_class_stands_once_on_a_side() -> None:
    assert "split.target: each class may stand once on a side, received [1, 1]" in refusal(
        plain(split={"target": [1, 1]})
    )


@pytest.mark.parametrize("wrong", [-1, 10, 10**400])
def test_a_class_that_the_data_set_does_not_have_is_refused_with_those_it_has(wrong: int) -> None:
    message = refusal(plain(data={"name": "cifar10"}, split={"source": [0, wrong]}))
    assert message.startswith(f"split.source: received the class {str(wrong)[:70]}")
    assert "CIFAR-10 has the classes 0 to 9 (airplane, automobile" in message


def test_phases_need_names_of_their_own() -> None:
    message = refusal(plain(phases=[{"name": "a", "train_on": "source"}, {"name": "a", "train_on": "target"}]))
    assert message == "phases: each phase needs a name of its own, received ['a', 'a']."


@pytest.mark.parametrize(("count", "said"), [(0, "at least 1 item"), (13, "at most 12 items")])
def test_there_are_one_to_twelve_phases(count: int, said: str) -> None:
    phases = [{"name": str(number), "train_on": "source"} for number in range(count)]
    assert f"phases: expected {said}" in refusal(plain(phases=phases))


def test_a_kept_head_must_have_room_for_the_classes() -> None:
    phases = [{"name": "a", "train_on": "source"}, {"name": "b", "train_on": "target"}]
    message = refusal(plain(split={"source": [0, 1], "target": [2, 3, 4]}, phases=phases))
    assert message == (
        "phases.1.head: the kept output layer tells 2 classes apart, but target has 3; give the phase a new head."
    )


def test_a_kept_head_may_have_outputs_to_spare() -> None:
    experiment = Experiment(
        split=ClassSplit(source=(4, 5, 6), target=(8, 7)),
        phases=(Phase(name="a", train_on="source"), Phase(name="b", train_on="target")),
    )
    assert experiment.output_classes(0) == (4, 5, 6)
    assert experiment.output_classes(1) == (8, 7, None)


def test_a_head_for_the_data_set_keeps_labels_as_they_are() -> None:
    experiment = Experiment.parse(with_phase(head={"outputs": "data set"}))
    assert experiment.output_classes(0) == tuple(range(10))


def test_a_head_for_the_data_set_stays_one_while_it_is_kept() -> None:
    experiment = Experiment(
        phases=(
            Phase(name="a", train_on="source", head=Head(outputs="data set")),
            Phase(name="b", train_on="target"),
        )
    )
    assert experiment.output_classes(1) == tuple(range(10))


def test_an_experiment_knows_its_rows() -> None:
    experiment = Experiment(
        data=Data(name="cifar10"), backbone="three-conv", phases=(Phase(name="a", train_on="target"),)
    )
    assert (experiment.dataset.title, experiment.class_count) == ("CIFAR-10", 10)
    assert (experiment.backbone_row.title, experiment.image_shape) == ("Three-conv CNN", (32, 32, 3))
    assert experiment.classes_of(experiment.phases[0]) == (5, 6, 7, 8, 9)
