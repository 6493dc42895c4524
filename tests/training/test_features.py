from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import psutil
import pytest
from keras import layers

from cifar_core.data.feature_store import FeatureStore
from cifar_core.training import features as computing
from cifar_core.training.cut import Cut, find_cut
from cifar_core.training.features import (
    Wanted,
    decide,
    features,
    in_tensorflow,
    source_of,
)

IMAGES = np.random.default_rng(0).integers(0, 256, (600, 8, 8, 3)).astype(np.uint8)
WORTH_IT: dict[str, Any] = {"images": 10**5, "epochs": 10, "budget": 10**9, "augmented": False}


def cut(seed: int = 1, name: str = "conv", filters: int = 4) -> Cut:
    keras.utils.set_random_seed(seed)
    image = keras.Input((8, 8, 3), dtype="uint8")
    values = layers.Rescaling(1 / 255)(image)
    values = layers.Conv2D(filters, 3, trainable=False, name=name)(values)
    both = [layers.Dropout(0.5)(values), layers.BatchNormalization(trainable=False)(values)]
    values = layers.Flatten()(layers.Add()([both[0], layers.Conv2D(filters, 1)(both[1])]))
    found = find_cut(keras.Model(image, layers.Dense(2)(values)))
    assert found is not None
    return found


def wanted(of: Cut | None = None, **fields: Any) -> Wanted:
    usual: dict[str, Any] = {"images": IMAGES, "places": np.arange(len(IMAGES)), "source": "made images"}
    return Wanted(of or cut(), label="conv of made images", **usual | fields)


def big() -> Cut:
    """A cut behind layers that compute much for what they hand over."""
    image = keras.Input((8, 8, 3), dtype="uint8")
    values = layers.Flatten()(layers.Rescaling(1 / 255)(image))
    for units in (1000, 1000, 4):
        values = layers.Dense(units, trainable=False)(values)
    found = find_cut(keras.Model(image, layers.Dense(2)(values)))
    assert found is not None
    return found


def store(tmp_path: Path, budget: int = 10**9) -> FeatureStore:
    return FeatureStore(tmp_path, budget)


def test_stored_features_are_what_the_layers_before_the_cut_give(tmp_path: Path) -> None:
    asked = wanted()
    stored = features(store(tmp_path), asked)
    assert stored is not None
    with stored:
        expected = asked.cut.prefix.predict(IMAGES, verbose=0)
        assert len(stored.arrays) == 2
        for array, values in zip(stored.arrays, expected, strict=True):
            assert array == pytest.approx(values, abs=1e-6)


def test_progress_is_told_to_the_end_and_only_when_something_is_computed(tmp_path: Path) -> None:
    told: list[tuple[int, int, float | None]] = []
    for _ in range(2):
        stored = features(store(tmp_path), wanted(), progress=lambda *progress: told.append(progress))
        assert stored is not None
        stored.close()
    assert [done for done, _, _ in told] == [256, 512, 600]
    assert told[-1][1:] == (600, 0.0)


def test_a_stop_ends_it_and_the_next_attempt_goes_on(tmp_path: Path) -> None:
    told: list[int] = []
    stopped = features(
        store(tmp_path),
        wanted(),
        progress=lambda done, images, eta: told.append(done),
        should_stop=lambda: bool(told),
    )
    assert stopped is None
    stored = features(store(tmp_path), wanted(), progress=lambda done, images, eta: told.append(done))
    assert told == [256, 512, 600]
    assert stored is not None
    with stored:
        assert stored.arrays[0] == pytest.approx(wanted().cut.prefix.predict(IMAGES, verbose=0)[0], abs=1e-6)


def test_damaged_features_are_computed_again_and_this_is_told(tmp_path: Path) -> None:
    said: list[str] = []
    stored = features(store(tmp_path), wanted())
    assert stored is not None
    stored.close()
    (tmp_path / wanted().key / "about.json").write_text("")
    again = features(store(tmp_path), wanted(), say=said.append)
    assert again is not None
    again.close()
    assert len(said) == 1 and "damaged" in said[0]


def test_the_same_network_and_images_have_the_same_key_whatever_layers_are_called() -> None:
    assert wanted().key == wanted().key
    assert wanted().key == wanted(cut(name="another")).key


@pytest.mark.parametrize(
    "other",
    [
        lambda: wanted(cut(seed=2)),
        lambda: wanted(cut(filters=5)),
        lambda: wanted(source="other images"),
        lambda: wanted(half=True),
    ],
    ids=["weights", "layers", "images", "type"],
)
def test_the_key_follows_everything_that_decides_the_features(other: Any) -> None:
    assert other().key != wanted().key


def test_images_are_named_by_data_set_split_and_places() -> None:
    places = np.array([3, 5, 9])
    names = {source_of("a", "train", places), source_of("b", "train", places), source_of("a", "test", places)}
    assert len(names | {source_of("a", "train", places[::-1])}) == 4
    assert source_of("a", "train", places.astype(np.int32)) in names


