"""Groups of seeds: their numbers, and what a difference is worth."""

import math
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from cifar_core.analysis.groups import (
    Against,
    Group,
    against,
    chance,
    each_against,
    in_tries,
    mean_and_spread,
    of_all_seeds,
    shown,
    table,
)
from cifar_core.analysis.predictions import Predictions
from cifar_core.experiment.measured import PhaseHistory, State
from tests.analysis.made_up import DENSE, HEAD_ONLY, SCRATCH, make_run


def group(title: str, *accuracies: float, phases: tuple[object, ...] = (SCRATCH, HEAD_ONLY), first: int = 0) -> Group:
    runs = tuple(
        make_run(f"{title}{seed}", phases, accuracy, seed=seed)[0]  # type: ignore[arg-type]
        for seed, accuracy in enumerate(accuracies, first)
    )
    return Group(title, runs)


HEAD, DEEP = group("head", 0.60, 0.62, 0.61), group("deep", 0.70, 0.71, 0.75, phases=(SCRATCH, DENSE))


def right(*told: int) -> Predictions:
    """Predictions that tell some of six images right."""
    labels = np.zeros(6, dtype=np.int64)
    probabilities = np.tile([0.1, 0.9], (6, 1))
    probabilities[list(told)] = [0.9, 0.1]
    return Predictions(probabilities, labels, np.arange(6), ("a", "b"))


@given(st.integers(0, 300), st.integers(0, 300))
def test_the_chance_is_that_of_the_exact_sign_test(won: int, lost: int) -> None:
    expected = binomtest(won, won + lost).pvalue if won + lost else 1.0
    assert chance(won, lost) == pytest.approx(expected, rel=1e-9)


def test_the_chance_of_an_extreme_split_of_many_images_is_a_number() -> None:
    assert 0 <= chance(10_000, 0) < 1e-300


def test_mean_and_spread_are_those_of_all_seeds_of_a_group() -> None:
    rows = table([HEAD, DEEP], "head").to_dict("index")
    head, deep = rows["head"], rows["deep"]
    assert (head["mean"], head["spread"]) == pytest.approx((0.61, 0.01))
    assert (deep["seeds"], deep["low"], deep["high"]) == (3, 0.70, 0.75)
    assert math.isnan(head["difference"])
    assert head["judgement"] == "the baseline"


def test_a_group_has_the_same_figures_whatever_is_shown_beside_it() -> None:
    columns = ["seeds", "mean", "spread", "low", "high"]
    assert table([HEAD])[columns].equals(table([HEAD, DEEP], "deep")[columns].loc[["head"]])


def test_differences_are_taken_seed_by_seed() -> None:
    rows = table([HEAD, DEEP], "head")
    assert rows.loc["deep", "difference"] == pytest.approx(np.mean([0.10, 0.09, 0.14]))
    assert rows.loc["deep", "difference_spread"] == pytest.approx(np.std([0.10, 0.09, 0.14], ddof=1))
    assert rows.loc["deep", "shared"] == 3


def test_a_difference_within_the_spread_is_called_so() -> None:
    other = group("other", 0.64, 0.59, 0.61, phases=(SCRATCH, DENSE))
    found = against(other, HEAD, {})
    assert found is not None and found.within_spread
    assert "not a difference to rely on" in found.in_words[0]
    better = against(DEEP, HEAD, {})
    assert better is not None and not better.within_spread
    assert better.in_words == [
        "Over 3 shared seeds: +11.0 ± 2.6 points against “head”, larger than the spread over seeds. It is better with "
        "3 of 3; if neither were better, seeds would agree so far once in 4 tries."
    ]


def test_only_seeds_that_both_have_are_paired() -> None:
    found = against(group("late", 0.7, 0.8, first=1, phases=(SCRATCH, DENSE)), HEAD, {})
    assert found is not None
    assert found.seeds == 2
    assert found.difference == pytest.approx((0.08 + 0.19) / 2)
    assert found.judgement == "larger than the spread over the 2 shared seeds"
    single = against(group("single", 0.7, first=2, phases=(SCRATCH, DENSE)), HEAD, {})
    assert single is not None and (single.seeds, single.spread) == (1, None)
    assert single.difference == pytest.approx(0.09)
    assert single.judgement == "over one shared seed, so how much is luck is not known"
    apart = against(group("apart", 0.7, first=5, phases=(SCRATCH, DENSE)), HEAD, {})
    assert apart is not None and apart.judgement == "no seed in common, so how much is luck is not known"


