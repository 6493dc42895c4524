"""Choose images: which to train on, which to validate on, which to test on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cifar_core.data.arrays import Images
from cifar_core.data.errors import SelectionError

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Selection:
    """Indices of chosen images, int64, sorted.

    `train` counts in the training images and `test` in the test images; `validation` in those that
    `validation_in` names. No image is in both `train` and `validation`.
    """

    train: Indices
    validation: Indices
    validation_in: Literal["train", "test"]
    test: Indices


def select(
    images: Images,
    classes: Sequence[int],
    *,
    per_class: int | None = None,
    validation_share: float = 0.1,
    validate_on_test: bool = False,
    drawn: Literal["stratified", "random", "last"] = "stratified",
    seed: int = 0,
) -> Selection:
    """Choose the images of some classes (indices into `images.dataset.classes`).

    `per_class` takes the first so many of each class, of training and of test images, in file order: the same
    ones every time, whatever the seed. `validation_share` of the training images, at least one, is set apart for
    validation. `drawn` is "stratified" for that share of each class, drawn by `seed` and the class alone: other
    classes beside it change nothing; "random" for a share of all of them, drawn by `seed`; "last" for those that
    come last in file order, as Keras's `validation_split` takes them. With `validate_on_test` nothing is set apart,
    and validation is the test images.

    Raises SelectionError, in a sentence, for classes, numbers or shares that leave nothing to work with.
    """
    _check(images, classes, per_class, validation_share, validate_on_test, seed)
    of_class = {index: _first(images, "train", index, per_class) for index in classes}
    known = np.sort(np.concatenate(list(of_class.values())))
    test = np.sort(np.concatenate([_first(images, "test", index, per_class) for index in classes]))
    if validate_on_test:
        return Selection(train=known, validation=test, validation_in="test", test=test)
    match drawn:
        case "stratified":
            parts = [_share(own, validation_share, seed, "validation", index) for index, own in of_class.items()]
            apart = np.sort(np.concatenate(parts))
        case "random":
            apart = np.sort(_share(known, validation_share, seed, "validation of all", 0))
        case "last":
            apart = known[int(len(known) * (1 - validation_share)) :]
    if not len(apart):
        raise SelectionError(
            f"The last {validation_share:.2g} of {len(known):,} training images is not one image to validate on. Take "
            "more images per class or a larger share."
        )
    for index, own in of_class.items():
        if np.isin(own, apart).all():
            raise SelectionError(
                f"Of the {len(own)} training images of {images.dataset.classes[index]}, {len(own)} would be for "
                "validation: none would be left to train on. Take more images per class, a smaller share, or a share "
                "of each class."
            )
    return Selection(train=np.setdiff1d(known, apart), validation=apart, validation_in="train", test=test)


def _share(own: Indices, share: float, seed: int, purpose: str, index: int) -> Indices:
    """A share of some images, at least one, in an order of its own."""
    mixed = own[_generator(seed, purpose, index).permutation(len(own))]
    return mixed[: max(1, round(share * len(own)))]


def _check(
    images: Images,
    classes: Sequence[int],
    per_class: int | None,
    validation_share: float,
    validate_on_test: bool,
    seed: int,
) -> None:
    names = images.dataset.classes
    if not classes:
        raise SelectionError("No class was chosen: choose at least one.")
    wrong = [index for index in classes if not 0 <= index < len(names)]
    if wrong:
        raise SelectionError(
            f"{images.dataset.title} has the classes 0 to {len(names) - 1}; received {', '.join(map(str, wrong))}."
        )
    if len(set(classes)) != len(classes):
        raise SelectionError(f"A class was chosen twice: {', '.join(names[index] for index in classes)}.")
    if per_class is not None and per_class < 1:
        raise SelectionError(f"Images per class: expected at least 1, received {per_class}.")
    if not validate_on_test and not 0 < validation_share < 1:
        raise SelectionError(
            f"The share of training images for validation lies between 0 and 1, both excluded; received "
            f"{validation_share}."
        )
    if seed < 0:
        raise SelectionError(f"A seed is a whole number from 0 on; received {seed}.")


def _first(images: Images, side: Literal["train", "test"], index: int, per_class: int | None) -> Indices:
    labels = images.train_labels if side == "train" else images.test_labels
    found = np.flatnonzero(labels == index)[:per_class].astype(np.int64)
    if not len(found):
        kind = "training" if side == "train" else "test"
        raise SelectionError(f"{images.dataset.title} has no {kind} image of {images.dataset.classes[index]} here.")
    return found


def _generator(seed: int, purpose: str, index: int) -> np.random.Generator:
    """A stream of its own for each purpose and class, so that none depends on what others drew."""
    return np.random.default_rng([seed, index, *purpose.encode()])
