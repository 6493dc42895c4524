"""Choose class split, backbone and freeze depth, see what that means, and start."""

from functools import partial

import streamlit as st

from cifar_core.experiment.backbones import BACKBONES
from cifar_core.experiment.datasets import DATASETS
from cifar_core.experiment.experiment import Data, Experiment
from cifar_core.experiment.recipes import RECIPES
from cifar_core.experiment.record import ExperimentError
from cifar_core.ui import form, form_state, reads
from cifar_core.ui.data_panel import data_panel
from cifar_core.ui.glossary import TERMS, help_for
from cifar_core.ui.network_picture import network_picture, show_layers
from cifar_core.ui.page import set_up
from cifar_core.ui.start import start_panel
from cifar_core.ui.text import plain

set_up("Experiment")
state = st.session_state


def class_side(side: str, title: str, data: Data) -> None:
    """Pick the classes of one side, with pictures of them."""
    names = DATASETS[data.name].classes
    st.pills(
        title,
        range(len(names)),
        selection_mode="multi",
        format_func=lambda index: names[index],
        key=f"form.{side}",
        help=help_for("class split"),
        wrap=True,
    )
    chosen = tuple(state[f"form.{side}"])
    if chosen and (rows := reads.examples(data.model_dump_json(), chosen)) is not None:
        listed = ", ".join(names[index] for index in chosen)
        st.image(rows, width=264, caption=f"From the top: {listed}", alt=f"Eight training images each of {listed}")


def choose_freezing(shape: Experiment, index: int) -> None:
    """The freeze depth of one phase, by a slider or a click on a block."""
    network, key = shape.networks[index], f"form.{index}"
    rule, depth = st.columns(2)
    rule.selectbox(
        "Freeze by",
        list(form.RULES),
        format_func=form.RULES.__getitem__,
        key=f"{key}.rule",
        help=help_for("freeze depth"),
    )
    with depth:
        match state[f"{key}.rule"]:
            case "blocks":
                st.slider(
                    "Freeze depth, blocks",
                    0,
                    len(network.blocks) - 1,
                    key=f"{key}.blocks",
                    help=help_for("freeze depth"),
                )
            case "layers":
                st.slider(
                    "Freeze depth, layers",
                    1,
                    len(network.layers) - 1,
                    key=f"{key}.layers",
                    help=help_for("freeze depth"),
                )
            case "last":
                st.slider("Layers that train", 1, len(network.layers), key=f"{key}.last", help=help_for("freeze depth"))
            case _:
                names = [block.name for block in network.blocks]
                st.selectbox("The block that trains", names, key=f"{key}.only", help=help_for("surgical fine-tuning"))


def choose_head(shape: Experiment, index: int) -> None:
    """What becomes of the end of the network in one phase."""
    key = f"form.{index}"
    columns = st.columns(2)
    columns[0].selectbox(
        "Head", list(form.HEADS), format_func=form.HEADS.__getitem__, key=f"{key}.head", help=help_for("head")
    )
    if state[f"{key}.head"] == "keep":
        return
    outputs = {"classes": "One per class of the phase", "data set": "One per class of the data set"}
    columns[1].selectbox(
        "Outputs", list(outputs), format_func=outputs.__getitem__, key=f"{key}.outputs", help=help_for("output")
    )
    if state[f"{key}.head"] == "layers":
        starts = form.head_starts(shape, index)
        if state[f"{key}.from_layer"] not in starts:
            state[f"{key}.from_layer"] = starts[-1]
        three = st.columns(3)
        three[0].selectbox(
            "New from", starts, key=f"{key}.from_layer", help="This layer and all after it are replaced."
        )
        if state[f"{key}.as_loaded"]:
            three[1].caption(f"Layers as loaded: {', '.join(layer['kind'] for layer in state[f'{key}.as_loaded'])}")
            return
        three[1].number_input("Dense units", 0, 65_536, key=f"{key}.units", help="0: no layer before the output.")
        three[2].number_input("Dropout", 0.0, 0.99, step=0.05, key=f"{key}.dropout", help="After the dense layer.")


