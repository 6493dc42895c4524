"""A thousand classes on Results and Compare: what is drawn stays readable, and what is sent small."""

from typing import Any

import numpy as np
import pytest

from cifar_core.analysis.metrics import measure
from cifar_core.analysis.predictions import Predictions
from cifar_core.experiment.links import FIRST
from cifar_core.experiment.measured import State
from cifar_core.experiment.settings import apply
from cifar_core.runs.store import Store
from tests.data.own import own
from tests.filled_store import claim
from tests.pages.app import App

CLASSES = tuple(f"class {number}" for number in range(1000))
MOST_BYTES = 1_000_000


@pytest.fixture
def many(store: Store) -> list[str]:
    """Two runs that tell a thousand classes apart, by 4,000 test images."""
    data = own(store.home / "nowhere", *CLASSES, side=32).model_dump_json()
    split = {"source": [*range(500)], "target": [*range(500, 1000)]}
    experiment = apply(FIRST, [f"data={data}", f"split={split}".replace("'", '"'), "phases.1.train_on=target"])
    return [ran(store, experiment, seed) for seed in range(2)]


def ran(store: Store, experiment: Any, seed: int) -> str:
    writer = claim(store, experiment, seed)
    writer.trains()
    random = np.random.default_rng(seed)
    labels = np.arange(4000) % 1000
    probabilities = np.full((4000, 1000), 1e-4, dtype=np.float32)
    probabilities[np.arange(4000), np.where(random.random(4000) < 0.6, labels, random.integers(0, 1000, 4000))] = 0.9
    found = Predictions(probabilities, labels, np.arange(4000), CLASSES)
    found.save(store.files.folder(writer.run) / "test.npz")
    writer.ends(State.DONE, metrics={"test": measure(found)})
    return writer.run


def sizes(app: App) -> dict[str, int]:
    """How many bytes each figure and table of a page is."""
    charts = {f"chart {place}": len(chart.proto.spec) for place, chart in enumerate(app.test.get("plotly_chart"))}
    return charts | {f"table {place}": each.proto.ByteSize() for place, each in enumerate(app.test.dataframe)}


def test_results_of_a_thousand_classes_send_little_and_show_the_most_confused(app: App, many: list[str]) -> None:
    app.open("Results", run=many[0])
    app.widget("sorted.test").set_value(True)
    assert max(sizes(app.run()).values()) < MOST_BYTES
    matrix = next(chart.proto.spec for chart in app.test.get("plotly_chart") if "heatmap" in chart.proto.spec)
    assert "100 of 1,000 classes, where most of it happens" in matrix
    report, *_ = (table for table in app.tables() if "recall" in table)
    assert len(report) == 1000
    assert any(list(table) == ["true", "predicted", "images"] for table in app.tables())


def test_compared_runs_of_a_thousand_classes_send_little(app: App, many: list[str]) -> None:
    app.state["fold.matrices"] = True
    app.open("Compare", runs=",".join(many))
    assert max(sizes(app).values()) < MOST_BYTES
    assert any(list(table)[:2] == ["true", "predicted"] for table in app.tables())
