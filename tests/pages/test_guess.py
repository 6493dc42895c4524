"""A guess first, on Plan: starting networks, what a worker guesses of them, and what came of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cifar_core.experiment.links import FIRST
from cifar_core.experiment.settings import apply
from cifar_core.runs import inspect
from cifar_core.runs.store import Store
from tests.filled_store import HEAD_ONLY, finished
from tests.pages.app import App


def with_network(store: Store, *assignments: str, seed: int = 0, right: float = 0.8) -> str:
    run = finished(store, apply(HEAD_ONLY, assignments), seed, right=right)
    (store.files.folder(run) / "model.keras").write_bytes(b"a network")
    return run


def answered(what: str, home: Path, question: dict[str, Any], *_: Any) -> dict[str, Any]:
    """The networks in the order asked about promise less and less; a fourth has none."""
    assert (what, question["layer"]) == ("guess", "output")
    found: dict[str, Any] = {}
    for place in range(len(question["starts"])):
        one = {"logme": 1 - place / 10, "leep": -0.5, "images": 2000, "features": 64, "seconds": 1.5}
        own = {"error": "This run has kept no network."} if place == 3 else one
        found |= {f"{place}/{name}": np.array(value) for name, value in own.items()}
    return found


def test_without_a_starting_network_the_page_says_what_to_do(app: App) -> None:
    assert "No run here has been trained on source classes" in app.open("Plan", view="guess").text()


def test_guesses_are_made_once_and_set_against_what_came_of_them(
    app: App, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed, right in enumerate((0.5, 0.7, 0.9)):
        with_network(store, seed=seed, right=right)
    asked: list[str] = []

    def counted(what: str, *rest: Any) -> dict[str, Any]:
        asked.append(what)
        return answered(what, *rest)

    monkeypatch.setattr(inspect, "_ask", counted)
    app.open("Plan", view="guess").click("Guess for 3 networks")
    for _ in range(2):
        said = app.run().text()
        assert "Spearman's rank correlation of guess and outcome is 1.00 (n = 3)" in said
        assert "so few leave open whether the guess helps" in said
        (table,) = app.tables()
        assert table["LogME"].tolist() == ["1.000", "0.900", "0.800"]
        assert all(" (1 run)" in each for each in table["test accuracy, mean"])
        assert "Networks" in [each.proto.label for each in app.test.get("download_button")]
        assert "Mind: synthetic images." in said
    assert asked == ["guess"]
    assert not app.has_button("Nothing to compute")
    again = App().open("Plan", view="guess")
    assert len(again.tables()) == 1 and again.query == app.query


def test_the_address_brings_back_the_networks_and_the_way_that_were_chosen(
    app: App, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, _ = (with_network(store, seed=seed) for seed in range(3))
    finished(store, FIRST, seed=0)
    monkeypatch.setattr(inspect, "_ask", answered)
    app.open("Plan", view="guess", networks=f"{second},gone,{first}")
    assert "The link names starting networks that are not here: gone." in app.text()
    app.click("Guess for 2 networks").widget("plan.way").select_index(1)
    chosen = app.run().widget("plan.way").value
    again = App().open("Plan", **app.query)
    assert (again.query, again.query["networks"]) == (app.query, f"{second},{first}")
    assert again.widget("plan.way").value == again.query["way"] == chosen
    again.widget("plan.guessed").set_value([])
    assert again.run().query["networks"] == ","
    assert App().open("Plan", **again.query).widget("plan.guessed").value == []


def test_a_network_that_cannot_be_used_says_why_beside_the_others(
    app: App, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(4):
        with_network(store, seed=seed)
    monkeypatch.setattr(inspect, "_ask", answered)
    said = app.open("Plan", view="guess").click("Guess for 4 networks").text()
    assert "seed 0: This run has kept no network." in said
    assert len(app.tables()[0]) == 3


def test_of_two_outcomes_nothing_is_claimed_and_ways_of_tuning_are_kept_apart(
    app: App, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(2):
        with_network(store, seed=seed)
    finished(store, FIRST, seed=0)
    monkeypatch.setattr(inspect, "_ask", answered)
    said = app.open("Plan", view="guess").click("Guess for 2 networks").text()
    assert "of fewer than 3, nothing can be said" in said
    assert len(app.widget("plan.way").options) == 2


def test_a_worker_that_fails_is_said_so(app: App, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise inspect.InspectionFailed("The process ended.")

    with_network(store)
    monkeypatch.setattr(inspect, "_ask", fail)
    said = app.open("Plan", view="guess").click("Guess for 1 network").text()
    assert "The process ended." in said and "Nothing has been guessed" in said
