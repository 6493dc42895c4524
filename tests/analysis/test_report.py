import re
from dataclasses import replace
from html import escape
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from cifar_core.analysis import colours
from cifar_core.analysis.answers import three_answers
from cifar_core.analysis.groups import of_all_seeds
from cifar_core.analysis.metrics import confusion, measure
from cifar_core.analysis.predictions import Predictions
from cifar_core.analysis.report import report
from cifar_core.experiment.experiment import Data
from cifar_core.experiment.measured import Measured
from tests.analysis.made_up import DENSE, SCRATCH, make_run, predicted

NASTY = '<script>alert(1)</script> & "x"'
TWO = [make_run(), make_run("bbbbbbbb", (SCRATCH, DENSE), 0.8)]


class Balanced(HTMLParser):
    """Collects what was opened and not closed."""

    VOID = ("meta", "line", "circle", "polyline", "path", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


@pytest.mark.parametrize("runs", [TWO[:1], TWO], ids=["one run", "a comparison"])
def test_a_report_is_whole_and_needs_neither_network_nor_script(runs: list[Measured], predictions: Predictions) -> None:
    made = report(runs, {run.id: predictions for run, _ in runs})
    parsed = Balanced()
    parsed.feed(made)
    assert parsed.open == []
    assert "script" not in parsed.tags and "link" not in parsed.tags and "img" not in parsed.tags
    assert not re.search(r"https?://|url\(", made)
    assert "svg" in parsed.tags and "table" in parsed.tags


def test_names_and_notes_are_shown_as_typed() -> None:
    made = report([make_run(name=NASTY, note=NASTY)])
    assert "<script>" not in made
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp;" in made


def test_what_must_be_said_stands_before_the_numbers() -> None:
    made = report([make_run(data=Data(name="sample", per_class=20))])
    said = made.index("synthetic images; quick look: 20 images per class")
    assert said < made.index("of the test images given their right class")


def test_a_comparison_begins_with_its_verdict_and_says_what_differs() -> None:
    made = report(TWO, baseline="aaaaaaaa")
    assert made.index("against the baseline") < made.index("What differs") < made.index("<svg")


def test_a_run_that_measured_nothing_has_a_report_too() -> None:
    run, _ = make_run(accuracy=None, seconds=1.0)
    assert "<svg" in report([(run, ())])


def test_curves_are_valid_svg_with_a_line_for_each_role_and_phase() -> None:
    (accuracy, _) = re.findall(r"<svg.*?</svg>", report([make_run()]), re.DOTALL)
    root = ElementTree.fromstring(accuracy)
    drawn = root.findall("polyline")
    assert len(drawn) == 4
    assert sum("stroke-dasharray" in line.attrib for line in drawn) == 2


def test_runs_in_a_report_are_told_apart_by_the_shape_of_their_points_too() -> None:
    runs = [make_run(f"run{place}", seed=place) for place in range(8)]
    made = report(runs, baseline="run2")
    legend = ElementTree.fromstring(re.findall(r'<ul class="legend">.*?</ul>', made, re.DOTALL)[0])
    shapes = [mark.attrib["d"] for mark in legend.iter("path")]
    assert len(set(shapes)) == len(set(colours.SHAPES)) == 8
    (accuracy, _) = re.findall(r'<svg viewBox="0 0 900.*?</svg>', made, re.DOTALL)[:2]
    points = {mark.attrib["d"].split("m", 1)[1] for mark in ElementTree.fromstring(accuracy).iter("path")}
    assert points == {shape.split("m", 1)[1] for shape in shapes}


def test_means_in_a_report_are_those_of_all_seeds_whichever_runs_it_is_about() -> None:
    seeds = [make_run(f"head{seed}", accuracy=0.6 + seed / 50, seed=seed) for seed in range(3)]
    deep = [make_run(f"deep{seed}", (SCRATCH, DENSE), 0.8, seed=seed) for seed in range(3)]
    every = [run for run, _ in (*seeds, *deep)]
    for chosen in ([seeds[0], deep[0]], [seeds[2], seeds[1], deep[1]]):
        groups = of_all_seeds([run for run, _ in chosen], every)
        made = report(chosen, baseline=chosen[0][0].id, groups=groups)
        assert "62.0 ± 2.0 % (n = 3)" in made and "(mean of 3 seeds, n = 5,000 each)" in made
        assert "Over 3 shared seeds: +18.0 ± 2.0 points" in made


def test_a_comparison_says_what_accuracy_costs_and_where_the_seconds_went_on_which_machine() -> None:
    made = report(TWO)
    assert made.index("Accuracy against what it costs") < made.index("on the front") < made.index("The runs")
    assert made.index("Where the seconds went") < made.index("altogether", made.index("Where the seconds"))
    assert "Computed on 2 cores." in made
    drawn = [ElementTree.fromstring(each) for each in re.findall(r"<svg.*?</svg>", made, re.DOTALL)]
    costs = [svg for svg in drawn if "accuracy against" in svg.get("aria-label", "")]
    assert [len(svg.findall("path")) for svg in costs] == [3, 3, 3]  # the front, and both runs
    other = make_run("cccccccc", (SCRATCH, DENSE), 0.8, environment={"hardware": "a GPU", "fingerprint": "f00d"})
    warned = report([TWO[0], other])
    for heading in ("Accuracy against what it costs", "Where the seconds went"):
        beside = warned[warned.index(f"<h2>{heading}</h2>") :].partition("</figure>")[0]
        assert "computed on different machines (2 cores; a GPU)" in beside


def test_a_comparison_answers_the_three_questions() -> None:
    made, only = report(TWO), [run for run, _ in TWO]
    for answer in three_answers(TWO, of_all_seeds(only, only), lambda _: {}):
        assert f"<h3>{escape(answer.question)}</h3>" in made
        assert all(f"<li>{escape(sentence)}</li>" in made for sentence in answer.sentences)


def test_the_matrix_of_a_thousand_classes_is_of_those_confused_most_and_the_file_stays_small() -> None:
    run = make_run("many")
    found = predicted(3000, 1000, 0.6, seed=0)
    made = report([(replace(run[0], metrics={"test": measure(found)}), run[1])], {"many": found})
    assert f"100 of {len(confusion(found)):,} classes, where most is confused" in made
    assert len(made) < 2_000_000
