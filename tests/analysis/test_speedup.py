from dataclasses import replace

import pytest

from cifar_core.analysis.speedup import froze_layers, speedup
from cifar_core.experiment.measured import StepCosts
from tests.analysis.made_up import make_run

COSTS = StepCosts(
    step=0.02,
    step_of_all=0.05,
    update=0.001,
    update_of_all=0.011,
    evaluation=0.0001,
    validation_images=5000,
    measured_steps=64,
    hardware="a computer",
)
STEPS = 3 * 391  # three epochs of 25,000 images in batches of 64


def test_what_was_saved_adds_up_to_what_was_measured() -> None:
    run, histories = make_run(environment={"hardware": "a computer"})
    history = replace(histories[-1], features="Stored features after conv_2.", features_seconds=1.5)
    found = speedup(run, history, COSTS)
    assert found is not None and found.computing_again is not None
    assert found.measured == pytest.approx(3 * 4 / 3 + 1.5)
    assert found.ordinary == pytest.approx(STEPS * 0.02 + 3 * 5000 * 0.0001)
    assert found.updates == pytest.approx(STEPS * 0.010)
    assert found.gradients == pytest.approx(STEPS * 0.020)
    assert found.everything - found.updates - found.gradients - found.computing_again == pytest.approx(found.measured)
    table = found.table()
    assert table["seconds"].iloc[[0, 1, 2, 4]].sum() == pytest.approx(table["seconds"].iloc[-1])
    assert "Estimated from 64 steps" in found.text and "the same computer, a computer." in found.text
    assert found.text.startswith(
        "3 epochs of 25,000 images in batches of 64 took 5.5 s; "
        "the ordinary way 25.0 s, and training every layer 1:00: 4.5× and 10.9×"
    )


def test_without_stored_features_nothing_is_said_to_be_computed_once() -> None:
    run, histories = make_run(environment={"hardware": "another computer"})
    found = speedup(run, histories[-1], COSTS)
    assert found is not None and found.computing_again is None
    assert not found.table()["last phase"].str.contains("in every epoch").any()
    assert "hardly compare" in found.text


def test_what_another_run_had_stored_is_said_to_be_missing() -> None:
    run, histories = make_run()
    given = replace(histories[-1], features="Stored features.", features_seconds=0.1, features_of_others=True)
    said = [found.text for history in (given, histories[-1]) if (found := speedup(run, history, COSTS))]
    assert ["Another run had stored the features" in text for text in said] == [True, False]


def test_noise_does_not_make_a_saving_negative() -> None:
    run, histories = make_run()
    found = speedup(run, histories[-1], replace(COSTS, step_of_all=0.019, update_of_all=0.0))
    assert found is not None
    assert (found.gradients, found.updates) == (0, 0)


def test_before_the_first_epoch_there_is_nothing_to_take_apart() -> None:
    run, histories = make_run()
    assert speedup(run, replace(histories[-1], epochs=()), COSTS) is None


def test_a_phase_froze_layers_where_some_with_weights_did_not_train() -> None:
    run, (first, last) = make_run()
    assert not froze_layers(run, first) and froze_layers(run, last)
