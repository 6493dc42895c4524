"""Weights from elsewhere: ImageNet's file, a user's file, another run's model; and those that do not fit."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from benchmarks.bad_inputs import tally
from cifar_core.data.weights import imagenet_folder
from cifar_core.experiment.backbones import BACKBONES
from cifar_core.experiment.experiment import Experiment
from cifar_core.training import initial_weights
from cifar_core.training.initial_weights import WeightsError, initialize, read_weights
from cifar_core.training.networks import build
from tests.training.makers import UNPUBLISHED, thorough_about

SMALL = "resnet18-32"


def wanting(source: str, backbone: str = SMALL, **weights: str) -> Experiment:
    return Experiment.parse(
        {
            "backbone": backbone,
            "initial_weights": weights | {"source": source},
            "phases": [{"name": "a", "train_on": "source"}],
        }
    )


def weights_of(model: keras.Model, experiment: Experiment) -> list[np.ndarray]:
    names = [layer.name for layer in initial_weights.backbone_layers(experiment)]
    return [weight for name in names for weight in model.get_layer(name).get_weights()]


def assert_same(first: list[np.ndarray], second: list[np.ndarray]) -> None:
    assert all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))


def said(step: str) -> None:
    raise AssertionError(f"nothing is to be waited for, but it said: {step}")


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras", ".h5"])
def test_a_file_in_every_form_that_keras_writes_gives_the_backbone_its_weights(suffix: str, tmp_path: Path) -> None:
    described = wanting("file", path="any")
    source, target = (build(described, 0, seed) for seed in (0, 1))
    path = tmp_path / f"model{suffix}"
    (source.save_weights if suffix == ".weights.h5" else source.save)(path)
    head = target.get_layer("output").get_weights()[0]
    assert initialize(target, described, path, said) == f"the file {path.name}"
    assert_same(weights_of(target, described), weights_of(source, described))
    assert np.array_equal(target.get_layer("output").get_weights()[0], head)


def test_a_keras_file_whose_layers_are_numbered_otherwise_is_read_in_its_order(tmp_path: Path) -> None:
    described = wanting("file", "mobilenet-v3", path="any")
    keras.applications.MobileNetV3Small(include_top=False, weights=None, input_shape=(32, 32, 3))  # takes the names
    source = keras.applications.MobileNetV3Small(include_top=False, weights=None, input_shape=(32, 32, 3))
    source.save(tmp_path / "source.keras")
    target = build(described, 0, seed=0)
    initialize(target, described, tmp_path / "source.keras", said)
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.uint8)
    features = keras.Model(target.inputs, target.get_layer("pool").input)
    assert np.allclose(features(images), source(images.astype(np.float32)), atol=1e-5)


@pytest.fixture
def keras_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    imagenet_folder().mkdir(parents=True)
    return tmp_path


def test_imagenet_weights_are_taken_from_where_keras_keeps_them(keras_home: Path) -> None:
    described = wanting("imagenet", "mobilenet")
    source = keras.applications.MobileNet(include_top=False, weights=None, input_shape=(64, 64, 3))
    application = BACKBONES["mobilenet"].application
    assert application is not None
    source.save_weights(keras_home / "weights.weights.h5")
    (keras_home / "weights.weights.h5").rename(imagenet_folder() / application.imagenet)
    target = build(described, 0, seed=0)
    assert initialize(target, described, None, said) == f"ImageNet ({application.imagenet})"
    assert_same(weights_of(target, described), source.get_weights())


def test_imagenet_weights_that_cannot_be_had_are_told_with_address_file_and_folder(
    keras_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "https://example.org/models/mobilenet.h5"

    def offline(**_arguments: object) -> None:
        raise Exception(f"URL fetch failure on {address}: None -- no network")

    monkeypatch.setattr(keras.applications, "MobileNet", offline)
    monkeypatch.setattr(initial_weights, "SECONDS_BETWEEN_LOOKS", 0.01)
    application = BACKBONES["mobilenet"].application
    assert application is not None
    with pytest.raises(WeightsError) as told:
        initial_weights.imagenet_file(BACKBONES["mobilenet"], lambda step: None)
    for part in (address, str(imagenet_folder()), application.imagenet, "random weights"):
        assert part in str(told.value)


def test_a_download_says_how_far_it_has_come(keras_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    application = BACKBONES["mobilenet"].application
    assert application is not None
    steps: list[str] = []

    def download(**_arguments: object) -> None:
        (imagenet_folder() / application.imagenet).write_bytes(bytes(3_000_000))
        while not any("3 of about 13 MB" in step for step in steps):
            pass

    monkeypatch.setattr(keras.applications, "MobileNet", download)
    monkeypatch.setattr(initial_weights, "SECONDS_BETWEEN_LOOKS", 0.01)
    assert initial_weights.imagenet_file(BACKBONES["mobilenet"], steps.append).exists()


@pytest.mark.parametrize(
    "backbone",
    thorough_about(
        (name for name, row in BACKBONES.items() if row.application and row.application.imagenet), UNPUBLISHED
    ),
)
def test_the_table_names_the_file_that_keras_downloads(backbone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    application = BACKBONES[backbone].application
    assert application is not None
    asked: list[str] = []

    class AskedError(Exception):
        pass

    def ask(fname: str, *_rest: object, **_options: object) -> None:
        asked.append(fname)
        raise AskedError

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", ask)
    with pytest.raises(AskedError):
        getattr(keras.applications, application.builder)(include_top=False, weights="imagenet")
    assert asked == [application.imagenet]


def test_weights_of_another_network_are_refused_layer_by_layer_and_change_nothing(tmp_path: Path) -> None:
    described = wanting("file", "two-conv", path="any")
    build(wanting("random", "three-conv"), 0, seed=0).save(tmp_path / "three.keras")
    target = build(described, 0, seed=0)
    before = target.get_weights()
    with pytest.raises(WeightsError) as told:
        initialize(target, described, tmp_path / "three.keras", said)
    assert "three.keras do not fit Two-conv CNN at 32×32 pixels" in str(told.value)
    assert "conv_1: expected 3×3×3×32, 32, received 5×5×3×32, 32." in str(told.value)
    assert_same(target.get_weights(), before)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_text("no weights"),
        lambda path: path.write_bytes(b"PK\x03\x04"),
        lambda path: path.write_bytes(path.read_bytes()[:2000]),
        lambda path: path.unlink(),
    ],
    ids=["text", "half a zip", "truncated", "missing"],
)
def test_a_file_that_holds_no_weights_is_told_in_words(spoil: Callable[[Path], object], tmp_path: Path) -> None:
    path = tmp_path / "spoilt.keras"
    build(wanting("random", "three-conv"), 0, seed=0).save(path)
    spoil(path)
    with pytest.raises(WeightsError, match=r"spoilt\.keras could not be read as Keras weights"):
        read_weights(path)


def test_hostile_weights_are_refused_by_name() -> None:
    found = tally("weights", 60, seed=1)
    assert not found.failures, found.examples
    assert found.answered == 60


def hostile(path: Path, fill: Callable[[h5py.Group], object]) -> Path:
    with h5py.File(path, "w") as file:
        fill(file.create_group("layers/conv/vars"))
    return path


@pytest.mark.parametrize(
    ("fill", "said"),
    [
        (
            lambda group: group.create_dataset("0", (10**6, 10**6), "f4", chunks=(10, 10)),
            "claims 4,000,000,000,000 bytes",
        ),
        (lambda group: group.create_dataset("0", (8,), "u1", external=[(__file__, 0, 8)]), "no numbers of its own"),
        (lambda group: group.__setitem__("0", h5py.ExternalLink(__file__, "/")), "not in the file itself"),
        (lambda group: group.__setitem__("0", h5py.SoftLink("/layers")), "not in the file itself"),
        (lambda group: group.__setitem__("0", np.array([b"text"])), "no numbers of its own"),
    ],
    ids=["huge", "external", "link out", "link", "text"],
)
def test_weights_hold_numbers_of_their_own_and_not_more_than_the_file(
    fill: Callable[[h5py.Group], object], said: str, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match=rf"given\.h5 could not be read as Keras weights .*{said}"):
        read_weights(hostile(tmp_path / "given.h5", fill))


def test_a_zip_file_that_unpacks_to_far_more_is_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(100_000_000))
    with pytest.raises(WeightsError, match=r"bomb\.keras .*claims 100,000,000 bytes"):
        read_weights(tmp_path / "bomb.keras")


def test_a_lambda_layer_is_a_name_and_nothing_that_runs(tmp_path: Path) -> None:
    inputs = keras.Input((4, 4, 3))
    outputs = keras.layers.Lambda(lambda x: x + 1)(keras.layers.Conv2D(2, 3, name="conv")(inputs))
    keras.Model(inputs, outputs).save(tmp_path / "lambda.keras")
    assert [layer.name for layer in read_weights(tmp_path / "lambda.keras")] == ["conv"]
