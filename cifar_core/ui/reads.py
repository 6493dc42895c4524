"""What pages read: the store, runs and histories, shared by all viewers for a moment.

All are kept as resources and none is ever changed: the copy for each look, which Streamlit makes of data, would cost
more than the look.
"""

import os
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path
from threading import Lock

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

from cifar_core.analysis.estimate import Estimates
from cifar_core.analysis.moments import FILE, read
from cifar_core.analysis.predictions import Predictions, load
from cifar_core.data import catalogue
from cifar_core.data.arrays import Images
from cifar_core.data.catalogue import find_images, open_images, path_of
from cifar_core.data.errors import DataError
from cifar_core.data.folders import FolderContents, look
from cifar_core.experiment.experiment import Data, Experiment
from cifar_core.experiment.images_now import ImagesNow
from cifar_core.experiment.measured import MODEL, Measured, Moment, PhaseHistory, Run, State
from cifar_core.home import home
from cifar_core.runs import inspect
from cifar_core.runs.errors import ArtifactsUnusable
from cifar_core.runs.store import Store
from cifar_core.ui.text import plain

# Of a run in a chart, which is half a page wide: a point every two pixels. More could not be told apart.
_POINTS_DRAWN = 400
# Of a user's folder, bytes that a page reads, a file counting as ten thousand at least: a few seconds.
_PREPARED_BY_A_PAGE = 100_000_000
_LEAST_OF_A_FILE = 10_000
_PIXELS_OF_AN_EXAMPLE = 64
# Thousands of runs are read in parts, and the newest say enough about how long others will take.
_READ_AT_ONCE = 500
_RUNS_TO_ESTIMATE_FROM = 300
# All who look within a moment see the same.
_MOMENT_SECONDS = 0.3
SHARE = min(0.15 * (os.cpu_count() or 1), 0.5)
"""How much of a processor all who watch live runs may take: half of one at most, as Streamlit's work is done by one."""
# Of pages that look by themselves: what one look costs (`benchmarks/viewers.py`), and how many seconds may lie between
# two of them.
_LOOK_CPU_SECONDS = 0.008
_PACES = (1, 2, 3, 5, 10)
_ACTIVE = tuple(state for state in State if state.is_active)


def store() -> Store:
    """Return this server's store."""
    return _store(str(home()))


@st.cache_resource(show_spinner=False)
def _store(folder: str) -> Store:
    return Store(Path(folder))


@st.cache_resource(ttl=0.8, show_spinner=False)
def runs(*, archived: bool = False) -> tuple[Run, ...]:
    """Return all runs, newest first."""
    return tuple(run for run in _shelf(str(home())).look() if archived or not run.archived)


@st.cache_resource(show_spinner=False)
def _shelf(folder: str) -> "_Shelf":
    return _Shelf(store())


class _Shelf:
    """All runs, of which only those that have changed are read again: there may be thousands."""

    def __init__(self, store: Store):
        self._store = store
        self._versions: dict[str, int] = {}
        self._runs: dict[str, Run] = {}
        self._lock = Lock()

    def look(self) -> list[Run]:
        """Return all runs as they stand now, newest first, without those that this version cannot read."""
        with self._lock:
            versions = self._store.versions()
            changed = [run for run, version in versions.items() if self._versions.get(run) != version]
            for start in range(0, len(changed), _READ_AT_ONCE):
                part = changed[start : start + _READ_AT_ONCE]
                self._runs.update((run.id, run) for run in self._store.runs(archived=True, ids=part))
            self._versions = versions
            self._runs = {run: self._runs[run] for run in versions if run in self._runs}
            return list(self._runs.values())


@dataclass(frozen=True)
class Standing:
    """What works and what waits, the next one first: the same for all who look at the same moment."""

    active: tuple[Run, ...]
    waiting: tuple[Run, ...]

    def get(self, run: str) -> Run | None:
        """Return a run as it stood then, or None when it neither worked nor waited."""
        return next((each for each in (*self.active, *self.waiting) if each.id == run), None)

    def run(self, run: str) -> Run:
        """Return a run as it stood then, or, when it neither worked nor waited, as it stands now."""
        return self.get(run) or store().run(run)

    def position(self, run: str) -> int | None:
        """Return a run's place in the queue, counted from 1, or None when it did not wait."""
        return next((place for place, each in enumerate(self.waiting, start=1) if each.id == run), None)


@st.cache_resource(ttl=_MOMENT_SECONDS, show_spinner=False)
def standing() -> Standing:
    """Return what works and what waits."""
    return Standing(tuple(store().runs(states=_ACTIVE, archived=True)), tuple(store().queue()))


@dataclass(frozen=True)
class Pace:
    """How often a live page looks at its run, in seconds, and how many viewers that is for."""

    seconds: int
    viewers: int


@st.cache_resource(show_spinner=False)
def _looks() -> dict[str, float]:
    """When each session last looked at a live page."""
    return {}


