from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from cifar_core.analysis.answers import QUESTIONS, Answer, cases, three_answers
from cifar_core.analysis.groups import each_once, of_all_seeds
from cifar_core.analysis.predictions import Predictions
from cifar_core.analysis.verdict import verdict
from cifar_core.experiment.experiment import Freeze, Phase
from cifar_core.experiment.measured import Measured
from tests.analysis.made_up import DENSE, HEAD_ONLY, SCRATCH, make_run, metrics


def answers(*runs: Measured, predictions: Mapping[str, Predictions] | None = None) -> tuple[Answer, Answer, Answer]:
    """The answers about runs, all of them done."""
    every = [run for run, _ in runs]
    return three_answers(runs, of_all_seeds(every, every), lambda groups: predictions or {})


def texts(*runs: Measured, predictions: Mapping[str, Predictions] | None = None) -> tuple[str, str, str]:
    first, second, third = answers(*runs, predictions=predictions)
    return first.text, second.text, third.text


def seeds(phase: Phase, *accuracies: float, first: int = 0) -> list[Measured]:
    """Runs of one way, a seed for each accuracy."""
    return [
        make_run(f"{phase.name} {seed}", (SCRATCH, phase), accuracy, seed=seed)
        for seed, accuracy in enumerate(accuracies, first)
    ]


def told(n: int, *wrong: range) -> Predictions:
    """Predictions of n images, of which some are wrong."""
    labels = np.zeros(n, dtype=np.int64)
    probabilities = np.tile([0.9, 0.1], (n, 1))
    for each in wrong:
        probabilities[each] = [0.1, 0.9]
    return Predictions(probabilities, labels, np.arange(n), ("a", "b"))


HEAD = make_run("a", accuracy=0.6, gap=-0.04)
DEEPER = make_run("b", (SCRATCH, DENSE), accuracy=0.78, gap=0.12)


def test_the_three_questions_are_answered_in_order() -> None:
    assert tuple(answer.question for answer in answers(HEAD)) == QUESTIONS


def test_parameters_of_each_case_are_named_once() -> None:
    answer = answers(HEAD, DEEPER)[0]
    assert len(answer.sentences) == 3
    assert "initial (in 2 runs): 949,029 of 949,029 parameters train (100.0 %)" in answer.text
    assert "head only: 645 of 949,029 parameters train (0.07 %), those of output;" in answer.text
    assert "dense layers: 938,885 of 949,029" in answer.text
    assert "conv_1 and conv_2 stay frozen" in answer.text


def test_the_better_way_is_named_with_what_it_trains() -> None:
    text = texts(HEAD, DEEPER)[1]
    assert text.startswith("“dense layers” classifies 78.0 % (95 %: ")
    assert "+18.0 points against “head only” (60.0 %)" in text
    assert "“dense layers” trains dense_1, dense_2 and output (938,885 parameters), " in text
    assert "“head only” trains output (645 parameters)." in text


def test_why_says_only_what_training_beside_validation_supports() -> None:
    text = texts(HEAD, DEEPER, predictions={"a": told(5000, range(2000)), "b": told(5000, range(1100))})[1]
    assert "“head only” ended at 48.5 % in training (running mean over the epoch) and 52.5 % in validation" in text
    assert "overfitting is not what limits it" in text
    assert "a gap that points to overfitting" in text


def test_what_is_left_open_which_is_better_is_not_explained() -> None:
    alike = told(5000, range(2000))
    text = texts(HEAD, make_run("b", (SCRATCH, DENSE), 0.6), predictions={"a": alike, "b": alike})[1]
    assert "within the noise of the test images" in text and "what limits it" not in text


def test_the_better_way_is_that_of_the_verdict_over_all_seeds_not_the_luckiest_run() -> None:
    head, dense = seeds(HEAD_ONLY, 0.84, 0.78, 0.77), seeds(DENSE, 0.82, 0.825, 0.82)
    every = [run for run, _ in [*head, *dense]]
    groups = of_all_seeds(every, every)
    said = verdict(each_once(groups), "head only").partition("\n")[0]
    assert "“dense layers” classifies 82.2 % (mean of 3 seeds" in said and "smaller than the spread over seeds" in said
    for chosen in ([*head, *dense], [head[0], dense[1]]):
        answer = three_answers(chosen, groups, lambda groups: {})[1]
        assert answer.sentences[0] == said.replace("the baseline ", "")
    assert "“head only” ended with seed 0 at" in answer.text
    assert "“head only” ended, averaged over 3 seeds, at" in texts(*head, *dense)[1]


def test_two_models_on_the_same_images_are_judged_image_by_image_where_their_intervals_overlap() -> None:
    head, dense = make_run("a", (SCRATCH, HEAD_ONLY), 0.8), make_run("b", (SCRATCH, DENSE), 0.812)
    for run, _ in (head, dense):
        run.metrics["test"].update(metrics(run.metrics["test"]["accuracy"], n=10_000))  # type: ignore[attr-defined]
    kept = {"a": told(10_000, range(2000)), "b": told(10_000, range(1480), range(9600, 10_000))}
    assert head[0].metrics["test"]["accuracy_high"] > dense[0].metrics["test"]["accuracy_low"]
    text = texts(head, dense, predictions=kept)[1]
    assert "image by image (95 %: +0.6 to +1.8 points) more than the test images leave open" in text
    assert "overlap" not in text


