"""How hard the built-in sample is, and whether transfer shows on it. Prints JSON; takes minutes.

    python benchmarks/sample_difficulty.py [--seeds 3]

- `linear`: logistic regression on standardized pixels, the best of three strengths of regularization.
- `cnn`: system A's network with ten outputs, five epochs, RMSprop 1e-3, batch 64, pixels / 255.
- `pretrained_head`, `random_head`: the same network pretrained for five epochs on classes 0-4, or left at its
  random start; then everything is frozen and a new softmax output learns classes 5-9 for ten epochs.
- `pretrained_dense`, `random_dense`: as before, with the fully connected layers trained as well.
- `scratch`: the whole network trained on classes 5-9 for ten epochs.

All are accuracies on the test images; the three last kinds only over classes 5-9.
"""

import argparse
import json
import time

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from cifar_core.data import Images, open_images
from cifar_core.experiment.experiment import Data
from cifar_core.home import home

Side = tuple[NDArray[np.float32], NDArray[np.int64]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    seeds = range(parser.parse_args().seeds)
    started = time.perf_counter()
    images = open_images(Data(name="sample"), home=home())
    opened = time.perf_counter() - started
    rows = [_transfer(images, seed) for seed in seeds]
    figures = {name: [row[name] for row in rows] for name in rows[0]}
    print(
        json.dumps(
            {
                "fingerprint": images.fingerprint,
                "seconds_to_open": round(opened, 2),
                "seeds": len(seeds),
                "linear": _linear(images),
                "means": {name: round(float(np.mean(values)), 4) for name, values in figures.items()},
                "each": figures,
            },
            indent=2,
        )
    )


def _linear(images: Images) -> float:
    (train, labels), (test, wanted) = _sides(images, range(10))
    scaler = StandardScaler().fit(train.reshape(len(train), -1))
    train, test = (scaler.transform(part.reshape(len(part), -1)) for part in (train, test))
    fits = (LogisticRegression(C=c, max_iter=300).fit(train, labels) for c in (1e-4, 1e-3, 1e-2))
    return round(max(float(fit.score(test, wanted)) for fit in fits), 4)


def _transfer(images: Images, seed: int) -> dict[str, float]:
    keras.utils.set_random_seed(seed)
    everything, source, target = (_sides(images, part) for part in (range(10), range(5), range(5, 10)))
    figures = {"cnn": _fit(_network(10), everything, epochs=5)}
    pretrained, untrained = _network(5), _network(5)
    _fit(pretrained, source, epochs=5)
    for name, network in (("pretrained", pretrained), ("random", untrained)):
        figures[f"{name}_head"] = _fit_on(network, "hidden_2", target)
        figures[f"{name}_dense"] = _fit_on(network, "flatten", target)
    figures["scratch"] = _fit(_network(5), target, epochs=10)
    return figures


def _network(outputs: int) -> keras.Sequential:
    return keras.Sequential(
        [
            layers.Input((32, 32, 3)),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Dropout(0.25),
            layers.Flatten(name="flatten"),
            layers.Dense(128, activation="relu", name="hidden_1"),
            layers.Dropout(0.25),
            layers.Dense(128, activation="relu", name="hidden_2"),
            layers.Dropout(0.25),
            layers.Dense(outputs, activation="softmax"),
        ]
    )


def _fit_on(network: keras.Sequential, frozen_to: str, sides: tuple[Side, Side]) -> float:
    """Train a new output, and copies of the layers after `frozen_to`, on what the frozen layers give.

    The frozen part runs once and without Dropout, which costs nothing here and changes little.
    """
    cut = network.get_layer(frozen_to)
    features = keras.Model(network.inputs, cut.output)
    later = network.layers[network.layers.index(cut) + 1 : -1]
    copies = [layer.__class__.from_config(layer.get_config()) for layer in later]
    rest = keras.Sequential([layers.Input(cut.output.shape[1:]), *copies, layers.Dense(5, activation="softmax")])
    for copy, layer in zip(copies, later, strict=True):
        copy.set_weights(layer.get_weights())

    def seen(side: Side) -> Side:
        return features.predict(side[0], batch_size=250, verbose=0), side[1]

    return _fit(rest, (seen(sides[0]), seen(sides[1])), epochs=10)


def _fit(model: keras.Sequential, sides: tuple[Side, Side], *, epochs: int) -> float:
    model.compile(keras.optimizers.RMSprop(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(*sides[0], batch_size=64, epochs=epochs, verbose=0)
    return round(float(model.evaluate(*sides[1], batch_size=250, verbose=0)[1]), 4)


def _sides(images: Images, classes: range) -> tuple[Side, Side]:
    """Training and test images of some classes as float32 in [0, 1], labels counted from 0."""

    def part(pictures: NDArray[np.uint8], labels: NDArray[np.int64]) -> Side:
        chosen = np.isin(labels, classes)
        return np.divide(pictures[chosen], 255, dtype=np.float32), labels[chosen] - classes.start

    return (
        part(images.train_images, images.train_labels),
        part(images.test_images, images.test_labels),
    )


if __name__ == "__main__":
    main()
