"""The experiment form as data: nothing is drawn here."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cifar_core.experiment import links
from cifar_core.experiment.experiment import EarlyStopping, Experiment, Head, Phase
from cifar_core.experiment.layers import Dense, Dropout
from cifar_core.experiment.recipes import RECIPES
from cifar_core.experiment.record import ExperimentError
from cifar_core.experiment.schedules import Cosine, Plateau, Steps
from cifar_core.experiment.settings import apply
from cifar_core.ui import form
from cifar_core.ui.rate_curve import rates
from tests.experiment.strategies import WORDS, experiments

A_FT1 = RECIPES["a-ft1"].experiment
SEEDS = st.integers(0, 2**31 - 1)


def sent(parameters: dict[str, str | list[str]]) -> tuple[str, list[str], str]:
    """What a page receives of a link's parameters."""
    return str(parameters["start"]), list(parameters.get("set", [])), str(parameters.get("seed", ""))


@given(experiments())
def test_the_form_shows_every_experiment_without_changing_it(experiment: Experiment) -> None:
    assert Experiment.parse(form.draft(form.fields(experiment))) == experiment


@given(st.sampled_from(sorted(form.DRAWN)), st.integers(16, 512), WORDS)
def test_the_form_and_its_link_keep_a_folder_of_images(drawn: str, side: int, name: str) -> None:
    own = {
        "name": "folder",
        "location": "/pets, mine=all",
        "classes": (name, f"{name}2", f"{name}, 3"),
        "image_side": side,
    }
    split = {"source": (0, 2), "target": (1, 2)}
    phases = ({"name": "only", "train_on": "target"},)
    changed = {"data": own, "split": split, "validation": {"drawn": drawn}, "phases": phases}
    meant = Experiment.parse(changed)
    assert Experiment.parse(form.draft(form.fields(meant))) == meant
    assert links.read_link(*sent(links.link("scratch", meant, 0)))[1] == meant


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_goes_through_the_form(recipe: str) -> None:
    experiment = RECIPES[recipe].experiment
    assert Experiment.parse(form.draft(form.fields(experiment))) == experiment


@given(experiments())
def test_clamping_changes_nothing_that_fits(experiment: Experiment) -> None:
    values = form.fields(experiment)
    form.shorten(values)
    form.clamp(values, Experiment.parse(form.without_freezing(form.draft(values))))
    assert Experiment.parse(form.draft(values)) == experiment


def test_blocks_that_start_anew_stay_so_in_the_form() -> None:
    meant = apply(A_FT1, ["phases.1.head.anew_from=dense_1", "phases.1.freeze.count=2"])
    assert Experiment.parse(form.draft(form.fields(meant))) == meant


@given(st.sampled_from(form.STARTS), experiments(), SEEDS)
def test_a_link_reopens_what_it_was_made_of(start: str, experiment: Experiment, seed: int) -> None:
    assert links.read_link(*sent(links.link(start, experiment, seed))) == (start, experiment, seed)


@pytest.mark.parametrize("start", form.STARTS)
def test_the_link_of_an_unchanged_start_names_only_the_start(start: str) -> None:
    assert links.link(start, links.start_from(start), 0) == {"start": start}


def test_an_empty_link_opens_the_first_experiment() -> None:
    assert links.read_link("", [], "") == (links.SCRATCH, links.FIRST, 0)


@pytest.mark.parametrize(
    ("start", "assignments", "seed", "said"),
    [
        ("a-ft9", [], "", '"a-ft9"'),
        ("a-ft1", ["phases.0.epoch=3"], "", 'Did you mean "epochs"?'),
        ("a-ft1", ["phases.0.epochs=no"], "", "phases.0.epochs"),
        ("a-ft1", ["epochs"], "", '"epochs"'),
        ("a-ft1", ["phases.1.freeze.count=99"], "", "99"),
        ("", [], "-1", "-1"),
        ("", [], "12x", "12x"),
        ("", [], str(2**31), str(2**31)),
        ("", [], "٣x", "٣x"),
    ],
)
def test_a_broken_link_is_refused_with_what_is_wrong(start: str, assignments: list[str], seed: str, said: str) -> None:
    with pytest.raises(ExperimentError) as refused:
        links.read_link(start, assignments, seed)
    assert said in str(refused.value)


def too_deep(**depths: Any) -> dict[str, Any]:
    return form.fields(A_FT1) | {f"form.1.{name}": value for name, value in depths.items()}


@pytest.mark.parametrize(("field", "most"), [("blocks", 4), ("layers", 9), ("last", 10)])
def test_a_freeze_depth_beyond_the_network_is_brought_back_to_its_end(field: str, most: int) -> None:
    values = too_deep(**{field: 99})
    shape = Experiment.parse(form.without_freezing(form.draft(values)))
    form.clamp(values, shape)
    network = shape.networks[1]
    ends = {"blocks": len(network.blocks) - 1, "layers": len(network.layers) - 1, "last": len(network.layers)}
    assert values[f"form.1.{field}"] == ends[field] == most


