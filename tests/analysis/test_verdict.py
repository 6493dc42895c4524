from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cifar_core.analysis.groups import Group, each_once, of_all_seeds, table
from cifar_core.analysis.predictions import Predictions
from cifar_core.analysis.verdict import better, outcome, paired, verdict
from cifar_core.analysis.wording import points
from cifar_core.experiment.experiment import Data, Phase, Validation
from cifar_core.experiment.measured import Run
from tests.analysis.made_up import DENSE, HEAD_ONLY, SCRATCH, make_run, predicted


def dense(id: str, accuracy: float | None, **fields: Any) -> Run:
    return make_run(id, (SCRATCH, DENSE), accuracy, **fields)[0]


def head(id: str, accuracy: float | None, **fields: Any) -> Run:
    return make_run(id, accuracy=accuracy, **fields)[0]


def said(runs: list[Run], baseline: str, predictions: Mapping[str, Predictions] | None = None) -> str:
    """The verdict on the groups of runs, against that of the run `baseline`."""
    groups = of_all_seeds(runs, runs)
    titles = dict.fromkeys(groups[run.id].title for run in runs if run.id in groups)
    by_title = {group.title: group for group in groups.values()}
    base = groups[baseline].title if baseline in groups else baseline
    return verdict([by_title[title] for title in titles], base, predictions)


def test_a_clear_difference_is_called_one() -> None:
    text = said([head("a", 0.6), dense("b", 0.75)], "a")
    assert text.startswith("“dense layers” classifies 75.0 % (95 %: ")
    assert "+15.0 points against the baseline “head only” (60.0 %)" in text
    assert "their 95 % intervals do not overlap" in text


def test_overlapping_intervals_are_said_to_overlap() -> None:
    assert "intervals overlap" in said([head("a", 0.6), dense("b", 0.605)], "a")


def test_a_single_seed_is_said_to_be_one() -> None:
    assert "One seed each" in said([head("a", 0.6), dense("b", 0.75)], "a")
    assert "One seed for some" in said([head("a", 0.6), head("c", 0.61, seed=4), dense("b", 0.75)], "a")


def test_a_difference_within_the_spread_over_seeds_is_called_that() -> None:
    runs = [head(f"a{seed}", 0.60 + 0.01 * seed, seed=seed) for seed in range(3)]
    runs += [dense(f"b{seed}", accuracy, seed=seed) for seed, accuracy in enumerate((0.63, 0.59, 0.64))]
    text = said(runs, "a0")
    assert "smaller than the spread over seeds" in text
    assert "(n = 3)" in text
    assert "mean of 3 seeds" in text


def test_a_difference_beyond_the_spread_over_seeds_shows_its_spread() -> None:
    runs = [head(f"a{seed}", 0.60 + 0.01 * seed, seed=seed) for seed in range(3)]
    runs += [dense(f"b{seed}", 0.75 + 0.012 * seed, seed=seed) for seed in range(3)]
    text = said(runs, "a1")
    assert "+15.2 ± 0.2 points (n = 3)" in text
    assert "larger than the spread over seeds" in text
    assert "One seed" not in text


def test_the_verdict_and_the_table_judge_seeds_alike_whichever_both_have() -> None:
    mine = [dense(f"b{seed}", accuracy, seed=seed) for seed, accuracy in enumerate((0.62, 0.70, 0.69), 3)]
    for shared in (0, 1, 2, 3):
        theirs = [head(f"a{seed}", 0.60 + 0.01 * seed, seed=seed) for seed in range(shared, shared + 3)]
        groups = each_once(of_all_seeds([*theirs, *mine], [*theirs, *mine]))
        row = table(groups, "head only").to_dict("index")["dense layers"]
        assert row["shared"] == shared
        text = said([*theirs, *mine], theirs[0].id)
        assert points(row["difference"], row["difference_spread"]) in text
        assert f": {row['judgement']}." in text
        assert ("over the 2 shared seeds" in text) == (shared == 2)


def test_with_predictions_runs_are_compared_image_by_image() -> None:
    better, worse = predicted(2000, 5, 0.8, seed=1), predicted(2000, 5, 0.4, seed=1)
    runs = [head("a", 0.5), dense("b", 0.8)]
    assert "more than the test images leave open" in said(runs, "a", {"a": worse, "b": better})
    assert "within the noise of the test images" in said(runs, "a", {"a": better, "b": better})


def test_validation_on_the_test_images_is_said() -> None:
    runs = [head("a", 0.6), dense("b", 0.75, validation=Validation(on="test"))]
    assert "Validated on the test images" in said(runs, "a")


def test_synthetic_images_are_said() -> None:
    sample = Data(name="sample")
    assert "says nothing about photographs" in said([head("a", 0.6, data=sample), dense("b", 0.7, data=sample)], "a")


