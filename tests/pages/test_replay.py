"""The epochs of a run under a slider, on Results."""

import numpy as np

from cifar_core.analysis import moments
from cifar_core.experiment.measured import Moment, State
from cifar_core.runs.store import Store
from tests.filled_store import claim
from tests.pages.app import FOLDS, App


def followed(store: Store, *, first_phase: int = 0) -> str:
    """Add a run that is done, with answers by epoch: each epoch is right on one more of ten images."""
    writer = claim(store)
    writer.trains()
    path, right = store.files.folder(writer.run) / moments.FILE, 0
    for phase, settings in enumerate(writer.experiment.phases):
        outputs = writer.experiment.networks[phase].outputs
        for epoch in range(settings.epochs + 1):
            labels = np.arange(10) % 2
            told = np.where(np.arange(10) < right, labels, labels + 1) % 3
            if phase >= first_phase:
                moments.append(
                    path, Moment(phase, epoch, np.arange(10), labels.astype(np.int32), np.eye(outputs)[told])
                )
            right += 1
    writer.ends(State.DONE, metrics=writer.predicts(0.8))
    return writer.run


def test_the_slider_begins_at_the_last_epoch_and_goes_back_to_before_the_first(app: App, store: Store) -> None:
    run = followed(store)
    said = app.open("Results", run=run).text()
    assert "10 validation images, the same after every epoch" in said
    slider = app.widget(f"replay.{run}")
    epochs = sum(phase.epochs for phase in store.run(run).experiment.phases) + 2
    assert len(slider.options) == epochs
    assert (slider.options[0], slider.options[-1]) == ("pretrain, before any step", "fine-tune, epoch 3")
    assert accuracies(app)[-1] == f"{10 * (epochs - 1)}.0 %"
    slider.set_value(0)
    app.run()
    assert accuracies(app)[-1] == "0.0 %"


def test_the_address_opens_the_fold_at_its_epoch_and_goes_on_saying_so(app: App, store: Store) -> None:
    run = followed(store)
    for fold in FOLDS:
        del app.state[fold]
    link = {"run": run, "fold.replay": "true", f"replay.{run}": "fine-tune, epoch 1", "archived": "true"}
    app.open("Results", **link)
    assert (app.widget(f"replay.{run}").value, app.widget("archived").value) == (5, True)
    assert app.run().query == link


def accuracies(app: App) -> list[str]:
    table = next(table for table in app.tables() if list(table) == ["class", "right", "accuracy"])
    assert table["right"].tolist()[-1].endswith("of 10")
    return [str(each) for each in table["accuracy"]]


def test_the_images_of_the_moment_are_shown_with_what_they_were_told_to_be(app: App, store: Store) -> None:
    app.open("Results", run=followed(store))
    (strip, *_) = [each.proto.body for each in app.test.get("html") if "Training image" in each.proto.body]
    assert strip.count("<img") == 10
    assert "100\N{NO-BREAK SPACE}%" in strip


def test_a_run_that_kept_no_answers_says_so(app: App, runs: dict[str, str]) -> None:
    assert "This run has kept no answers by epoch" in app.open("Results", run=runs["done"]).text()


def test_a_phase_taken_over_without_its_answers_is_named(app: App, store: Store) -> None:
    run = followed(store, first_phase=1)
    assert "Nothing was kept of pretrain" in app.open("Results", run=run).text()
    assert app.widget(f"replay.{run}").options[0] == "fine-tune, before any step"
