"""Several people on one server: whose runs are whose, and who may change what."""

import pytest

from cifar_core.experiment.links import FIRST
from cifar_core.experiment.measured import State
from cifar_core.limits import RUNS_PER_PERSON
from cifar_core.runs.store import Store
from cifar_core.ui import people
from tests.filled_store import claim
from tests.pages.app import FILES, App

KEY = "let me"


@pytest.fixture
def adas(store: Store) -> str:
    """The id of a waiting run of Ada's."""
    return store.submit(FIRST, 0, "a run of Ada's", person="Ada")


def named(app: App, name: str) -> App:
    app.open("Home").widget("people.typed").set_value(name)
    return app.run()


def test_a_name_is_typed_once_and_runs_bear_it(app: App, store: Store) -> None:
    named(app, "  Ada   Lovelace ").open("Experiment").open("Home").click("Start the sample experiment")
    (run,) = store.runs()
    assert run.person == "Ada Lovelace"
    assert "yours" in app.text()


@pytest.mark.parametrize("page", ["Home", "Live", "Notebook"])
def test_own_runs_are_marked_and_others_bear_their_name(app: App, store: Store, adas: str, page: str) -> None:
    store.submit(FIRST, 1, "a run of Bo's", person="Bo")
    said = named(app, "Ada").open(page).text() + "".join(app.links())
    assert "yours" in said and "Bo" in said


def test_only_its_owner_cancels_a_run(app: App, store: Store, adas: str) -> None:
    named(app, "Bo").open("Live", run=adas)
    assert not app.has_button("Cancel")
    assert app.button("Cancel").help == "Ada started this run: only Ada may do this."
    named(app, "Ada").open("Live", run=adas).click("Cancel")
    assert store.run(adas).state is State.STOPPED


def test_runs_of_nobody_belong_to_everybody(app: App, runs: dict[str, str]) -> None:
    assert named(app, "Bo").open("Live", run=runs["training"]).has_button("Stop")


