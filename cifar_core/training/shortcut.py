"""A phase's way around its frozen layers: what is behind them trains on stored features of the images."""

import hashlib
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
MOST_ROUNDING = 2**-11
"""Of a value, by float16: it keeps eleven binary digits."""


class Shortcut:
    """The part of a model behind its frozen layers (`rest`), and the features that it is given instead of images.

    Training and validation images are kept together, so that other seeds, which divide them otherwise, find them.
    `told` are sentences about what came of it; `of_others` says whether others had stored features, or some of them, so
    that this run did not take the time to compute all that it was given.
    """

    def __init__(
        self, cut: Cut, store: FeatureStore, experiment: Experiment, images: Images, feed: Feed, reporter: Reporter
    ):
        self.rest, self.told, self.of_others, self._chosen = cut.rest, list[str](), False, experiment.features
        self._cut, self._store, self._reporter = cut, store, reporter
        self._images, self._feed, self._network = images, feed, experiment.backbone_row.title

    @property
    def needed(self) -> tuple[Wanted, ...]:
        """The features that training and validation take."""
        both = self._wanted_of(self._feed.train), self._wanted_of(self._feed.validation)
        return both[:1] if both[0] is both[1] else both

    def _wanted_of(self, examples: Examples) -> Wanted:
        if examples.copies:
            return self._copies
        return self._train if examples.split == "train" else self._test

    @cached_property
    def _train(self) -> Wanted:
        from_train = (self._feed.train, self._feed.validation)
        parts = [each.indices for each in from_train if each.split == "train" and not each.copies]
        return self._wanted("train", np.sort(np.concatenate(parts)))

    @cached_property
    def _test(self) -> Wanted:
        return self._wanted("test", self._feed.test.indices)

    @cached_property
    def _copies(self) -> Wanted:
        """The augmented copies of the training images, named by what is in them: the seed made them."""
        copies, made = self._feed.train.copies, self._feed.train.values[0].numpy()
        label = f"{self._network} up to {self._cut.layers[-1]}: {len(made):,} augmented copies ({copies} of each image)"
        source = f"copies {hashlib.sha256(made.data).hexdigest()}"
        return Wanted(self._cut, made, np.arange(len(made)), source, label, self._store.half)

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
            found, errors = {}, []
            for wanted in {id(wanted): wanted for wanted in map(self._wanted_of, several)}.values():
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
                self.of_others |= stored.by != self._store.by
                found[id(wanted)] = wanted.places, in_tensorflow(stored.arrays)
                errors.append(stored.error)
            if self._store.half:
                by = "" if self._chosen == "half" else ", as this computer keeps all"
                self.told.append(
                    f"Kept in half the size{by}: values differ by up to {max(errors):.2g} of their own "
                    f"(float16 rounds by {MOST_ROUNDING:.2g} at most)."
                )
            yield [
                replace(
                    examples,
                    values=values,
                    rows=examples.rows if examples.copies else np.searchsorted(places, examples.indices),
                )
                for examples in several
                for places, values in [found[id(self._wanted_of(examples))]]
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

    `store` is None where the experiment wants no stored features, or this computer keeps none.
    """
    if store is None:
        where = "in the experiment" if experiment.features == "off" else "on this computer"
        return None, f"No stored features: they are switched off {where}."
    settings, cut = experiment.phases[phase], find_cut(model)
    found = None if cut is None else Shortcut(cut, store, experiment, images, feed, reporter)
    needed = found.needed if found is not None else ()
    missing = sum(len(wanted.places) for wanted in needed if not store.holds(wanted.key))
    decision = decide(
        cut,
        sum(len(wanted.places) for wanted in needed),
        settings.epochs,
        store.budget,
        augmented=bool(settings.augmentation) and settings.augmented_copies is None,
        bytes_per_image=sum(spec.bytes for spec in needed[0].specs) if needed else 0,
        missing=missing,
    )
    if not decision.used:
        return None, decision.why
    origin = "Computed for this run." if missing else "They were there already."
    return found, f"{decision.why} {origin}"
