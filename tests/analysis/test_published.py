from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cifar_core.analysis.metrics import METRICS
from cifar_core.analysis.predictions import Predictions
from cifar_core.analysis.published import (
    Badge,
    Claim,
    claims,
    document,
    following,
    from_random_weights,
    reached,
    runs_of,
    table,
    worth_running,
)
from cifar_core.analysis.wording import status
from cifar_core.experiment.measured import Epoch, Measured, PhaseHistory, State
from cifar_core.experiment.recipes import RECIPES, with_random_weights
from cifar_core.experiment.settings import apply, smoke
from tests.analysis.made_up import make_run


def run_of(
    recipe: str, *accuracies: float, changes: tuple[str, ...] = (), test: Mapping[str, Any] | None = None
) -> Measured:
    """A run of a recipe whose phases end at the given validation accuracies."""
    run, _ = make_run(recipe)
    experiment = apply(RECIPES[recipe].experiment, changes)
    epoch = Epoch(1, 1.0, 0.5, 1.0, 0.5, 1e-3, 2.0, 100.0, 200, 2.0)
    histories = tuple(
        PhaseHistory(
            index,
            experiment.phases[index].name,
            epochs=tuple(
                replace(epoch, epoch=number + 1, val_accuracy=accuracy)
                for number in range(experiment.phases[index].epochs)
            ),
        )
        for index, accuracy in enumerate(accuracies)
    )
    return replace(run, experiment=experiment, metrics={"test": test} if test else {}), histories


def claim(runs: list[Measured], title: str) -> Claim:
    return next(found for found in claims(runs) if found.title.endswith(title))


def test_everything_published_stands_once() -> None:
    rows = [(found.recipe.id, found.phase) for found in claims([])]
    assert rows == [
        *(("a-initial", 0), ("a-ft1", 1), ("a-ft2", 2), ("b", 0), ("b", 1), ("c1", 0), ("c2a", 0), ("c2b", 0)),
        *(("c2c", 0), ("c2d", 0), ("c2e", 0), ("c2e-frozen", 0), ("c3", 0), ("c3", 1), ("d-small", 0)),
        *(("d1", 0), ("d2", 0), ("e", 0), ("e", 1)),
    ]
    assert len({found.title for found in claims([])}) == len(rows)


def test_without_runs_nothing_is_claimed() -> None:
    assert {found.badge for found in claims([])} == {Badge.NOT_RUN}
    assert set(table(claims([]))["measured here"]) == {"–"}


def test_a_longer_run_counts_for_every_figure_it_passes() -> None:
    runs = [run_of("a-ft2", 0.86, 0.61, 0.70)]
    assert {found.recipe.id for found in claims(runs) if found.runs} == {"a-initial", "a-ft1", "a-ft2"}


@pytest.mark.parametrize(
    ("accuracies", "badge"),
    [
        ((0.8614,), Badge.REPRODUCED),
        ((0.8614 + 0.009,), Badge.REPRODUCED),  # its 95 % interval on 5,000 images is ± 0.96 points
        ((0.8614 + 0.011,), Badge.DIFFERS),
        ((0.80, 0.90), Badge.REPRODUCED),
        ((0.80, 0.81), Badge.DIFFERS),
    ],
)
def test_the_badge_follows_the_range_over_seeds_and_the_published_interval(
    accuracies: tuple[float, ...], badge: Badge
) -> None:
    runs = [run_of("a-initial", accuracy) for accuracy in accuracies]
    assert claim(runs, "initial training").badge is badge


@pytest.mark.parametrize("change", ["data.per_class=100", "data.name=sample", "phases.0.batch_size=32"])
def test_runs_under_other_conditions_do_not_count(change: str) -> None:
    assert claim([run_of("a-initial", 0.86, changes=(change,))], "initial training").runs == ()


def test_a_phase_counts_as_what_it_is_where_an_earlier_one_has_no_history() -> None:
    run, histories = run_of("a-ft1", 0.86, 0.61)
    found = [each for each in claims([(run, histories[1:])]) if each.runs]
    assert [(each.recipe.id, each.runs[0][1].index) for each in found] == [("a-ft1", 1)]


def test_an_unfinished_phase_does_not_count() -> None:
    run, (history,) = run_of("a-initial", 0.86)
    assert claim([(run, (replace(history, epochs=history.epochs[:-1]),))], "initial training").runs == ()


