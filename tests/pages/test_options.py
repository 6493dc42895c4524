"""The experiment form's network and training options: each comes and goes without leaving anything broken."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cifar_core.experiment.augmentation import Crop, Mixup
from cifar_core.experiment.backbones import BACKBONES
from cifar_core.experiment.experiment import EarlyStopping, Head
from cifar_core.experiment.layers import Dense, Dropout, Flatten
from cifar_core.experiment.recipes import RECIPES
from cifar_core.experiment.schedules import Cosine
from cifar_core.experiment.settings import SMOKE_PER_CLASS, apply
from cifar_core.runs import inspect
from cifar_core.runs.inspect import Augmented, InspectionFailed
from cifar_core.runs.store import Store
from cifar_core.ui.text import plain
from tests.pages.app import App


@pytest.fixture
def form(app: App) -> App:
    """The form as it opens for somebody who has chosen nothing yet."""
    return app.open("Experiment")


@pytest.mark.parametrize("recipe", ["c2b", "c2c", "c3", "d1"])
def test_what_a_recipe_starts_is_what_it_says(app: App, store: Store, recipe: str) -> None:
    app.open("Experiment", start=recipe, set="data.name=sample").click("Start")
    assert store.runs()[0].experiment == apply(RECIPES[recipe].experiment, ["data.name=sample"])


def test_options_that_depend_on_others_come_and_go_and_leave_the_rest_alone(form: App, store: Store) -> None:
    form.set(phases_0_batch_size=48, phases_0_label_smoothing=0.1, phases_1_learning_rate=0.02)
    for optimizer in ("sgd", "adamw", "adam", "rmsprop"):
        form.set(phases_0_optimizer=optimizer)
        assert form.has_button("Start")
    for schedule in ("steps", "exponential", "cosine", "plateau", "constant", "cosine"):
        form.set(phases_0_schedule=schedule)
        assert form.has_button("Start")
    form.widget("form.0.cosine.warm_up").set_value(2)
    form.widget("form.0.stop.watch").set_value("val_loss")
    form.set(phases_0_augmentation=["mixup", "crop"]).set(phases_0_epochs=1, backbone="mobilenet")
    form.click("Start")
    first, second = store.runs()[0].experiment.phases
    assert (first.batch_size, first.label_smoothing, second.learning_rate) == (48, 0.1, 0.02)
    assert (first.schedule, first.augmentation) == (Cosine(warm_up=0), (Mixup(), Crop()))
    assert first.early_stopping == EarlyStopping(patience=1)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_can_follow_a_recipe_made_for_another(app: App, backbone: str) -> None:
    app.open("Experiment", start="d1", set="data.name=sample").set(backbone=backbone)
    assert app.has_button("Start") and not app.test.error


def test_folded_options_are_kept(form: App, store: Store) -> None:
    form.set(phases_0_optimizer="sgd").set(phases_0_momentum=0.9, phases_0_clip_norm=2.0)
    form.state["options.0"] = False
    form.run().set(phases_0_epochs=4).set(seed=3).click("Start")
    phase = store.runs()[0].experiment.phases[0]
    assert (phase.optimizer, phase.momentum, phase.clip_norm, phase.epochs) == ("sgd", 0.9, 2.0, 4)


def test_what_is_changed_in_a_fold_is_kept_when_it_is_folded_again_and_on_other_pages(app: App, store: Store) -> None:
    app.state["options.0"] = False
    app.open("Experiment").run().state["options.0"] = True
    app.run().set(phases_0_optimizer="sgd").set(phases_0_momentum=0.9, phases_0_augmentation=["crop"])
    app.set(phases_0_name="base").state["options.0"] = False
    app.run().set(phases_0_epochs=4).open("Glossary").open("Experiment").click("Start")
    phase = store.runs()[0].experiment.phases[0]
    assert (phase.name, phase.optimizer, phase.momentum, phase.epochs) == ("base", "sgd", 0.9, 4)
    assert phase.augmentation == (Crop(),)


def test_how_features_are_kept_is_chosen_with_what_it_costs_and_goes_into_link_and_run(
    form: App, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "the same training as without" in form.text()
    assert "rounded to float16, by 2⁻¹¹ (0.05 %)" in form.set(features="half").text()
    assert form.query["set"] == "features=half" or "features=half" in form.query["set"]
    monkeypatch.setenv("TRANSFER_LAB_FEATURES", "off")
    assert "On this computer: not kept" in form.run().text()
    form.click("Start")
    assert store.runs()[0].experiment.features == "half"
    assert "half-size features" in store.runs()[0].name


def test_what_cannot_work_stays_in_reach_to_be_corrected(form: App) -> None:
    form.set(phases_1_learning_rate=0.0, phases_0_batch_size=48).set(phases_1_learning_rate=0.01)
    assert form.has_button("Start")
    assert form.state["form.0.batch_size"] == 48


def test_imagenet_weights_that_are_not_here_are_explained_and_can_be_done_without(app: App, tmp_path: Path) -> None:
    app.open("Experiment", start="c3", set="data.name=sample")
    said = app.text()
    assert "ImageNet weights of VGG16 are not on this computer" in said
    assert str(tmp_path / "keras" / "models") in said
    assert app.has_button("Start")
    app.click("Use random weights instead")
    assert app.state["form.weights"] == "random"
    assert "from random weights" in app.text()


def test_imagenet_weights_that_are_here_need_no_words(app: App, tmp_path: Path) -> None:
    models = tmp_path / "keras" / "models"
    models.mkdir(parents=True)
    application = BACKBONES["vgg16"].application
    assert application is not None
    (models / application.imagenet).touch()
    app.open("Experiment", start="c3", set="data.name=sample")
    assert "ImageNet weights of VGG16: on this computer." in app.text()
    assert "are not on this computer" not in app.text()


def test_a_weights_file_that_is_not_there_is_said_and_cannot_be_started(form: App, tmp_path: Path) -> None:
    form.set(weights="file")
    assert not form.has_button("Start")
    form.set(weights_path=str(tmp_path / "w_1.weights.h5"))
    assert f"There is no file {tmp_path / 'w_1.weights.h5'}" in form.text()
    assert not form.has_button("Start")
    (tmp_path / "w_1.weights.h5").touch()
    assert form.run().has_button("Start")


def test_a_finished_run_of_the_same_network_can_be_started_from(app: App, runs: dict[str, str], store: Store) -> None:
    kept = store.files.folder(runs["done"]) / "model.keras"
    kept.touch()
    app.open("Experiment").set(weights="run")
    assert app.widget("form.weights_run").options == [plain(store.run(runs["done"]).name)]
    assert f"initial_weights.run={runs['done']}" in app.query["set"]
    kept.unlink()
    assert "which has no such model here" in app.run().widget("form.weights_run").options[0]
    app.set(backbone="three-conv")
    assert app.widget("form.weights").options == ["Random", "From a file"]


def test_the_network_says_what_it_sees_of_the_images(form: App) -> None:
    form.set(backbone="inception-v3")
    assert "Images of 32×32 pixels are brought to 75×75 (bilinear); pixel values: scaled to −1 to 1." in form.text()
    form.set(input_side=96, pixels="0 to 1")
    assert "are brought to 96×96 (bilinear); pixel values: divided by 255: 0 to 1." in form.text()
    form.set(backbone="two-conv")
    assert form.state["form.input_side"] == 96
    assert form.state["form.pixels"] == ""


def test_trying_it_small_queues_a_quick_look(form: App, store: Store) -> None:
    form.set(phases_0_epochs=9).click("Try it small")
    (run,) = store.runs()
    assert run.experiment.data.per_class == SMOKE_PER_CLASS
    assert [phase.epochs for phase in run.experiment.phases] == [1, 1]
    assert f"{SMOKE_PER_CLASS} per class" in run.name


def test_examples_of_augmentation_are_shown_until_it_changes(form: App, monkeypatch: pytest.MonkeyPatch) -> None:
    def answered(*_: Any, **__: Any) -> Augmented:
        return Augmented(np.zeros((5, 32, 32, 3), np.uint8), np.zeros((5, 6, 32, 32, 3), np.uint8))

    def failed(*_: Any, **__: Any) -> Augmented:
        raise InspectionFailed("TensorFlow is having a day off.")

    monkeypatch.setattr(inspect, "augmented", answered)
    form.set(phases_0_augmentation=["flip"]).click("Show examples")
    assert len(form.test.get("image")) == 3
    form.set(phases_0_augmentation=["flip", "cutout"])
    assert len(form.test.get("image")) == 2
    monkeypatch.setattr(inspect, "augmented", failed)
    assert "TensorFlow is having a day off." in form.click("Show examples").text()


def test_batch_normalization_in_the_layer_table_trains_half_of_its_parameters(form: App) -> None:
    assert "trained" not in form.tables()[0]
    table = form.set(backbone="bn-conv").tables()[0].set_index("layer")
    assert (table.loc["norm_1", "parameters"], table.loc["norm_1", "trained"]) == (128, 64)


def test_a_head_of_ones_own_follows_where_it_begins_and_goes_into_the_link(form: App, store: Store) -> None:
    form.set(backbone="mobilenet", phases_1_head="layers").set(phases_1_from_layer="pool")
    assert form.state["form.1.to_row"] == "global_average_pool"
    form.set(phases_1_to_row="flatten", phases_1_units="64").set(phases_1_l2=0.001, phases_1_dropout=0.5)
    types = list(form.tables()[1]["type"])
    assert types[-4:] == ["Flatten", "Dense, L2 0.001", "Dropout", "Dense"]
    assert "L2 0.001 in the new layers" in form.text()
    again = App().open("Experiment", **form.query)
    assert again.state["form.1.to_row"] == "flatten"
    again.click("Start")
    assert store.runs()[0].experiment.phases[1].head == Head(
        from_layer="pool", layers=(Flatten(), Dense(units=64, l2=0.001), Dropout(rate=0.5))
    )
    form.set(phases_1_from_layer="output")
    assert "Flatten" not in list(form.tables()[1]["type"]) and form.has_button("Start")


def test_dense_layers_are_added_and_removed_in_one_field(form: App, store: Store) -> None:
    form.set(phases_1_head="layers").set(phases_1_units="32, 16").set(phases_1_dropout=0.5)
    assert list(form.tables()[1]["type"])[-5:] == ["Dense", "Dropout", "Dense", "Dropout", "Dense"]
    assert not App().open("Experiment", **form.query).set(phases_1_units="").test.error
    form.set(phases_1_units="32, many")
    assert 'such as "256, 128"' in form.text() and not form.has_button("Start")
    form.set(phases_1_units="16").click("Start")
    assert store.runs()[0].experiment.phases[1].head == Head(layers=(Dense(units=16), Dropout(rate=0.5)))


def test_layers_without_fields_are_shown_as_loaded_until_others_are_chosen(app: App) -> None:
    own = '[{"kind":"flatten"},{"kind":"dropout","rate":0.5},{"kind":"dense","units":8}]'
    app.open("Experiment", set=f'phases.1.head={{"from_layer":"flatten","layers":{own}}}')
    assert "Layers as loaded: flatten, dropout, dense" in app.text()
    app.click("Choose others").set(phases_1_units="8")
    assert app.has_button("Start") and app.state["form.1.to_row"] == "flatten"
    assert list(app.tables()[1]["type"])[-3:] == ["Flatten", "Dense", "Dense"]