def pace(now: Pace | None = None) -> Pace:
    """Return how often this session shall look at a live run: every second, or less often where many do.

    All looks together take at most a share of the computer that training hardly misses. The pace kept `now` stays as
    long as it will do, so that pages do not change it for every viewer who comes or goes.
    """
    looks, at = _looks(), time.monotonic()
    looks[st.session_state.setdefault("reads.viewer", secrets.token_hex(8))] = at
    for viewer in [viewer for viewer, last in tuple(looks.items()) if at - last > 2 * _PACES[-1] + 1]:
        looks.pop(viewer, None)
    needed = min(len(looks) * _LOOK_CPU_SECONDS / SHARE, _PACES[-1])
    if now is not None and needed <= now.seconds <= max(1, 3 * needed):
        return now
    return Pace(next(seconds for seconds in _PACES if seconds >= needed), len(looks))


def history(run: str, version: int | None = None) -> tuple[PhaseHistory, ...]:
    """Return what a run measured so far, points thinned to what a chart has room for; read anew when there is more.

    A `version` that is known already, from a run that was just read, saves a question to the store.
    """
    return _newest(run).at(store().version(run) if version is None else version)


@st.cache_resource(max_entries=128, show_spinner=False)
def _newest(run: str) -> "_Newest":
    return _Newest(run)


class _Newest:
    """What one run measured when it was last read: of a long run, every look's would fill the memory."""

    def __init__(self, run: str):
        self._run = run
        self._version = -1
        self._history: tuple[PhaseHistory, ...] = ()
        self._lock = Lock()

    def at(self, version: int) -> tuple[PhaseHistory, ...]:
        """Return what was measured up to a version at least."""
        with self._lock:
            if version > self._version:
                self._history = store().history(self._run, points=_POINTS_DRAWN)
                self._version = version
            return self._history


def estimates() -> Estimates:
    """Return how long experiments take on this server; anew when a run has ended or was deleted."""
    finished = [run for run in runs(archived=True) if run.state.is_finished][:_RUNS_TO_ESTIMATE_FROM]
    return _estimates(tuple((run.id, run.finished) for run in finished), finished)


@st.cache_resource(max_entries=2, show_spinner=False)
def _estimates(ended: tuple[tuple[str, datetime | None], ...], _runs: Sequence[Run]) -> Estimates:
    return Estimates(epochs_of(_runs), files_of_classes)


def files_of_classes(data: Data) -> list[tuple[int, int]] | None:
    """How many files of each class are in a user's folder, to train and to test on; None where it has not all."""
    contents = folder(data.location or "")
    if isinstance(contents, DataError) or not {*data.classes} <= contents.train.keys():
        return None
    return [(len(contents.train[name]), len(contents.test[name])) for name in data.classes]


def epochs_of(finished: Sequence[Run]) -> list[Measured]:
    """Return finished runs with what their phases have measured by epoch; only what is new is read."""
    known, ended = _epochs(str(home())), {run.id: run.finished for run in finished}
    new = [run for run, moment in ended.items() if (run, moment) not in known]
    for start in range(0, len(new), _READ_AT_ONCE):
        read = store().epochs(new[start : start + _READ_AT_ONCE])
        known.update(((run, ended[run]), histories) for run, histories in read.items())
    return [(run, known[run.id, run.finished]) for run in finished]


@st.cache_resource(show_spinner=False)
def _epochs(folder: str) -> dict[tuple[str, datetime | None], tuple[PhaseHistory, ...]]:
    """What is known of finished runs, which may end again when they were continued."""
    return {}


def runs_to_start_from(experiment: Experiment) -> dict[str, str]:
    """Return the names of finished runs, by id, whose model has the backbone of `experiment` at its input size."""
    return {
        run.id: run.name
        for run in runs()
        if run.state.is_finished
        and run.experiment.backbone == experiment.backbone
        and run.experiment.input_shape == experiment.input_shape
        and has_model(run)
    }


def has_model(run: Run) -> bool:
    """Return whether a run has kept its network."""
    return (store().files.folder(run.id) / MODEL).exists() or run.id in _with_model()


@st.cache_resource(ttl=5, show_spinner=False)
def _with_model() -> frozenset[str]:
    """The runs whose network is in the object store, where there is one."""
    return store().files.runs_with(MODEL)


def predictions(run: str, split: str) -> Predictions | None:
    """Return a finished run's predictions on "test" or "validation", or None where it kept none.

    Where they are out of reach, the page says so.
    """
    try:
        return predictions_or_error(run, split)
    except ArtifactsUnusable as error:
        _say(error)
        return None


@st.cache_resource(max_entries=32, show_spinner=False)
def predictions_or_error(run: str, split: str) -> Predictions | None:
    """Return the same.

    Raises:
        ArtifactsUnusable: where they are out of reach.
    """
    path = store().files.path(run, f"{split}.npz")
    return load(path) if path.exists() else None


def moments(run: str) -> tuple[Moment, ...]:
    """Return what a run's network made of a few validation images, epoch by epoch; nothing where it kept none."""
    path = artifact(run, FILE)
    return () if path is None else _moments(path, path.stat().st_mtime_ns)


