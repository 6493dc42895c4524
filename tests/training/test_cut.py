from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from cifar_core.training.cut import Cut, find_cut

SIDE = 4
KINDS = ("conv", "norm", "relu", "average", "dropout", "noise", "add", "shared", "nested", "nested with dropout")


@dataclass(frozen=True)
class Call:
    """One call in a random network: a new layer of a kind (or an earlier one again) on earlier tensors."""

    kind: str
    trainable: bool
    sources: tuple[int, int]


calls = st.builds(Call, st.sampled_from(KINDS), st.booleans(), st.tuples(st.integers(0, 99), st.integers(0, 99)))


def network(described: list[Call]) -> tuple[keras.Model, dict[str, set[str]]]:
    """Build a random network; return it with the names of the layers that each layer depends on."""
    keras.utils.set_random_seed(1)
    image = keras.Input((SIDE, SIDE, 3), dtype="uint8", name="pixels")
    tensors = [layers.Rescaling(1 / 255, name="rescale")(image)]
    needs: list[set[str]] = [{"rescale"}]
    shareable: list[keras.Layer] = []
    before: dict[str, set[str]] = {}
    for number, call in enumerate(described):
        name = f"{call.kind.replace(' ', '_')}_{number}"
        first, second = (max(0, len(tensors) - 1 - source % 3) for source in call.sources)
        layer = _layer(call.kind, name, shareable)
        if layer not in shareable:
            layer.trainable = call.trainable
            shareable.append(layer)
        values = [tensors[first], tensors[second]] if call.kind == "add" else tensors[first]
        if isinstance(layer, layers.Add) and call.kind != "add":
            values = [tensors[first], tensors[second]]
        tensors.append(layer(values))
        needed = needs[first] | (needs[second] if isinstance(layer, layers.Add) else set())
        before[layer.name] = before.get(layer.name, set()) | needed
        needs.append(needed | {layer.name})
    end = layers.Dense(2, name="output")(layers.Flatten(name="flatten")(tensors[-1]))
    return keras.Model(image, end), before


def _layer(kind: str, name: str, shareable: list[keras.Layer]) -> keras.Layer:
    match kind:
        case "shared" if shareable:
            return shareable[len(name) % len(shareable)]
        case "norm":
            return layers.BatchNormalization(name=name, scale=False, momentum=0.5)
        case "relu" | "shared":
            return layers.ReLU(name=name)
        case "average":
            return layers.AveragePooling2D(2, 1, padding="same", name=name)
        case "dropout":
            return layers.Dropout(0.5, name=name)
        case "noise":
            return layers.GaussianNoise(0.5, name=name)
        case "add":
            return layers.Add(name=name)
        case "nested":
            return _nested(name, layers.BatchNormalization(name=f"{name}_last"))
        case "nested with dropout":
            return _nested(name, layers.Dropout(0.5, name=f"{name}_last"))
    return layers.Conv2D(3, 1, name=name)


def _nested(name: str, last: keras.Layer) -> keras.Sequential:
    first = layers.Conv2D(3, 1, name=f"{name}_first")  # names of their own: those that Keras gives may be taken
    return keras.Sequential([keras.Input((SIDE, SIDE, 3)), first, last], name=name)


def pixels(model: keras.Model, count: int = 3) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 256, (count, *model.input.shape[1:])).astype(model.input.dtype)


def reset(model: keras.Model) -> None:
    for number, state in enumerate(each for each in model.variables if each.name == "seed_generator_state"):
        state.assign([number + 7, 0])


def recomposed(cut: Cut, images: Any, training: bool = False) -> np.ndarray[Any, Any]:
    return np.asarray(cut.rest(cut.prefix(images), training=training))


