"""The race: one clock from the target classes on, labels that do not stand over each other."""

from dataclasses import replace
from itertools import pairwise
from statistics import fmean

import numpy as np
import pytest

from cifar_core.analysis.race import about, chart, ends, exported, lines, means, shown, tuning_seconds, tuning_starts
from cifar_core.experiment.measured import Measured
from tests.analysis.made_up import DENSE, HEAD_ONLY, SCRATCH, make_run


def racer(seed: int, reached: float, epochs: int | None = None, seconds: float = 4.0) -> Measured:
    return make_run(f"r{seed}", (SCRATCH, HEAD_ONLY), reached, seed=seed, epochs=epochs, seconds=seconds)


def stopped(racer: Measured, kept: int) -> Measured:
    """The same, whose last phase stopped early and kept the weights of an epoch."""
    run, histories = racer
    return run, (*histories[:-1], replace(histories[-1], kept_epoch=kept))


def test_the_clock_starts_where_the_target_classes_do() -> None:
    run, histories = racer(0, 0.8)
    assert tuning_starts(run, histories) == 12  # three epochs of four seconds before
    assert tuning_seconds(run, histories) == pytest.approx(4)  # three of a third of it
    rows = lines({"head": [(run, histories)]})
    assert rows["epoch"].tolist() == [0, 1, 2, 3]
    assert rows["x"].tolist() == pytest.approx([0, 4 / 3, 8 / 3, 4])
    assert rows["y"].tolist() == pytest.approx([0.2, 0.4, 0.6, 0.7])


def test_from_scratch_has_no_training_before() -> None:
    run, histories = make_run(phases=(DENSE.model_copy(update={"freeze": SCRATCH.freeze}),))
    assert tuning_starts(run, histories) == 0


def test_what_was_trained_before_the_clock_starts_is_said_where_there_was_something() -> None:
    assert about({"head": []}) == "Thick lines are means over seeds, thin ones single seeds."
    scratch = make_run(phases=(DENSE.model_copy(update={"freeze": SCRATCH.freeze}),))
    assert "clock" not in about({"scratch": [scratch]})
    assert about({"head": [racer(0, 0.8)], "scratch": [scratch]}).endswith("share, took 12.0 s.")


def test_whose_features_another_run_had_stored_is_said() -> None:
    def on_stored(seed: int, index: int) -> Measured:
        run, histories = racer(seed, 0.8)
        return run, tuple(replace(each, features_of_others=each.index == index) for each in histories)

    racers = {"head": [on_stored(0, 1), racer(1, 0.8)], "deep": [on_stored(2, 0)]}  # that one before the clock starts
    said = "Features stored by another run: what computing them took is not in the seconds of “head” (1 of 2 runs)."
    assert about(racers).endswith(said)
    assert "Features" not in about({"head": [racer(1, 0.8)]})


def test_a_strategys_line_is_the_mean_of_the_seeds_that_have_come_farthest() -> None:
    rows = lines({"head": [racer(0, 0.8), racer(1, 0.6), racer(2, 0.1, epochs=1)]})
    mean = means(rows)
    assert mean["n"].tolist() == [2, 2, 2, 2]
    assert mean["y"].tolist()[-1] == pytest.approx((0.7 + 0.525) / 2)


def test_a_line_ends_at_the_mean_of_all_seeds_also_where_early_stopping_ended_some_before() -> None:
    racers = {"head": [stopped(racer(0, 0.4), 3), stopped(racer(1, 0.9, epochs=2), 2), stopped(racer(2, 0.9, 2), 2)]}
    mean = means(lines(racers))
    (end,) = ends(lines(racers), mean).to_dict("records")
    assert mean["n"].tolist() == [3, 3, 3, 3]
    assert end["label"] == "head 56.7 %"  # 35.0, 67.5 and 67.5
    assert end["x"] == pytest.approx(fmean(tuning_seconds(*each) for each in racers["head"]))
    assert mean["x"].is_monotonic_increasing and "seeds that have ended stay in the mean" in about(racers)


