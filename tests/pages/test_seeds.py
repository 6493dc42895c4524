"""Runs that differ in their seeds alone, together on Compare."""

from cifar_core.experiment.links import FIRST
from cifar_core.experiment.settings import apply
from cifar_core.runs.store import Store
from tests.filled_store import HEAD_ONLY, claim, finished
from tests.pages.app import App


def table_of_groups(app: App) -> dict[str, str]:
    rows = next(table for table in app.tables() if "worth" in table)
    return dict(zip(rows[""], rows["test accuracy"], strict=True))


def test_groups_have_all_seeds_that_are_done_whichever_are_chosen(app: App, store: Store) -> None:
    first = [finished(store, FIRST, seed, right=0.8 + seed / 50) for seed in range(3)]
    heads = [finished(store, HEAD_ONLY, seed, right=0.5 + seed / 50) for seed in range(3)]
    found = []
    for chosen in ([first[0], heads[0]], [first[2], first[1], heads[1]]):
        app.open("Compare", runs=",".join(chosen), baseline=chosen[-1])
        app.widget("compare.together").set_value(True)
        said = app.run().text()
        assert "(mean of 3 seeds, n = 200 each)" in said
        assert "Over 3 shared seeds" in said and "if neither were better" in said
        assert "Of 200 test images it does better on" in said
        found.append(table_of_groups(app))
    assert found[0] == found[1]
    assert all("(n = 3)" in accuracy for accuracy in found[0].values()) and len(found[0]) == 2


def test_without_several_seeds_nothing_is_offered_to_group(app: App, store: Store) -> None:
    chosen = finished(store, FIRST), finished(store, HEAD_ONLY)
    app.open("Compare", runs=",".join(chosen))
    assert not any(getattr(each, "key", None) == "compare.together" for each in app.elements())


def test_seconds_of_different_machines_come_with_a_warning_on_every_axis_of_time(app: App, store: Store) -> None:
    runs = [finished(store, FIRST, seed) for seed in range(2)]
    writer = claim(store, apply(FIRST, ["phases.0.epochs=2"]))
    store.set_environment(writer.run, writer.owner, {**store.run(writer.run).environment, "hardware": "a GPU"})
    writer.trains()
    app.open("Compare", runs=",".join([*runs, writer.run]))
    warning = "computed on different machines (2 cores; a GPU)"
    assert app.text().count(warning) == 1  # where the seconds went
    app.widget("compare.x").set_value("seconds")
    assert app.run().text().count(warning) == 2
