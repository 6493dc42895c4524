from dataclasses import replace

from cifar_core.analysis.answers import QUESTIONS, cases, three_answers
from cifar_core.experiment.experiment import Freeze
from cifar_core.experiment.measured import Measured
from tests.analysis.made_up import DENSE, HEAD_ONLY, SCRATCH, make_run


def texts(*runs: Measured) -> tuple[str, str, str]:
    first, second, third = three_answers(runs)
    return first.text, second.text, third.text


HEAD = make_run("a", accuracy=0.6, gap=-0.04)
DEEPER = make_run("b", (SCRATCH, DENSE), accuracy=0.78, gap=0.12)


def test_the_three_questions_are_answered_in_order() -> None:
    assert tuple(answer.question for answer in three_answers([HEAD])) == QUESTIONS


def test_parameters_of_each_case_are_named_once() -> None:
    answer = three_answers([HEAD, DEEPER])[0]
    assert len(answer.sentences) == 3
    assert "initial (in 2 runs): 949,029 of 949,029 parameters train (100.0 %)" in answer.text
    assert "head only: 645 of 949,029 parameters train (0.07 %), those of output;" in answer.text
    assert "dense layers: 938,885 of 949,029" in answer.text
    assert "conv_1 and conv_2 stay frozen" in answer.text


def test_the_better_way_is_named_with_what_it_trains() -> None:
    text = texts(HEAD, DEEPER)[1]
    assert text.startswith("“dense layers”, dense layers: 78.0 % of the test images, +18.0 points")
    assert "The better one trains dense_1, dense_2 and output (938,885 parameters), the other output (645)." in text


def test_why_says_only_what_training_beside_validation_supports() -> None:
    text = texts(HEAD, DEEPER)[1]
    assert "overfitting is not what limits it" in text
    assert "a gap that points to overfitting" in text


def test_what_else_differs_is_said() -> None:
    slower = make_run("b", (SCRATCH, DENSE.model_copy(update={"learning_rate": 1e-4})), 0.78, seed=4)
    assert "They also differ in learning rate and seed" in texts(HEAD, slower)[1]
    after = make_run("c", (SCRATCH, HEAD_ONLY, DENSE), 0.7)
    assert "epochs on these classes before (3 against 0)" in texts(HEAD, after)[1]


def test_overlapping_ways_are_left_open() -> None:
    assert "leave open which is better" in texts(HEAD, make_run("b", (SCRATCH, DENSE), 0.605))[1]


def test_one_run_with_two_ways_is_compared_by_validation() -> None:
    assert "of the validation images" in texts(make_run("c", (SCRATCH, HEAD_ONLY, DENSE), 0.7))[1]


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
    answer = three_answers([HEAD, make_run("c", seed=4), make_run("d", seed=5)])[2]
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
