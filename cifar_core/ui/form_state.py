"""The experiment form between two looks at it: filled from links, recipes and files, and changed by clicks."""

from itertools import count

import streamlit as st

from cifar_core.experiment import links
from cifar_core.experiment.applications import BaseLayer
from cifar_core.experiment.backbones import BACKBONES
from cifar_core.experiment.experiment import Data, Experiment
from cifar_core.experiment.record import ExperimentError
from cifar_core.ui import form, people, reads
from cifar_core.ui.text import plain

state = st.session_state


def fill(start: str, experiment: Experiment, seed: int) -> None:
    """Put an experiment into the form."""
    state.update({"form.start": start, "form.seed": seed} | form.fields(experiment))


def open_form() -> None:
    """Fill the form from the page's link; where it is not new, keep what the form held when it was last shown."""
    parameters = st.query_params
    opened = (parameters.get("start", ""), tuple(parameters.get_all("set")), parameters.get("seed", ""))
    if "form.shown" in state and opened in (state["form.link"], ("", (), "")):
        start, experiment, seed = state["form.shown"]
        for key, value in ({"form.start": start, "form.seed": seed} | form.fields(experiment)).items():
            state.setdefault(key, value)
        return
    try:
        fill(*links.read_link(*opened))
    except ExperimentError as error:
        st.error(f"This link does not open an experiment. {plain(str(error))}", icon=":material/link_off:")
        fill(links.SCRATCH, links.FIRST, 0)


def remember(experiment: Experiment, seed: int) -> None:
    """Keep the form's settings for a return to this page, and in its link."""
    start = state["form.start"]
    parameters = links.link(start, experiment, seed)
    state["form.shown"] = start, experiment, seed
    state["form.link"] = start, tuple(parameters.get("set", ())), str(parameters.get("seed", ""))
    st.query_params.from_dict(parameters | people.carried())


def restart() -> None:
    """Fill the form from the chosen start; without CIFAR-10 on this computer, on the sample."""
    experiment = links.start_from(state["form.start"])
    if reads.where_images_are(experiment.data) is None:
        experiment = experiment.model_copy(update={"data": Data(name="sample")})
    fill(state["form.start"], experiment, state["form.seed"])


def other_backbone() -> None:
    """Another backbone was chosen: what it does not have, or was chosen for the one before, begins anew."""
    row = BACKBONES[state["form.backbone"]]
    if state["form.weights"] != "imagenet" or "imagenet" not in form.weights_for(row):
        state["form.weights"] = "random"
    if (side := state["form.input_side"]) is not None and side < max(row.smallest_input):
        state["form.input_side"] = None
    state["form.pixels"] = ""
    starts = {layer.name for layer, _ in row.layers() if not isinstance(layer, BaseLayer)}
    for key in [f"form.{index}" for index in range(state["form.phases"])]:
        new = state[f"{key}.as_loaded"] or []
        if state[f"{key}.from_layer"] not in starts | {"output"}:
            new, state[f"{key}.from_layer"] = [], "output"
            state[f"{key}.head"] = "keep" if state[f"{key}.head"] == "keep" else "output"
        state[f"{key}.as_loaded"] = [layer | {"name": ""} for layer in new] or None  # a name may be taken there
        state[f"{key}.layer_names"] = {}
        if state[f"{key}.anew_from"] not in form.blocks_of(row.name):
            state[f"{key}.anew_from"] = ""


def open_file() -> None:
    """Fill the form from an experiment file, such as one downloaded from a run's results."""
    if (uploaded := state["form.file"]) is None:
        return
    try:
        fill(links.SCRATCH, Experiment.parse_json(uploaded.getvalue()), state["form.seed"])
    except ExperimentError as error:
        state["form.file_problem"] = f"{uploaded.name} does not hold an experiment. {error}"


def move_boundary(index: int, blocks: int, position: int) -> None:
    """A click on a block freezes everything up to it; a click on a frozen one thaws it and all behind it."""
    frozen = state[f"form.{index}.blocks"] if state[f"form.{index}.rule"] == "blocks" else 0
    state[f"form.{index}.rule"] = "blocks"
    state[f"form.{index}.blocks"] = min(blocks - 1, position if position < frozen else position + 1)


def add_phase() -> None:
    """Add a phase like the last one, on the target classes, with everything trainable."""
    index = state["form.phases"]
    last = {key: value for key, value in state.items() if str(key).startswith(f"form.{index - 1}.")}
    for key, value in last.items():
        state[str(key).replace(f".{index - 1}.", f".{index}.", 1)] = value
    taken = {state[f"form.{phase}.name"] for phase in range(index)}
    name = next(name for number in count(index + 1) if (name := f"phase {number}") not in taken)
    state.update({f"form.{index}.name": name, f"form.{index}.train_on": "target"})
    state.update({f"form.{index}.head": "keep", f"form.{index}.anew_from": ""})
    state.update({f"form.{index}.rule": "blocks", f"form.{index}.blocks": 0})
    state["form.phases"] = index + 1


def remove_phase() -> None:
    """Remove the last phase."""
    state["form.phases"] -= 1
