from dataclasses import replace

import pytest

from cifar_core.analysis.labels import data_labels, data_sentences, flags, labels, titles
from cifar_core.experiment.experiment import Data, Validation
from cifar_core.experiment.measured import HALF_SIZE, State
from cifar_core.experiment.settings import changed
from tests.analysis.made_up import SCRATCH, make_run


def test_a_clean_run_needs_no_label() -> None:
    assert labels(make_run()[0]) == []


def test_everything_that_limits_a_number_is_said() -> None:
    run, _ = make_run(
        data=Data(name="cifar10", per_class=100),
        validation=Validation(on="test"),
        state=State.STOPPED,
        environment={"official": False, "provenance": "re-encoded as JPEG"},
    )
    assert labels(run) == [
        "not the official files byte for byte",
        "quick look: 100 images per class",
        "validated on the test images",
        "stopped before its end",
    ]


def test_features_in_half_the_size_are_flagged_where_a_phase_freezes_layers() -> None:
    freezing, training = make_run()[0], make_run("b", (SCRATCH,))[0]
    runs = [replace(run, experiment=changed(run.experiment, features="half")) for run in (freezing, training)]
    assert [labels(run) for run in runs] == [["half-size features"], []]
    assert flags(runs) == "Mind: half-size features." and "rounded" in data_sentences(runs)[0]


@pytest.mark.parametrize("asked", ["full", "half"])
def test_what_a_run_did_with_features_counts_more_than_what_it_was_to_do(asked: str) -> None:
    run = make_run()[0]
    for did, said in ((True, ["half-size features"]), (False, [])):
        known = {**run.environment, HALF_SIZE: did}
        assert labels(replace(run, experiment=changed(run.experiment, features=asked), environment=known)) == said


def test_drawn_images_are_called_synthetic_not_unofficial() -> None:
    assert labels(make_run(data=Data(name="sample"), environment={"official": False})[0]) == ["synthetic images"]


def test_what_several_runs_were_measured_on_is_said_once() -> None:
    clean, _ = make_run()
    few, _ = make_run(data=Data(name="cifar10", per_class=100), state=State.STOPPED)
    drawn, _ = make_run(data=Data(name="sample"), validation=Validation(on="test"))
    assert flags([clean]) == ""
    expected = "Mind: quick look: 100 images per class, synthetic images and validated on the test images."
    assert flags([few, clean, drawn, few]) == expected


def test_labels_and_sentences_say_the_same_things_in_the_same_order() -> None:
    re_encoded = {"official": False}
    drawn, _ = make_run(data=Data(name="sample", per_class=20), environment=re_encoded)
    tested, _ = make_run(validation=Validation(on="test"), environment=re_encoded)
    assert data_labels(drawn) == ["synthetic images", "quick look: 20 images per class"]
    assert data_sentences([tested, drawn]) == [
        "Synthetic images: this says nothing about photographs.",
        "Not the official images byte for byte.",
        "A quick look at few images of each class: with all of them, figures and order may differ.",
        "Validated on the test images: figures used to choose between runs are optimistic.",
    ]
    assert data_sentences([make_run()[0]]) == []


def test_nothing_is_said_about_files_of_which_nothing_is_known() -> None:
    assert labels(make_run(environment={})[0]) == []


def test_beside_each_other_runs_are_called_by_what_differs() -> None:
    one, _ = make_run("a", name="two-conv · output only · seed 1")
    other, _ = make_run("b", name="two-conv · everything · seed 1")
    assert titles([one, other]) == {one.id: "output only", other.id: "everything"}


def test_a_run_alone_keeps_its_whole_name() -> None:
    run, _ = make_run("a", name="two-conv · output only · seed 1")
    assert titles([run]) == {run.id: "two-conv · output only · seed 1"}