def test_half_size_halves_the_bytes_and_states_its_error(tmp_path: Path) -> None:
    whole, half = wanted(), wanted(half=True)
    assert half.bytes * 2 == whole.bytes == 600 * whole.cut.bytes_per_image
    stored = features(store(tmp_path), half)
    assert stored is not None
    with stored:
        assert 0 < stored.error <= 2**-11


def test_tensorflow_reads_stored_features_where_they_are(tmp_path: Path) -> None:
    stored = features(store(tmp_path), wanted())
    assert stored is not None
    with stored:
        for tensor, array in zip(in_tensorflow(stored.arrays), stored.arrays, strict=True):
            assert np.array_equal(tensor.numpy(), array)
            array[0] = 7  # a private change: the file stays as it is
            assert (tensor[0].numpy() == 7).all()


def test_features_are_used_where_they_save_time() -> None:
    decision = decide(big(), **WORTH_IT)
    assert decision.used and "1.6 MB for 100,000 images" in decision.why


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"augmented": True}, "augmentation"),
        ({"budget": 600_000}, "0.6 MB are allowed"),
        ({"epochs": 1}, "longer than they save in 1 epoch"),
        ({"images": 100}, "longer than they save in 10 epochs"),
    ],
)
def test_where_features_are_not_used_a_sentence_says_why(changed: dict[str, Any], why: str) -> None:
    decision = decide(big(), **WORTH_IT | changed)
    assert not decision.used and why in decision.why


def test_without_a_cut_the_sentence_says_that_nothing_is_frozen_at_the_front() -> None:
    assert "no frozen layer" in decide(None, **WORTH_IT).why


def test_features_that_are_there_are_used_for_less() -> None:
    asked = {**WORTH_IT, "images": 10**7, "budget": 10**12, "epochs": 1}
    assert not decide(cut(), **asked).used
    assert decide(big(), **asked, missing=0).used


def test_features_that_do_not_fit_into_memory_are_read_from_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {**WORTH_IT, "images": 10**5, "epochs": 20, "bytes_per_image": 5000}
    assert decide(big(), **asked).used
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=10**6))
    assert not decide(big(), **asked).used


def test_only_the_images_at_their_places_are_computed_and_large_ones_few_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(computing, "BATCH_BYTES", 4 * 144 * 50)  # the convolution's output: 6×6×4 values
    places = np.array([5, 7, *range(100, 200)])
    told: list[int] = []
    stored = features(store(tmp_path), wanted(places=places), progress=lambda done, images, eta: told.append(done))
    assert told == [37, 74, 102]  # the images themselves are larger: 8×8×3 values
    assert stored is not None
    with stored:
        assert stored.arrays[0] == pytest.approx(wanted().cut.prefix.predict(IMAGES[places], verbose=0)[0], abs=1e-6)


def deep(frozen: int) -> Cut:
    """A network of four dense layers with a way around the second, `frozen` of them frozen from the image on."""
    keras.utils.set_random_seed(3)
    image = keras.Input((8, 8, 3), dtype="uint8")
    first = layers.Dense(300, "relu")(layers.Flatten()(layers.Rescaling(1 / 255)(image)))
    second = layers.Add()([first, layers.Dense(300, "relu")(first)])
    model = keras.Model(image, layers.Dense(2)(layers.Dense(300, "relu")(second)))
    for layer in [layer for layer in model.layers if layer.weights][:frozen]:
        layer.trainable = False
    found = find_cut(model)
    assert found is not None
    return found


@pytest.mark.parametrize("shallow", [1, 2])
def test_features_of_more_layers_are_computed_from_those_of_fewer(shallow: int, tmp_path: Path) -> None:
    said: list[str] = []
    direct = features(store(tmp_path / "other"), wanted(deep(3)))
    fewer = features(store(tmp_path), wanted(deep(shallow)))
    found = features(store(tmp_path), wanted(deep(3), images=np.zeros_like(IMAGES)), say=said.append)
    assert direct is not None and fewer is not None and found is not None
    assert said == ["They were computed from stored features of fewer layers (conv of made images)."]
    np.testing.assert_allclose(found.arrays[0], direct.arrays[0], rtol=1e-5, atol=1e-6)
    assert direct.by and fewer.by and not found.by  # two have computed these
    for each in (direct, fewer, found):
        each.close()


@pytest.mark.parametrize(
    "fewer",
    [
        lambda: wanted(deep(1), source="other images"),
        lambda: wanted(deep(1), half=True),
        lambda: wanted(deep(4)),
        lambda: wanted(),
    ],
    ids=["of other images", "in half the size", "of more layers", "of another network"],
)
def test_features_that_do_not_lead_there_are_not_used(fewer: Any, tmp_path: Path) -> None:
    said: list[str] = []
    for asked in (fewer(), wanted(deep(3))):
        found = features(store(tmp_path), asked, say=said.append)
        assert found is not None
        found.close()
    assert said == []