def test_a_block_that_the_network_does_not_have_becomes_the_output() -> None:
    values = too_deep(only="conv_9")
    form.clamp(values, Experiment.parse(form.without_freezing(form.draft(values))))
    assert values["form.1.only"] == "output"


def test_new_layers_may_start_where_the_image_becomes_a_row_and_at_every_dense_layer_but_at_no_convolution() -> None:
    assert form.head_starts(A_FT1, 1) == {"flatten": "flatten", "dense_1": "", "dense_2": "", "output": ""}
    assert form.head_starts(RECIPES["c3"].experiment, 0) == {"pool": "global_average_pool", "output": ""}


def test_new_layers_from_elsewhere_may_stay_there() -> None:
    loaded = apply(A_FT1, ['phases.1.head={"from_layer":"conv_2","layers":[{"kind":"flatten"}]}'])
    assert form.head_starts(loaded, 1)["conv_2"] == "flatten"


def test_the_first_phase_may_put_new_layers_only_where_the_backbone_ends() -> None:
    loaded = apply(A_FT1, ['phases.0.head={"layers":[{"kind":"dense","units":8}]}'])
    assert list(form.head_starts(loaded, 0)) == ["flatten", "dense_1", "dense_2", "output"]
    assert list(form.head_starts(loaded, 1)) == ["flatten", "dense_1", "dense_2", "dense_3", "output"]


@given(experiments())
def test_a_head_can_start_wherever_the_form_says_so(experiment: Experiment) -> None:
    for index in range(len(experiment.phases)):
        starts = form.head_starts(experiment, index)
        assert list(starts)[-1] == "output"
        for start, to_row in starts.items():
            values = form.fields(experiment) | {"form.phases": index + 1}
            head = {"head": "layers", "from_layer": start, "to_row": to_row, "units": "3", "l2": 0.01}
            new: dict[str, Any] = head | {"as_loaded": None, "layer_names": {}}
            values |= {f"form.{index}.{name}": value for name, value in new.items()}
            layers = Experiment.parse(form.without_freezing(form.draft(values))).networks[index].layers
            assert layers[-1].name == "output"
            assert 3 in [layer.output_shape[-1] for layer in layers]


@pytest.mark.parametrize(
    "layers",
    [
        [{"kind": "flatten", "name": "flat"}],
        [{"kind": "global_average_pool"}, {"kind": "dense", "units": 8, "name": "wide", "l2": 0.001}],
        [{"kind": "flatten"}, {"kind": "dense", "units": 8}, {"kind": "dropout", "rate": 0.5, "name": "drop"}],
        [{"kind": "flatten"}, {"kind": "dropout", "rate": 0.5}],
        [{"kind": "flatten"}, {"kind": "dense", "units": 8}, {"kind": "dense", "units": 4, "name": "narrow"}],
        [{"kind": "flatten"}, *2 * [{"kind": "dense", "units": 8, "l2": 0.1}, {"kind": "dropout", "rate": 0.5}]],
    ],
)
def test_a_usual_head_is_shown_in_fields_and_not_only_as_loaded(layers: list[dict[str, Any]]) -> None:
    meant = RECIPES["d1"].experiment.model_dump()
    meant["phases"][0]["head"] = {"from_layer": "pool", "layers": layers}
    experiment = Experiment.parse(meant)
    values = form.fields(experiment)
    assert values["form.0.as_loaded"] is None
    assert Experiment.parse(form.draft(values)) == experiment


@pytest.mark.parametrize(
    "layers",
    [
        [{"kind": "dense", "units": 8, "activation": "linear"}],
        [{"kind": "dense", "units": 8}, {"kind": "dense", "units": 8, "l2": 0.1}],
        [{"kind": "dense", "units": 8}, {"kind": "dense", "units": 8}, {"kind": "dropout", "rate": 0.5}],
        [{"kind": "dense", "units": 8}, {"kind": "dropout", "rate": 0.5}, {"kind": "dropout", "rate": 0.5}],
        [{"kind": "dropout", "rate": 0.5}, {"kind": "dense", "units": 8}],
        [{"kind": "flatten"}, {"kind": "flatten"}],
        [{"kind": "dropout", "rate": 0.0}],
    ],
)
def test_any_other_head_stays_as_it_was_loaded(layers: list[dict[str, Any]]) -> None:
    meant = A_FT1.model_dump()
    meant["phases"][1]["head"] = {"layers": layers}
    experiment = Experiment.parse(meant)
    assert form.fields(experiment)["form.1.as_loaded"]
    assert Experiment.parse(form.draft(form.fields(experiment))) == experiment


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("", []), (" ", []), ("64", [64]), ("256, 128,64", [256, 128, 64]), ("65536", [65_536])],
)
def test_dense_layers_are_typed_as_a_list_of_their_units(typed: str, meant: list[int]) -> None:
    head = a_phase(head="layers", units=typed).head
    assert head is not None
    assert [layer.units for layer in head.layers if isinstance(layer, Dense)] == meant


def test_dropout_stands_behind_each_dense_layer_and_l2_is_the_same_for_all() -> None:
    head = a_phase(head="layers", units="16, 8", l2=0.1, dropout=0.5).head
    drop = Dropout(rate=0.5)
    assert head == Head(layers=(Dense(units=16, l2=0.1), drop, Dense(units=8, l2=0.1), drop))


