from dataclasses import replace

import pytest

from cifar_core.analysis.history import Measured
from cifar_core.analysis.published import Badge, Claim, claims, table
from cifar_core.experiment.measured import Epoch, PhaseHistory
from cifar_core.experiment.recipes import RECIPES
from cifar_core.experiment.settings import apply
from tests.analysis.made_up import make_run


def run_of(recipe: str, *accuracies: float, changes: tuple[str, ...] = ()) -> Measured:
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
    return replace(run, experiment=experiment), histories


def claim(runs: list[Measured], title: str) -> Claim:
    return next(found for found in claims(runs) if found.title.endswith(title))


def test_each_published_accuracy_stands_once() -> None:
    titles = [(found.recipe.id, found.phase) for found in claims([])]
    assert titles == [("a-initial", 0), ("a-ft1", 1), ("a-ft2", 2), ("e", 0), ("e", 1)]


def test_without_runs_nothing_is_claimed() -> None:
    assert {found.badge for found in claims([])} == {Badge.NOT_RUN}
    assert set(table(claims([]))["measured here"]) == {"–"}


def test_a_longer_run_counts_for_every_figure_it_passes() -> None:
    runs = [run_of("a-ft2", 0.86, 0.61, 0.70)]
    assert [len(found.runs) for found in claims(runs)] == [1, 1, 1, 0, 0]


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
    assert claim(runs, "initial").badge is badge


@pytest.mark.parametrize("change", ["data.per_class=100", "data.name=sample", "phases.0.batch_size=32"])
def test_runs_under_other_conditions_do_not_count(change: str) -> None:
    assert claim([run_of("a-initial", 0.86, changes=(change,))], "initial").runs == ()


def test_an_unfinished_phase_does_not_count() -> None:
    run, (history,) = run_of("a-initial", 0.86)
    assert claim([(run, (replace(history, epochs=history.epochs[:-1]),))], "initial").runs == ()


def test_the_table_gives_mean_spread_and_number_of_runs() -> None:
    shown = table(claims([run_of("a-initial", 0.85), run_of("a-initial", 0.87)])).iloc[0]
    assert (shown["measured here"], shown["published"]) == ("86.0 % ± 1.4 (n = 2)", "86.1 %")
    assert shown["time here"] == "20.0 s"


def test_the_images_behind_a_figure_are_those_it_was_validated_on() -> None:
    assert claim([], "initial").images == 5000
    assert claim([], "stage 1").images == 5000
