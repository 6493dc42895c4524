"""The Plan page: one click queues all of it, once; the address brings it back; it fills in from the store."""

import shutil
from pathlib import Path

import pytest

from cifar_core.analysis.plan import Plan
from cifar_core.data.catalogue import open_images
from cifar_core.experiment.experiment import Data
from cifar_core.experiment.links import FIRST
from cifar_core.experiment.measured import State
from cifar_core.experiment.recipes import recipe
from cifar_core.experiment.settings import apply
from cifar_core.experiment.strategies import STRATEGIES
from cifar_core.experiment.transfer_map import TransferMap
from cifar_core.runs.store import Store
from cifar_core.ui import reads
from tests.data.own import fill, own
from tests.filled_store import claim, finished
from tests.pages.app import App

TWO = {"strategies": "head,scratch", "seeds": "2"}


def test_the_page_begins_with_the_sample_experiment_and_says_that_no_time_is_known(app: App) -> None:
    said = app.open("Plan").text()
    assert app.widget("plan.base").value == "sample"
    assert "18 runs: 6 experiments × 3 seeds" in said
    assert "how long it takes is unknown until something has run here" in said
    assert "No run is done yet: the verdict follows." in said


def test_one_click_queues_all_runs_and_a_second_none(app: App, store: Store) -> None:
    app.open("Plan", **TWO).click("Start 4 runs")
    queued = store.queue()
    assert [(run.name.split(" · ")[-2], run.seed) for run in queued] == [
        ("head only", 0),
        ("from scratch", 0),
        ("head only", 1),
        ("from scratch", 1),
    ]
    assert queued[0].experiment == STRATEGIES["head"].experiment(FIRST)
    assert not app.has_button("Start 4 runs")
    assert "0 of 4 runs done, 4 waiting" in app.text()


def test_runs_that_are_done_or_waiting_are_not_queued_again(app: App, store: Store) -> None:
    finished(store, STRATEGIES["head"].experiment(FIRST))
    said = app.open("Plan", **TWO).text()
    assert "1 of them are done or waiting already." in said
    app.click("Start 3 runs")
    assert len(store.runs()) == 4


def test_a_run_that_failed_is_queued_again(app: App, store: Store) -> None:
    claim(store, STRATEGIES["head"].experiment(FIRST)).ends(State.FAILED)
    assert app.open("Plan", **TWO).has_button("Start 4 runs")


def test_the_address_brings_the_plan_back(app: App) -> None:
    app.open("Plan", start="a-ft2", strategies="one-block,gradual", seeds="5", block="dense_1")
    again = App().open("Plan", **app.query)
    assert again.widget("plan.base").value == "a-ft2"
    assert again.widget("plan.seeds").value == 5
    assert again.widget("plan.block").value == "dense_1"
    on = [name for name in STRATEGIES if again.widget(f"plan.on.{name}").value]
    assert on == ["gradual", "one-block"]
    assert again.query == app.query


def test_without_cifar_10_a_recipe_is_planned_on_the_sample_and_found_again(app: App) -> None:
    app.open("Plan", start="a-ft1")
    assert app.widget("plan.sample").value and app.widget("plan.sample").disabled
    again = App().open("Plan", **app.query)
    assert (again.widget("plan.base").value, again.widget("plan.sample").value) == ("a-ft1", True)


def test_an_address_with_settings_of_its_own_keeps_them(app: App) -> None:
    app.open("Plan", set=["phases.1.epochs=7"], **TWO)
    assert app.widget("plan.base").value == "link"
    assert "phases.1.epochs=7" in app.query["set"]


def test_the_plan_takes_over_what_the_form_showed_last(app: App) -> None:
    app.open("Experiment", set=["backbone=three-conv", "phases.1.freeze.count=3"])
    app.open("Plan")
    assert app.widget("plan.base").value == "form"
    assert "Three-conv CNN" in app.text()


def test_a_plan_is_kept_while_other_pages_are_looked_at(app: App) -> None:
    app.open("Plan", **TWO)
    link = app.query
    assert app.open("Home").open("Plan").query == link


def test_what_was_chosen_of_the_strategies_outlives_a_look_at_the_map(app: App) -> None:
    app.open("Plan", **TWO)
    link = app.query
    for view in ("map", "map", "strategies"):
        app.widget("plan.view").set_value(view)
        app.run()
    assert app.query == link


@pytest.mark.parametrize(
    "link", [{"set": "phases.7.epochs=3"}, {"start": "nothing"}, {"seeds": "many", "epochs": "-1", "last": "x"}]
)
def test_a_broken_link_leaves_a_page_that_can_be_used(app: App, link: dict[str, str]) -> None:
    for view in ("strategies", "map"):
        assert App().open("Plan", view=view, **link).title == "Plan"


def test_without_a_strategy_the_page_asks_for_one(app: App) -> None:
    app.open("Plan", strategies="none")
    assert "Choose at least one strategy." in app.text()


def test_the_verdict_stands_above_the_table_of_all_seeds(app: App, store: Store) -> None:
    for seed in (0, 1, 2):
        finished(store, STRATEGIES["head"].experiment(FIRST), seed, right=0.6)
        finished(store, STRATEGIES["scratch"].experiment(FIRST), seed, right=0.9)
    said = app.open("Plan", **TWO, baseline="head only").text()
    assert "“from scratch” classifies" in said and "(mean of 3 seeds" in said
    assert "Computed on 2 cores." in said
    assert "Over 3 shared seeds" in said and "Of 200 test images it does better on" in said
    (rows,) = app.tables()
    assert rows["group"].tolist() == ["from scratch", "head only"]
    assert all("(n = 3)" in accuracy for accuracy in rows["test accuracy"])
    assert any(link.startswith("Compare?") for link in app.links().values())