def test_what_else_differs_is_said() -> None:
    slower = make_run("b", (SCRATCH, DENSE.model_copy(update={"learning_rate": 1e-4})), 0.78, seed=4)
    assert "They also differ in learning rate and seed" in texts(HEAD, slower)[1]
    after = make_run("c", (SCRATCH, HEAD_ONLY, DENSE), 0.7)
    assert "epochs on these classes before (3 against 0)" in texts(HEAD, after)[1]


def test_ways_whose_intervals_overlap_are_left_open_without_predictions() -> None:
    assert "it stays open which is better" in texts(HEAD, make_run("b", (SCRATCH, DENSE), 0.605))[1]


def test_one_run_with_two_ways_is_compared_by_validation() -> None:
    both = (SCRATCH, HEAD_ONLY, DENSE)
    text = texts(make_run("c", both, 0.7))[1]
    assert "dense layers”, head only: 61.2 % of the validation images, 0.0 points against" in text
    assert "over one shared seed, so how much is luck is not known" in text


def test_two_ways_within_runs_are_compared_by_the_means_over_their_seeds() -> None:
    both = (SCRATCH, HEAD_ONLY, DENSE)
    text = texts(*(make_run(f"c{seed}", both, 0.7 + seed / 100, seed=seed) for seed in range(3)))[1]
    assert "head only: 62.1 ± 0.9 % (n = 3) of the validation images, 0.0 ± 0.0 points against" in text


def test_one_way_alone_is_not_called_better() -> None:
    for runs in ([], [HEAD], [HEAD, make_run("c", seed=4)]):
        assert "one way only" in texts(*runs)[1]


def test_speed_is_taken_apart_into_what_was_measured() -> None:
    text = texts(HEAD)[2]
    assert "4.0 s, 3.0× as fast as from scratch" in text
    assert "3 epochs against 3, 25,000 images an epoch against 25,000, 18,750 images a second against 6,250" in text
    assert "It trains 645 parameters instead of 949,029." in text


def test_the_number_of_parameters_is_not_made_the_cause_where_most_still_train() -> None:
    text = texts(DEEPER)[2]
    assert "still trains 98.9 % of the parameters, so their number alone does not explain it" in text
    assert "conv_1 and conv_2) needs no gradients at all" in text


def test_stored_features_are_named_as_the_cause_where_there_were_any() -> None:
    run, histories = DEEPER
    stored = (*histories[:-1], replace(histories[-1], features_seconds=1.5))
    text = texts((run, stored))[2]
    assert "computed once for each image (stored features, 1.5 s of these seconds) instead of in every epoch" in text
    assert "needs no gradients at all" not in text


def test_features_that_another_run_had_stored_are_not_taken_for_fast() -> None:
    run, histories = DEEPER
    run = replace(run, seconds={"extract": 0.04})
    stored = (*histories[:-1], replace(histories[-1], features_seconds=0.04, features_of_others=True))
    text = texts((run, stored))[2]
    assert "(stored features, which another run had stored: having them took < 0.1 s of these seconds)" in text
    assert "part of these seconds, but not where another run had stored them: “" in text and "”, dense layers;" in text
    assert "but not where" not in texts((run, histories))[2]


def test_frozen_layers_after_a_trained_one_still_pass_gradients_on() -> None:
    surgical = SCRATCH.model_copy(
        update={"name": "first block", "train_on": "target", "freeze": Freeze(rule="all_but_block", block="conv_1")}
    )
    text = texts(make_run("a", (SCRATCH, surgical)))[2]
    assert "needs fewer gradients and no updates" in text


def test_equal_phases_of_several_runs_are_told_once_with_their_range() -> None:
    answer = answers(HEAD, make_run("c", seed=4), make_run("d", seed=5))[2]
    assert len(answer.sentences) == 1
    assert "In 2 other runs the same phase was 3.0× as fast as from scratch." in answer.text


def test_nothing_is_said_about_speed_without_a_run_from_scratch() -> None:
    frozen = HEAD_ONLY.model_copy(update={"train_on": "source"})
    assert "nothing to compare the seconds with" in texts(make_run("a", (frozen,)))[2]
    assert "nothing to compare the seconds with" in texts()[2]


def test_other_hardware_is_not_compared() -> None:
    scratch = make_run("s", (SCRATCH,), environment={"hardware": "another"})
    frozen = make_run("a", (HEAD_ONLY.model_copy(update={"train_on": "source"}),))
    assert "1 phase ran on other hardware" in texts(scratch, frozen)[2]


def test_unfinished_phases_are_left_out() -> None:
    assert "No fine-tuning has been measured to its end yet" in texts(make_run("a", epochs=1))[2]


def test_training_everything_again_is_not_from_scratch() -> None:
    again = SCRATCH.model_copy(update={"name": "again", "train_on": "target"})
    assert [case.from_scratch for case in cases([make_run("a", (SCRATCH, again))])] == [True, False]
