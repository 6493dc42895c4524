"""The same training on stored features as without them, and what becomes of the features."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from cifar_core.data import feature_store as keeping
from cifar_core.data.feature_store import FeatureStore
from cifar_core.experiment.experiment import Experiment, Freeze, Head, Validation
from cifar_core.experiment.layers import Conv, Dense, Dropout, Flatten
from cifar_core.experiment.recipes import RECIPES
from cifar_core.experiment.settings import apply
from cifar_core.training import callbacks, executions, features, shortcut, trainer
from cifar_core.training.ledger import Ledger
from cifar_core.training.networks import build
from cifar_core.training.trainer import Trained, probabilities, train
from tests.training.makers import Notes, done, experiment, images, phase, thorough_about, tuning

FROM_THE_START = (phase("tuned", "target", freeze=Freeze(rule="first_blocks", count=1)),)
"""A first phase with a frozen layer: its weights, and so its features, depend on the seed alone."""
ROUNDING = 1e-6
"""A loss so small is rounding itself, and ten times that is how far it moves weights whose gradient is 0, as before
normalization."""


@pytest.fixture(scope="module", autouse=True)
def always_worth_it() -> Iterator[None]:
    """A dozen images would be computed faster than they are kept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "SECONDS_TO_SET_UP", -1e9)
        yield


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a longer run: so few steps would be executed faster than their update is compiled."""
    monkeypatch.setattr(executions, "SECONDS_TO_COMPILE", -1e9)


@pytest.fixture
def every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A point for every step."""
    monkeypatch.setattr(callbacks, "SECONDS_BETWEEN_POINTS", 0)
    monkeypatch.setattr(trainer, "steps_per_execution", lambda *_, **__: 1)


def kept_in(folder: Path, budget: int = 10**9, half: bool = False) -> FeatureStore:
    return FeatureStore(folder, budget, half)


def run(
    described: Experiment, store: FeatureStore | None = None, seed: int = 0, notes: Notes | None = None
) -> tuple[Trained, Notes]:
    notes = notes or Notes()
    return train(described, images(), seed, notes, Ledger(), features=store), notes


def of_recipe(name: str, *changes: str) -> Experiment:
    return apply(RECIPES[name].experiment, ["data.name=sample", *(f"{change}" for change in changes)])


def on_backbone(backbone: str, freeze: Freeze, **fields: Any) -> Experiment:
    """A network with weights from anywhere, frozen in part."""
    return experiment(phase(layers=(), freeze=freeze, epochs=3, learning_rate=1e-3), backbone=backbone, **fields)


KINDS: dict[str, Callable[[], Experiment]] = {
    "A, fine-tuning 1": lambda: of_recipe("a-ft1", "phases.0.epochs=1", "phases.1.epochs=3", "phases.1.batch_size=8"),
    "A, fine-tuning 2": lambda: of_recipe(
        "a-ft2-direct", "phases.0.epochs=1", "phases.1.epochs=3", "phases.1.batch_size=8"
    ),
    "E, stage 2": lambda: of_recipe("e", "phases.0.epochs=1", "phases.1.epochs=3", "phases.1.batch_size=8"),
    "a middle block": lambda: on_backbone("conv-dense", Freeze(rule="all_but_block", block="conv_2")),
    "batch normalization, frozen in part": lambda: on_backbone("bn-conv", Freeze(rule="first_layers", count=5)),
    "a residual network": lambda: on_backbone("resnet18", Freeze(rule="all_but_last_layers", count=9)),
    "a network of keras.applications": lambda: on_backbone(
        "mobilenet-v3", Freeze(rule="all_but_last_layers", count=20)
    ),
    "a penalty on frozen weights": lambda: experiment(
        phase(layers=(Conv(filters=4, kernel=5, l2=0.01), Flatten(), Dropout(rate=0.5), Dense(units=8, l2=0.01))),
        tuning(epochs=3),
    ),
    "copies of augmented images": lambda: experiment(
        phase(epochs=1), tuning(epochs=3, augmentation=[{"kind": "flip"}, {"kind": "crop"}], augmented_copies=3)
    ),
    "labels smoothed, classes weighed, clipped, the rate by block and by step": lambda: experiment(
        phase(epochs=1),
        tuning(
            epochs=3,
            label_smoothing=0.1,
            class_weights="balanced",
            clip_norm=1.0,
            block_rate_factor=0.5,
            optimizer="adamw",
            weight_decay=0.01,
            schedule={"kind": "cosine"},
        ),
    ),
}

