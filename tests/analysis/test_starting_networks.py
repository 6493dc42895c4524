"""Which runs share a starting network, what came of each, and what is said about guess and outcome."""

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from scipy.stats import spearmanr

from cifar_core.analysis.starting_networks import (
    agreement,
    guess_figure,
    key_of,
    outcome_figure,
    outcomes,
    shown,
    sources,
    table,
)
from cifar_core.experiment.experiment import Data, InitialWeights
from cifar_core.experiment.images_now import ImagesNow
from cifar_core.experiment.measured import Run, State
from cifar_core.experiment.recipes import RECIPES
from tests.analysis.made_up import DENSE, HEAD_ONLY, SCRATCH, make_run

SLOW = SCRATCH.model_copy(update={"learning_rate": 1e-5})


def run(id: str, *phases: Any, accuracy: float | None = 0.6, **fields: Any) -> Run:
    return make_run(id, phases or (SCRATCH, HEAD_ONLY), accuracy, **fields)[0]


BASE = run("base").experiment


def test_runs_that_begin_alike_have_one_starting_network() -> None:
    runs = [run("head"), run("deep", SCRATCH, DENSE), run("slow", SLOW, HEAD_ONLY), run("other", seed=4)]
    found = list(sources(runs, BASE).values())
    assert [each.start for each in found] == [("run", "head"), ("run", "slow"), ("run", "other")]
    assert found[0].title == "two-conv · 3 epochs of rmsprop at 0.001 · seed 3"
    assert len({each.title for each in found}) == len({each.key for each in found}) == 3


def test_runs_that_are_not_done_or_learned_no_source_are_no_sources() -> None:
    assert not sources([run("fails", state=State.FAILED), run("alone", HEAD_ONLY)], BASE)


def test_imagenets_weights_are_a_starting_network_that_runs_may_have() -> None:
    found = sources([run("head")], BASE, ["inception-v3"])
    assert [each.start for each in found.values()] == [("run", "head"), ("imagenet", "inception-v3")]
    experiment = RECIPES["d1"].experiment
    key = key_of(replace(run("tuned"), experiment=experiment), {})
    assert key is not None and found[key].title == "InceptionV3, ImageNet"


def test_a_run_on_anothers_weights_has_that_ones_starting_network() -> None:
    source, alone = run("source", SCRATCH), run("alone", HEAD_ONLY)
    experiment = alone.experiment.model_copy(update={"initial_weights": InitialWeights(source="run", run="source")})
    tuned = replace(alone, experiment=experiment)
    runs = {"source": source, "tuned": tuned}
    assert key_of(tuned, runs) == key_of(source, runs) is not None
    assert key_of(tuned, {}) is None
    assert key_of(alone, runs) is None


def test_outcomes_are_by_way_of_tuning_and_starting_network() -> None:
    runs = [
        run("head", accuracy=0.6),
        run("slow", SLOW, HEAD_ONLY, accuracy=0.4),
        run("deep", SCRATCH, DENSE, accuracy=0.8),
        run("source", SCRATCH),
        run("fails", state=State.FAILED),
        run("elsewhere", environment={"fingerprint": "others"}),
    ]
    found = outcomes(runs, BASE)
    assert [way.split(",")[0] for way in found] == ["output only", "dense_1 to output"]
    head = next(iter(found.values()))
    assert [[each.id for each in members] for members in head.values()] == [["head"], ["slow"]]
    assert list(head) == list(sources(runs[:2], BASE))


def test_outcomes_are_those_of_the_bases_images() -> None:
    runs = [run("newest", environment={"fingerprint": "others"}), run("ours"), run("too", seed=4)]

    def found(images: ImagesNow | None) -> list[str]:
        return [each.id for way in outcomes(runs, BASE, images).values() for own in way.values() for each in own]

    assert found(ImagesNow(None, "f00d")) == ["ours", "too"]
    assert found(ImagesNow(None, "changed")) == []
    assert found(None) == ["newest"]  # nothing is known of the base's