def artifact(run: str, name: str) -> Path | None:
    """Return where a file of a run is, or None where there is none, or it is out of reach: then the page says so."""
    try:
        path = store().files.path(run, name)
    except ArtifactsUnusable as error:
        _say(error)
        return None
    return path if path.exists() else None


def say_anew() -> None:
    """Say what is out of reach once more: a page is drawn from its beginning."""
    st.session_state["reads.said"] = set()


def _say(error: ArtifactsUnusable) -> None:
    """Say what is out of reach, once on a page."""
    said: set[str] = st.session_state.setdefault("reads.said", set())
    if str(error) not in said:
        said.add(str(error))
        st.warning(plain(str(error)), icon=":material/cloud_off:")


@st.cache_resource(max_entries=4, show_spinner=False)
def _moments(path: Path, written: int) -> tuple[Moment, ...]:
    return read(path)


def _place_of(data: Data) -> str:
    """What of an experiment's data says which files are meant: all but how many of them to take."""
    return data.model_dump_json(exclude={"per_class"})


@st.cache_resource(ttl=5, show_spinner=False, hash_funcs={Data: _place_of})
def where_images_are(data: Data) -> Path | None:
    """Return where an experiment's images are, or None where they are not on this computer."""
    return find_images(data, home=home())


@st.cache_resource(ttl=5, max_entries=16, show_spinner=False)
def folder(location: str) -> FolderContents | DataError:
    """Return what is in a user's folder of images per class, or why it holds none."""
    try:
        return look(path_of(location))
    except DataError as error:
        return error


@st.cache_resource(ttl=60, max_entries=4, show_spinner="Preparing the images …", hash_funcs={Data: _place_of})
def _opened(data: Data, found_at: Path) -> Images | DataError:
    # `found_at` makes a change of place open it anew; an error is kept for a while, as finding it may take seconds.
    try:
        return open_images(data, home=home())
    except DataError as error:
        return error


def forget_images() -> None:
    """Look for images anew: some have come."""
    where_images_are.clear()
    _opened.clear()
    _not_opened.clear()


def images_or_error(data: Data) -> Images | DataError | None:
    """Return the images an experiment names, why they cannot be read, or None where a page has none to show.

    That is where they are not on this computer, or wait for the first run (`wait_for_a_run`).
    """
    found_at = where_images_are(data)
    return None if found_at is None or wait_for_a_run(data) else _opened(data, found_at)


def images_of(data: Data) -> Images | None:
    """Return the images an experiment names, or None; the panel in which they are chosen says why."""
    found = images_or_error(data)
    return found if isinstance(found, Images) else None


def images_now(data: Data) -> ImagesNow | None:
    """Return what is known of the images an experiment names, or None where they are not on this computer."""
    opened = images_of(data)
    return _not_opened(data) if opened is None else ImagesNow(data.location, opened.fingerprint)


@st.cache_resource(ttl=5, show_spinner=False, hash_funcs={Data: _place_of})
def _not_opened(data: Data) -> ImagesNow | None:
    return catalogue.images_now(data, home=home())


def wait_for_a_run(data: Data) -> bool:
    """Whether the images are a folder of so many files that the first run prepares them, and no page does."""
    found_at = where_images_are(data)
    if data.image_side is None or found_at is None or found_at.exists():
        return False
    contents = folder(data.location or "")
    if not isinstance(contents, FolderContents):
        return False
    return sum(max(file.size, _LEAST_OF_A_FILE) for file in contents.files(data.classes)) > _PREPARED_BY_A_PAGE


def augmented(experiment: Experiment, phase: int, seed: int, classes: int = 4) -> NDArray[np.uint8]:
    """Return the first image of some classes, a row a class, and behind each what a phase's augmentation makes of it.

    Raises:
        InspectionFailed: saying why there are none.
    """
    found = inspect.augmented(home(), experiment, phase, seed)
    rows = np.concatenate([found.images[:classes, None], found.changed[:classes]], axis=1)
    padded = np.pad(rows, ((0, 0), (0, 0), (0, 1), (0, 1), (0, 0)))
    count, across, height, width, channels = padded.shape
    return padded.transpose(0, 2, 1, 3, 4).reshape(count * height, across * width, channels)


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs={Images: lambda images: images.fingerprint})
def examples(images: Images, classes: tuple[int, ...], count: int = 8) -> bytes:
    """Return the first training images of each class, a row a class, as one PNG.

    One picture for all, since every picture on a page is a request of its own; written once, and not for every look at
    the page. Large images are thinned out.
    """
    step = -(-images.dataset.image_shape[0] // _PIXELS_OF_AN_EXAMPLE)
    rows = []
    for index in classes:
        chosen = np.flatnonzero(images.train_labels == index)[:count]
        small = np.pad(images.train_images[chosen, ::step, ::step], ((0, count - len(chosen)), (0, 1), (0, 1), (0, 0)))
        rows.append(np.concatenate(list(small), axis=1))
    written = BytesIO()
    Image.fromarray(np.concatenate(rows)).save(written, "PNG")
    return written.getvalue()
