"""Where runs go to, on the Live page."""

import pytest

from cifar_core.runs import places
from cifar_core.runs.places import Capacity, Machine
from tests.pages.app import App


def test_live_shows_the_machines_of_a_cluster_and_how_busy_they_are(
    app: App, runs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "places busy" not in app.open("Live", run=runs["training"]).text()
    monkeypatch.setattr(places, "capacity", lambda: Capacity([Machine("machine-a", 2, 1), Machine("machine-b", 2, 1)]))
    said = "2 of 4 places busy: machine-a 1 of 2, machine-b 1 of 2."
    assert said in app.open("Live", run=runs["training"]).text().replace("\\", "")


def test_live_says_why_runs_wait_for_a_cluster(app: App, runs: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "capacity", lambda: Capacity(problem="No machine has joined."))
    assert "No machine has joined." in app.open("Live", run=runs["queued"]).text().replace("\\", "")
