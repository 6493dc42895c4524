"""Plans and subjects of lectures out of links: the same that the pages show."""

from dataclasses import replace

import pytest

from cifar_core.analysis.linked import Subject, by_experiment, plan_of, subject_of
from cifar_core.experiment.images_now import ImagesNow
from cifar_core.experiment.links import FIRST, Query, taken_apart
from cifar_core.experiment.measured import State
from cifar_core.experiment.record import ExperimentError
from cifar_core.experiment.settings import apply
from cifar_core.experiment.strategies import STRATEGIES, Choices
from tests.analysis.made_up import DENSE, SCRATCH, make_run


def test_a_link_of_strategies_is_their_plan() -> None:
    link = "http://hall:8501/Plan?set=phases.1.epochs%3D4&strategies=scratch,last-layers&last=3&seeds=2"
    plan = plan_of(taken_apart(link)[2])
    base = apply(FIRST, ["phases.1.epochs=4"])
    assert plan.experiments == {
        "last layers": STRATEGIES["last-layers"].experiment(base, Choices(last=3)),
        "from scratch": STRATEGIES["scratch"].experiment(base),
    }
    assert plan.seeds == 2


def test_a_link_of_a_map_is_the_maps_plan() -> None:
    plan = plan_of({"view": ["only", "map"], "epochs": ["2"], "seeds": ["1"]})
    assert {"baseB", "A1B", "B2B+"} <= plan.experiments.keys()
    assert plan.experiments["baseB"].phases[0].epochs == 2


def test_without_anything_a_plan_has_the_usual_strategies_and_seeds() -> None:
    plan = plan_of({})
    assert (len(plan.experiments), plan.seeds) == (6, 3)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"strategies": ["heads,scratch"]}, 'there is no strategy "heads"'),
        ({"strategies": [","]}, "expected at least one of head, "),
        ({"seeds": ["99"]}, "seeds: expected a whole number from 1 to 20"),
        ({"view": ["only", "map"], "epochs": ["-1"]}, "epochs: expected a whole number"),
        ({"set": ["phases.7.epochs=3"], "seeds": ["99"]}, "phases.7"),
        ({"view": ["guess"]}, "a guess has no runs"),
    ],
)
def test_what_the_page_would_tell_of_a_link_makes_it_no_plan(query: Query, said: str) -> None:
    with pytest.raises(ExperimentError) as refused:
        plan_of(query)
    assert said in str(refused.value)


def test_chosen_runs_that_differ_in_seeds_alone_are_one() -> None:
    runs = [
        make_run("a", name="small · head only · seed 0", seed=0)[0],
        make_run("b", name="small · head only · seed 1", seed=1)[0],
        make_run("c", (SCRATCH, DENSE), name="small · dense · seed 0", seed=0)[0],
    ]
    found = by_experiment(runs)
    assert {title: sorted(own) for title, own in found.items()} == {"head only": [0, 1], "dense": [0]}


def test_chosen_runs_of_one_name_that_train_otherwise_stay_apart() -> None:
    runs = [
        make_run("aaaaaaaa", name="small · head only · seed 0", seed=0)[0],
        make_run("bbbbbbbb", (SCRATCH, DENSE), name="small · head only · seed 0", seed=0)[0],
    ]
    found = by_experiment(runs)
    assert [[run.id for run in own.values()] for own in found.values()] == [["aaaaaaaa"], ["bbbbbbbb"]]


def test_chosen_runs_on_other_images_stay_apart_and_one_that_waits_is_with_its_place() -> None:
    here, there = (
        make_run(id, name="small · head only · seed 0", seed=0, environment={"fingerprint": id})[0]
        for id in ("aaaaaaaa", "bbbbbbbb")
    )
    there = replace(there, experiment=apply(there.experiment, ["data.location=/there"]))
    waits = replace(there, id="cccccccc", seed=1, environment={})
    found = by_experiment([here, there, waits])
    assert [[run.id for run in own.values()] for own in found.values()] == [["aaaaaaaa"], ["bbbbbbbb", "cccccccc"]]


def test_a_lecture_is_about_what_stays_of_a_visit() -> None:
    visit = {"view": ["only", "map"], "seeds": ["2"], "key": ["x"], "title": ["Why?"], "seed": ["3"]}
    assert subject_of(visit) == {"seeds": ["2"], "view": ["map"]}
    assert subject_of({"view": ["only"], "runs": ["a,b"]}) == {"runs": ["a,b"]}


RUNS = [make_run("a", name="head only", seed=0)[0], make_run("b", (SCRATCH, DENSE), name="dense", seed=0)[0]]


def test_chosen_runs_compete_and_what_is_missing_is_named() -> None:
    subject = Subject.of({"runs": ["b,a"]})
    assert subject.choices(RUNS) == ["dense", "head only"] and subject.question == "Which one wins?"
    assert subject.introduction(RUNS).startswith("Two-conv CNN on CIFAR-10: learned on ")
    assert [card.sentence for card in subject.cards(RUNS)] == ["", ""]  # what a plan's strategy does, nobody knows here
    assert "parameters train" in subject.cards(RUNS)[0].note
    with pytest.raises(ExperimentError, match='There is no run "aa"; it may have been deleted'):
        Subject.of({"runs": ["aa,b"]}).recorded(RUNS)


def test_a_plan_competes_by_strategy_and_knows_what_is_not_done() -> None:
    subject = Subject.of({"strategies": ["head,scratch"], "seeds": ["2"]})
    assert subject.choices([]) == ["head only", "from scratch"]
    assert all(card.sentence for card in subject.cards([]))
    done = replace(RUNS[0], experiment=STRATEGIES["head"].experiment(FIRST))
    beyond = replace(done, id="c", seed=7)
    archived = replace(done, id="d", seed=1, archived=True)
    waiting = replace(done, id="e", seed=1, state=State.QUEUED)
    assert subject.unrecorded([done, beyond, archived, waiting]) == 3
    assert Subject.of({"runs": ["a"]}).unrecorded(RUNS) == 0
    assert subject.unrecorded([done], ImagesNow(None, "f00d")) == 3
    assert subject.unrecorded([done], ImagesNow(None, "others")) == 4


def test_a_map_asks_for_a_depth_and_shows_its_curves() -> None:
    subject = Subject.of({"view": ["map"], "seeds": ["1"]})
    assert subject.choices([])[0] == "A1B: up to conv_1" and len(subject.choices([])) == 5
    assert subject.question.startswith("From which depth on")
    assert [card.title for card in subject.cards([])] == ["baseB", "BnB", "BnB+", "AnB", "AnB+"]
    assert "(A)" in subject.introduction([]) and subject.unrecorded([]) == 18