def test_a_quick_look_and_images_that_are_not_the_official_ones_are_said() -> None:
    few = Data(name="cifar10", per_class=100)
    fields: Any = {"data": few, "environment": {"fingerprint": "f00d", "official": False}}
    runs = [head("a", 0.6, **fields), dense("b", 0.7, **fields)]
    text = said(runs, "a")
    assert "few images of each class" in text and "Not the official images" in text


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([], "so there is no verdict yet"),
        ([head("a", None)], "The baseline, “a”, is not done"),
        ([head("a", 0.6)], "nothing else to compare it with yet"),
        ([head("a", 0.6), make_run("b", (SCRATCH,), 0.9)[0]], "tested on other images"),
    ],
)
def test_without_a_fair_comparison_there_is_no_said(runs: list[Run], expected: str) -> None:
    assert expected in said(runs, "a")


def test_only_common_images_are_compared() -> None:
    one, other = predicted(100, 3, 0.9, seed=1), predicted(50, 3, 0.9, seed=2)
    assert paired(one, other).n == 50
    apart = Predictions(other.probabilities, other.labels, other.images + 1000, other.class_names)
    with pytest.raises(ValueError, match="no image in common"):
        paired(one, apart)


@given(st.integers(1, 200), st.integers(0, 999))
def test_comparing_the_other_way_round_turns_the_sign(n: int, seed: int) -> None:
    one, other = predicted(n, 3, 0.8, seed), predicted(n, 3, 0.5, seed + 1)
    there, back = paired(one, other), paired(other, one)
    assert there.difference == -back.difference == pytest.approx(np.mean(one.correct) - np.mean(other.correct))
    assert (there.low, there.high) == (-back.high, -back.low)


def group(title: str, *accuracies: float, phases: tuple[Phase, ...] = (SCRATCH, HEAD_ONLY)) -> Group:
    named = [(f"{title} · seed {seed}", seed, value) for seed, value in enumerate(accuracies)]
    return Group(title, tuple(make_run(name, phases, value, seed=seed, name=name)[0] for name, seed, value in named))


def test_the_winner_has_the_highest_accuracy_and_is_set_against_the_next() -> None:
    found = outcome([group("head", 0.60, 0.61), group("deep", 0.80, 0.82, phases=(SCRATCH, DENSE))], {})
    assert found.winners == ("deep",) and found.in_words == "deep"
    assert "against the next, “head”" in found.sentence


def test_two_within_the_spread_over_seeds_are_too_close_to_tell() -> None:
    found = outcome([group("head", 0.60, 0.66), group("deep", 0.66, 0.62, phases=(SCRATCH, DENSE))], {})
    assert found.in_words == "deep or head: too close to tell"
    assert "smaller than the spread over seeds" in found.sentence


def test_beyond_the_spread_over_seeds_but_not_beyond_the_noise_of_the_images_is_too_close_to_tell() -> None:
    head, deep = group("head", 0.60, 0.61), group("deep", 0.80, 0.82, phases=(SCRATCH, DENSE))
    alike = {run.id: predicted(200, 5, 0.7, seed=run.seed) for each in (head, deep) for run in each.runs}
    assert outcome([head, deep], {}).winners == ("deep",)
    found = outcome([head, deep], alike)
    assert found.in_words == "deep or head: too close to tell"
    assert "larger than the spread over seeds" in found.sentence
    assert found.sentence.endswith("the images leave open which is better.")
    better = alike | {run.id: predicted(200, 5, 1.0, seed=run.seed) for run in deep.runs}
    assert outcome([head, deep], better).winners == ("deep",)


def test_a_single_seed_without_predictions_does_not_tell_which_is_better() -> None:
    assert len(outcome([group("head", 0.6), group("deep", 0.9, phases=(SCRATCH, DENSE))], {}).winners) == 2


def test_one_shared_seed_of_several_names_no_winner_whatever_its_images_say() -> None:
    head, deep = group("head", 0.6), group("deep", 0.8, 0.81, 0.82, phases=(SCRATCH, DENSE))
    told = {run.id: predicted(200, 5, 0.6 if run in head.runs else 1.0, seed=0) for run in (*head.runs, *deep.runs)}
    found = outcome([head, deep], told)
    assert found.winners == ("deep", "head") and "how much is luck is not known" in found.sentence
    assert outcome([head, group("deep", 0.8, phases=(SCRATCH, DENSE))], told).winners == ("deep",)


def test_one_alone_has_nothing_to_win_against() -> None:
    assert "nothing else to compare it with" in outcome([group("head", 0.6)], {}).sentence
    with pytest.raises(ValueError, match="at least one group"):
        outcome([], {})


def test_groups_tested_on_other_images_cannot_be_better_than_each_other() -> None:
    moved = Group("moved", (make_run("x", accuracy=0.9, environment={"fingerprint": "other"})[0],))
    head = group("head", 0.6)
    assert outcome([moved, head], {}).winners == ("moved", "head")
    assert "tested on other images" in outcome([moved, head], {}).sentence
    with pytest.raises(ValueError, match="tested on other images"):
        better(moved, head, {})