@pytest.mark.parametrize("typed", ["many", "256 128", "256,", "0", "-8", "2.5", "65537", "9" * 5000])
def test_dense_units_that_cannot_be_meant_are_refused_in_words(typed: str) -> None:
    with pytest.raises(ExperimentError, match=r"^Dense units: expected a whole number from 1 to 65,536 for each"):
        a_phase(head="layers", units=typed)


def test_layers_that_were_loaded_keep_their_names_while_others_are_added_and_removed() -> None:
    named = apply(A_FT1, ['phases.1.head={"layers":[{"kind":"dense","units":9,"name":"neck"}]}'])
    for typed, names in (("9, 8", ["neck", ""]), ("7", ["neck"])):
        changed = Experiment.parse(form.draft(form.fields(named) | {"form.1.units": typed}))
        head = changed.phases[1].head
        assert head is not None and [layer.name for layer in head.layers] == names


def test_a_phase_frozen_all_over_the_form_keeps_its_counts() -> None:
    frozen = apply(links.FIRST, ['phases.1.freeze={"rule":"all_but_block","block":"conv_1"}'])
    again = Experiment.parse(form.draft(form.fields(frozen)))
    assert again.networks[1].trainable == frozen.networks[1].trainable == 896


OPTIONS = ("optimizer", "schedule", "augmentation", "stop.watch", "class_weights")
TITLES = (form.OPTIMIZERS, form.SCHEDULES, form.AUGMENTATION, form.WATCHED, form.CLASS_WEIGHTS)


@given(experiments(), st.data())
def test_every_switch_of_options_gives_an_experiment(experiment: Experiment, data: st.DataObject) -> None:
    values = form.fields(experiment)
    values["form.0.epochs"] = data.draw(st.integers(2, 20))
    values["form.0.steps.milestones"] = ""
    for option, titles in zip(OPTIONS, TITLES, strict=True):
        chosen = st.sampled_from(list(titles))
        values[f"form.0.{option}"] = data.draw(st.lists(chosen, unique=True) if option == "augmentation" else chosen)
    form.shorten(values)
    assert Experiment.parse(form.draft(values)).networks == experiment.networks


def a_phase(**values: Any) -> Phase:
    fields = form.fields(A_FT1) | {f"form.0.{name.replace('__', '.')}": value for name, value in values.items()}
    form.shorten(fields)
    return Experiment.parse(form.draft(fields)).phases[0]


@pytest.mark.parametrize(
    ("epochs", "typed", "meant"),
    [
        (40, "10: 0.1, 20:0.01", [(10, 0.1), (20, 0.01)]),
        (40, "28: 2e-1", [(28, 0.2)]),
        (40, "", [(20, 0.1)]),
        (3, " ", [(1, 0.1)]),
    ],
)
def test_steps_of_the_learning_rate_are_typed(epochs: int, typed: str, meant: list[tuple[int, float]]) -> None:
    plan = a_phase(epochs=epochs, schedule="steps", steps__milestones=typed).schedule
    assert isinstance(plan, Steps)
    assert [(each.after_epochs, each.factor) for each in plan.milestones] == meant


@pytest.mark.parametrize("typed", ["ten", "10", "10: x", "10: 0.1,", "10: 0.1: 3", "0: 0.5", "10: nan", "99: 0.1"])
def test_steps_that_cannot_be_meant_are_refused_in_words(typed: str) -> None:
    with pytest.raises(ExperimentError):
        a_phase(epochs=20, schedule="steps", steps__milestones=typed)


def test_fewer_epochs_shorten_what_waits_for_later_ones() -> None:
    assert a_phase(epochs=2, schedule="cosine", cosine__warm_up=5).schedule == Cosine(warm_up=1)
    assert a_phase(epochs=1, schedule="plateau", plateau__patience=9).schedule == Plateau(patience=1)
    assert a_phase(epochs=3, stop__watch="val_loss", stop__patience=9).early_stopping == EarlyStopping(patience=2)


def test_momentum_is_left_behind_by_an_optimizer_that_has_none() -> None:
    assert a_phase(optimizer="sgd", momentum=0.9).momentum == 0.9
    assert a_phase(optimizer="adam", momentum=0.9).momentum == 0.0


def test_a_weights_file_without_a_name_is_asked_for() -> None:
    with pytest.raises(ExperimentError, match="name the file"):
        form.draft(form.fields(A_FT1) | {"form.weights": "file"})


@given(experiments())
def test_the_curve_of_the_learning_rate_reaches_from_the_first_step_to_the_last(experiment: Experiment) -> None:
    for phase in experiment.phases:
        drawn = rates(phase)
        epochs = [place["epoch"] for place in drawn]
        assert (epochs[0], epochs[-1]) == (0, phase.epochs)
        assert epochs == sorted(epochs)
        assert len(drawn) <= 256
        assert all(0 <= place["rate"] <= 100 * phase.learning_rate for place in drawn)