def test_own_images_of_other_classes_are_no_outcome_whatever_their_places() -> None:
    ours, others = (
        Data.parse({"name": "folder", "location": f"/{names}", "classes": tuple(names), "image_side": 32})
        for names in ("abcdefghij", "klmnopqrst")
    )
    runs, base = [run("ours", data=ours)], run("base", data=others).experiment
    assert outcomes(runs, runs[0].experiment)
    assert not outcomes(runs, base)


def test_a_network_that_learned_from_other_images_is_another_one() -> None:
    runs = [run("ours"), run("others", environment={"fingerprint": "others"})]
    assert len(sources(runs, BASE)) == len({key_of(each, {}) for each in runs}) == 2


def guessed(logmes: list[float], accuracies: list[float | None]) -> pd.DataFrame:
    keys = [f"network {place}" for place in range(len(logmes))]
    guesses = {
        key: {"logme": value, "leep": float("nan"), "images": 2000, "features": 128, "seconds": 1.5}
        for key, value in zip(keys, logmes, strict=True)
    }
    came = {key: [run(key, accuracy=each)] for key, each in zip(keys, accuracies, strict=True) if each is not None}
    return table({key: key for key in keys}, guesses, came)


def test_the_table_has_the_best_guess_first_and_says_on_how_much_it_stands() -> None:
    rows = shown(guessed([0.1, 0.3, -0.2], [0.5, None, 0.4]))
    assert rows["LogME"].tolist() == ["0.300", "0.100", "−0.200"]
    assert rows["LEEP"].tolist() == ["–"] * 3
    assert rows["on"].tolist() == ["2,000 images, 128 features"] * 3
    assert rows["test accuracy, mean"].tolist() == ["–", "50.0 % (1 run)", "40.0 % (1 run)"]


def test_of_two_networks_nothing_is_claimed() -> None:
    said = agreement(guessed([0.1, 0.3, 0.2], [0.5, 0.6, None]))
    assert said.startswith("2 starting networks") and "nothing can be said" in said


@pytest.mark.parametrize("n", [4, 9])
def test_the_rank_correlation_is_scipys_and_set_against_shuffling(n: int) -> None:
    logmes = [float(place) for place in range(n)]
    accuracies = [0.3 + 0.05 * place for place in range(n)]
    accuracies[0], accuracies[1] = accuracies[1], accuracies[1]
    said = agreement(guessed(logmes, list(accuracies)))
    assert f"is {spearmanr(logmes, accuracies).statistic:.2f} (n = {n})" in said
    assert ("more than chance explains" in said) == (n == 9)
    assert ("so few leave open" in said) == (n == 4)


def test_how_probable_an_order_is_counts_all_orders() -> None:
    assert "once in 24 tries" in agreement(guessed([1, 2, 3, 4], [0.1, 0.2, 0.3, 0.4]))


def test_a_guess_that_ranks_the_other_way_round_is_said_so() -> None:
    assert "did not rank the networks as they turned out" in agreement(guessed([1, 2, 3], [0.3, 0.2, 0.1]))
    assert "they rank nothing" in agreement(guessed([1, 2, 3], [0.3, 0.3, 0.3]))


def test_figures_show_all_guesses_and_only_networks_with_an_outcome() -> None:
    rows = guessed([0.1, 0.3, -0.2], [0.5, None, 0.4])
    (bars,) = guess_figure(rows, dark=True).data
    assert list(bars.text) == ["<b>0.300</b>", "<b>0.100</b>", "<b>−0.200</b>"]
    assert [left + length for left, length in zip([bars.base] * 3, bars.x, strict=True)] == pytest.approx(
        [0.3, 0.1, -0.2]
    )
    (points,) = outcome_figure(rows).data
    assert list(points.text) == ["<b>2</b>", "<b>3</b>"]
    assert len(guess_figure(guessed([0.2], [None])).data) == 1