def test_a_click_that_is_not_allowed_any_more_changes_nothing(
    app: App, store: Store, adas: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    named(app, "Ada").open("Live", run=adas).button("Cancel").click()
    monkeypatch.setenv(people.READ_ONLY, "on")
    app.test.run()
    assert app.test.exception and store.run(adas).state is State.QUEUED


def test_the_presenter_changes_everybodys_runs(
    app: App, store: Store, adas: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(people.PRESENTER, KEY)
    assert "only Ada or the presenter" in app.open("Live", run=adas).button("Cancel").help
    app.open("Live", run=adas, presenter="wrong")
    assert "That was another key." in app.text() and not app.has_button("Cancel")
    app.open("Live", run=adas, presenter=KEY)
    assert app.query == {"run": adas}  # the key does not stay in the address
    app.open("Home").open("Live", run=adas).click("Cancel")
    assert store.run(adas).state is State.STOPPED


def test_a_presenter_may_type_the_key(app: App, adas: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(people.PRESENTER, KEY)
    app.open("Live", run=adas).widget("people.key_typed").set_value(KEY)
    assert app.run().open("Home").open("Live", run=adas).has_button("Cancel")


def logged_in(app: App, name: str) -> App:
    app.state["people.login"], app.state["people.name"] = True, name
    return app


def test_with_a_login_runs_of_nobody_are_the_presenters(
    app: App, runs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(people.PRESENTER, KEY)
    stop = logged_in(app, "ada@example.org").open("Live", run=runs["training"]).button("Stop")
    assert stop.disabled and stop.help.endswith("only the presenter may do this.")
    assert app.open("Live", run=runs["training"], presenter=KEY).has_button("Stop")


@pytest.mark.parametrize(
    ("claims", "person"),
    [
        ({"sub": "1", "email": "ada@example.org", "name": "Ada", "preferred_username": "ada"}, "ada@example.org"),
        ({"sub": "1", "name": "Ada"}, "Ada (1)"),
        ({"sub": "2", "name": "Ada", "preferred_username": "ada"}, "ada (2)"),
        ({"sub": "3"}, "3"),
        ({"name": "Ada"}, ""),
    ],
)
def test_a_name_alone_is_no_identity(claims: dict[str, str], person: str) -> None:
    assert people.identity(claims) == person


@pytest.mark.parametrize("set_to", ["on", "On", "1", "true", " yes "])
def test_whatever_a_server_for_watching_is_set_to_but_off_counts_as_on(
    app: App, monkeypatch: pytest.MonkeyPatch, set_to: str
) -> None:
    monkeypatch.setenv(people.READ_ONLY, set_to)
    assert not app.open("Home").has_button("Start the sample experiment")
    for free in ("", "off", " Off "):
        monkeypatch.setenv(people.READ_ONLY, free)
        assert app.run().has_button("Start the sample experiment")


@pytest.mark.parametrize("page", ["Home", "Experiment", "Plan"])
def test_a_server_for_watching_starts_nothing_but_for_the_presenter(
    app: App, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    monkeypatch.setenv(people.READ_ONLY, "on")
    starts = [each for each in app.open(page).test.button if each.proto.label.partition(",")[0] in STARTS]
    assert starts and all(each.disabled for each in starts)
    monkeypatch.setenv(people.PRESENTER, KEY)
    app.open(page, presenter=KEY)
    assert any(not each.disabled for each in app.test.button if each.proto.label.partition(",")[0] in STARTS)


STARTS = ("Start the sample experiment", "Start", "Try it small", "Start 18 runs")
CHANGES = ("Stop", "Cancel", "Move up", "Archive", "Delete now", "Go on from the last finished epoch", *STARTS)


@pytest.mark.parametrize("page", FILES)
def test_a_link_for_watching_shows_every_page_and_changes_nothing(app: App, runs: dict[str, str], page: str) -> None:
    app.open("Live", run=runs["training"], view="only").open(page)
    assert not [label for label in CHANGES if app.has_button(label)]
    view = app.query.get("view", ["only"])
    assert "only" in ([view] if isinstance(view, str) else view)


def test_a_run_that_would_be_too_many_is_said_at_start(app: App, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUNS_PER_PERSON, "2")
    ended = store.submit(FIRST, 0, "a run of Ada's that was cancelled", person="Ada")
    store.request_stop(ended)
    start = named(app, "Ada").open("Plan").widget("plan.start")
    assert start.disabled and start.help.startswith("This server takes 2 waiting and working runs")
    store.submit(FIRST, 1, "the first", person="Ada")
    assert app.open("Home").has_button("Start the sample experiment")
    store.submit(FIRST, 2, "the second", person="Ada")
    assert app.run().button("Start the sample experiment").help.startswith("This server takes 2 waiting")
    go_on = app.open("Results", run=ended).button("Go on from the last finished epoch")
    assert go_on.disabled and go_on.help.startswith("This server takes 2 waiting")
    assert named(app, "Bo").has_button("Start the sample experiment")


def test_where_runs_are_counted_by_person_who_starts_one_says_their_name(
    app: App, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RUNS_PER_PERSON, "1")
    ended = claim(store)
    ended.ends(State.STOPPED)
    store.submit(FIRST, 1, "a run of the terminal's")
    nameless = "Type your name at the top of the page first: this server counts the runs of each person."
    assert app.open("Home").button("Start the sample experiment").help == nameless
    assert app.open("Results", run=ended.run).button("Go on from the last finished epoch").help == nameless
    named(app, "Ada").open("Results", run=ended.run).click("Go on from the last finished epoch")
    assert store.run(ended.run).state is State.QUEUED
    assert app.open("Home").has_button("Start the sample experiment")


def test_a_name_with_markup_is_shown_as_typed(app: App, store: Store) -> None:
    store.submit(FIRST, 0, "a run", person="**Bo**")
    assert "**Bo**" in "".join(app.open("Home").links())
