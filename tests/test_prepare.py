"""Preparing a lecture: what is missing is run, what is there is reused, and all of it is tried without a network."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cifar_core import prepare
from cifar_core.analysis.plan_link import SEEDS, USUAL
from cifar_core.data.catalogue import open_images
from cifar_core.data.errors import DownloadError
from cifar_core.experiment import links
from cifar_core.experiment.links import FIRST
from cifar_core.experiment.measured import Comparison, Run, State
from cifar_core.experiment.record import ExperimentError
from cifar_core.experiment.settings import SMOKE_PER_CLASS, apply
from cifar_core.experiment.strategies import STRATEGIES
from cifar_core.prepare import WITHOUT_NETWORK, Preparation
from cifar_core.runs.policy import Policy
from cifar_core.runs.store import Store
from cifar_core.runs.supervisor import run_now
from tests.data.own import fill, own
from tests.filled_store import claim, finished
from tests.runs.helpers import WORKER

ROOT = Path(__file__).parents[1]
PLAN = "http://hall:8501/Plan?strategies=head,everything&seeds=2"


class Follower:
    """Follows runs to an end at once, with a worker that trains nothing; notes what it was given."""

    def __init__(self, behaviour: str = "finishes"):
        self.behaviour = behaviour
        self.given: list[tuple[Run, Policy]] = []

    def __call__(self, store: Store, run: str, policy: Policy) -> Run:
        self.given.append((store.run(run), policy))
        store.rename(run, self.behaviour)
        return run_now(store, run, replace(policy, command=WORKER, poll=0.05))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home")


def test_a_plan_is_recorded_seed_by_seed_and_what_is_there_is_reused(store: Store) -> None:
    there = finished(store, STRATEGIES["head"].experiment(FIRST))
    preparation, follow = Preparation.of_link(PLAN), Follower()
    recorded = prepare.record(preparation, store, follow)
    assert [run.state for run in recorded] == [State.DONE] * 4
    assert recorded[0].id == there
    assert [(run.name.split(" · ")[-2], run.seed) for run, _ in follow.given] == [
        ("everything", 0),
        ("head only", 1),
        ("everything", 1),
    ]
    again = Follower()
    assert [run.id for run in prepare.record(preparation, store, again)] == [run.id for run in recorded]
    assert not again.given


def test_runs_on_images_that_have_changed_since_are_recorded_anew(store: Store, tmp_path: Path) -> None:
    data = own(fill(tmp_path / "pets", bee=4, cat=4, dog=4, owl=4), "bee", "cat", "dog", "owl")
    split = '{"source":[0,1],"target":[2,3]}'
    preparation = Preparation.of_experiment(apply(FIRST, [f"data={data.model_dump_json()}", f"split={split}"]))
    there = finished(store, preparation.experiments[0], images=open_images(data, home=store.home))
    assert prepare.record(preparation, store, Follower())[0].id == there
    fill(tmp_path / "pets", bee=6)
    assert prepare.to_run(preparation, store) == preparation.experiments
    prepare.bring_images(preparation.experiments, store.home, lambda *_: None)
    assert prepare.record(preparation, store, Follower())[0].id != there


def test_the_lecture_shows_the_plan_on_the_server_of_its_link(store: Store) -> None:
    lecture = Preparation.of_link(f"{PLAN}&view=strategies").lecture([])
    server, page, query = links.taken_apart(lecture["presenter"])
    assert (server, page, query["strategies"]) == ("http://hall:8501", "Lecture", ["head,everything"])
    assert links.taken_apart(lecture["audience"])[2] == {"lecture": [links.lecture_of(query["key"][0])]}
    assert "view" not in query


def test_one_experiment_is_one_run_and_its_lecture_shows_it(store: Store) -> None:
    preparation = Preparation.of_link("Experiment?set=phases.1.epochs%3D1&seed=5")
    (run,) = prepare.record(preparation, store, Follower(), "Ada")
    assert (run.experiment, run.seed, run.person) == (apply(FIRST, ["phases.1.epochs=1"]), 5, "Ada")
    lecture = preparation.lecture([run])
    assert f"runs={run.id}" in lecture["presenter"]


def test_a_map_has_many_runs_and_a_lecture_about_it() -> None:
    preparation = Preparation.of_link("Plan?view=only&view=map&seeds=1&epochs=1")
    assert len(preparation.wanted) == len(preparation.experiments) > 10
    _, page, query = links.taken_apart(preparation.lecture([])["presenter"])
    assert (page, query["view"], query["seeds"], query["epochs"]) == ("Lecture", ["map"], ["1"], ["1"])


def test_runs_that_a_lecture_names_are_reused(store: Store) -> None:
    run = finished(store)
    preparation = Preparation.of_link(f"Lecture?runs={run}&type=200&role=presenter&key=old")
    assert [each.id for each in prepare.record(preparation, store, Follower())] == [run]
    lecture = preparation.lecture([])
    assert "type=200" in lecture["presenter"] and "old" not in lecture["presenter"]


KEPT = Comparison("abc", "Two heads", "", datetime(2026, 11, 22, tzinfo=UTC), ("one", "two"), "one")


@pytest.mark.parametrize(
    ("link", "runs"),
    [
        ("http://hall:8501/Results?run=one&which=All", ("one",)),
        ("Live?run=one", ("one",)),
        ("Compare?runs=two,one&baseline=one", ("two", "one")),
        ("Compare?comparison=abc&compare.x=seconds", ("one", "two")),
    ],
)
def test_runs_that_any_other_page_names_are_the_lectures(link: str, runs: tuple[str, ...]) -> None:
    preparation = Preparation.of_link(link, [KEPT])
    assert (preparation.given, preparation.wanted) == (runs, ())
    _, _, query = links.taken_apart(preparation.lecture([])["presenter"])
    assert {name: query[name] for name in query if name not in ("role", "key")} == {"runs": [",".join(runs)]}


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ("Compare?comparison=abd", 'there is no comparison "abd" here; it may have been deleted. Did you mean "abc"?'),
        ("Lecture?lecture=0123456789", "Expected the presenter's link of the lecture"),
        ("Lecture?role=presenter&key=old", "Expected a link of Experiment, Plan or Lecture"),
        ("Plan?view=guess", "a guess has no runs"),
        ("Plan?view=only&view=guess", "a guess has no runs"),
        ("Results?which=All", 'A link of the page "Results" that names no runs'),
        ("http://hall:8501/?start=e", "Expected a link of Experiment, Plan or Lecture"),
        ("Notebook?runs=,", "that names no runs"),
    ],
)
def test_a_link_that_means_no_runs_is_refused_and_says_which_one_is_expected(link: str, said: str) -> None:
    with pytest.raises(ExperimentError) as refused:
        Preparation.of_link(link, [KEPT])
    assert said in str(refused.value)


def test_a_plan_without_any_choice_is_the_usual_one_and_so_is_its_lecture() -> None:
    preparation = Preparation.of_link("http://hall:8501/Plan")
    assert len(preparation.wanted) == len(USUAL) * SEEDS
    _, _, query = links.taken_apart(preparation.lecture([])["presenter"])
    assert query["strategies"] == [",".join(USUAL)] and "runs" not in query


def test_what_is_done_needs_no_room_and_the_rest_does(store: Store) -> None:
    finished(store, STRATEGIES["head"].experiment(FIRST))
    waiting = store.submit(STRATEGIES["everything"].experiment(FIRST), 0, "waits")
    assert len(prepare.to_run(Preparation.of_link(PLAN), store)) == 3
    assert prepare.to_run(Preparation.of_link(f"Live?runs={waiting}"), store) == [store.run(waiting).experiment]


def test_a_named_run_that_waits_is_run_and_one_that_failed_ends_it(store: Store) -> None:
    failed, waiting = claim(store), store.submit(FIRST, 0, "waits")
    failed.ends(State.FAILED)
    recorded = prepare.record(Preparation.of_link(f"Live?runs={waiting},{failed.run}"), store, Follower())
    assert [run.state for run in recorded] == [State.DONE, State.FAILED]
    recorded = prepare.record(Preparation.of_link(f"Live?runs={failed.run},{waiting}"), store, Follower())
    assert [run.state for run in recorded] == [State.FAILED]


def test_it_ends_with_the_first_run_that_fails(store: Store) -> None:
    recorded = prepare.record(Preparation.of_link(PLAN), store, Follower("raises"))
    assert [run.state for run in recorded] == [State.FAILED]


def test_every_experiment_is_tried_small_without_a_network_and_nothing_of_it_is_kept(store: Store) -> None:
    follow = Follower()
    tried = prepare.check([FIRST, STRATEGIES["head"].experiment(FIRST)], store, follow)
    assert [run.state for run in tried] == [State.DONE, State.DONE]
    assert {run.experiment.data.per_class for run, _ in follow.given} == {SMOKE_PER_CLASS}
    assert {policy for _, policy in follow.given} == {WITHOUT_NETWORK}
    assert not store.runs(archived=True)


def test_images_that_cannot_be_had_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(home: Path, **_: object) -> Path:
        raise DownloadError("no connection")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(prepare, "download_cifar10", no_network)
    with pytest.raises(DownloadError, match="no connection"):
        prepare.bring_images([apply(FIRST, ["data.name=cifar10"])], tmp_path, lambda *_: None)


def test_a_process_that_is_cut_off_connects_to_nothing() -> None:
    program = """
