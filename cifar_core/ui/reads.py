"""What pages read: the store, runs and histories, shared by all viewers for a moment."""

from pathlib import Path

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from cifar_core.analysis.predictions import Predictions, load
from cifar_core.data.arrays import Images
from cifar_core.data.catalogue import find_images, open_images
from cifar_core.data.errors import DataError
from cifar_core.experiment.experiment import Data
from cifar_core.experiment.measured import PhaseHistory, Run
from cifar_core.home import home
from cifar_core.runs.store import Store


def store() -> Store:
    """Return this server's store."""
    return _store(str(home()))


@st.cache_resource(show_spinner=False)
def _store(folder: str) -> Store:
    return Store(Path(folder))


@st.cache_data(ttl=0.8, show_spinner=False)
def runs(*, archived: bool = False) -> list[Run]:
    """Return all runs, newest first."""
    return store().runs(archived=archived)


def history(run: str) -> tuple[PhaseHistory, ...]:
    """Return what a run measured so far; read anew only when there is more."""
    version, kept = store().version(run), _kept(run)
    found = kept.get(version)
    if found is None:
        found = store().history(run)
        kept.clear()
        kept[version] = found
    return found


@st.cache_resource(max_entries=64, show_spinner=False)
def _kept(run: str) -> dict[int, tuple[PhaseHistory, ...]]:
    # A resource, since it does not change once read: a copy for each look would cost more than the look.
    return {}


@st.cache_data(max_entries=32, show_spinner=False)
def predictions(run: str, split: str) -> Predictions | None:
    """Return a finished run's predictions on "test" or "validation", or None where it kept none."""
    path = store().artifacts(run) / f"{split}.npz"
    return load(path) if path.exists() else None


@st.cache_data(ttl=5, show_spinner=False)
def where_images_are(name: str, location: str | None) -> str | None:
    """Return where a data set is, or None where it is not on this computer."""
    found = find_images(name, location, home=home())
    return None if found is None else str(found)


@st.cache_resource(max_entries=4, show_spinner="Preparing the images …")
def images(name: str, location: str | None, found_at: str) -> Images:
    """Return an open data set. `found_at` makes a change of place open it anew."""
    return open_images(name, location=location, home=home())


def images_of(data: Data) -> Images | None:
    """Return the images an experiment names, or None where they are not on this computer or cannot be read."""
    found_at = where_images_are(data.name, data.location)
    try:
        return None if found_at is None else images(data.name, data.location, found_at)
    except DataError:
        return None  # the panel in which images are chosen says why


@st.cache_data(max_entries=64, show_spinner=False)
def examples(data_json: str, classes: tuple[int, ...], count: int = 8) -> NDArray[np.uint8] | None:
    """Return the first training images of each class, a row a class: uint8 (rows * height, count * width, 3).

    One picture for all, since every picture on a page is a request of its own.
    """
    opened = images_of(Data.parse_json(data_json))
    if opened is None:
        return None
    rows = []
    for index in classes:
        chosen = np.flatnonzero(opened.train_labels == index)[:count]
        rows.append(np.concatenate([np.pad(opened.train_images[i], ((0, 1), (0, 1), (0, 0))) for i in chosen], axis=1))
    return np.concatenate(rows)