@settings(max_examples=60)
@given(st.lists(calls, min_size=1, max_size=12))
def test_the_two_parts_of_any_network_are_the_network(described: list[Call]) -> None:
    model, before = network(described)
    cut = find_cut(model)
    movable = {layer.name for layer in model.layers if _trains_or_draws(layer)}
    always_before = {
        part.name
        for layer in model.layers
        if layer.weights and layer.name not in movable and not before.get(layer.name, movable) & movable
        for part in getattr(layer, "layers", [layer])
        if part.weights
    }
    if cut is None:
        assert not always_before
        return
    assert always_before <= set(cut.layers)
    assert not {name for name in movable if not name.startswith("nested")} & set(cut.layers)
    images = pixels(model)
    assert recomposed(cut, images) == pytest.approx(np.asarray(model(images)), abs=1e-6)
    reset(model)
    whole = np.asarray(model(images, training=True))
    reset(model)
    assert recomposed(cut, images, training=True) == pytest.approx(whole, abs=1e-5)
    assert {id(weight) for weight in cut.rest.trainable_variables} == {id(w) for w in model.trainable_variables}
    assert not cut.prefix.trainable_variables


def _trains_or_draws(layer: keras.Layer) -> bool:
    parts = [layer, *getattr(layer, "layers", [])]
    trains = any(part.trainable and part.weights and not hasattr(part, "layers") for part in parts)
    return trains or any(isinstance(part, layers.Dropout | layers.GaussianNoise) for part in parts)


def chain(*steps: keras.Layer, shape: tuple[int | None, ...] = (SIDE, SIDE, 3)) -> keras.Sequential:
    return keras.Sequential([keras.Input(shape), *steps])


def frozen(layer: keras.Layer) -> keras.Layer:
    layer.trainable = False
    return layer


def test_a_network_with_nothing_frozen_has_no_cut() -> None:
    assert find_cut(chain(layers.Rescaling(2.0), layers.Conv2D(2, 1), layers.Flatten(), layers.Dense(2))) is None


def test_preprocessing_alone_is_not_worth_a_cut() -> None:
    assert find_cut(chain(layers.Rescaling(2.0), layers.Resizing(8, 8), layers.Flatten(), layers.Dense(2))) is None


def test_a_frozen_layer_behind_a_trained_one_is_not_before_the_cut() -> None:
    assert find_cut(chain(layers.Conv2D(2, 1), frozen(layers.Conv2D(2, 1)), layers.Flatten(), layers.Dense(2))) is None


def test_a_middle_block_that_trains_is_where_the_cut_is() -> None:
    steps = [layers.Conv2D(2, 1, name=f"conv_{number}", trainable=number == 2) for number in (1, 2, 3)]
    cut = find_cut(chain(*steps, layers.Flatten(), layers.Dense(2)))
    assert cut is not None and cut.layers == ("conv_1",)


def test_layers_without_weights_go_with_what_is_frozen() -> None:
    steps = frozen(layers.Conv2D(2, 1, name="conv")), layers.ReLU(name="relu"), layers.MaxPooling2D(name="pool")
    cut = find_cut(chain(*steps, layers.Flatten(name="flatten"), layers.Dense(2)))
    assert cut is not None and cut.layers == ("conv", "relu", "pool", "flatten")
    assert (cut.shapes, cut.bytes_per_image) == (((8,),), 32)


