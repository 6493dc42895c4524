"""What is said about experiments that cannot be meant: the field, what was received, what is allowed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cifar_core.experiment.experiment import Experiment, Head, Phase
from cifar_core.experiment.layers import Dense
from cifar_core.experiment.record import ExperimentError, choice, nearest, shown
from tests.experiment.makers import plain, refusal, with_layers, with_phase
from tests.experiment.strategies import json_values

DENSE = {"kind": "dense", "units": 4}

MISTAKES: dict[str, tuple[Any, ...]] = {
    "an unknown field": (plain(backbnoe="x"), 'there is no field "backbnoe"', 'Did you mean "backbone"?'),
    "an unknown field inside": (
        with_phase(epoch=3),
        'phases.0: there is no field "epoch"; there is: name, train_on,',
        'Did you mean "epochs"?',
    ),
    "an unknown field of a layer": (
        with_layers({**DENSE, "unit": 4}),
        'phases.0.head.layers.0: there is no field "unit"; there is: name, kind, units, activation, l2.',
        'Did you mean "units"?',
    ),
    "a field missing": ({}, "phases: this field is required, and is missing."),
    "a field of a phase missing": (plain(phases=[{"name": "a"}]), "phases.0.train_on: this field is required"),
    "a word that is not allowed": (
        with_phase(optimizer="adm"),
        'phases.0.optimizer: received "adm"; allowed: rmsprop, adam, adamw, sgd. Did you mean "adam"?',
    ),
    "an unknown backbone": (
        plain(backbone="to-conv"),
        'backbone: there is no backbone "to-conv"; there is: two-conv, three-conv,',
        'Did you mean "two-conv"?',
    ),
    "an unknown data set": (
        plain(data={"name": "cifar-10"}),
        'data.name: there is no data set "cifar-10"',
        'Did you mean "cifar10"?',
    ),
    "an unknown layer to begin a head at": (
        with_phase(head={"from_layer": "dense1"}),
        'phases.0.head.from_layer: there is no layer "dense1"; there is: conv_1,',
        'Did you mean "dense_1"?',
    ),
    "an unknown block": (
        with_phase(freeze={"rule": "all_but_block", "block": "conv1"}),
        'phases.0.freeze.block: there is no block "conv1"; there is: conv_1, conv_2, dense_1, dense_2, output.',
        'Did you mean "conv_1"?',
    ),
    "an unknown kind of layer": (
        with_layers({"kind": "dens"}),
        'phases.0.head.layers.0.kind: there is no kind "dens"; there is: conv, max_pool, dropout, flatten, dense,',
        'Did you mean "dense"?',
    ),
    "a layer without a kind": (with_layers({"units": 4}), "phases.0.head.layers.0.kind: this field is required"),
    "a kind that is a list": (with_layers({"kind": [1]}), "phases.0.head.layers.0.kind: there is no kind"),
    "a layer that is a word": (
        with_layers("dense"),
        'phases.0.head.layers.0: expected an object with its fields, received "dense".',
    ),
    "a layer's value out of bounds": (
        with_layers(DENSE, {**DENSE, "units": 0}),
        "phases.0.head.layers.1.units: expected greater than or equal to 1, received 0.",
    ),
    "a layer's name that Keras refuses": (
        with_layers({**DENSE, "name": "a/b"}),
        'phases.0.head.layers.0.name: expected at most 60 letters, digits, "_" and "-", the first a letter; '
        'received "a/b".',
    ),
    "too many layers": (with_layers(*[DENSE] * 101), "phases.0.head.layers: expected at most 100 items"),
    "a word for a number": (with_phase(epochs="3"), 'phases.0.epochs: expected a valid integer, received "3".'),
    "true for a number": (with_phase(epochs=True), "phases.0.epochs: expected a valid integer, received true."),
    "true for a rate": (with_phase(learning_rate=True), "phases.0.learning_rate: expected a valid number"),
    "half an epoch": (with_phase(epochs=2.5), "phases.0.epochs: expected a valid integer, received 2.5."),
    "a number for a word": (with_phase(name=3), "phases.0.name: expected a valid string, received 3."),
    "no name": (with_phase(name=""), 'phases.0.name: expected at least 1 character, received "".'),
    "text that is no text": (with_phase(name="\ud800"), "phases.0.name: expected a valid string"),
    "a location that is no text": (plain(data={"location": "\ud800"}), "data.location: expected a valid string"),
    "one phase for a list": (plain(phases={"name": "a"}), 'phases: expected a list, received {"name": "a"}.'),
    "a schedule longer than its phase": (
        plain(phases=[{"name": "a", "train_on": "source", "epochs": 3, "schedule": {"kind": "cosine", "warm_up": 5}}]),
        "phases.0.schedule.warm_up: the warm-up takes 5 epochs, but the phase has 3",
    ),
    "a number for a phase": (plain(phases=[3]), "phases.0: expected an object with its fields, received 3."),
    "another version": (plain(version=2), "version: received 2; allowed: 1."),
    "infinity": (with_phase(learning_rate=float("inf")), "phases.0.learning_rate: expected a finite number"),
    "a rate of zero": (with_phase(learning_rate=0), "phases.0.learning_rate: expected greater than 0, received 0."),
    "a huge number": (with_phase(epochs=10**400), "phases.0.epochs: expected less than or equal to 10000"),
    "a number too long to print": (with_phase(epochs=10**5000), "phases.0.epochs: expected less than"),
    "one image per class": (plain(data={"per_class": 1}), "data.per_class: expected greater than or equal to 2"),
    "validation on everything": (plain(validation={"share": 1}), "validation.share: expected less than 1"),
    "no object": ([1], "experiment: expected an object with its fields, received [1]."),
    "nothing": (None, "experiment: expected an object with its fields, received null."),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_its_field_and_what_is_allowed(mistake: str) -> None:
    received, *expected = MISTAKES[mistake]
    message = refusal(received)
    assert all(part in message for part in expected), message


def test_several_mistakes_are_named_on_a_line_each() -> None:
    message = refusal(plain(backbone="x", phases=[{"name": "a", "train_on": "sorce", "epochs": 0}]))
    assert [line.partition(":")[0] for line in message.splitlines()] == [
        "backbone",
        "phases.0.train_on",
        "phases.0.epochs",
    ]


def test_a_list_whose_only_entry_is_wrong_is_not_called_empty_too() -> None:
    assert len(refusal(with_phase(epochs=0)).splitlines()) == 1


def test_nan_in_json_is_refused() -> None:
    text = '{"phases": [{"name": "a", "train_on": "source", "learning_rate": NaN}]}'
    with pytest.raises(ExperimentError, match=r"phases\.0\.learning_rate: expected a finite number, received NaN"):
        Experiment.parse_json(text)


def test_what_is_behind_a_kind_is_named_as_it_is_set() -> None:
    schedule = {"kind": "steps", "milestones": [{"after_epochs": 1, "factor": 0}]}
    message = refusal(with_phase(schedule=schedule, augmentation=[{"kind": "crop", "padding": 0}]))
    assert [line.partition(":")[0] for line in message.splitlines()] == [
        "phases.0.schedule.milestones.0.factor",
        "phases.0.augmentation.0.padding",
    ]


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        (
            {"kind": "steps", "milestones": [{"after_epochs": 5, "factor": 0.1}]},
            "comes after 5 epochs, but the phase has 2",
        ),
        ({"kind": "cosine", "warm_up": 2}, "takes 2 epochs, but the phase has 2"),
        ({"kind": "plateau", "patience": 3}, "waiting 3 epochs leaves none"),
    ],
)
def test_a_schedule_longer_than_its_phase_is_refused(schedule: dict[str, object], said: str) -> None:
    assert said in refusal(with_phase(epochs=2, schedule=schedule))


@pytest.mark.parametrize("field", ["backbone", "pixels", "phases.0.freeze.block", "data.classes.0"])
def test_text_that_is_no_unicode_is_refused_by_its_field(field: str) -> None:
    phase = {"name": "a", "train_on": "source", "freeze": {"block": "\ud800"}}
    received = {"backbone": "\ud800", "pixels": "\ud800", "data": {"classes": ["\ud800"]}, "phases": [phase]}
    assert f"{field}: expected a valid string" in refusal(received)


def test_a_field_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ExperimentError, match=r"^phases: this field is there twice"):
        Experiment.parse_json('{"phases": [], "phases": []}')


def test_a_file_that_is_far_too_long_is_refused_unread() -> None:
    with pytest.raises(ExperimentError, match="received 5,000,001 bytes, at most 5,000,000 are read"):
        Experiment.parse_json(b" " * 5_000_001)


@pytest.mark.parametrize("text", ["", "{", "{'a': 1}", "[" * 100_000, "9" * 5000, b"\xff\xfe", b"\x80"])
def test_what_is_no_json_is_called_so(text: str | bytes) -> None:
    with pytest.raises(ExperimentError, match=r"This is not JSON: .* Expected an object"):
        Experiment.parse_json(text)


@pytest.mark.parametrize("depth", [500, 950, 100_000])
def test_endless_nesting_is_refused_in_few_words(depth: int) -> None:
    nested: list[Any] = []
    for _ in range(depth):
        nested = [nested]
    assert len(refusal(plain(version=nested))) < 200


def test_what_cannot_be_written_as_json_is_shown_by_its_type() -> None:
    assert shown({(1, 2): 3}) == "dict"
    assert shown(10**5000) == "int"


def test_what_is_long_is_cut_short() -> None:
    assert len(shown("a" * 1000)) == 78
    assert shown("a" * 1000).endswith("…")


def test_a_choice_far_from_every_name_suggests_none() -> None:
    assert choice("recipe", "zzz", ["a-initial", "e"]) == 'there is no recipe "zzz"; there is: a-initial, e.'


def test_only_text_has_a_nearest_name() -> None:
    assert nearest("adm", ["sgd", "adam"]) == ' Did you mean "adam"?'
    assert nearest(10**5000, ["adam"]) == ""


FIELDS = st.sampled_from([*Experiment.model_fields, *Phase.model_fields, *Head.model_fields, *Dense.model_fields])
VALUES = st.sampled_from(["sample", "two-conv", "source", "nothing", "first_layers", "all_but_block", "dense", "conv"])
near_experiments = st.recursive(
    json_values | VALUES | st.integers(0, 12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=6),
    max_leaves=20,
)


@given(near_experiments)
def test_whatever_json_comes_only_an_experiment_error_is_raised(received: object) -> None:
    _parsed_or_refused(received)


@given(st.fixed_dictionaries({}, optional={"freeze": near_experiments, "head": near_experiments, "epochs": VALUES}))
def test_whatever_a_phase_holds_only_an_experiment_error_is_raised(phase: dict[str, Any]) -> None:
    _parsed_or_refused(with_phase(**phase))


@given(st.lists(st.fixed_dictionaries({"kind": VALUES}, optional={"units": json_values, "name": st.text()})))
def test_whatever_a_head_holds_only_an_experiment_error_is_raised(layers: list[Any]) -> None:
    _parsed_or_refused(with_layers(*layers))


@given(st.text() | st.binary())
def test_whatever_text_comes_only_an_experiment_error_is_raised(text: str | bytes) -> None:
    with pytest.raises(ExperimentError):
        Experiment.parse_json(text)


def _parsed_or_refused(received: object) -> None:
    try:
        experiment = Experiment.parse(received)
    except ExperimentError as error:
        assert str(error)
    else:
        assert Experiment.parse_json(experiment.to_json()) == experiment
