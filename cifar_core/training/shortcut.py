"""A phase's way around its frozen layers: what is behind them trains on stored features of the images."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Literal

import keras
import numpy as np

from cifar_core.data.arrays import Images
from cifar_core.data.feature_store import FeatureStore
from cifar_core.experiment.experiment import Experiment
from cifar_core.training.callbacks import Reporter, StopRequested
from cifar_core.training.cut import Cut, find_cut
from cifar_core.training.features import Wanted, decide, features, in_tensorflow, source_of
from cifar_core.training.feeding import Examples, Feed

SECONDS_BETWEEN_STEPS = 0.5


class Shortcut:
    """The part of a model behind its frozen layers (`rest`), and the features that it is given instead of images.

    Training and validation images are kept together, so that other seeds, which divide them otherwise, find them.
    `told` are sentences about what came of it.
    """

    def __init__(
        self, cut: Cut, store: FeatureStore, experiment: Experiment, images: Images, feed: Feed, reporter: Reporter
    ):
        self.rest, self.told = cut.rest, list[str]()
        self._cut, self._store, self._reporter = cut, store, reporter
        self._images, self._feed, self._network = images, feed, experiment.backbone_row.title

    @property
    def needed(self) -> tuple[Wanted, ...]:
        """The features that training and validation take."""
        return (self._train, self._test) if self._feed.validation_is_test else (self._train,)

    @cached_property
    def _train(self) -> Wanted:
        validation = () if self._feed.validation_is_test else (self._feed.validation.indices,)
        return self._wanted("train", np.sort(np.concatenate([self._feed.train.indices, *validation])))

    @cached_property
    def _test(self) -> Wanted:
        return self._wanted("test", self._feed.test.indices)

    def _wanted(self, split: Literal["train", "test"], places: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Wanted:
        pixels = self._images.train_images if split == "train" else self._images.test_images
        source = source_of(self._images.fingerprint, split, places)
        kind = "training" if split == "train" else "test"
        label = f"{self._network} up to {self._cut.layers[-1]}: {len(places):,} {kind} images"
        return Wanted(self._cut, pixels, places, source, f"{label} of {self._images.dataset.title}", self._store.half)

    @contextmanager
    def around(
        self, *several: Examples, progress: Callable[[int, int, float | None], None] = lambda done, images, eta: None
    ) -> Iterator[list[Examples]]:
        """The examples as `rest` is given them, as long as the context lasts. Missing features are computed.

        `progress` hears of that: (images done, images in all, seconds to go).

        Raises:
            StopRequested: when a stop was asked for meanwhile; what was computed is kept.
            cifar_core.data.errors.DataNotStoredError: as `features` does.
        """
        with ExitStack() as held:
            of_split = {}
            for split in dict.fromkeys(examples.split for examples in several):
                wanted = self._train if split == "train" else self._test
                stored = features(
                    self._store,
                    wanted,
                    progress=progress,
                    should_stop=self._reporter.should_stop,
                    say=self.told.append,
                )
                if stored is None:
                    raise StopRequested
                held.enter_context(stored)
                of_split[split] = wanted.places, in_tensorflow(stored.arrays)
                if stored.error:
                    self.told.append(f"Kept in half the size: values differ by up to {stored.error:.2g} of their own.")
            yield [
                replace(examples, values=values, rows=np.searchsorted(places, examples.indices))
                for examples in several
                for places, values in [of_split[examples.split]]
            ]


class Steps:
    """Tells a reporter how far the features are, twice a second."""

    def __init__(self, reporter: Reporter):
        self._reporter, self._told = reporter, -np.inf

    def __call__(self, done: int, images: int, eta: float | None) -> None:
        """Hear of it."""
        if time.perf_counter() - self._told > SECONDS_BETWEEN_STEPS:
            self._told = time.perf_counter()
            left = f", about {eta:.0f} s to go" if eta else ""
            self._reporter.preparing(f"storing features, {done:,} of {images:,}{left}")


def find_shortcut(
    model: keras.Model,
    experiment: Experiment,
    phase: int,
    feed: Feed,
    images: Images,
    store: FeatureStore | None,
    reporter: Reporter,
) -> tuple[Shortcut | None, str]:
    """Return the way around the model's frozen layers where it saves time, and in a sentence why there is one or not.

    `store` is None where people do not want stored features.
    """
    if store is None:
        return None, "No stored features: they are switched off."
    settings, cut = experiment.phases[phase], find_cut(model)
    found = None if cut is None else Shortcut(cut, store, experiment, images, feed, reporter)
    needed = found.needed if found is not None else ()
    missing = sum(len(wanted.places) for wanted in needed if not store.holds(wanted.key))
    decision = decide(
        cut,
        sum(len(wanted.places) for wanted in needed),
        settings.epochs,
        store.budget,
        augmented=bool(settings.augmentation),
        bytes_per_image=sum(spec.bytes for spec in needed[0].specs) if needed else 0,
        missing=missing,
    )
    if not decision.used:
        return None, decision.why
    origin = "Computed for this run." if missing else "They were there already."
    return found, f"{decision.why} {origin}"
