"""Looking inside a trained network: its filters, what fine-tuning changed, and one image on its way through it."""

import contextlib
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from cifar_core.data.arrays import Images
from cifar_core.data.errors import DataNotStoredError
from cifar_core.data.feature_store import FeatureStore
from cifar_core.experiment.network import Network
from cifar_core.training.cut import find_cut
from cifar_core.training.features import Wanted, features, source_of
from cifar_core.training.kept import NoNetworkError

COMPARED, PROJECTED = 500, 1000
"""Images that representations are compared on, and that are projected."""
BYTES = 400_000_000
"""What the representations of all blocks may take together; of large images, fewer are compared."""
CHANNELS, EXPLAINED = 8, 10
"""Channels shown of a block, and classes that a picture is explained for."""
_BATCH = 100
_SMALLEST_MAP = 4  # pixels a side; a coarser map says nothing about where in an image
_POOLING = (keras.layers.MaxPooling2D, keras.layers.AveragePooling2D, keras.layers.Dropout)


def inside(
    after: keras.Model, before: keras.Model | None, networks: tuple[Network, Network], images: NDArray[np.uint8]
) -> dict[str, Any]:
    """Return what can be seen in a network, and beside it in the one `before` it was fine-tuned.

    `networks` describe `before` and `after`; `images` are uint8 (n, height, width, 3), the first PROJECTED are used.
    Arrays: "filters" and "filters_before", the kernels of the first convolution `layer` (height, width, channels,
    filters); "points" and "points_before", the first two principal components of the last features (n, 2), with the
    share of the variance that each tells in "explained" and "explained_before" (2,); "cka" (blocks before, blocks
    after), the similarity of representations on the first "compared" images, with "blocks" and "blocks_before".
    """
    found: dict[str, Any] = {}
    for model, network, ending in ((before, networks[0], "_before"), (after, networks[1], "")):
        if model is None:
            continue
        if (layer := _first_convolution(model, network)) is not None:
            found |= {"layer": layer.name, f"filters{ending}": layer.get_weights()[0]}
        features = keras.Model(model.input, model.get_layer("output").input)
        points, explained = principal_components(predicted(features, images[:PROJECTED])[0])
        found |= {f"points{ending}": points, f"explained{ending}": explained}
    if before is not None:
        ends = [_ends_of_blocks(network) for network in networks]
        values = max(
            sum(int(np.prod(model.get_layer(layer).output.shape[1:])) for layer in each.values())
            for model, each in zip((before, after), ends, strict=True)
        )
        some = images[: max(_BATCH // 2, min(COMPARED, BYTES // (4 * values)))]
        grams = [_grams(model, each, some) for model, each in zip((before, after), ends, strict=True)]
        found["cka"] = np.array([[linear_cka(one, other) for other in grams[1]] for one in grams[0]])
        found |= {"blocks_before": np.array(list(ends[0])), "blocks": np.array(list(ends[1])), "compared": len(some)}
    return found


def look(model: keras.Model, network: Network, image: NDArray[np.uint8]) -> dict[str, Any]:
    """Return what a network makes of one image, uint8 (height, width, 3).

    "probabilities" (outputs,); "maps/<block>", the CHANNELS channels of a block's last map that vary most, uint8
    (channels, height, width), each from its own least to its own largest value; "explained" (k,), the most probable
    outputs, with "heat" (k, height, width), where in the image they come from by Grad-CAM (Selvaraju et al. 2017),
    0 to 1, on the maps of `layer`, of the size of the image.
    """
    model.trainable = True  # so that gradients are followed through frozen layers too
    shown = {block: layer for block, layer in _maps(model, network).items() if layer is not None}
    last, output = _last_convolution(model, network), model.get_layer("output")
    tensors = [layer.output for layer in shown.values()]
    watched = keras.Model(model.input, [last.output, output.input, model.output, *tensors])
    with tf.GradientTape(persistent=True) as tape:
        maps, features, probabilities, *blocks = watched(image[None], training=False)
        scores = tf.matmul(features, output.kernel) + output.bias  # before softmax, as in the paper
        order = np.argsort(-probabilities[0].numpy(), kind="stable")[:EXPLAINED]
        chosen = [scores[0, place] for place in order]
    heat = []
    for score in chosen:
        weights = tf.reduce_mean(tape.gradient(score, maps), axis=(1, 2), keepdims=True)
        seen = tf.nn.relu(tf.reduce_sum(weights * maps, axis=-1, keepdims=True))
        seen = tf.image.resize(seen / tf.maximum(tf.reduce_max(seen), 1e-9), image.shape[:2])
        heat.append(seen.numpy()[0, :, :, 0])
    found = {f"maps/{block}": _most_varied(each.numpy()[0]) for block, each in zip(shown, blocks, strict=True)}
    return found | {
        "probabilities": probabilities[0].numpy(),
        "explained": order,
        "heat": np.array(heat),
        "layer": last.name,
    }


def linear_cka(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the linear centered kernel alignment of two representations, 0 to 1 (Kornblith et al. 2019).

    Both come as centered Gram matrices (n, n) of the same n images: see `gram`. 1 means equal up to rotation and
    scale; a representation that is the same for all images is like none, 0.
    """
    norms = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float((one * other).sum()) / norms if norms else 0.0


def gram(features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the products (n, n) of the features (n, …) of all pairs of images, their mean taken off."""
    flat = features.reshape(len(features), -1)
    flat = flat - flat.mean(axis=0)
    return np.asarray(flat @ flat.T, dtype=np.float64)


def principal_components(features: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the first two principal components of features (n, …), as (n, 2), and their shares of the variance (2,).

    Computed from the images' products, since there are fewer images than features. Signs, which are arbitrary, make
    each component's largest value positive.
    """
    values, vectors = np.linalg.eigh(gram(features))
    values = np.maximum(values[::-1], 0)
    points = vectors[:, ::-1][:, :2] * np.sqrt(values[:2])
    points *= np.sign(points[np.abs(points).argmax(axis=0), [0, 1]])
    return points.astype(np.float32), (values[:2] / max(values.sum(), 1e-30)).astype(np.float32)


def _grams(model: keras.Model, ends: dict[str, str], images: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
    tensors = [model.get_layer(layer).output for layer in ends.values()]
    return [gram(each) for each in predicted(keras.Model(model.input, tensors), images)]


def predicted(model: keras.Model, *values: NDArray[Any]) -> list[NDArray[np.float32]]:
    """What a model makes of images, or of `values` for each of its inputs: an array per output.

    Not by `predict`: to compile it would take longer.
    """
    found = []
    for start in range(0, len(values[0]), _BATCH):
        given = [each[start : start + _BATCH] for each in values]
        answer = model(given if isinstance(model.input, list) else given[0], training=False)
        found.append([part.numpy() for part in keras.tree.flatten(answer)])
    return [np.concatenate(parts) for parts in zip(*found, strict=True)]


def watched(
    model: keras.Model, layer: str, images: Images, places: NDArray[np.int64], store: FeatureStore | None
) -> list[NDArray[np.float32]]:
    """What reaches a layer (the output where there is none of that name) and what leaves the network.

    It is stored features, as training has them, where these can be kept: another guess reads them. So does training
    with the same layers frozen, and the guess reads what training left, where both are about the same images.
    """
    known = {each.name for each in model.layers}
    whole = keras.Model(model.input, [model.get_layer(layer if layer in known else "output").input, model.output])
    whole.trainable = False
    cut = find_cut(whole)
    if store is not None and cut is not None:
        label = f"{model.name} up to {cut.layers[-1]}: {len(places):,} training images of {images.dataset.title}"
        source = source_of(images.fingerprint, "train", places)
        wanted = Wanted(cut, images.train_images, places, source, label, store.half)
        if wanted.bytes <= store.budget:
            with contextlib.suppress(DataNotStoredError):
                if (found := features(store, wanted)) is not None:
                    with found:
                        return predicted(cut.rest, *found.arrays)
    return predicted(whole, images.train_images[places])


def _ends_of_blocks(network: Network) -> dict[str, str]:
    """The last layer of each block before the output."""
    return {block.name: block.layers[-1] for block in network.blocks if block.name != "output"}


def _first_convolution(model: keras.Model, network: Network) -> keras.layers.Layer | None:
    layers = (model.get_layer(layer.name) for layer in network.layers)
    return next((layer for layer in layers if isinstance(layer, keras.layers.Conv2D)), None)


def _last_convolution(model: keras.Model, network: Network) -> keras.layers.Layer:
    """The last layer with maps that are fine enough to tell places apart, pooling left out: it repeats what it got."""
    maps = [layer for layer in _map_layers(model, network) if not isinstance(layer, _POOLING)]
    if not maps:
        raise NoNetworkError("This network has no convolution to look into.")
    return next((each for each in reversed(maps) if min(each.output.shape[1:3]) >= _SMALLEST_MAP), maps[-1])


def _maps(model: keras.Model, network: Network) -> dict[str, keras.layers.Layer | None]:
    """The last layer with maps of each block that has any."""
    layers = {layer.name: layer for layer in _map_layers(model, network)}
    return {
        block.name: next((layers[name] for name in reversed(block.layers) if name in layers), None)
        for block in network.blocks
    }


def _map_layers(model: keras.Model, network: Network) -> list[keras.layers.Layer]:
    layers = [model.get_layer(layer.name) for layer in network.layers]
    return [
        layer
        for layer in layers
        if len(layer.output.shape) == 4
        and min(layer.output.shape[1:3]) > 1
        and not isinstance(layer, keras.layers.ZeroPadding2D)
    ]


def _most_varied(maps: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The channels of (height, width, channels) that vary most, uint8 (CHANNELS, height, width)."""
    flat = maps.reshape(-1, maps.shape[-1])
    chosen = maps.transpose(2, 0, 1)[np.sort(np.argsort(-flat.std(axis=0), kind="stable")[:CHANNELS])]
    least, most = (edge(chosen, axis=(1, 2), keepdims=True) for edge in (np.min, np.max))
    return np.asarray(255 * (chosen - least) / np.maximum(most - least, 1e-9), dtype=np.uint8)