@pytest.mark.parametrize(
    "random",
    [
        layers.Dropout(0.5),
        layers.SpatialDropout2D(0.5),
        layers.AlphaDropout(0.5),
        layers.GaussianDropout(0.5),
        layers.GaussianNoise(0.5),
        layers.RandomFlip(),
        layers.RandomContrast(0.5),
        layers.Pipeline([layers.RandomFlip()]),
        layers.Lambda(lambda values: values),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_randomness_ends_what_is_before_the_cut(random: keras.Layer) -> None:
    first, second = (frozen(layers.Conv2D(3, 1, name=name)) for name in ("first", "second"))
    cut = find_cut(chain(first, random, second, layers.Flatten(), layers.Dense(2)))
    assert cut is not None and cut.layers == ("first",)


def test_a_dropout_that_never_drops_is_not_random() -> None:
    first, second = (frozen(layers.Conv2D(3, 1, name=name)) for name in ("first", "second"))
    cut = find_cut(chain(first, layers.Dropout(0.0, name="none"), second, layers.Flatten(name="f"), layers.Dense(2)))
    assert cut is not None and cut.layers == ("first", "none", "second", "f")


def test_a_frozen_batch_norm_is_before_the_cut_and_a_trained_one_is_not() -> None:
    norms = frozen(layers.BatchNormalization(name="frozen")), layers.BatchNormalization(center=False, scale=False)
    cut = find_cut(chain(frozen(layers.Conv2D(3, 1, name="conv")), *norms, layers.Flatten(), layers.Dense(2)))
    assert cut is not None and cut.layers == ("conv", "frozen")


def test_a_layer_that_adds_to_the_loss_is_not_before_the_cut() -> None:
    punished = frozen(layers.Conv2D(3, 1, activity_regularizer="l2"))
    cut = find_cut(chain(frozen(layers.Conv2D(3, 1, name="conv")), punished, layers.Flatten(), layers.Dense(2)))
    assert cut is not None and cut.layers == ("conv",)


def test_a_nested_model_that_drops_is_random_however_it_was_called() -> None:
    """Keras lets the `training` of `fit` win over one that was given when the nested model was called."""
    inner = frozen(keras.Sequential([keras.Input((8,)), layers.Dropout(0.5), layers.Dense(4)]))
    image = keras.Input((8,))
    assert find_cut(keras.Model(image, layers.Dense(2)(inner(image, training=False)))) is None


def test_a_nested_model_can_be_cut_inside() -> None:
    parts = [
        layers.Dense(8, name="first"),
        layers.BatchNormalization(name="norm"),
        layers.Dense(8),
        layers.Dropout(0.5),
    ]
    inner = keras.Sequential([keras.Input((8,)), *parts])
    parts[0].trainable = parts[1].trainable = False
    image = keras.Input((8,))
    model = keras.Model(image, layers.Dense(2)(inner(keras.Sequential([inner])(image))))
    cut = find_cut(model)
    assert cut is not None and cut.layers == ("first", "norm")
    images = np.ones((2, 8))
    reset(model)
    whole = np.asarray(model(images, training=True))
    reset(model)
    assert recomposed(cut, images, training=True) == pytest.approx(whole, abs=1e-6)


@pytest.mark.parametrize(
    "masking",
    [
        [layers.Masking(), layers.Dense(3), layers.LSTM(2)],
        [layers.Masking(), layers.Dense(3), layers.Dense(2)],  # to the loss, which leaves out what is masked
        [chain(layers.Masking(), layers.Dense(3), shape=(4, 3)), layers.LSTM(2)],
    ],
    ids=["for a layer", "for the loss", "in a nested model"],
)
def test_a_mask_is_not_lost_at_the_cut(masking: list[keras.Layer]) -> None:
    for layer in masking[:-1]:
        layer.trainable = False
    model = chain(frozen(layers.Dense(3, name="first")), *masking, shape=(4, 3))
    cut = find_cut(model)
    assert cut is not None and cut.layers == ("first",)
    steps = np.random.default_rng(0).normal(size=(3, 4, 3)) * (np.arange(4) < 2)[:, None]
    whole, parts = model(steps), cut.rest(np.asarray(cut.prefix(steps)))
    assert np.asarray(parts) == pytest.approx(np.asarray(whole), abs=1e-6)
    loss, wanted = keras.losses.MeanSquaredError(), np.ones(whole.shape)
    assert float(loss(wanted, parts)) == pytest.approx(float(loss(wanted, whole)), abs=1e-6)


def test_a_residual_across_the_cut_takes_both_its_tensors_with_it() -> None:
    image = keras.Input((SIDE, SIDE, 3))
    first = layers.Conv2D(3, 1, name="first", trainable=False)(image)
    second = layers.Conv2D(3, 1, name="second", trainable=False)(first)
    sum_of_both = layers.Add()([layers.Conv2D(3, 1)(second), first])
    cut = find_cut(keras.Model(image, layers.Dense(2)(layers.Flatten()(sum_of_both))))
    assert cut is not None and cut.shapes == ((4, 4, 3), (4, 4, 3))


def test_an_average_of_a_tensor_that_crosses_anyway_is_left_to_the_rest() -> None:
    image = keras.Input((SIDE, SIDE, 3))
    shared = layers.Conv2D(3, 1, name="conv", trainable=False)(image)
    average = layers.ReLU()(layers.AveragePooling2D(2, 1, padding="same")(shared))
    both = layers.Add()([layers.Conv2D(3, 1)(shared), layers.Conv2D(3, 1)(average)])
    cut = find_cut(keras.Model(image, layers.Dense(2)(layers.Flatten()(both))))
    assert cut is not None and cut.layers == ("conv",)


def test_enlarging_is_left_to_the_rest() -> None:
    steps = frozen(layers.Conv2D(3, 1, name="conv")), layers.UpSampling2D(4), layers.ReLU()
    cut = find_cut(chain(*steps, layers.Conv2D(3, 1), layers.Flatten(), layers.Dense(2)))
    assert cut is not None and cut.layers == ("conv",)


def test_an_image_that_is_needed_behind_the_cut_crosses_it_as_bytes() -> None:
    image = keras.Input((SIDE, SIDE, 3), dtype="uint8")
    conv = layers.Conv2D(3, 1, trainable=False)(layers.Rescaling(0.1)(image))
    other = layers.Conv2D(3, 1)(layers.Rescaling(0.2)(image))
    model = keras.Model(image, layers.Dense(2)(layers.Flatten()(layers.Add()([conv, other]))))
    cut = find_cut(model)
    assert cut is not None and sorted(cut.dtypes) == ["float32", "uint8"]
    assert recomposed(cut, pixels(model)) == pytest.approx(np.asarray(model(pixels(model))), abs=1e-6)


def test_an_output_that_is_frozen_crosses_the_cut_as_it_is() -> None:
    image = keras.Input((8,))
    known = layers.Dense(3, trainable=False, name="known")(image)
    model = keras.Model(image, [known, layers.Dense(2)(known)])
    cut = find_cut(model)
    assert cut is not None and len(cut.tensors) == 1
    for whole, parts in zip(model(np.ones((2, 8))), cut.rest(cut.prefix(np.ones((2, 8)))), strict=True):
        assert np.asarray(parts) == pytest.approx(np.asarray(whole), abs=1e-6)


def test_a_frozen_layer_whose_weight_another_layer_trains_is_not_fixed() -> None:
    image = keras.Input((8,))
    trained = layers.Dense(8)
    second = trained(layers.ReLU()(image))
    tied = Tied(trained.kernel)
    model = keras.Model(image, layers.Add()([second, tied(image)]))
    tied.trainable = False
    trained.kernel.trainable = True
    assert find_cut(model) is None


class Tied(layers.Layer):  # type: ignore[misc]  # Keras ships no types
    def __init__(self, kernel: keras.Variable):
        super().__init__()
        self.kernel = kernel

    def call(self, values: Any) -> Any:
        return keras.ops.matmul(values, self.kernel)


def test_inception_with_its_last_ten_layers_trained_is_cut_through_four_branches() -> None:
    model = keras.applications.InceptionV3(weights=None, include_top=False, input_shape=(75, 75, 3), pooling="avg")
    for layer in model.layers[: -1 - 10]:
        layer.trainable = False
    cut = find_cut(model)
    assert cut is not None
    assert (len(cut.tensors), cut.bytes_per_image) == (4, 8192)
    images = np.random.default_rng(0).uniform(-1, 1, (4, 75, 75, 3)).astype(np.float32)
    assert np.array_equal(recomposed(cut, images), np.asarray(model(images)))


def test_images_of_no_fixed_size_are_refused_in_words() -> None:
    model = chain(frozen(layers.Conv2D(2, 1)), layers.Conv2D(2, 1), shape=(None, None, 3))
    with pytest.raises(ValueError, match="fixed size"):
        find_cut(model)


def test_a_nested_layer_with_the_name_of_another_is_refused_in_words() -> None:
    same = chain(frozen(layers.Conv2D(3, 1, name="twin")), chain(layers.Conv2D(3, 1, name="twin")))
    with pytest.raises(ValueError, match=r'"twin" is used 2 times .* Give layers of nested models other names'):
        find_cut(same)


def test_a_model_that_is_no_graph_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="no graph of layers"):
        find_cut(keras.Sequential([layers.Dense(2)], name="unbuilt"))