FURTHER = ("A, fine-tuning 2", "E, stage 2", "a network of keras.applications", "copies of augmented images")
"""What resembles another kind."""


@pytest.mark.usefixtures("compiled", "every_step")
@pytest.mark.parametrize("kind", thorough_about(KINDS, FURTHER))
def test_the_training_is_the_same_as_without_stored_features(kind: str, tmp_path: Path) -> None:
    described = KINDS[kind]()
    (ordinary, without), (around, stored) = run(described), run(described, kept_in(tmp_path))
    last = len(described.phases) - 1
    assert stored.whys[last].startswith("Stored features after")
    assert without.whys[last] == "No stored features: they are switched off on this computer."
    for expected, measured in zip(without.curves[last][:20], stored.curves[last][:20], strict=True):
        assert measured.loss == pytest.approx(expected.loss, rel=1e-5, abs=ROUNDING)
    for before, after in zip(without.epochs[last][:3], stored.epochs[last][:3], strict=True):
        assert (after.loss, after.val_loss) == pytest.approx((before.loss, before.val_loss), rel=1e-3, abs=ROUNDING)
        assert after.accuracy == pytest.approx(before.accuracy, abs=0.002)
        assert after.learning_rate == before.learning_rate
    assert stored.befores[last].val_loss == pytest.approx(without.befores[last].val_loss, rel=1e-5)
    assert stored.moved[last].keys() == without.moved[last].keys()
    for layer, change in stored.moved[last].items():
        assert change.change == pytest.approx(without.moved[last][layer].change, rel=1e-3, abs=10 * ROUNDING)
    for split in ("validation", "test"):
        one, other = (probabilities(each, getattr(each.feed, split), Notes()) for each in (ordinary, around))
        assert other == pytest.approx(one, abs=1e-4)


@dataclass(frozen=True)
class Once:
    """The usual two phases on stored features, trained once for all tests that only look at them."""

    folder: Path
    trained: Trained
    notes: Notes
    seconds: dict[str, float]
    computed: list[int]


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    folder, ledger, notes = tmp_path_factory.mktemp("once"), Ledger(), Notes()
    with pytest.MonkeyPatch.context() as patch:
        computed = counting(patch)
        trained = train(experiment(), images(), 0, notes, ledger, features=kept_in(folder))
    return Once(folder, trained, notes, ledger.close(), computed)


@pytest.fixture
def ordinary() -> Notes:
    """The same phases without stored features."""
    return done()[1]


def test_on_stored_features_the_same_seed_gives_the_same_bits(once: Once, tmp_path: Path) -> None:
    _, again = run(experiment(), kept_in(tmp_path))
    assert again.history(1) == once.notes.history(1)
    assert again.moved == once.notes.moved


def test_executing_steps_together_changes_no_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    described = experiment(phase("tuned", "target", freeze=Freeze(rule="first_blocks", count=1), batch_size=2))
    histories = []
    for together in (1, 4, 32):
        monkeypatch.setattr(trainer, "steps_per_execution", lambda *_, together=together, **__: together)
        trained, notes = run(described, kept_in(tmp_path))
        histories.append((notes.history(0), notes.moved, probabilities(trained, trained.feed.test, Notes()).tolist()))
    assert histories[0] == histories[1] == histories[2]


