"""Looking inside networks: what is computed, and what a run's folder must hold for it."""

import os
import shutil
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from cifar_core.analysis.transferability import leep, logme
from cifar_core.data.feature_store import feature_store
from cifar_core.experiment.experiment import ClassSplit, Experiment
from cifar_core.experiment.measured import MODEL, State, StepCosts
from cifar_core.experiment.settings import apply, changed
from cifar_core.runs.store import Store
from cifar_core.training import features, initial_weights
from cifar_core.training import step_costs as measuring
from cifar_core.training.checkpoint import end_of_phase, load
from cifar_core.training.feeding import feed
from cifar_core.training.initial_weights import WeightsError
from cifar_core.training.inside import gram, linear_cka, look, principal_components
from cifar_core.training.kept import NoNetworkError, kept_network
from cifar_core.training.networks import build
from cifar_core.worker import questions
from cifar_core.worker.job import Job
from tests.training.makers import experiment, images, phase, small, tuning

OWNER = "a test"
ENDS = {"layers": (), "epochs": 1}


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_a_representation_is_like_itself_turned_and_scaled_and_unlike_another() -> None:
    features = noise(40, 6)
    turned = features @ np.linalg.qr(noise(6, 6, seed=1))[0] * 3 + 5
    assert linear_cka(gram(features), gram(turned)) == pytest.approx(1, abs=1e-5)
    assert linear_cka(gram(features), gram(noise(40, 6, seed=2))) < 0.4
    assert linear_cka(gram(features), gram(np.ones((40, 3), np.float32))) == 0


def test_linear_cka_is_the_formula_of_the_paper() -> None:
    one, other = noise(30, 4), noise(30, 7, seed=1)
    x, y = one - one.mean(axis=0), other - other.mean(axis=0)
    expected = np.linalg.norm(y.T @ x) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))
    assert linear_cka(gram(one), gram(other)) == pytest.approx(expected, rel=1e-5)


def test_principal_components_are_scikit_learns() -> None:
    from sklearn.decomposition import PCA

    features = noise(50, 8) * np.arange(1, 9, dtype=np.float32)
    points, explained = principal_components(features)
    expected = PCA(2).fit(features)
    assert np.abs(points) == pytest.approx(np.abs(expected.transform(features)), abs=1e-3)
    assert explained == pytest.approx(expected.explained_variance_ratio_, rel=1e-4)


def test_the_look_at_an_image_has_probabilities_maps_and_explanations() -> None:
    meant = small()
    model = build(meant, 0, seed=1)
    image = images().test_images[0]
    expected = model.predict(image[None], verbose=0)[0]
    found = look(model, meant.networks[0], image)
    assert found["probabilities"] == pytest.approx(expected, abs=1e-6)
    assert found["explained"].tolist() == np.argsort(-expected).tolist()
    assert found["heat"].shape == (2, 32, 32)
    assert 0 <= found["heat"].min() <= found["heat"].max() <= 1
    assert found["layer"] == "conv_1"
    maps = {name: array.shape for name, array in found.items() if name.startswith("maps/")}
    assert maps == {"maps/conv_1": (4, 4, 4)}


def test_grad_cam_finds_where_the_score_comes_from() -> None:
    image = np.zeros((32, 32, 3), np.uint8)
    image[20:28, 4:12] = 255
    pixels = keras.Input((32, 32, 3), dtype="uint8", name="pixels")
    values = keras.layers.Rescaling(1 / 255)(pixels)
    values = keras.layers.Conv2D(4, 5, activation="relu", kernel_initializer="ones", name="conv_1")(values)
    values = keras.layers.GlobalAveragePooling2D(name="global_average_pool_1")(values)
    output = keras.layers.Dense(2, "softmax", name="output")
    model = keras.Model(pixels, output(values))
    output.set_weights([np.array([[1, -1]] * 4, np.float32), np.zeros(2, np.float32)])
    layers = ({"kind": "conv", "filters": 4, "kernel": 5}, {"kind": "global_average_pool"})
    found = look(model, small(layers=layers).networks[0], image)
    of_first, of_second = found["heat"][found["explained"].argsort()]
    row, column = np.unravel_index(of_first.argmax(), of_first.shape)
    assert 18 <= row <= 30 and 2 <= column <= 14
    assert of_first[:10].max() < 0.1
    assert not of_second.any()