@pytest.mark.parametrize("first", [2, 5])
def test_of_seeds_with_too_few_in_common_to_be_paired_each_sides_own_spread_counts(first: int) -> None:
    far = against(group("late", 0.7, 0.8, first=first, phases=(SCRATCH, DENSE)), HEAD, {})
    assert far is not None
    assert far.difference == pytest.approx(0.75 - 0.61)
    assert far.spread == pytest.approx(math.hypot(0.1 / 2**0.5, 0.01))
    assert far.judgement == "larger than the spread over each side's own seeds"
    near = against(group("near", 0.6, 0.66, first=first, phases=(SCRATCH, DENSE)), HEAD, {})
    assert near is not None and near.within_spread and not near.is_more_than_luck


def test_images_are_won_by_the_side_that_more_seeds_tell_right() -> None:
    kept = {
        "deep0": right(0, 1, 2),
        "head0": right(0),
        "deep1": right(1, 2, 3),
        "head1": right(3, 4),
        "deep2": right(0, 5),
        "head2": right(0, 4, 5),
    }
    found = against(DEEP, HEAD, kept)
    assert found is not None
    # 1 and 2 are won twice, 4 is lost twice; 0, 3 and 5 are told right as often by both.
    assert (found.images, found.images_won, found.images_lost) == (6, 2, 1)
    assert "better on 2 and worse on 1" in found.in_words[1]
    assert "the images leave open which is better" in found.in_words[1]


def test_single_runs_of_other_seeds_are_set_against_each_other_by_their_images() -> None:
    found = against(group("b", 0.7, first=4), group("a", 0.6), {"b4": right(0, 1), "a0": right(1)})
    assert found is not None and (found.images, found.images_won, found.images_lost) == (6, 1, 0)


def test_only_images_that_all_have_are_compared() -> None:
    first, second = right(0, 1), right(1)
    second = Predictions(second.probabilities[3:], second.labels[3:], second.images[3:], second.class_names)
    found = against(group("b", 0.7), group("a", 0.6), {"b0": first, "a0": second})
    assert found is not None and found.images == 3


def test_groups_tested_on_other_images_are_not_set_against_each_other() -> None:
    other, _ = make_run("x", accuracy=0.9, environment={"fingerprint": "other"})
    assert against(Group("other", (other,)), HEAD, {}) is None
    assert table([HEAD, Group("other", (other,))], "head").loc["other", "judgement"] == ""


def test_every_group_is_set_against_the_baseline_in_sentences_the_best_first() -> None:
    other, _ = make_run("x", accuracy=0.9, environment={"fingerprint": "other"})
    one = group("one seed", 0.5, phases=(SCRATCH, DENSE))
    said = each_against([one, HEAD, DEEP, Group("other", (other,))], "head", {})
    assert list(said) == ["other", "deep", "one seed"]
    assert said["other"] == ["Tested on other images than “head”: the accuracies are not comparable."]
    assert said["deep"][0].startswith("Over 3 shared seeds: +11.0 ± 2.6 points against “head”")
    assert said["one seed"] == ["−10.0 points against “head”, over one shared seed, so how much is luck is not known."]
    assert each_against([HEAD, DEEP], "nobody", {}) == {}


@pytest.mark.parametrize(
    ("spread", "won", "lost", "expected"),
    [
        (0.02, 90, 30, True),
        (0.2, 90, 30, False),  # within the spread over seeds
        (0.02, 60, 55, False),  # the images leave it open
        (0.02, 30, 90, False),  # they say the contrary
        (0.02, 0, 0, True),  # there are no images
        (None, 90, 30, True),
        (None, 60, 55, False),
        (None, 0, 0, False),
    ],
)
def test_more_than_luck_is_what_seeds_and_images_both_say(
    spread: float | None, won: int, lost: int, expected: bool
) -> None:
    seeds, are_single = (1, True) if spread is None else (3, False)
    found = Against("a", 0.1, spread, seeds, seeds, 0, 500 if won else 0, won, lost, are_single=are_single)
    assert found.is_more_than_luck == expected


@pytest.mark.parametrize(
    ("probability", "words"),
    [
        (1.0, "every time"),
        (0.92, "nearly every time"),
        (0.5, "about every second time"),
        (0.25, "once in 4 tries"),
        (0.004, "once in 250 tries"),
        (1e-9, "less than once in 1,000 tries"),
    ],
)
def test_a_probability_is_said_as_what_happens(probability: float, words: str) -> None:
    assert in_tries(probability) == words