def test_the_table_gives_mean_spread_and_number_of_runs() -> None:
    shown = table(claims([run_of("a-initial", 0.85), run_of("a-initial", 0.87)])).iloc[0]
    assert (shown["measured here"], shown["published"]) == ("86.0 ± 1.4 % (n = 2)", "86.1 %")
    assert shown["time here"] == "20.0 s"


@pytest.mark.parametrize(("recipe", "images"), [("a-initial", 5000), ("b", 7000), ("c1", 10_000), ("e", 5000)])
def test_the_images_behind_a_figure_are_those_it_was_measured_on(recipe: str, images: int) -> None:
    assert next(found for found in claims([]) if found.recipe.id == recipe).images == images


def test_a_published_test_accuracy_stands_beside_that_of_finished_runs_and_not_their_validation() -> None:
    run, histories = run_of("c1", 0.60, test={"accuracy": 0.745})
    stopped = replace(run, state=State.STOPPED)
    found = claim([(run, histories), (stopped, histories), run_of("c1", 0.745)], "BatchNorm CNN")
    assert (found.accuracies, found.badge) == ((0.745,), Badge.REPRODUCED)


def test_without_its_imagenet_weights_a_recipe_needs_them_until_it_has_run() -> None:
    title = "strategy 1"
    badges = [
        next(found.badge for found in claims(runs, ["d1"]) if found.title.endswith(title))
        for runs in ([], [run_of("d1", 0.93)])
    ]
    assert badges == [Badge.NEEDS_WEIGHTS, Badge.REPRODUCED]


def test_a_row_without_a_published_accuracy_shows_what_ours_took() -> None:
    row = table([claim([run_of("c2e-frozen", 0.6)], "base frozen")]).iloc[0]
    assert (row["published"], row["difference"], row["verdict"]) == ("–", "–", Badge.NO_ACCURACY)
    assert row["published time"].startswith("given up: over 48 h")
    assert (row["measured here"], row["time here"]) == ("60.0 % (n = 1)", "20.0 s")


def test_runs_from_random_weights_are_compared_with_nothing_and_listed_apart() -> None:
    run, histories = run_of("d1", 0.55)
    run = replace(run, experiment=with_random_weights(run.experiment))
    assert not any(found.runs for found in claims([(run, histories)]))
    (found,) = from_random_weights([(run, histories)])
    assert (found.recipe.id, found.accuracies) == ("d1", (0.55,))
    assert runs_of(found.recipe, [run]) == [run]
    assert runs_of(RECIPES["d1"], [run]) == []


def test_the_histories_of_runs_that_follow_nothing_are_not_needed() -> None:
    accuracies, test = (0.86, 0.61, 0.70), {"accuracy": 0.7}
    follow = [run_of(name, *accuracies[: len(recipe.experiment.phases)], test=test) for name, recipe in RECIPES.items()]
    random, histories = run_of("d1", 0.55)
    follow.append((replace(random, experiment=with_random_weights(random.experiment)), histories))
    others = [
        run_of("a-ft2", *accuracies, changes=("data.name=sample",)),
        run_of("e", 0.6, 0.7, changes=("phases.0.batch_size=7",)),
        run_of("d1", 0.6, changes=("split.target=[0,1]",)),
    ]
    later_phases_differ = run_of("a-ft2", *accuracies, changes=("phases.2.batch_size=7",))
    every = [*others, *follow, later_phases_differ]
    needed = following([run for run, _ in every])
    assert needed == [run for run, _ in (*follow, later_phases_differ)]
    read = [(run, histories) for run, histories in every if run in needed]
    assert table(claims(read)).equals(table(claims(every)))
    assert table(from_random_weights(read)).equals(table(from_random_weights(every)))
    assert all(found.runs for found in claims(read))


def test_a_run_is_listed_with_the_accuracies_it_adds_or_with_how_it_ended() -> None:
    run, histories = run_of("a-ft2", 0.86, 0.61, 0.70)
    found = claims([(run, histories)])
    assert reached(run, found) == "86.0 %, then 61.0 %, then 70.0 %"
    assert reached(run, found[:1]) == "86.0 %"
    stopped = replace(run, id="another", state=State.STOPPED)
    assert reached(stopped, found) == status(stopped)


def test_what_a_claim_costs_is_said_in_sentences() -> None:
    without, having = (claim(runs, "initial training") for runs in ([], [run_of("a-initial", 0.86)]))
    assert without.costs.endswith("949,029 of 949,029 parameters train.") and "Time here" not in without.costs
    assert "Time here: 20.0 s (" in having.costs