def test_a_seed_under_way_counts_once_it_has_come_as_far_as_those_that_stopped_early() -> None:
    done = stopped(racer(0, 0.8, epochs=2), 2)
    assert [means(lines({"head": [done, racer(1, 0.4, epochs=n)]}))["n"].max() for n in (1, 2, 3)] == [1, 2, 2]


def test_a_line_ends_with_what_early_stopping_kept() -> None:
    rows = lines({"head": [stopped(racer(0, 0.8), 2)]})
    assert rows[["epoch", "x", "y"]].tail(2).to_numpy().tolist() == pytest.approx(np.array([[3, 4, 0.7], [2, 4, 0.6]]))
    assert ends(rows, means(rows))["label"].tolist() == ["head 60.0 %"]


def test_epochs_of_one_phase_are_averaged_where_seeds_stopped_a_phase_before_at_different_times() -> None:
    phases = (SCRATCH, HEAD_ONLY, DENSE)
    whole = make_run("a", phases, 0.8, seed=0)
    run, (first, head, dense) = make_run("b", phases, 0.8, seed=1)
    short = run, (first, replace(head, epochs=head.epochs[:2], kept_epoch=2), dense)
    mean = means(lines({"lp-ft": [whole, short]}))
    assert mean["phase_name"].tolist() == ["head only"] * 4 + ["dense layers"] * 3
    assert mean["y"].tolist()[-3:] == pytest.approx([0.4, 0.6, 0.7])


def test_labels_stand_at_the_ends_and_never_over_each_other() -> None:
    rows = lines({f"strategy {n}": [racer(n, 0.9 + n / 1000)] for n in range(8)})
    found = ends(rows, means(rows))
    heights = sorted(found["label_y"])
    assert min(b - a for a, b in pairwise(heights)) > 0.05
    assert heights[0] >= 0 and heights[-1] <= 1
    assert set(found["label"]) == {f"strategy {n} {100 * (0.9 + n / 1000) * 0.875:.1f} %" for n in range(8)}


def test_the_specification_stays_as_it_is_while_runs_go_on() -> None:
    early, late = (chart({"head": [racer(0, 0.8, epochs=n)], "deep": []}) for n in (1, 3))
    assert len(early["datasets"]["seeds"]) < len(late["datasets"]["seeds"])
    assert {k: v for k, v in early.items() if k != "datasets"} == {k: v for k, v in late.items() if k != "datasets"}


def test_each_line_has_a_dash_of_its_own_which_its_label_shows() -> None:
    layers = chart({f"strategy {n}": [racer(n, 0.8)] for n in range(8)})["layer"]
    dashed = {
        layer["mark"]["type"]: layer["encoding"]["strokeDash"] for layer in layers if "strokeDash" in layer["encoding"]
    }
    assert set(dashed) == {"line", "rule"} and dashed["line"] == dashed["rule"]
    assert len({tuple(dash) for dash in dashed["line"]["scale"]["range"]}) == 8


def test_a_race_that_has_not_begun_is_drawn() -> None:
    assert chart({"head": []}, dark=True)["datasets"]["ends"].empty


def test_the_points_of_a_race_stand_in_tables_the_means_and_every_seed() -> None:
    racers = {"head": [racer(0, 0.8), racer(1, 0.4)], "deep": [racer(0, 0.8)]}
    rows = lines(racers)
    assert shown(means(rows)).iloc[3].tolist() == ["head", "head only", 3, "4.0 s", "52.5 %", 2]
    measured = ["phase", "epoch", "kept", "seconds", "accuracy"]
    assert set(exported(means(rows), racers)) == {"strategy", *measured, "seeds", "flags"}
    seeds = exported(rows, racers)
    assert set(seeds) == {"strategy", "seed", *measured, "flags"} and len(seeds) == 12


def test_exported_points_carry_the_flags_of_their_runs() -> None:
    one, other = racer(0, 0.8), racer(1, 0.4)
    racers = {"head": [(replace(one[0], resumed=1), one[1]), other]}
    rows = lines(racers)
    said = "resumed after an interruption"
    assert exported(rows, racers).groupby("seed")["flags"].unique().map(list).to_dict() == {0: [said], 1: [""]}
    assert set(exported(means(rows), racers)["flags"]) == {said}
