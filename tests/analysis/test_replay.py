"""What is drawn and said of the moments of a training."""

import numpy as np

from cifar_core.analysis.replay import (
    accuracies,
    accuracy_lines,
    predictions,
    shown,
    title,
)
from cifar_core.experiment.experiment import ClassSplit, Experiment, Head
from cifar_core.experiment.measured import Moment
from tests.analysis.made_up import HEAD_ONLY, SCRATCH

NEW_HEAD = HEAD_ONLY.model_copy(update={"head": Head()})
TWO_AND_THREE = Experiment(phases=(SCRATCH, NEW_HEAD), split=ClassSplit(source=(0, 1, 2), target=(3, 4)))


def moments() -> list[Moment]:
    """Three epochs of the source classes, then two of the target's, right on all, half, and all of the images."""
    found = []
    for phase, epoch, outputs, right in ((0, 0, 3, 0), (0, 2, 3, 2), (1, 0, 2, 1), (1, 1, 2, 2)):
        labels = np.arange(4) % 2
        told = np.where(np.arange(4) // 2 < right, labels, (labels + 1) % 2)
        found.append(Moment(phase, epoch, np.arange(4), labels, np.eye(outputs, dtype=np.float16)[told]))
    return found


def test_accuracies_are_by_class_over_the_epochs_of_all_phases() -> None:
    found = accuracies(moments(), TWO_AND_THREE)
    names = TWO_AND_THREE.dataset.classes
    assert found["class"].tolist() == [*names[:2], *names[:2], *names[3:5], *names[3:5]]
    assert found["epoch"].tolist() == [0, 0, 2, 2, 2, 2, 3, 3]
    assert found["accuracy"].tolist() == [0, 0, 1, 1, 0.5, 0.5, 1, 1]
    assert set(found["n"]) == {2}
    rows = shown(found, moments()[2])
    assert rows["right"].tolist() == ["1 of 2", "1 of 2", "2 of 4"]
    assert rows["accuracy"].tolist() == ["50.0 %"] * 3
    assert rows["class"].tolist()[-1] == "all"


def test_a_moment_has_predictions_and_a_title() -> None:
    first, *_, last = moments()
    assert predictions(last, TWO_AND_THREE).class_names == TWO_AND_THREE.dataset.classes[3:5]
    assert predictions(last, TWO_AND_THREE).correct.all()
    assert (title(first, TWO_AND_THREE), title(last, TWO_AND_THREE)) == (
        "initial, before any step",
        "head only, epoch 1",
    )


def test_lines_end_with_their_phase_and_a_rule_stands_at_the_moment() -> None:
    every = moments()
    figure = accuracy_lines(accuracies(every, TWO_AND_THREE), every[3], TWO_AND_THREE, split="validation", dark=True)
    names = TWO_AND_THREE.dataset.classes
    assert [trace.name for trace in figure.data] == [*names[:2], "all", *names[3:5], "all"]
    assert [list(trace.x) for trace in figure.data] == [[0, 2]] * 3 + [[2, 3]] * 3
    assert figure.layout.shapes[-1].x0 == 3
    assert [each.text for each in figure.layout.annotations] == ["initial", "head only"]
    assert "n = 4" in figure.layout.title.text
