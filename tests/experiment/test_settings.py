from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.recipes import RECIPES
from cifar_core.experiment.record import ExperimentError
from cifar_core.experiment.settings import apply, differences, with_epochs
from tests.experiment.strategies import experiments, json_values

BASE = RECIPES["e"].experiment


@given(experiments(), experiments())
def test_differences_applied_to_the_base_give_the_other(base: Experiment, other: Experiment) -> None:
    assert apply(base, differences(base, other)) == other


@given(experiments())
def test_an_experiment_differs_from_itself_in_nothing(experiment: Experiment) -> None:
    assert differences(experiment, experiment) == []


@pytest.mark.parametrize("name", ["1", "1,2", "null", " a ", '"', "a=b", "[", "NaN", "true"])
def test_text_that_looks_like_a_value_stays_text(name: str) -> None:
    other = BASE.model_copy(update={"phases": (BASE.phases[0].model_copy(update={"name": name}), BASE.phases[1])})
    assert apply(BASE, differences(BASE, other)).phases[0].name == name


def test_differences_are_short() -> None:
    other = apply(BASE, ["phases.1.epochs=3", "split.source=0,1"])
    assert differences(BASE, other) == ["split.source=[0,1]", "phases.1.epochs=3"]


@pytest.mark.parametrize(
    ("assignment", "path", "expected"),
    [
        ("phases.1.epochs=3", ("phases", 1, "epochs"), 3),
        ("split.source=0,1,2", ("split", "source"), (0, 1, 2)),
        ("split.source=[0, 1]", ("split", "source"), (0, 1)),
        (" phases.0.name =first, second", ("phases", 0, "name"), "first, second"),
        ("data.per_class=null", ("data", "per_class"), None),
        ("phases.1.head.layers.0.units=64", ("phases", 1, "head", "layers", 0, "units"), 64),
        ("phases.0.head.outputs=data set", ("phases", 0, "head", "outputs"), "data set"),
        ('phases.0.freeze={"rule": "first_layers", "count": 2}', ("phases", 0, "freeze", "count"), 2),
    ],
)
def test_a_field_is_set_by_its_path(assignment: str, path: tuple[Any, ...], expected: object) -> None:
    found: Any = apply(BASE, [assignment])
    for part in path:
        found = found[part] if isinstance(part, int) else getattr(found, part)
    assert found == expected


def test_assignments_are_made_one_after_the_other_and_judged_together() -> None:
    changed = apply(
        BASE, ["phases.1.freeze.rule=all_but_block", "phases.1.freeze.count=0", "phases.1.freeze.block=conv_2"]
    )
    assert changed.phases[1].freeze.block == "conv_2"


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("epochs", 'Expected field=value, such as phases.0.epochs=3; received "epochs".'),
        ("=3", 'Expected field=value, such as phases.0.epochs=3; received "=3".'),
        ("epochs=3", 'there is no field "epochs"'),
        ("phases.0.epoch=3", 'phases.0: there is no field "epoch".*Did you mean "epochs"'),
        ("phases.2.epochs=3", r"phases\.2\.epochs: expected a number from 0 to 1, received 2\."),
        ("phases.one.epochs=3", r"phases\.one\.epochs: expected a number from 0 to 1, received one\."),
        ("phases." + "9" * 5000 + ".epochs=3", "expected a number from 0 to 1"),
        ("phases.-1.epochs=3", "expected a number from 0 to 1, received -1"),
        ("phases.0.name.first=3", r"phases\.0\.name is a single value, so there is no field phases\.0\.name\.first"),
        ("phases.0.epochs=3.5", r"phases\.0\.epochs: expected a valid integer"),
        ("phases.0.epochs=" + "9" * 5000, r"phases\.0\.epochs: expected a valid integer"),
        ("phases.0.epochs=" + "[" * 100_000, r"phases\.0\.epochs: expected a valid integer"),
        ("phases.0.learning_rate=1e999", r"phases\.0\.learning_rate: expected a finite number"),
        ("phases.0.name=\udcff", r"phases\.0\.name: expected a valid string"),
    ],
)
def test_an_assignment_that_cannot_be_meant_is_refused(assignment: str, said: str) -> None:
    with pytest.raises(ExperimentError, match=said):
        apply(BASE, [assignment])


PATHS = st.lists(
    st.sampled_from(["phases", "0", "1", "2", "head", "layers", "freeze", "split", "source", "data", "name", "epochs"])
    | st.text(max_size=4),
    max_size=5,
).map(".".join)


@given(st.lists(st.tuples(PATHS, st.text(max_size=6) | json_values.map(str)).map("=".join), max_size=3))
def test_whatever_is_assigned_only_an_experiment_error_is_raised(assignments: list[str]) -> None:
    try:
        assert isinstance(apply(BASE, assignments), Experiment)
    except ExperimentError as error:
        assert str(error)


def test_epochs_are_set_in_every_phase() -> None:
    assert [phase.epochs for phase in with_epochs(BASE, 2).phases] == [2, 2]


def test_epochs_that_no_phase_can_have_are_refused() -> None:
    with pytest.raises(ExperimentError, match=r"epochs: expected greater than or equal to 1, received 0"):
        with_epochs(BASE, 0)