def test_a_network_without_maps_is_said_so() -> None:
    meant = apply(small(), ['phases.0.head.layers=[{"kind":"flatten"}]', "phases.0.head.from_layer=conv_1"])
    with pytest.raises(NoNetworkError, match="no convolution"):
        look(build(meant, 0, seed=1), meant.networks[0], images().test_images[0])


def test_a_damaged_or_missing_model_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(NoNetworkError, match="has kept no model"):
        kept_network(tmp_path / "model.keras")
    (tmp_path / "model.keras").write_bytes(b"no model")
    with pytest.raises(NoNetworkError, match="cannot be read"):
        kept_network(tmp_path / "model.keras")


def trained(store: Store, meant: Experiment) -> str:
    run = store.submit(meant, 1, "a run")
    assert store.claim(OWNER, run=run, lease=600) is not None
    Job(store.home, run, OWNER, time.time()).do()
    assert store.run(run).state is State.DONE
    return run


def ask(store: Store, **question: Any) -> dict[str, Any]:
    result = store.home / "answer.npz"
    questions.answer({"home": str(store.home), "result": str(result), **question})
    with np.load(result) as file:
        return dict(file)


def test_inside_a_fine_tuned_run_is_compared_with_the_source_network(store: Store) -> None:
    found = ask(store, inspect="inside", run=trained(store, experiment()))
    assert str(found["no_before"]) == ""
    assert found["filters"].shape == (5, 5, 3, 4)
    assert np.array_equal(found["filters"], found["filters_before"])  # frozen
    blocks = found["blocks"].tolist()
    assert blocks == found["blocks_before"].tolist() == ["conv_1", "dense_1"]
    assert found["cka"][0, 0] == pytest.approx(1, abs=1e-6)
    assert found["cka"][1, 1] < 1
    assert found["points"].shape == found["points_before"].shape == (12, 2)
    assert found["compared"] == 12
    assert set(found["labels"]) == {0, 1, 2}
    assert len(found["class_names"]) == 3


def first_filters(store: Store, run: str, phase: int) -> np.ndarray:
    return np.asarray(load(store.files.folder(run) / end_of_phase(phase)).arrays["layer/conv_1/0"])


def test_inside_a_run_that_unfreezes_gradually_before_is_before_all_of_it(store: Store) -> None:
    nothing = {"rule": "nothing"}
    meant = experiment(phase(epochs=1), tuning(epochs=1, freeze=nothing), tuning("all", epochs=1, freeze=nothing))
    run = trained(store, meant)
    found = ask(store, inspect="inside", run=run)
    assert np.array_equal(found["filters_before"], first_filters(store, run, 0))
    assert not np.array_equal(found["filters_before"], first_filters(store, run, 1))
    (store.files.folder(run) / end_of_phase(0)).unlink()
    with pytest.raises(NoNetworkError, match="has not kept its network as it was before tuned"):
        questions.before_target_classes(store, store.run(run), 2)


def test_before_target_classes_alone_the_network_has_its_initial_weights(store: Store) -> None:
    source = store.submit(small(**ENDS), 1, "source")
    kept = store.files.folder(source) / MODEL
    kept.parent.mkdir(parents=True)
    learned = build(small(**ENDS), 0, seed=5)
    learned.save(kept)
    weights = {"source": "run", "run": source}
    target = store.submit(changed(small(train_on="target", **ENDS), initial_weights=weights), 1, "target")
    run = store.claim(OWNER, run=target, lease=600)
    assert run is not None
    before = questions.before_target_classes(store, run, 0)
    for layer in ("conv_1", "dense_1"):
        assert np.array_equal(before.get_layer(layer).get_weights()[0], learned.get_layer(layer).get_weights()[0])
    os.utime(kept, (time.time() + 9, time.time() + 9))
    with pytest.raises(NoNetworkError, match="written anew since"):
        questions.before_target_classes(store, run, 0)
    kept.unlink()
    with pytest.raises(WeightsError, match="has kept no model to start from"):
        questions.before_target_classes(store, run, 0)