def counting(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """From now on note in the list how many images are given to a frozen part, in order."""
    counts: list[int] = []
    put = keeping.Writer.put

    def counted(self: keeping.Writer, values: Any) -> None:
        counts.append(len(values[0]))
        put(self, values)

    monkeypatch.setattr(keeping.Writer, "put", counted)
    return counts


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images were given to a frozen part, in order."""
    return counting(monkeypatch)


def test_validation_images_of_the_training_images_share_their_entry(once: Once) -> None:
    assert sum(once.computed) == 36
    assert len([entry for entry in kept_in(once.folder).entries() if "training images" in entry.label]) == 1


def test_another_way_to_fine_tune_the_same_frozen_part_computes_nothing(
    once: Once, tmp_path: Path, computed: list[int]
) -> None:
    shutil.copytree(once.folder, tmp_path, dirs_exist_ok=True)
    head = Head(from_layer="dense_1", layers=(Dense(units=5),), outputs="data set")
    _, notes = run(experiment(phase(), tuning(head=head, learning_rate=0.1)), kept_in(tmp_path))
    assert not computed
    assert notes.whys[1].endswith("They were there already.")


def test_a_run_knows_its_own_features_again_and_says_whose_it_did_not_compute(tmp_path: Path) -> None:
    again = tuning().model_copy(update={"name": "again", "head": None, "learning_rate": 0.1})
    own, notes = FeatureStore(tmp_path, 10**9, by="one"), Notes()
    run(experiment(phase(), tuning(), again), own, notes=notes)
    assert notes.of_others == {0: False, 1: False, 2: False}  # the last phase: those of the one before
    for by, of_others in (("one", False), ("other", True)):
        _, notes = run(experiment(), FeatureStore(tmp_path, 10**9, by=by))
        assert notes.of_others == {0: False, 1: of_others}


def test_features_that_another_run_began_are_not_the_runs_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "BATCH", 10)
    monkeypatch.setattr(shortcut, "SECONDS_BETWEEN_STEPS", 0)
    began = Notes(stop=lambda notes: any(step.startswith("storing features, 20") for step, _ in notes.events))
    run(experiment(*FROM_THE_START), FeatureStore(tmp_path, 10**9, by="one"), notes=began)
    _, notes = run(experiment(*FROM_THE_START), FeatureStore(tmp_path, 10**9, by="other"))
    assert notes.of_others == {0: True}


def test_another_seed_finds_the_features_of_the_same_weights(
    tmp_path: Path, computed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with weights learned elsewhere: other seeds divide the same images otherwise."""
    monkeypatch.setattr(trainer, "build", lambda described, index, seed, previous=None: build(described, index, 0))
    one, other = (run(experiment(*FROM_THE_START), kept_in(tmp_path), seed)[0].feed.train for seed in (0, 1))
    assert not np.array_equal(one.indices, other.indices)
    assert computed == [36]


def test_validation_on_the_test_images_has_an_entry_of_its_own_that_the_evaluation_uses(
    tmp_path: Path, computed: list[int]
) -> None:
    trained, _ = run(experiment(*FROM_THE_START, validation=Validation(on="test")), kept_in(tmp_path))
    assert computed == [36, 12]
    probabilities(trained, trained.feed.test, Notes())
    assert computed == [36, 12]


def test_the_evaluation_keeps_the_features_of_test_images_for_later_runs(tmp_path: Path, computed: list[int]) -> None:
    for expected in ([36, 12], []):
        computed.clear()
        trained, _ = run(experiment(*FROM_THE_START), kept_in(tmp_path))
        probabilities(trained, trained.feed.test, Notes())
        assert computed == expected


def test_a_stop_while_features_are_computed_ends_the_run_and_the_next_one_goes_on(
    tmp_path: Path, computed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "BATCH", 10)
    monkeypatch.setattr(shortcut, "SECONDS_BETWEEN_STEPS", 0)
    storing = [f"storing features, {done} of 36" for done in (10, 20)]
    notes = Notes(stop=lambda notes: any(step.startswith(storing[1]) for step, _ in notes.events))
    stopped, _ = run(experiment(*FROM_THE_START), kept_in(tmp_path), notes=notes)
    assert stopped.stopped
    assert [step[: len(storing[0])] for step, _ in notes.events] == storing
    assert computed == [10, 10]
    _, notes = run(experiment(*FROM_THE_START), kept_in(tmp_path))
    assert computed == [10, 10, 10, 6]
    assert len(notes.epochs[0]) == 2


def test_a_full_disk_is_told_and_the_training_goes_the_ordinary_way(
    ordinary: Notes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    trained, notes = run(experiment(), kept_in(tmp_path))
    assert notes.whys[1].startswith("No stored features: The features take ")
    assert "Free some room" in notes.whys[1]
    assert trained.shortcut is None
    assert notes.history(1) == ordinary.history(1)


def test_too_little_room_for_the_test_images_only_means_to_compute_them(tmp_path: Path) -> None:
    store = kept_in(tmp_path)
    trained, _ = run(experiment(*FROM_THE_START), store)
    store.budget = 10
    expected = trained.model.predict(images().test_images[trained.feed.test.indices], verbose=0)
    assert probabilities(trained, trained.feed.test, Notes()) == pytest.approx(expected, abs=1e-6)


def test_damaged_features_are_computed_again_and_this_is_told(tmp_path: Path, computed: list[int]) -> None:
    run(experiment(*FROM_THE_START), kept_in(tmp_path))
    (entry,) = kept_in(tmp_path).entries()
    (tmp_path / entry.key / "about.json").write_text("")
    computed.clear()
    _, notes = run(experiment(*FROM_THE_START), kept_in(tmp_path))
    assert sum(computed) == 36
    assert "damaged" in notes.whys[0]


def test_half_the_size_trains_nearly_the_same_and_says_how_nearly(ordinary: Notes, tmp_path: Path) -> None:
    _, notes = run(experiment(), kept_in(tmp_path, half=True))
    assert "Kept in half the size, as this computer keeps all: values differ by up to" in notes.whys[1]
    assert "(float16 rounds by 0.00049 at most)" in notes.whys[1]
    assert notes.epochs[1][-1].loss == pytest.approx(ordinary.epochs[1][-1].loss, rel=0.01)


def test_augmented_images_train_the_ordinary_way(tmp_path: Path) -> None:
    (tuned,) = FROM_THE_START
    _, notes = run(
        experiment(tuned.parse({**tuned.model_dump(), "augmentation": [{"kind": "flip"}]})), kept_in(tmp_path)
    )
    assert "augmentation makes other images in every epoch" in notes.whys[0]
    assert kept_in(tmp_path).entries() == []


def test_copies_of_augmented_images_are_kept_beside_the_validation_images(tmp_path: Path) -> None:
    copies = tuning(augmentation=[{"kind": "colour"}], augmented_copies=2)
    _, notes = run(experiment(phase(), copies), kept_in(tmp_path))
    assert notes.whys[1].startswith("Stored features after")
    labels = [entry.label for entry in kept_in(tmp_path).entries()]
    assert len(labels) == 2
    assert any("augmented copies (2 of each image)" in label for label in labels)


def test_a_run_too_short_for_stored_features_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "SECONDS_TO_SET_UP", 0.5)
    _, notes = run(experiment(), kept_in(tmp_path))
    assert "longer than they save in 2 epochs" in notes.whys[1]


def test_time_spent_on_features_has_an_entry_of_its_own(once: Once) -> None:
    assert once.seconds["extract"] > 0


def test_a_run_around_its_frozen_layers_leaves_the_whole_model(once: Once, tmp_path: Path) -> None:
    trained = once.trained
    path = tmp_path / "model.keras"
    keras.Model(trained.model.input, trained.model.output).save(path)
    pixels = images().test_images[trained.feed.test.indices]
    predicted = keras.models.load_model(path).predict(pixels, verbose=0)
    assert probabilities(trained, trained.feed.test, Notes()) == pytest.approx(predicted, abs=1e-6)


def test_features_can_be_removed_when_the_run_is_over(tmp_path: Path) -> None:
    run(experiment(*FROM_THE_START), kept_in(tmp_path))
    assert not kept_in(tmp_path).entries()[0].in_use
    assert kept_in(tmp_path).clear() > 0


def test_every_entry_says_what_it_is(once: Once) -> None:
    abouts = [json.loads(path.read_text()) for path in once.folder.glob("*/about.json")]
    assert any("36 training images of" in about["label"] and "up to" in about["label"] for about in abouts)
