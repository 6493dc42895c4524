"""Vega-Lite charts as pictures that stand alone."""

from dataclasses import replace
from xml.etree import ElementTree

import pandas as pd
import pytest

from cifar_core.analysis import guesses, race
from cifar_core.analysis.curves import live_chart
from cifar_core.analysis.pictures import PictureError, svg
from tests.analysis.made_up import make_run


def test_curves_become_an_svg_that_shows_the_names_and_points_of_the_runs() -> None:
    (one, histories), other = make_run("a"), make_run("b")
    drawn = ElementTree.fromstring(svg(live_chart([(replace(one, name="<b> & ünï"), histories), other])))
    assert drawn.tag == "{http://www.w3.org/2000/svg}svg"
    words = {each.text for each in drawn.iter("{http://www.w3.org/2000/svg}text")}
    assert {"<b> & ünï", other[0].name, "epoch", "chance 20.0 %"} <= words


def test_a_race_and_the_guesses_before_it_become_an_svg_with_their_labels() -> None:
    (run, histories) = make_run("a")
    for chart, label in (
        (race.chart({"head only": [(run, histories)]}), "head only"),
        (guesses.chart({"head only": 3, "everything": 1}), "3 (75 %)"),
    ):
        words = [
            each.text or "" for each in ElementTree.fromstring(svg(chart)).iter("{http://www.w3.org/2000/svg}text")
        ]
        assert any(label in each for each in words)


def test_a_chart_that_cannot_be_drawn_says_why() -> None:
    with pytest.raises(PictureError, match=r"could not be drawn by vl-convert-python: .+"):
        svg({"datasets": {"rows": pd.DataFrame({"x": [1]})}, "layer": 3})
