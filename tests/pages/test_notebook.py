"""The lab notebook as people use it: reading, searching, noting, keeping house."""

import pytest

from cifar_core.experiment.links import FIRST
from cifar_core.runs.store import Store
from tests.filled_store import NASTY_NAME, finished, queue
from tests.pages.app import App


def select(app: App, *runs: str) -> App:
    for run in runs:
        app.widget(f"pick.{run}").set_value(True)
    return app.run()


def test_every_run_stands_in_order_with_what_it_changed_and_what_came_of_it(app: App, store: Store) -> None:
    first, second = finished(store, seed=0), finished(store, seed=1)
    said = app.open("Notebook").text()
    assert said.index(second) < said.index(first)
    assert "Changed: seed 0 → 1" in said.replace("**", "") and "the first run" in said
    assert f"against the run before ({first}): image by image" in said


def test_a_kept_comparison_stands_in_the_notebook_and_leads_to_itself(app: App, store: Store) -> None:
    first, second = finished(store, seed=0), finished(store, seed=1)
    kept = store.keep_comparison("the *two*", [second, first], first, note="for Tuesday")
    app.open("Notebook")
    assert app.links()["**the *two***"] == f"Compare?comparison={kept}"
    said = app.text()
    assert "> for Tuesday" in said and said.index("the *two*") < said.index(second)
    store.archive(first)
    said = App().open("Notebook").text()
    assert "Changed: seed 0 → 1" in said.replace("**", "") and "the first run" not in said


def test_entries_lead_to_results_or_live(app: App, runs: dict[str, str]) -> None:
    links = app.open("Notebook").links().values()
    assert {f"Results?run={runs['done']}", f"Live?run={runs['training']}"} <= set(links)


def test_archived_runs_are_shown_when_asked_for(app: App, runs: dict[str, str]) -> None:
    assert runs["archived"] not in app.open("Notebook").text()
    assert runs["archived"] in App().open("Notebook", with_archived="true").text()


def test_a_search_is_part_of_the_link(app: App, runs: dict[str, str]) -> None:
    said = app.open("Notebook", search="failed").text()
    assert runs["failed"] in said and runs["done"] not in said
    assert "No run has all these words" in App().open("Notebook", search="nothing like it").text()


def test_a_name_is_shown_as_it_was_typed(app: App, runs: dict[str, str]) -> None:
    app.open("Notebook", search=runs["nasty"])
    assert f"**{NASTY_NAME}**" in app.links()
    assert not any(NASTY_NAME in each.value for each in (*app.test.markdown, *app.test.caption))


def test_a_selected_run_is_renamed_and_noted(app: App, runs: dict[str, str], store: Store) -> None:
    run = runs["done"]
    select(app.open("Notebook"), run)
    app.widget(f"name.{run}").set_value("the one")
    app.run()
    app.widget(f"note.{run}").set_value("seen *here*")
    said = app.run().text()
    assert (store.run(run).name, store.run(run).note) == ("the one", "seen *here*")
    assert "> seen *here*" in said


def test_selected_runs_are_archived_and_brought_back(app: App, runs: dict[str, str], store: Store) -> None:
    chosen = runs["done"], runs["failed"]
    select(app.open("Notebook", with_archived="true"), *chosen).click("Archive")
    assert all(store.run(run).archived for run in chosen)
    app.click("Bring back")
    assert not any(store.run(run).archived for run in chosen)


def test_selected_runs_are_deleted_together_and_those_that_work_stay(
    app: App, runs: dict[str, str], store: Store
) -> None:
    select(app.open("Notebook"), runs["done"], runs["failed"], runs["training"])
    assert "This removes 2 runs" in app.text() and "1 run that waits or works stays" in app.text()
    app.click("Delete now")
    left = {run.id for run in store.runs()}
    assert runs["training"] in left and not {runs["done"], runs["failed"]} & left


@pytest.mark.parametrize("count", [20, 21])
def test_many_runs_come_in_pages_and_the_link_names_the_page(app: App, store: Store, count: int) -> None:
    ids = [queue(store, FIRST, seed) for seed in range(count)]
    said = app.open("Notebook").text()
    assert ids[-1] in said
    assert (ids[0] in said) == (count == 20)
    if count > 20:
        assert ids[0] in App().open("Notebook", sheet="2").text()


def test_all_on_the_page_are_selected_at_once(app: App, runs: dict[str, str]) -> None:
    app.open("Notebook").click("Select all")
    assert "12 selected." in app.text()
    app.click("Select none")
    assert "selected." not in app.text()


def test_tags_are_given_to_all_selected_runs_and_found_again(app: App, runs: dict[str, str], store: Store) -> None:
    one, other = runs["done"], runs["failed"]
    store.set_tags(one, ["mine"])
    select(app.open("Notebook"), one, other)
    app.test.multiselect[0].set_value(["lecture 3"])
    app.run()
    assert (store.run(one).tags, store.run(other).tags) == (("mine", "lecture 3"), ("lecture 3",))
    said = App().open("Notebook", search="LECTURE").text()
    assert one in said and other in said and runs["stopped"] not in said
    said = App().open("Notebook", tags="mine").text()
    assert one in said and other not in said


def test_a_selected_run_opens_in_the_form(app: App, runs: dict[str, str], store: Store) -> None:
    select(app.open("Notebook"), runs["head only"]).click("Open in the form").click("Start")
    newest = store.runs()[0]
    assert newest.experiment == store.run(runs["head only"]).experiment and newest.id != runs["head only"]