def test_a_quick_look_counts_for_nothing() -> None:
    run, histories = run_of("a-initial", 0.86)
    quick = (replace(run, experiment=smoke(run.experiment)), histories)
    assert not any(found.runs for found in claims([quick]))


def test_the_details_say_which_kind_of_score_was_published() -> None:
    scores = {"thresholded_precision": 0.87, "thresholded_recall": 0.79, "macro_f1": 0.84, "macro_precision": 0.5}
    assert scores.keys() <= {metric.name for metric in METRICS}
    details = claim([run_of("b", 0.73, 0.84, test=scores)], "stage 2").details().set_index("quantity")
    assert list(details.loc["precision, at a probability of 0.5"]) == ["86.88 %", "87.00 % (n = 1)"]
    assert list(details.loc["F1, macro average"]) == ["83.74 %", "84.00 % (n = 1)"]
    macro = claim([run_of("c2a", 0.78, test=scores)], "ResNet18").details().set_index("quantity")
    assert macro.loc["precision, macro average", "here"] == "50.00 % (n = 1)"


def test_scores_of_the_final_model_stand_beside_no_earlier_phase() -> None:
    details = claim([run_of("c3", 0.58, 0.73, test={"macro_f1": 0.74})], "feature extraction").details()
    assert details.set_index("quantity").loc["F1, macro average", "here"] == "–"


def test_the_details_give_the_best_the_first_and_the_last_epoch() -> None:
    details = claim([run_of("a-initial", 0.85), run_of("a-initial", 0.87)], "initial training").details()
    rows = details.set_index("quantity")["here"]
    assert rows["validation accuracy, last epoch"] == "86.00 ± 1.41 % (n = 2)"
    assert rows["validation loss"] == "1.0000 ± 0.0000 (n = 2)"


def test_the_details_give_what_a_second_place_of_the_publication_gives_and_the_first_epoch_of_training() -> None:
    c1 = claim([run_of("c1", 0.7, test={"accuracy": 0.745})], "BatchNorm CNN").details().set_index("quantity")
    assert list(c1.loc["test accuracy"]) == ["74.49 % or 74.94 %", "74.50 % (n = 1)"]
    assert c1.loc["training loss", "published"] == "0.4421 or 0.4784"
    c2d = claim([], "custom CNN").details().set_index("quantity")["published"]
    assert c2d["precision, macro average"] == "79.00 %"
    ft1 = claim([run_of("a-ft1", 0.86, 0.61)], "fine-tune 1").details().set_index("quantity")
    assert list(ft1.loc["training loss, first epoch"]) == ["2.9138 or 0.9894", "1.0000 (n = 1)"]


def test_the_f1_of_each_class_is_computed_from_the_predictions_of_runs_that_kept_them() -> None:
    labels = np.array([0, 0, 1, 1])
    probabilities = np.eye(5, dtype=np.float32)[[0, 1, 1, 1]]  # one dog is taken for a frog
    kept = Predictions(probabilities, labels, labels, ("dog", "frog", "horse", "ship", "truck"))
    (first, histories), (other, _) = run_of("d1", 0.93), run_of("d1", 0.94)
    found = claim([(first, histories), (replace(other, id="kept nothing"), histories)], "strategy 1")
    rows = found.details({first.id: kept}.get).set_index("quantity")
    assert list(rows.loc["F1, dog"]) == ["90.00 %", "66.67 % (n = 1)"]
    assert list(rows.loc["F1, frog"]) == ["95.00 %", "80.00 % (n = 1)"]
    assert list(rows.loc["F1, truck"]) == ["95.00 %", "–"]
    assert not any("F1, " in name for name in claim([], "fine-tune 1").details()["quantity"])


def test_a_recipe_that_a_longer_one_begins_with_is_not_worth_a_run_of_its_own() -> None:
    worth = [recipe.id for recipe in worth_running(list(RECIPES.values()))]
    assert [name for name in RECIPES if name not in worth] == ["a-initial", "a-ft1"]
    assert [recipe.id for recipe in worth_running([RECIPES["a-initial"], RECIPES["e"]])] == ["a-initial", "e"]


def test_a_claim_as_plain_data_keeps_shares_and_names_its_runs() -> None:
    plain = document(claim([run_of("a-initial", 0.85)], "initial training"))
    assert (plain["recipe"], plain["phase"], plain["accuracies"], plain["runs"]) == (
        "a-initial",
        0,
        (0.85,),
        ["a-initial"],
    )
    assert plain["difference"] == pytest.approx(-0.0114)