def test_a_split_that_cannot_be_more_even_is_said_to_come_every_time() -> None:
    said = Against("a", 0.1, 0.2, 3, 2, 1, 500, 55, 55).in_words
    assert "It is better with 2 of 3; if neither were better, seeds would agree so far every time." in said[0]
    assert "they would be split so unevenly every time; the images leave open which is better." in said[1]


def test_no_sentence_has_a_bare_p_value() -> None:
    said = " ".join(Against("a", 0.1, 0.01, 3, 3, 0, 500, 90, 30).in_words)
    assert said.count("if neither were better") == 2
    assert not re.search(r"\bp\b", said)


def test_readers_see_the_best_first_with_units() -> None:
    rows = shown(table([HEAD, DEEP], "head", seconds={"deep0": 3.0, "deep1": 5.0}))
    assert rows["group"].tolist() == ["deep", "head"]
    assert rows["test accuracy"].tolist() == ["72.0 ± 2.6 % (n = 3)", "61.0 ± 1.0 % (n = 3)"]
    assert rows["against the baseline"].tolist() == ["+11.0 ± 2.6 points", "–"]
    assert rows["training"].tolist() == ["4.0 s", "–"]
    assert mean_and_spread(0.5, None, 1) == "50.0 % (n = 1)"


def test_what_must_be_said_of_any_run_of_a_group_stands_in_its_row() -> None:
    one, other = HEAD.runs[0], replace(HEAD.runs[1], resumed=1)
    stored = {one.id: (PhaseHistory(0, "tuned", features_of_others=True),)}
    rows = table([Group("head", (one, other)), DEEP], histories=stored)
    assert rows["flags"].tolist() == ["features stored by another run; resumed after an interruption", ""]


def test_without_groups_there_is_an_empty_table() -> None:
    assert table([]).empty


def test_scipy_stays_out_of_the_process_of_the_app() -> None:
    program = "import sys, cifar_core.analysis.groups, cifar_core.analysis.plan; print('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout.strip() == "False"


def test_a_group_is_all_seeds_that_are_done_whichever_were_chosen() -> None:
    runs = [make_run(f"head{seed}", accuracy=0.6 + seed / 100, seed=seed)[0] for seed in range(3)]
    deep = make_run("deep", (SCRATCH, DENSE), 0.8, seed=0)[0]
    fails = make_run("fails", accuracy=None, seed=7, state=State.FAILED)[0]
    moved = replace(runs[0], id="moved", seed=9, environment={"fingerprint": "other images"})
    early = make_run("early", accuracy=None, seed=8, state=State.FAILED, environment={})[0]
    every = [*runs, deep, fails, moved, early]
    one, two = of_all_seeds([early, runs[1], deep], every), of_all_seeds([runs[0], fails, runs[2]], every)
    assert "early" not in one and "fails" not in two
    assert [run.id for run in one["head1"].runs] == ["head0", "head1", "head2"]
    assert one["head1"].mean == two["head0"].mean == two["head2"].mean == pytest.approx(0.61)
    assert two["head0"] is two["head2"]
    assert len({group.title for group in one.values()}) == 2
    assert not of_all_seeds([fails], [fails])


def test_an_archived_run_counts_only_where_it_was_chosen() -> None:
    good, bad = (make_run(f"{seed}", accuracy=0.8 - seed / 2, seed=seed)[0] for seed in range(2))
    bad = replace(bad, archived=True)
    assert [run.id for run in of_all_seeds([good], [good, bad])["0"].runs] == ["0"]
    assert [run.id for run in of_all_seeds([good, bad], [good, bad])["0"].runs] == ["0", "1"]


def test_of_two_runs_of_one_seed_the_newest_counts() -> None:
    old, new = (
        make_run(id, accuracy=accuracy, created=datetime(2026, 11, day, tzinfo=UTC))[0]
        for id, accuracy, day in (("old", 0.5, 1), ("new", 0.6, 2))
    )
    assert of_all_seeds([old], [new, old])["old"].mean == 0.6


def test_the_baseline_can_be_called_otherwise() -> None:
    rows = shown(table([HEAD, DEEP], "head"), "the first").set_index("group")
    assert rows.loc["head", "worth"] == "the first" and "against the first" in rows.columns