def test_before_target_classes_that_a_network_met_with_random_weights_there_was_none(store: Store) -> None:
    run = store.run(store.submit(small(train_on="target"), 1, "a run"))
    with pytest.raises(NoNetworkError, match="random weights"):
        questions.before_target_classes(store, run, 0)


def test_inside_a_run_whose_last_phase_has_another_head_compares_what_it_can(store: Store) -> None:
    other = phase("other head", "target", (phase().head.layers[-1],), epochs=1)  # type: ignore[union-attr]
    other = other.model_copy(update={"head": other.head.model_copy(update={"from_layer": "dense_1"})})  # type: ignore[union-attr]
    meant = experiment(phase(), other, split=ClassSplit(source=(0, 1, 2), target=(5, 3)))
    found = ask(store, inspect="inside", run=trained(store, meant))
    assert found["cka"].shape == (len(found["blocks_before"]), len(found["blocks"]))


def test_inside_a_run_of_source_classes_alone_has_nothing_before(store: Store) -> None:
    found = ask(store, inspect="inside", run=trained(store, small(epochs=1)))
    assert "no target classes" in str(found["no_before"])
    assert "points" in found
    assert not {"points_before", "filters_before", "cka"} & found.keys()


def test_inside_is_refused_for_other_images_and_for_runs_without_a_model(store: Store) -> None:
    run = trained(store, small(epochs=1))
    (store.files.folder(run) / MODEL).unlink()
    assert "has kept no model" in str(ask(store, inspect="inside", run=run)["error"])
    queued = store.submit(small(), 1, "waits")
    assert "has kept no model" in str(ask(store, inspect="inside", run=queued)["error"])
    assert "no run" in str(ask(store, inspect="inside", run="nosuchrn")["error"])


def test_several_runs_look_at_one_image(store: Store) -> None:
    import base64

    chosen = [trained(store, meant) for meant in (small(epochs=1), experiment(phase(epochs=1), tuning(epochs=1)))]
    pixels = base64.b64encode(np.ascontiguousarray(images().test_images[0]).tobytes()).decode()
    found = ask(store, inspect="look", runs=chosen, images=[pixels, pixels])
    assert [len(found[f"{place}/probabilities"]) for place in (0, 1)] == [2, 3]
    assert found["1/class_names"].tolist() == [images().dataset.classes[index] for index in (5, 3, 9)]


def test_the_steps_of_a_run_are_measured_with_its_frozen_layers_and_with_none(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "SECONDS", 0.0)
    run = trained(store, experiment(phase(epochs=1), tuning(epochs=1)))
    found = {name: each.item() for name, each in ask(store, inspect="step costs", run=run).items()}
    costs = StepCosts(**found)
    assert costs.hardware == store.run(run).environment["hardware"]
    assert costs.validation_images == 9 and costs.measured_steps >= 3
    assert 0 < costs.update < costs.step and 0 < costs.update_of_all < costs.step_of_all
    assert costs.evaluation > 0


def guess(store: Store, meant: Experiment, *starts: list[str], layer: str = "output") -> list[dict[str, Any]]:
    found = ask(store, inspect="guess", experiment=meant.to_json(), layer=layer, starts=list(starts))
    return [
        {name.partition("/")[2]: value for name, value in found.items() if name.startswith(f"{place}/")}
        for place in range(len(starts))
    ]


