"""The README's figure of ratios: drawn from measured numbers alone."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks.frozen_depth_figure import drawn

DOCS = Path(__file__).parents[1] / "docs"
SVG = "{http://www.w3.org/2000/svg}"


def network(title: str, epochs: dict[int, float], depths: dict[int, float]) -> dict[str, Any]:
    return {
        "title": title,
        "epochs_by_depth": 10,
        "epochs": [{"epochs": x, "ratio_cpu": ratio} for x, ratio in epochs.items()],
        "depths": [{"frozen": x, "ratio_cpu": ratio} for x, ratio in depths.items()],
    }


@pytest.fixture
def figure() -> ElementTree.Element:
    networks = [
        network("A & B", {1: 1.0, 3: 2.0, 10: 5.0, 30: 10.0}, {0: 1.0, 1: 5.0}),
        network("another", {1: 0.9, 3: 1.5, 10: 4.0, 30: 8.0}, {0: 1.0, 1: 2.0, 2: 4.0}),
    ]
    return ElementTree.fromstring(drawn({"networks": networks}))


def heights(line: ElementTree.Element) -> list[float]:
    return [float(point.split(",")[1]) for point in line.attrib["points"].split()]


def test_equal_ratios_stand_equally_high_in_both_panels(figure: ElementTree.Element) -> None:
    lines = [heights(line) for line in figure.iter(f"{SVG}polyline") if len(heights(line)) > 1]
    legend, epochs, depth = (lines[place] for place in (0, 2, 4))
    assert legend[0] == legend[1]
    assert (epochs[0], epochs[2]) == (depth[0], depth[1])  # 1 × and 5 ×
    assert epochs == sorted(epochs, reverse=True)  # down the page is less


def test_every_ratio_can_be_read_without_seeing_it(figure: ElementTree.Element) -> None:
    said = figure.findtext(f"{SVG}desc") or ""
    assert "A & B, epochs, all but the output layer frozen: 1: 1.0 ×, 3: 2.0 ×, 10: 5.0 ×, 30: 10.0 ×" in said
    assert "another, blocks frozen, counted from the image; 10 epochs: 0: 1.0 ×, 1: 2.0 ×, 2: 4.0 ×" in said


def test_networks_differ_in_more_than_colour(figure: ElementTree.Element) -> None:
    lines = [line.attrib for line in figure.iter(f"{SVG}polyline")]
    assert {line.get("stroke-dasharray") for line in lines if line["class"] == "n0"} == {None}
    assert {line.get("stroke-dasharray") for line in lines if line["class"] == "n1"} == {"7 4"}


def test_the_figure_in_the_readme_is_drawn_from_the_numbers_beside_it() -> None:
    measured = json.loads((DOCS / "frozen-depth.json").read_text(encoding="utf-8"))
    assert (DOCS / "frozen-depth.svg").read_text(encoding="utf-8") == drawn(measured)
