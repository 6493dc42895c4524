"""The end of every form: what a run will take, and Start."""

import secrets
import time
from collections.abc import Iterable

import streamlit as st

from cifar_core.data.errors import DataError
from cifar_core.data.weights import missing_weights, weights_file
from cifar_core.experiment.experiment import Data, Experiment
from cifar_core.experiment.settings import smoke
from cifar_core.experiment.wording import run_name
from cifar_core.home import home
from cifar_core.runs import room
from cifar_core.ui import people, reads
from cifar_core.ui.text import plain

KERAS_FILES = "storage.googleapis.com/tensorflow/keras-applications"
SECONDS_OF_ONE_CLICK = 2.0


def has_room(experiments: Iterable[Experiment]) -> bool:
    """Whether the disk has room for such runs."""
    return room.has_room(home(), tuple(experiments))


def has_images(data: Data) -> bool:
    """Whether a run would find its images, or prepare them itself."""
    return reads.images_of(data) is not None or reads.wait_for_a_run(data)


def no_images(data: Data) -> str:
    """Return what to say where the images of an experiment are not on this computer, or cannot be prepared."""
    if isinstance(found := reads.images_or_error(data), DataError):
        return plain(str(found))
    if data.location is not None:
        return (
            f"There are no such images in {plain(data.location)}: choose the place under Images on the Experiment page."
        )
    return "The images are not here: get CIFAR-10 under Images on the Experiment page, or choose the built-in sample."


def start_panel(experiment: Experiment, seed: int) -> None:
    """Show what the run will take and a button that queues it; then show the run."""
    with st.container(border=True):
        here, enough = has_images(experiment.data), has_room([experiment])
        st.markdown(f"**{plain(run_name(experiment, seed))}**")
        epochs = " + ".join(f"{phase.epochs}" for phase in experiment.phases)
        kept, free = room.bytes_kept(experiment) / 1e6, room.free_bytes(home()) / 1e9
        st.caption(
            f"{epochs} epochs · keeps about {kept:.0f} MB of {free:.0f} GB that are free · this page's address reopens "
            "these settings."
        )
        if not here:
            st.warning(no_images(experiment.data))
        if not enough:
            st.warning(room.NO_ROOM)
        reason = people.why_not_start()
        possible = _weights_can_be_had(experiment) and here and enough and not reason
        with st.container(horizontal=True):
            if st.button(
                "Start",
                type="primary",
                icon=":material/play_arrow:",
                disabled=not possible,
                key="start",
                help=reason
                or "The run waits its turn and then trains on the server, whether this page stays open or not.",
            ):
                start(experiment, seed)
            small = smoke(experiment)
            if st.button(
                "Try it small",
                disabled=not possible,
                key="start.small",
                help=reason
                or f"A quick look, marked as such: {small.data.per_class} images per class, one epoch a phase. It "
                "shows whether the settings work, not how good they are.",
            ):
                start(small, seed)


def _weights_can_be_had(experiment: Experiment) -> bool:
    """Say what is to know about initial weights that are not here, and return whether a run may start with them."""
    initial = experiment.initial_weights
    if initial.source == "file":
        try:
            weights_file(initial.path or "")
        except DataError as error:
            st.warning(plain(str(error)))
            return False
    if (file := missing_weights(experiment)) is not None:
        size = 4e-6 * sum(layer.params for layer in experiment.networks[0].layers if layer.layer.kind == "base")
        st.warning(
            f"The ImageNet weights of {experiment.backbone_row.title} are not on this computer. With internet, "
            f"Keras downloads them at Start, about {size:.0f} MB from {KERAS_FILES}. Without, put the file "
            f"{plain(file.name)} into {plain(str(file.parent))}, or start from random weights: the run's name will "
            "say so."
        )
        st.button(
            "Use random weights instead",
            on_click=_use_random_weights,
            help="The same network, with nothing learned before.",
        )
    return True


def _use_random_weights() -> None:
    st.session_state["form.weights"] = "random"


def start(experiment: Experiment, seed: int) -> None:
    """Queue a run, once however often the button is clicked, and go to it."""
    clicked_at, started, token = st.session_state.get("start.token", (0.0, None, ""))
    if time.monotonic() - clicked_at > SECONDS_OF_ONE_CLICK or started != (experiment, seed):
        token = secrets.token_urlsafe(12)
    st.session_state["start.token"] = time.monotonic(), (experiment, seed), token
    run = people.submit(experiment, seed, run_name(experiment, seed), token)
    reads.runs.clear()
    st.switch_page("pages/2_Live.py", query_params={"run": run})


def next_seed(experiment: Experiment) -> int:
    """Return the first seed with which this experiment has not been run or queued."""
    used = {run.seed for run in reads.runs(archived=True) if run.experiment == experiment}
    return next(seed for seed in range(len(used) + 1) if seed not in used)