def test_a_guess_is_logme_and_leep_of_the_network_before_the_target_classes(store: Store) -> None:
    meant = experiment(phase(epochs=1), tuning(epochs=1, freeze={"rule": "nothing"}))
    run = trained(store, meant)
    source = trained(store, experiment(phase(epochs=1)))  # ends where the other run's first phase does
    before = kept_network(store.files.folder(source) / MODEL)
    (found, same) = guess(store, meant, ["run", run], ["run", source])
    chosen = feed(meant, 1, images(), seed=0)
    pixels = np.concatenate([each.values[0].numpy() for each in (chosen.train, chosen.validation)])
    labels = np.concatenate([each.labels.numpy() for each in (chosen.train, chosen.validation)])
    reaching = keras.Model(before.input, before.get_layer("output").input).predict(pixels, verbose=0)
    assert found["logme"] == pytest.approx(logme(reaching, labels), rel=1e-4)
    assert found["leep"] == pytest.approx(leep(before.predict(pixels, verbose=0), labels), rel=1e-4)
    assert (found["images"], found["features"]) == (36, 8)
    assert found["seconds"] > 0
    assert same["logme"] == pytest.approx(found["logme"], rel=1e-6)
    (maps,) = guess(store, meant, ["run", run], layer="flatten_1")
    assert maps["features"] == 4 * 4 * 4


def test_a_second_guess_reads_the_features_that_the_first_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run = trained(store, experiment(phase(epochs=1)))
    (first,) = guess(store, experiment(), ["run", run])
    monkeypatch.setattr(features, "_compiled", never)
    (second,) = guess(store, experiment(), ["run", run])
    assert (second["logme"], second["leep"]) == (first["logme"], first["leep"])


def test_a_guess_reads_the_features_that_training_kept_of_the_same_images(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "SECONDS_TO_SET_UP", -1e9)  # so few images are hardly worth it
    run = trained(store, experiment(phase(epochs=1), tuning(epochs=1)))
    with monkeypatch.context() as patch:
        patch.setattr(features, "_compiled", never)
        (found,) = guess(store, experiment(), ["run", run])
    monkeypatch.setenv("TRANSFER_LAB_FEATURES", "off")
    (expected,) = guess(store, experiment(), ["run", run])
    assert found["logme"] == pytest.approx(expected["logme"], rel=1e-5)


@pytest.mark.parametrize("settings", [{"FEATURES": "off"}, {"FEATURES_GB": "0"}, {"FEATURES": "half"}], ids=str)
def test_a_guess_is_the_same_however_features_are_kept(
    store: Store, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]
) -> None:
    run = trained(store, experiment(phase(epochs=1)))
    (expected,) = guess(store, experiment(), ["run", run])
    shutil.rmtree(store.home / "features")
    for name, value in settings.items():
        monkeypatch.setenv(f"TRANSFER_LAB_{name}", value)
    (found,) = guess(store, experiment(), ["run", run])
    assert found["logme"] == pytest.approx(expected["logme"], rel=1e-2)
    assert found["leep"] == pytest.approx(expected["leep"], rel=1e-2)
    kept = feature_store(store.home)
    assert len(kept.entries() if kept else ()) == (settings == {"FEATURES": "half"})


def never(*_: Any) -> None:
    raise AssertionError("features were computed")


def test_starts_that_cannot_be_used_say_why_one_by_one(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any) -> Path:
        raise WeightsError("The ImageNet weights of MobileNet are not on this computer.")

    monkeypatch.setattr(initial_weights, "imagenet_file", missing)
    meant = experiment(phase(epochs=1))
    target_only = trained(store, experiment(phase(train_on="target", epochs=1)))
    run = trained(store, meant)
    (store.files.folder(run) / MODEL).unlink()
    starts = ["run", target_only], ["run", run], ["run", "nosuchrn"], ["imagenet", "mobilenet"]
    said = [str(found["error"]) for found in guess(store, meant, *starts)]
    for expected, message in zip(
        ("not finished a phase on source", "has kept no model", "no run", "ImageNet weights of MobileNet"),
        said,
        strict=True,
    ):
        assert expected in message


def test_imagenets_weights_are_guessed_about_without_their_output_layer(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "initialize", lambda *_: "ImageNet, in a test")
    (found,) = guess(store, small(), ["imagenet", "mobilenet"])
    assert np.isfinite(found["logme"]) and np.isnan(found["leep"])
    assert found["features"] == 1024