def test_the_race_unfolds_as_a_table_and_its_points_leave_before_any_run_is_done(app: App, store: Store) -> None:
    assert not app.open("Plan", **TWO).test.get("download_button")[1:]
    claim(store, STRATEGIES["head"].experiment(FIRST)).trains(until=0.9)
    app.state["fold.race"] = True
    assert "No run is done yet: the verdict follows." in app.open("Plan", **TWO).text()
    (rows,) = app.tables()
    assert set(rows["strategy"]) == {"head only"} and set(rows["seeds"]) == {1}
    assert [each.proto.label for each in app.test.get("download_button")] == ["Save as SVG", "Means", "Seeds"]


def test_while_the_baseline_is_missing_the_verdict_waits(app: App, store: Store) -> None:
    finished(store, STRATEGIES["head"].experiment(FIRST))
    assert "“from scratch”, is not done, so there is no verdict yet." in app.open("Plan", **TWO).text()


def test_the_map_offers_its_runs_and_queues_the_bases_first(app: App, store: Store) -> None:
    app.open("Plan", view="map", seeds="1", epochs="2")
    app.click("Start 18 runs")
    names = [run.name.split(" · ")[-2] for run in store.queue()]
    assert names[:4] == ["baseB", "baseA", "B1B", "B1B+"]
    assert len(names) == 18


def test_the_map_fills_in_from_the_store(app: App, store: Store) -> None:
    map = TransferMap.of(FIRST, epochs=2)
    by_title = {point.title: experiment for point, experiment in map.experiments.items()}
    done = finished(store, by_title["baseB"], right=0.9)
    finished(store, by_title["A2B"], right=0.4)
    said = app.open("Plan", view="map", seeds="1", epochs="2").text()
    assert "2 of 18 runs done, 0 waiting" in said
    assert "From A2B on, frozen features of A cost B something" in said
    (rows,) = app.tables()
    assert "(n = 1)" in rows.set_index("point").loc["A2B", "test accuracy"]
    assert done not in str(app.links())  # no point chosen yet
    assert "point" not in app.query


def test_the_chosen_point_of_the_map_stands_in_the_address_with_its_runs(app: App, store: Store) -> None:
    map = TransferMap.of(FIRST, epochs=2)
    done = finished(store, {point.title: experiment for point, experiment in map.experiments.items()}["A2B"])
    app.open("Plan", view="map", seeds="1", epochs="2").widget("plan.point").set_value("A2B")
    assert app.run().query["point"] == "A2B"
    again = App().open("Plan", **app.query)
    assert done in str(again.links()) and again.query == app.query
    assert done in str(app.open("Home").open("Plan").links())
    app.widget("plan.point").set_value(None)
    assert "point" not in app.run().query
    assert "This link's point: there is no point" in App().open("Plan", view="map", point="A9B").text()


def test_a_network_that_branches_has_a_map_over_its_blocks(app: App) -> None:
    said = app.open("Plan", view="map", seeds="1", **{"set": ["backbone=resnet18-32", "data.name=sample"]}).text()
    assert "22 runs: 22 experiments × 1 seed" in said.replace("**", "")
    assert "A5B+" in list(app.tables()[0]["point"])


def test_a_plan_of_system_a_names_its_recipe_runs_as_its_own(app: App, store: Store) -> None:
    a = apply(recipe("a-ft1").experiment, ["data.name=sample"])
    finished(store, a)
    app.open("Plan", start="a-ft1", **TWO)
    assert "1 of 4 runs done" in app.text()
    assert Plan({"head": STRATEGIES["head"].experiment(a)}, 1).missing({"head": {}})


def test_runs_on_other_images_of_the_same_classes_leave_the_plan_to_do(app: App, store: Store, tmp_path: Path) -> None:
    classes = dict.fromkeys(("bee", "cat", "dog", "owl"), 4)
    query = {place: ["data.name=folder"] for place in ("raw", "cleaned")}
    for place in query:
        fill(tmp_path / place, **(classes if place == "raw" else classes | {"bee": 5}))
        query[place] = [
            f"data={on(tmp_path / place).model_dump_json()}",
            'split={"source":[0,1],"target":[2,3]}',
        ]
    base = apply(FIRST, query["raw"])
    finished(store, STRATEGIES["head"].experiment(base), images=open_images(base.data, home=store.home))
    assert "1 of 4 runs done" in app.open("Plan", set=query["raw"], **TWO).text()
    assert "0 of 4 runs done" in app.open("Plan", set=query["cleaned"], **TWO).text()
    assert app.has_button("Start 4 runs")
    fill(tmp_path / "raw", bee=6)
    reads.forget_images()
    assert "0 of 4 runs done" in app.open("Plan", set=query["raw"], **TWO).text()
    shutil.rmtree(tmp_path / "raw")
    reads.forget_images()
    assert "1 of 4 runs done" in app.open("Plan", set=query["raw"], **TWO).text()  # nothing can be said of its images


def on(folder: Path) -> Data:
    return own(folder, "bee", "cat", "dog", "owl", side=32)