def choose_phase(shape: Experiment, frozen: Experiment, index: int) -> None:
    """One phase: classes, epochs, head and freeze depth; the usual hyperparameters folded away."""
    key, blocks = f"form.{index}", len(frozen.networks[index].blocks)
    st.markdown(f"**Phase {index + 1}: {plain(frozen.phases[index].name)}**")
    side, epochs = st.columns([3, 1])
    side.segmented_control(
        "Trains on", ["source", "target"], key=f"{key}.train_on", required=True, help=help_for("class split")
    )
    epochs.number_input("Epochs", 1, 10_000, key=f"{key}.epochs", help=help_for("epoch"))
    network_picture(frozen, index, key=f"picture.{index}", on_click=partial(form_state.move_boundary, index, blocks))
    choose_freezing(shape, index)
    choose_head(shape, index)
    layers = st.expander("Layers", key=f"layers.{index}", on_change="rerun")
    if layers.open:  # a table that nobody looks at would make every visit slower
        with layers:
            show_layers(frozen, index)
    with st.expander("Name, optimizer, learning rate, batch size"):
        st.text_input("Name of the phase", key=f"{key}.name", max_chars=60, help=help_for("phase"))
        optimizer, rate, batch = st.columns(3)
        optimizer.selectbox("Optimizer", ["rmsprop", "adam", "sgd"], key=f"{key}.optimizer", help=help_for("optimizer"))
        rate.number_input(
            "Learning rate",
            0.0,
            100.0,
            step=1e-4,
            format="%.6g",
            key=f"{key}.learning_rate",
            help=help_for("learning rate"),
        )
        batch.number_input("Batch size", 1, 65_536, key=f"{key}.batch_size", help=help_for("batch size"))


form_state.open_form()
st.title("Experiment")
beginning, ready = st.columns([2, 3], gap="large")
beginning.selectbox(
    "Start from",
    form.STARTS,
    format_func=lambda name: "Your own" if name == form.SCRATCH else RECIPES[name].title,
    key="form.start",
    on_change=form_state.restart,
    help="A recipe is a published experiment: its settings, and what its authors reported.",
)
with beginning.popover("Open an experiment file", icon=":material/folder_open:"):
    st.file_uploader(
        "Experiment (JSON)",
        type="json",
        key="form.file",
        on_change=form_state.open_file,
        help="A file downloaded from a run's results, or written by hand.",
    )
if problem := state.pop("form.file_problem", ""):
    st.error(plain(problem), icon=":material/error:")
if (chosen := RECIPES.get(state["form.start"])) is not None:
    beginning.caption(f"{chosen.summary} Source: {chosen.source}.")

left, right = st.columns([2, 3], gap="large")
with left:
    st.subheader("Images and classes")
    data = data_panel()
    class_side("source", "Source classes, learned first", data)
    class_side("target", "Target classes, transferred to", data)
    st.subheader("Validation and seed")
    policies = {"train share": "A share of the training images", "test": "The test images"}
    st.segmented_control(
        "Validate on",
        list(policies),
        format_func=policies.__getitem__,
        key="form.validation",
        required=True,
        help=help_for("validation"),
    )
    if state["form.validation"] == "test":
        st.warning(f"Flagged beside every number: {TERMS['validated on the test set']}", icon=":material/flag:")
    else:
        st.number_input(
            "Share set apart for validation",
            0.0,
            1.0,
            step=0.05,
            format="%.6g",
            key="form.share",
            help="Of each class's training images.",
        )
    st.number_input("Seed", 0, 2**31 - 1, key="form.seed", help=help_for("seed"))

with right:
    st.subheader("Network and phases")
    st.selectbox(
        "Backbone",
        list(BACKBONES),
        format_func=lambda name: BACKBONES[name].title,
        key="form.backbone",
        help=help_for("backbone"),
    )
    meant = None
    try:
        shape = Experiment.parse(form.without_freezing(form.draft(state)))
        form.clamp(state, shape)
        frozen = Experiment.parse(form.draft(state))
        for index in range(len(frozen.phases)):
            with st.container(border=True):
                choose_phase(shape, frozen, index)
        meant = frozen
    except ExperimentError as error:
        st.error(plain(str(error)), icon=":material/error:")
        st.button("Back to the last settings that worked", on_click=lambda: form_state.fill(*state["form.shown"]))
    with st.container(horizontal=True):
        st.button(
            "Add a phase", icon=":material/add:", on_click=form_state.add_phase, disabled=state["form.phases"] >= 12
        )
        st.button("Remove the last phase", on_click=form_state.remove_phase, disabled=state["form.phases"] <= 1)

if meant is not None:
    form_state.remember(meant, state["form.seed"])
    with ready:
        start_panel(meant, state["form.seed"])
