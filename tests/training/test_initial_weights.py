"""Weights from elsewhere: ImageNet's file, a user's file, another run's model; and those that do not fit."""

import re
import threading
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from benchmarks.bad_inputs.giving import tally
from cifar_core.data.weights import imagenet_folder
from cifar_core.experiment import backbones
from cifar_core.experiment.backbones import BACKBONES
from cifar_core.experiment.experiment import Experiment
from cifar_core.training import initial_weights
from cifar_core.training.callbacks import StopRequested
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


@dataclass
class KerasServer:
    """A web server with one file, of which the second half waits to be let go."""

    content: bytes = bytes(4_000_000)
    says: int = 4_000_000
    go: threading.Event = field(default_factory=threading.Event)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def server(keras_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KerasServer]:
    told = KerasServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(told.says))
            self.end_headers()
            half = len(told.content) // 2
            self.wfile.write(told.content[:half])
            told.go.wait()
            with suppress(OSError):  # nobody listens any more
                self.wfile.write(told.content[half:])

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setattr(backbones, "KERAS_SERVER", f"http://127.0.0.1:{http.server_port}")
        monkeypatch.setattr(initial_weights, "SECONDS_BETWEEN_LOOKS", 0.01)
        yield told
        told.go.set()
        http.shutdown()


MOBILENET = "mobilenet_1_0_224_tf_no_top.h5"


def downloaded(say: Callable[[str], None]) -> Path:
    return initial_weights.imagenet_file(BACKBONES["mobilenet"], say)


def kept() -> list[str]:
    """What is in Keras's folder but locks."""
    return [path.name for path in imagenet_folder().iterdir() if not path.name.startswith("lock-")]


def test_a_download_says_how_far_it_has_come_and_is_there_only_as_a_whole(server: KerasServer) -> None:
    def hear(step: str) -> None:
        assert MOBILENET not in kept()
        assert re.fullmatch("downloading ImageNet weights, [0-4] of about 13 MB", step)
        if " 0 of " not in step:
            server.go.set()

    path = downloaded(hear)
    assert path.read_bytes() == server.content
    assert kept() == [MOBILENET]
    assert server.asked == [f"/mobilenet/{MOBILENET}"]
    assert downloaded(said) == path


def test_a_stop_ends_a_download_that_does_not_go_on_and_leaves_nothing(server: KerasServer) -> None:
    def stop_in_the_middle(step: str) -> None:
        if " 0 of " not in step:
            raise StopRequested

    with pytest.raises(StopRequested):
        downloaded(stop_in_the_middle)
    assert kept() == []
    server.go.set()
    assert downloaded(lambda step: None).read_bytes() == server.content


def test_what_a_killed_process_left_of_a_download_is_not_taken_for_weights(server: KerasServer) -> None:
    left = imagenet_folder() / f"unfinished-{MOBILENET}-abc"
    left.mkdir()
    (left / MOBILENET).write_bytes(b"half")
    server.go.set()
    assert downloaded(lambda step: None).read_bytes() == server.content
    assert kept() == [MOBILENET]


def test_of_two_runs_one_downloads_and_the_other_waits_until_it_is_stopped_or_has_the_file(server: KerasServer) -> None:
    heard: list[str] = []

    def other(step: str) -> None:
        assert step == "waiting for ImageNet weights that another run downloads"
        heard.append(step)
        if len(heard) == 1:
            raise StopRequested
        server.go.set()

    with ThreadPoolExecutor() as threads:
        began = threading.Event()
        first = threads.submit(downloaded, lambda step: began.set())
        assert began.wait(60)
        with pytest.raises(StopRequested):
            downloaded(other)
        assert downloaded(other) == first.result()
    assert len(server.asked) == 1


@pytest.mark.parametrize("wrong", ["cut off", "hash", "offline"])
def test_imagenet_weights_that_cannot_be_had_are_told_with_address_file_and_folder(
    wrong: str, server: KerasServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.go.set()
    row = BACKBONES["mobilenet"]
    application = row.application
    assert application is not None
    if wrong == "cut off":
        server.says += 1
    elif wrong == "hash":
        row = replace(row, application=replace(application, file_hash="0" * 32))
    else:
        monkeypatch.setattr(backbones, "KERAS_SERVER", "http://127.0.0.1:1")
    with pytest.raises(WeightsError) as told:
        initial_weights.imagenet_file(row, lambda step: None)
    for part in (application.address, str(imagenet_folder()), MOBILENET, "random weights"):
        assert part in str(told.value)
    assert kept() == []


def test_half_a_file_under_the_name_of_imagenet_weights_is_to_be_deleted(keras_home: Path) -> None:
    path = imagenet_folder() / MOBILENET
    with h5py.File(keras_home / "whole.h5", "w") as file:
        file["layers/conv/vars/0"] = np.zeros(1000, np.float32)
    path.write_bytes((keras_home / "whole.h5").read_bytes()[:3000])
    with pytest.raises(WeightsError, match=f"could not be read as Keras weights .* delete {re.escape(str(path))}, and"):
        initialize(keras.Sequential(), wanting("imagenet", "mobilenet"), None, said)


@pytest.mark.parametrize(
    "backbone",
    thorough_about(
        (name for name, row in BACKBONES.items() if row.application and row.application.imagenet), UNPUBLISHED
    ),
)
def test_the_table_names_the_file_that_keras_downloads(backbone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    application = BACKBONES[backbone].application
    assert application is not None
    asked: list[tuple[str, str, str | None]] = []

    class AskedError(Exception):
        pass

    def ask(fname: str, origin: str, *, file_hash: str | None = None, **_options: object) -> None:
        asked.append((fname, origin, file_hash))
        raise AskedError

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", ask)
    with pytest.raises(AskedError):
        getattr(keras.applications, application.builder)(include_top=False, weights="imagenet")
    assert asked == [(application.imagenet, application.address, application.file_hash)]


def test_weights_of_another_network_are_refused_layer_by_layer_and_change_nothing(tmp_path: Path) -> None:
    described = wanting("file", "two-conv", path="any")
    build(wanting("random", "three-conv"), 0, seed=0).save(tmp_path / "three.keras")
    target = build(described, 0, seed=0)
    before = target.get_weights()
    with pytest.raises(WeightsError) as told:
        initialize(target, described, tmp_path / "three.keras", said)
    assert "three.keras do not fit Two-conv CNN at 32×32 pixels" in str(told.value)
    assert "conv_1: expected 3×3×3×32, 32, received 5×5×3×32, 32." in str(told.value)
    assert "dense_1: expected 7200×128, 128, received 3×3×16×8, 8 of conv_3." in str(told.value)
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
