"""Plans know their runs by what these train, and what is left to do."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cifar_core.analysis.estimate import Estimates
from cifar_core.analysis.plan import Plan, Wanted, estimate, groups, is_moving, one_of_each
from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.images_now import ImagesNow
from cifar_core.experiment.measured import Epoch, Measured, PhaseHistory, Run, State
from cifar_core.experiment.recipes import recipe
from cifar_core.experiment.settings import apply
from cifar_core.experiment.strategies import STRATEGIES
from tests.analysis.made_up import make_run

BEGAN = datetime(2026, 11, 21, tzinfo=UTC)
BASE = recipe("a-ft1").experiment
PLAN = Plan({name: STRATEGIES[name].experiment(BASE) for name in ("head", "everything", "lp-ft")}, seeds=2)


def run(experiment: Experiment, seed: int = 0, state: State = State.DONE, minutes: int = 0, **fields: Any) -> Run:
    made, _ = make_run(f"{state}{seed}{minutes}", state=state, seed=seed, created=BEGAN + timedelta(minutes=minutes))
    return replace(made, experiment=experiment, **fields)


def test_each_experiment_is_run_with_each_seed_the_first_seeds_first() -> None:
    assert [(each.title, each.seed) for each in PLAN] == [
        (title, seed) for seed in (0, 1) for title in ("head", "everything", "lp-ft")
    ]


def test_a_run_is_recognized_by_what_it_trains_and_called_as_the_plan_calls_it() -> None:
    same = apply(PLAN.experiments["head"], ["phases.0.name=other", "data.location=/elsewhere"])
    found = PLAN.runs([run(same, name="renamed"), run(recipe("e").experiment)])
    assert {title: list(runs) for title, runs in found.items()} == {"head": [0], "everything": [], "lp-ft": []}
    assert found["head"][0].name == "head · seed 0"
    assert found["head"][0].experiment == PLAN.experiments["head"]


def test_runs_on_other_images_are_not_the_plans() -> None:
    head = PLAN.experiments["head"]
    of_raw, of_cleaned = (
        run(apply(head, [f"data.location={place}"]), minutes=minutes, environment={"fingerprint": place})
        for minutes, place in enumerate(("/raw", "/cleaned"))
    )
    raw = ImagesNow("/raw", "/raw")
    assert PLAN.runs([of_raw, of_cleaned])["head"][0].id == of_cleaned.id  # nothing is known of the images
    assert PLAN.runs([of_raw, of_cleaned], raw)["head"][0].id == of_raw.id
    assert len(PLAN.missing(PLAN.runs([of_cleaned], raw))) == len(PLAN.missing(PLAN.runs([]))) == 6


@pytest.mark.parametrize("state", list(State))
def test_what_is_done_under_way_or_waiting_is_not_missing(state: State) -> None:
    missing = PLAN.missing(PLAN.runs([run(PLAN.experiments["head"], 1, state)]))
    ended_early = state in (State.STOPPED, State.FAILED, State.INTERRUPTED)
    assert (Wanted("head", PLAN.experiments["head"], 1) in missing) is ended_early
    assert len(missing) == (6 if ended_early else 5)


def test_a_run_that_is_done_comes_before_a_later_one_that_waits() -> None:
    head = PLAN.experiments["head"]
    found = PLAN.runs([run(head, state=State.QUEUED, minutes=5), run(head), run(head, minutes=1)])
    assert found["head"][0].created == BEGAN + timedelta(minutes=1)


def test_groups_hold_every_seed_on_the_server_not_only_the_plans() -> None:
    found = groups(PLAN.runs([run(PLAN.experiments["head"], seed) for seed in (7, 0)]))
    assert [(group.title, list(group.accuracies)) for group in found] == [("head", [0, 7])]


def test_an_experiment_that_stands_twice_is_run_once() -> None:
    head = PLAN.experiments["head"]
    plan = Plan({"head": head, "again": head}, seeds=1)
    assert [each.title for each in plan] == ["head"]
    assert plan.doubles == {"again": "head"}


def test_runs_are_named_by_backbone_classes_strategy_and_seed() -> None:
    wanted = next(iter(Plan({"head only": apply(PLAN.experiments["head"], ["data.per_class=20"])}, 1)))
    assert wanted.name == "two-conv · dog … truck → airplane … deer · head only · 20 per class · seed 0"


def ran(experiment: Experiment, seed: int, epoch: float) -> Measured:
    """A run of this experiment whose epochs all took as long, with two seconds beside training."""
    epochs = tuple(Epoch(n, 1.0, 0.5, 1.0, 0.5, 1e-3, epoch, 1.0, 25_000, 1.0) for n in (1, 2, 3))
    histories = tuple(PhaseHistory(n, phase.name, epochs=epochs) for n, phase in enumerate(experiment.phases))
    return run(experiment, seed, seconds={"start": 1.0, "evaluation": 1.0, "steps": 9.0}), histories


def test_what_begins_alike_is_trained_and_counted_once() -> None:
    everything = PLAN.experiments["everything"]
    initial = recipe("a-initial").experiment
    measured = ran(initial, 9, 20.0)
    missing = [Wanted(f"{n}", apply(everything, [f"phases.1.learning_rate=0.00{n}"]), 0) for n in (1, 2)]
    estimates = Estimates([measured])
    whole = estimates.of(missing[0].experiment)
    assert whole is not None
    assert whole.seconds == pytest.approx(400, rel=0.01)
    found = estimate(missing, [measured[0]], estimates)
    assert found is not None and not found.measured
    assert found.seconds == pytest.approx(400 + 200 + 2 * 2, rel=0.01)
    one = estimate(missing[:1], [run(everything, 0, seconds={})], estimates)
    assert one is not None and one.seconds == pytest.approx(200, rel=0.01)


def test_before_anything_has_run_the_time_is_unknown() -> None:
    assert estimate(list(PLAN), [], Estimates([])) is None


def test_how_far_a_plan_is_stands_in_words_until_nothing_moves() -> None:
    head, everything = (PLAN.experiments[name] for name in ("head", "everything"))
    found = PLAN.runs([run(head), run(head, 1, State.TRAINING, step="epoch 2 of 3"), run(everything, 0, State.QUEUED)])
    assert PLAN.standing(found).startswith("1 of 6 runs done, 1 waiting; head · seed 1: ")
    assert is_moving(found)
    ended = PLAN.runs([run(head), run(everything, 0, State.FAILED)])
    assert (PLAN.standing(ended), is_moving(ended)) == ("1 of 6 runs done, 0 waiting", False)


def test_what_is_left_is_told_with_its_time() -> None:
    head = PLAN.experiments["head"]
    took = run(head, started=BEGAN, finished=BEGAN + timedelta(minutes=7))
    estimates = Estimates([(took, ())])
    alone = Plan({"head": head}, seeds=3)
    every = [run(head, seed) for seed in (0, 1)]
    assert alone.outlook(alone.runs(every), every, estimates) == (
        "2 of them are done or waiting already. Time for the others: about 7 min, as it took here. "
        "What begins alike is trained once."
    )
    assert alone.outlook(alone.runs([]), [], Estimates([])).startswith("Time for all of them: how long it takes is un")
    done = [*every, run(head, 2)]
    assert "All of them are done" in alone.outlook(alone.runs(done), done, estimates)


def test_a_run_of_each_group_is_compared_with_the_baselines() -> None:
    runs = [run(PLAN.experiments[title], seed) for title in ("head", "everything", "lp-ft") for seed in (1, 0)]
    compared = groups(PLAN.runs([replace(each, id=f"{place}") for place, each in enumerate(runs)]))
    assert one_of_each(compared, "everything", most=8) == (["1", "3", "5"], "3")
    assert one_of_each(compared, "lp-ft", most=2) == (["1", "3"], "1")
