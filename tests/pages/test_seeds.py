"""Runs that differ in their seeds alone, together on Compare."""

from cifar_core.experiment.links import FIRST
from cifar_core.experiment.measured import State
from cifar_core.experiment.settings import apply
from cifar_core.runs.store import Store
from tests.filled_store import HEAD_ONLY, claim, finished
from tests.pages.app import App


def table_of_groups(app: App) -> dict[str, str]:
    rows = next(table for table in app.tables() if "worth" in table)
    return dict(zip(rows["group"], rows["test accuracy"], strict=True))


def test_groups_have_all_seeds_that_are_done_whichever_are_chosen(app: App, store: Store) -> None:
    first = [finished(store, FIRST, seed, right=0.8 + seed / 50) for seed in range(3)]
    heads = [finished(store, HEAD_ONLY, seed, right=0.5 + seed / 50) for seed in range(3)]
    short = apply(FIRST, ["phases.0.epochs=2"])
    shorts = [finished(store, short, seed, f"short · seed {seed}", right=0.4 + seed / 50) for seed in range(3)]
    found = []
    for chosen in ([first[0], shorts[0], heads[0]], [first[2], shorts[2], first[1], heads[1]]):
        app.state["fold.against"] = app.state["fold.means"] = True
        said = app.open("Compare", runs=",".join(chosen), baseline=chosen[-1]).text()
        assert said.count("(mean of 3 seeds, n = 200 each)") == 2  # in the verdict and in the answer of what is better
        # once below the verdict, and of every other group in the list
        assert said.count("Over 3 shared seeds") == said.count("Of 200 test images it does better on") == 3
        assert {table["seeds"].unique().item() for table in app.tables() if "± points" in table} == {3}
        found.append(table_of_groups(app))
    assert found[0] == found[1]
    assert all("(n = 3)" in accuracy for accuracy in found[0].values()) and len(found[0]) == 3


def test_single_seeds_have_no_mean_but_each_is_set_against_the_baseline(app: App, store: Store) -> None:
    chosen = finished(store, FIRST), finished(store, HEAD_ONLY)
    app.state["fold.against"] = True
    said = app.open("Compare", runs=",".join(chosen)).text()
    assert "mean of" not in said and "image by image" in said
    assert "over one shared seed, so how much is luck is not known" in said
    assert "Of 200 test images it does better on" in said


def test_seconds_of_different_machines_come_with_a_warning_wherever_they_stand_and_one_machine_is_named(
    app: App, store: Store
) -> None:
    runs = [finished(store, FIRST, seed) for seed in range(2)]
    assert "Computed on 2 cores." in app.open("Compare", runs=",".join(runs)).text()
    writer = claim(store, apply(FIRST, ["phases.0.epochs=2"]))
    store.set_environment(writer.run, writer.owner, {**store.run(writer.run).environment, "hardware": "a GPU"})
    writer.trains()
    app.open("Compare", runs=",".join([*runs, writer.run]))
    warning = "computed on different machines (2 cores; a GPU)"
    assert app.text().count(warning) == 1 and "Computed on" not in app.text()  # where the seconds went
    writer.ends(State.DONE, metrics=writer.predicts(0.8))
    assert app.run().text().count(warning) == 3  # at the groups, which have a column of seconds, and at Pareto's
    app.widget("compare.x").set_value("seconds")
    assert app.run().text().count(warning) == 4