import socket
from cifar_core.offline import cut_off
there = socket.create_server(("127.0.0.1", 0))
socket.create_connection(there.getsockname()).close()
cut_off()
for connect in (socket.create_connection, socket.socket().connect):
    try:
        connect(there.getsockname())
    except OSError as error:
        print(error.strerror)
"""
    tried = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert tried.stdout.count("tried without a network") == 2, tried.stderr


def call(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "TRANSFER_LAB_HOME": str(home), "KERAS_HOME": str(home / "keras")}
    command = [sys.executable, "-m", "cifar_core", "prepare", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)


def test_the_command_tries_a_recorded_plan_in_a_worker_without_a_network(store: Store) -> None:
    small = apply(FIRST, ["data.per_class=4"])
    open_images(small.data, home=store.home)
    run = finished(store, STRATEGIES["head"].experiment(small))
    ended = call(store.home, "Plan?set=data.per_class%3D4&strategies=head&seeds=1", "--json")
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert [each["id"] for each in told["runs"]] == [run]
    assert [each["state"] for each in told["without_network"]] == ["done"]
    assert told["lecture"]["presenter"].startswith("http://localhost:8501/Lecture?")
    assert [each.id for each in store.runs(archived=True)] == [run]


def test_a_link_that_means_nothing_is_explained(tmp_path: Path) -> None:
    ended = call(tmp_path, "Plan?strategies=heads")
    assert ended.returncode == 2
    assert 'there is no strategy "heads"' in ended.stderr and "Traceback" not in ended.stderr
