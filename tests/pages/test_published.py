"""Published: what was claimed beside what ran, and one click to run it."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sqlalchemy import update

from cifar_core.data.weights import imagenet_folder
from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.measured import MODEL
from cifar_core.experiment.recipes import RECIPES, with_random_weights
from cifar_core.experiment.settings import smoke
from cifar_core.runs import inspect
from cifar_core.runs.room import NO_ROOM, SPARE_BYTES
from cifar_core.runs.store import Store
from cifar_core.runs.tables import phases
from tests.data.makers import archive, python_files
from tests.filled_store import finished
from tests.pages.app import App

A = RECIPES["a-initial"].experiment


@pytest.fixture
def cifar10(home: Path, tmp_path: Path) -> None:
    """CIFAR-10 where Keras keeps it; nothing here opens it."""
    archive(tmp_path / "keras" / "datasets" / "cifar-10-batches-py.tar.gz", python_files())


def unfold(app: App, *recipes: str) -> App:
    for recipe in recipes:
        app.state[f"published.{recipe}"] = True
    return app.open("Published")


def done(store: Store, experiment: Experiment, seed: int = 0) -> str:
    return finished(store, experiment, seed, right=0.912)


def test_an_empty_store_shows_every_claim_and_what_it_lacks(app: App) -> None:
    (rows,) = app.open("Published").tables()
    verdicts = rows.set_index("recipe")["verdict"]
    assert verdicts["C1, BatchNorm CNN"] == ["not run yet"]
    assert verdicts["D, strategy 1"] == ["needs ImageNet weights"]


def test_seconds_without_the_computing_of_their_features_are_flagged(app: App, store: Store) -> None:
    done(store, A)
    with store._database.writing() as connection:
        connection.execute(update(phases).values(features_of_others=True))
    assert "features stored by another run" in app.open("Published").text()


def test_folded_recipes_compute_nothing(app: App) -> None:
    assert not app.open("Published").test.button


def test_the_recipe_that_is_open_stands_in_the_address(app: App) -> None:
    said = app.open("Published", **{"published.c1": "true"}).text()
    assert RECIPES["c1"].source in said and RECIPES["e"].source not in said
    assert app.query == {"published.c1": "true"}


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_shows_its_source_what_contradicts_itself_and_what_was_decided(app: App, recipe: str) -> None:
    said = unfold(app, recipe).text()
    row = RECIPES[recipe]
    assert all(sentence in said for sentence in (row.source, *row.contradictions, *row.decisions))


def test_without_cifar10_only_a_quick_look_on_the_sample_can_be_started(app: App, store: Store) -> None:
    unfold(app, "c1", "all")
    assert not app.has_button("Run it, seed 0")
    assert not app.has_button("Run them all")
    assert "CIFAR-10 is not on this computer" in app.text()
    app.click("Quick look, seed 0")
    (run,) = store.runs()
    assert app.title == "Live"
    assert run.experiment.data.name == "sample"
    assert {phase.epochs for phase in run.experiment.phases} == {1}


def test_one_click_runs_one_recipe(app: App, store: Store, cifar10: None) -> None:
    unfold(app, "c1").click("Run it, seed 0")
    (run,) = store.runs()
    assert run.experiment == RECIPES["c1"].experiment
    assert app.query == {"run": run.id}
    assert unfold(app, "c1").has_button("Run it, seed 1")


def test_a_quick_look_is_the_recipe_at_its_smoke_size(app: App, store: Store, cifar10: None) -> None:
    unfold(app, "e").click("Quick look, seed 0")
    assert [run.experiment for run in store.runs()] == [smoke(RECIPES["e"].experiment)]


def test_one_click_runs_all_that_can_run_the_shortest_first(app: App, store: Store, cifar10: None) -> None:
    unfold(app, "all")
    said = app.text()
    assert "unknown until something has run here" in said
    assert "Left out, because their ImageNet weights are not on this computer: C2b, VGG16" in said
    app.click("Run them all")
    queued = [run.experiment for run in store.queue()]
    order = ("b", "c1", "d-small", "e", "a-ft2-direct", "a-ft2", "c2d", "c2a")
    assert sorted(order) == sorted(
        next(name for name, row in RECIPES.items() if row.experiment == each) for each in queued
    )
    assert queued[-2:] == [RECIPES["c2d"].experiment, RECIPES["c2a"].experiment]
    assert app.title == "Live"


def test_before_the_start_of_all_their_time_is_estimated_from_what_ran(app: App, store: Store, cifar10: None) -> None:
    done(store, A)
    said = unfold(app, "all", "a-initial").text()
    assert "estimated from what has run here (2 cores)" in said
    assert "C2a, ResNet18: roughly" in said


def test_with_its_imagenet_weights_a_recipe_is_among_all(app: App, cifar10: None) -> None:
    imagenet_folder().mkdir(parents=True)
    application = RECIPES["c2c"].experiment.backbone_row.application
    assert application is not None
    (imagenet_folder() / application.imagenet).touch()
    said = unfold(app, "all", "c2c").text()
    assert "C2c, MobileNet: time unknown" in said
    assert "from random weights" not in said


def test_without_them_it_can_run_from_random_weights_and_is_listed_as_that(
    app: App, store: Store, cifar10: None
) -> None:
    random = with_random_weights(RECIPES["d1"].experiment)
    done(store, random)
    unfold(app, "d1").click("Run it from random weights, seed 1")
    assert store.queue()[0].experiment == random
    said = unfold(app, "d1").text()
    assert "From random weights: the seconds compare, the accuracies do not" in said
    assert "D, strategy 1: 86.1 % (n = 1), 20.0 s on 2 cores" in said
    assert "needs ImageNet weights" in said


def test_what_freezing_saved_a_recipe_is_measured_when_it_is_asked_for(
    app: App, store: Store, cifar10: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = with_random_weights(RECIPES["c2e-frozen"].experiment)
    (store.files.folder(done(store, random)) / MODEL).write_bytes(b"a network")
    seconds = {"step": 0.5, "step_of_all": 2.0, "update": 0.1, "update_of_all": 0.2, "evaluation": 1e-4}
    costs = seconds | {"validation_images": 10_000, "measured_steps": 3, "hardware": "2 cores"}
    monkeypatch.setattr(inspect, "_ask", lambda *_: {name: np.array(value) for name, value in costs.items()})
    unfold(app, "c2e", "c2e-frozen").click("Measure")
    said = app.run().text()
    assert "10 epochs of 1,000 images in batches of 32 took 20.0 s; the ordinary way" in said
    assert "measured on the same computer, 2 cores." in said and not app.has_button("Measure")


def test_a_run_that_went_on_is_taken_apart_only_beside_the_recipe_that_it_ends_as(
    app: App, store: Store, cifar10: None
) -> None:
    (store.files.folder(done(store, RECIPES["a-ft2"].experiment)) / MODEL).write_bytes(b"a network")
    assert not unfold(app, "a-ft1").has_button("Measure")
    assert unfold(app, "a-ft1", "a-ft2").has_button("Measure")


def test_a_reproduced_claim_shows_ours_beside_the_published_and_leads_to_the_run(app: App, store: Store) -> None:
    run = done(store, A)
    unfold(app, "a-initial")
    row = app.tables()[0].set_index("recipe").loc["A, initial training"]
    assert (row["verdict"], row["hardware here"]) == (["reproduced"], "2 cores")
    assert "86.14 %" in str(app.test.table[0].value)
    assert f"Results?run={run}" in app.links().values()


def test_a_full_store_opens_with_everything_unfolded(app: App, runs: dict[str, str]) -> None:
    assert unfold(app, "all", *RECIPES).title == "Published"


@pytest.mark.usefixtures("cifar10")
def test_without_room_on_the_disk_no_recipe_can_be_run(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    assert unfold(app, "c1").has_button("Run it, seed 0")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=SPARE_BYTES))
    assert not app.run().has_button("Run it, seed 0")
    assert NO_ROOM in app.text()
