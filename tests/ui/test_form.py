"""The experiment form as data: nothing is drawn here."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.recipes import RECIPES
from cifar_core.experiment.record import ExperimentError
from cifar_core.experiment.settings import apply
from cifar_core.ui import form
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
    assert form.read_link(*sent(form.link("scratch", meant, 0)))[1] == meant


@given(experiments())
def test_clamping_changes_nothing_that_fits(experiment: Experiment) -> None:
    values = form.fields(experiment)
    form.clamp(values, Experiment.parse(form.without_freezing(form.draft(values))))
    assert Experiment.parse(form.draft(values)) == experiment


@given(st.sampled_from(form.STARTS), experiments(), SEEDS)
def test_a_link_reopens_what_it_was_made_of(start: str, experiment: Experiment, seed: int) -> None:
    assert form.read_link(*sent(form.link(start, experiment, seed))) == (start, experiment, seed)


@pytest.mark.parametrize("start", form.STARTS)
def test_the_link_of_an_unchanged_start_names_only_the_start(start: str) -> None:
    assert form.link(start, form.start_from(start), 0) == {"start": start}


def test_an_empty_link_opens_the_first_experiment() -> None:
    assert form.read_link("", [], "") == (form.SCRATCH, form.FIRST, 0)


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
        form.read_link(start, assignments, seed)
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


def test_new_layers_may_start_at_every_dense_layer_and_at_no_convolution() -> None:
    assert form.head_starts(A_FT1, 1) == ["dense_1", "dense_2", "output"]


@given(experiments())
def test_a_head_can_start_somewhere_wherever_the_network_ends_in_dense_layers(experiment: Experiment) -> None:
    for index in range(len(experiment.phases)):
        assert form.head_starts(experiment, index)[-1:] == ["output"]


def test_a_phase_frozen_all_over_the_form_keeps_its_counts() -> None:
    frozen = apply(form.FIRST, ['phases.1.freeze={"rule":"all_but_block","block":"conv_1"}'])
    again = Experiment.parse(form.draft(form.fields(frozen)))
    assert again.networks[1].trainable == frozen.networks[1].trainable == 896
