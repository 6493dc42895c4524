"""Choose class split, backbone and freeze depth, see what that means, and start."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from cifar_core.data.feature_store import allowed_size
from cifar_core.data.weights import imagenet_file
from cifar_core.experiment import links
from cifar_core.experiment.backbones import BACKBONES, Backbone
from cifar_core.experiment.experiment import Data, Experiment
from cifar_core.experiment.pixels import PIXEL_SCALES
from cifar_core.experiment.recipes import RECIPES
from cifar_core.experiment.record import ExperimentError
from cifar_core.experiment.wording import how_it_trains, network_input
from cifar_core.runs.inspect import InspectionFailed
from cifar_core.ui import form, form_state, reads
from cifar_core.ui.data_panel import data_panel
from cifar_core.ui.glossary import TERMS, help_for
from cifar_core.ui.network_picture import network_picture, show_layers
from cifar_core.ui.page import section, set_up, unfolded
from cifar_core.ui.rate_curve import rate_curve
from cifar_core.ui.start import start_panel
from cifar_core.ui.text import plain

set_up("Experiment")
state = st.session_state


class Number(NamedTuple):
    """One of a phase's training options that is a number; one that says so may be left `empty`."""

    label: str
    least: float
    most: float | None
    step: float
    term: str
    empty: str | None = None


NUMBERS = {
    "l2": Number("L2 of the dense layers", 0.0, 1.0, 1e-4, "L2"),
    "dropout": Number("Dropout", 0.0, form.MOST_DROPOUT, 0.05, "dropout"),
    "learning_rate": Number("Learning rate", 0.0, 100.0, 1e-4, "learning rate"),
    "batch_size": Number("Batch size", 1, 65_536, 1, "batch size"),
    "momentum": Number("Momentum", 0.0, 1.0, 0.1, "momentum"),
    "weight_decay": Number("Weight decay", 0.0, 1.0, 0.001, "weight decay"),
    "block_rate_factor": Number("Layer-wise rate factor", 0.0, 1.0, 0.05, "discriminative learning rates"),
    "clip_norm": Number("Gradient norm, at most", 0.0, None, 0.5, "gradient clipping", empty="not clipped"),
    "exponential.factor": Number("Factor every epoch", 0.0, 1.0, 0.01, "learning-rate schedule"),
    "cosine.warm_up": Number("Warm-up, epochs", 0, 10_000, 1, "warm-up"),
    "cosine.final": Number("Ends at this share", 0.0, 1.0, 0.01, "learning-rate schedule"),
    "plateau.factor": Number("Factor", 0.0, 1.0, 0.05, "learning-rate schedule"),
    "plateau.patience": Number("Epochs to wait", 1, 1000, 1, "learning-rate schedule"),
    "stop.patience": Number("Patience, epochs", 1, 1000, 1, "early stopping"),
    "stop.smallest_gain": Number("Smallest gain", 0.0, 1.0, 0.001, "early stopping"),
    "label_smoothing": Number("Label smoothing", 0.0, 1.0, 0.05, "label smoothing"),
    "crop.padding": Number("Crop, pixels of shift", 1, 128, 1, "crop"),
    "cutout.size": Number("Cutout, pixels a side", 1, 512, 1, "cutout"),
    "colour.strength": Number("Colour jitter, strength", 0.0, 1.0, 0.05, "colour jitter"),
    "mixup.alpha": Number("Mixup, alpha", 0.0, 10.0, 0.1, "mixup"),
    "augmented_copies": Number("Copies of each image", 1, 100, 1, "augmented copies", "new changes in every epoch"),
}
# The choices among them: label, names of the choices, term.
CHOICES: dict[str, tuple[str, dict[str, str], str]] = {
    "optimizer": ("Optimizer", form.OPTIMIZERS, "optimizer"),
    "schedule": ("Learning-rate schedule", form.SCHEDULES, "learning-rate schedule"),
    "stop.watch": ("Early stopping", form.WATCHED, "early stopping"),
    "class_weights": ("Class weights", form.CLASS_WEIGHTS, "class weights"),
}
# Those that are lists, typed: label and help.
TEXTS = {
    "units": (
        "Dense units",
        "256, 128 means two dense layers, of 256 units and of 128, with dropout behind each. Nothing: no dense layer. "
        + help_for("dense layer"),
    ),
    "steps.milestones": (
        "Epochs and factors",
        "10: 0.1, 20: 0.01 means a tenth of the learning rate after 10 epochs, a hundredth after 20.",
    ),
}
FEATURES = {
    "full": "As computed (float32): the same training as without.",
    "half": "Every value is rounded to float16, by 2⁻¹¹ (0.05 %) of itself at most, and training amplifies that. "
    "Between runs that differed in nothing else, validation losses differed by up to 1.5 %, accuracies by up to 1.5 "
    "points.",
    "off": "Frozen layers are computed again in every epoch: the same training, and it takes longer.",
}
# The rules of freezing that count: label and least.
DEPTHS = {
    "blocks": ("Freeze depth, blocks", 0),
    "layers": ("Freeze depth, layers", 1),
    "last": ("Layers that train", 1),
}
OUTPUTS = {"classes": "One per class of the phase", "data set": "One per class of the data set"}
POLICIES = {"train share": "A share of the training images", "test": "The test images"}


def choose(place: DeltaGenerator, label: str, titles: Mapping[str, str], key: str, help: str, **options: Any) -> None:
    """Offer what has a title; the form keeps which one was chosen under its key."""
    place.selectbox(label, list(titles), format_func=titles.__getitem__, key=key, help=help, **options)


def class_side(side: str, title: str, data: Data) -> None:
    """Pick the classes of one side, with pictures of them."""
    names = data.dataset.classes
    st.pills(
        title,
        range(len(names)),
        selection_mode="multi",
        format_func=lambda index: plain(names[index]),
        key=f"form.{side}",
        help=help_for("class split"),
        wrap=True,
    )
    chosen = tuple(state[f"form.{side}"])
    if chosen and (images := reads.images_of(data)) is not None:
        rows, listed = reads.examples(images, chosen), ", ".join(names[index] for index in chosen)
        st.image(
            rows, width=264, caption=f"From the top: {plain(listed)}", alt=f"Eight training images each of {listed}"
        )


def choose_network(data: Data) -> None:
    """Backbone, initial weights, and, folded away, what the network sees of the images."""
    backbone, weights = st.columns(2)
    row = BACKBONES[state["form.backbone"]]
    seen = form.network_input(data, state)
    params = sum(layer.params for layer in seen.networks[0].layers[:-1])
    choose(
        backbone,
        "Backbone",
        {name: each.title for name, each in BACKBONES.items()},
        "form.backbone",
        f"{row.title}: {row.source}. Images of {row.smallest_input[0]}×{row.smallest_input[1]} pixels or more; "
        f"{params:,} parameters without the output layer. {help_for('backbone')}",
        on_change=form_state.other_backbone,
    )
    runs = reads.runs_to_start_from(seen)
    known = {
        source: form.WEIGHTS[source]
        for source in form.weights_for(row)
        if source != "run" or runs or state["form.weights"] == "run"
    }
    choose(weights, "Initial weights", known, "form.weights", help_for("initial weights"))
    st.caption(network_input(seen))
    if inside := unfolded("Input size and pixel values", key="input"):
        with inside:
            choose_input(row)
    show_weights(row, runs)


def choose_input(row: Backbone) -> None:
    """What the network sees of the images, where that is not what the backbone was made for."""
    size, pixels = st.columns(2)
    size.number_input(
        "Input size, pixels a side",
        max(row.smallest_input),
        1024,
        value=None,
        key="form.input_side",
        persist_state="session",
        placeholder="as the images are",
        help=help_for("input size"),
    )
    pixels.selectbox(
        "Pixel values",
        ["", *PIXEL_SCALES],
        format_func=lambda name: name or "as the backbone expects them",  # the line above says what a name means
        key="form.pixels",
        persist_state="session",
        help=help_for("pixel values"),
    )


def choose_share() -> None:
    """How much of the training images is set apart for validation, and how."""
    share, drawn = st.columns(2)
    share.number_input(
        "Share set apart for validation",
        0.0,
        1.0,
        step=0.05,
        format="%.6g",
        key="form.share",
        persist_state="session",
        help="Of the training images.",
    )
    choose(
        drawn,
        "Share drawn",
        form.DRAWN,
        "form.drawn",
        "From each class alike and from all images alike follow the seed. The last ones, in the order of the "
        "files, are what Keras's validation_split takes.",
        persist_state="session",
    )


def show_weights(row: Backbone, runs: dict[str, str]) -> None:
    """Where the initial weights come from."""
    match state["form.weights"]:
        case "imagenet" if row.application is not None:
            here = imagenet_file(row.application).exists()
            st.caption(
                f"ImageNet weights of {row.title}: {'on this computer' if here else 'not on this computer yet'}.",
                help=help_for("ImageNet weights"),
            )
        case "file":
            st.text_input(
                "Weights file on the computer that runs the app",
                key="form.weights_path",
                persist_state="session",
                help="A file that Keras wrote: .weights.h5, .keras or .h5. It must hold this backbone's layers.",
            )
        case "run":
            chosen = state["form.weights_run"] = state["form.weights_run"] or next(iter(runs))
            st.selectbox(
                "Initial weights from the final model of",
                list(runs | {chosen: ""}),
                format_func=lambda run: plain(runs.get(run, f"run {run}, which has no such model here")),
                key="form.weights_run",
                persist_state="session",
                help="Finished runs of this backbone at this input size that have kept their model.",
            )


def choose_freezing(shape: Experiment, index: int) -> None:
    """The freeze depth of one phase, by a slider or a click on a block."""
    network, key = shape.networks[index], f"form.{index}"
    rule, depth = st.columns(2)
    choose(rule, "Freeze by", form.RULES, f"{key}.rule", help_for("freeze depth"))
    if (chosen := state[f"{key}.rule"]) in DEPTHS:
        label, least = DEPTHS[chosen]
        most = form.most_to_count(network)[chosen]
        depth.slider(label, least, most, key=f"{key}.{chosen}", help=help_for("freeze depth"))
    else:
        depth.selectbox(
            "The block that trains",
            [block.name for block in network.blocks],
            key=f"{key}.only",
            persist_state="session",
            help=help_for("surgical fine-tuning"),
        )


def choose_head(shape: Experiment, index: int) -> None:
    """What becomes of the end of the network in one phase."""
    key = f"form.{index}"
    head, outputs = st.columns(2)
    choose(head, "Head", form.HEADS, f"{key}.head", help_for("head"))
    if state[f"{key}.head"] == "keep":
        return
    choose(outputs, "Outputs", OUTPUTS, f"{key}.outputs", help_for("output"), persist_state="session")
    if state[f"{key}.head"] == "layers":
        choose_new_layers(shape, index)
    if index:
        st.selectbox(
            "Start at random again from",
            ["", *form.blocks_of(state["form.backbone"])],
            format_func=lambda block: block or "no block: what is kept stays as learned",
            key=f"{key}.anew_from",
            persist_state="session",
            help="This block and all behind it that are kept forget what they learned, as in a transfer map "
            "(Yosinski et al. 2014).",
        )


def choose_new_layers(shape: Experiment, index: int) -> None:
    """From where on the layers of one phase are new, and what they are."""
    key = f"form.{index}"
    starts = form.head_starts(shape, index)

    def begin_there() -> None:
        state[f"{key}.to_row"] = starts[state[f"{key}.from_layer"]]

    def begin_anew() -> None:
        state[f"{key}.as_loaded"] = None
        begin_there()

    if state[f"{key}.from_layer"] not in starts:
        state[f"{key}.from_layer"] = list(starts)[-1]
        begin_there()
    places = st.columns(2)
    places[0].selectbox(
        "New from",
        list(starts),
        key=f"{key}.from_layer",
        on_change=begin_there,
        persist_state="session",
        help="This layer and all after it are replaced.",
    )
    if state[f"{key}.as_loaded"]:
        places[1].caption(f"Layers as loaded: {', '.join(layer['kind'] for layer in state[f'{key}.as_loaded'])}")
        places[1].button(
            "Choose others",
            key=f"{key}.anew",
            on_click=begin_anew,
            help="These have no fields in this form; others, with fields, replace them.",
        )
        return
    if state[f"{key}.to_row"]:
        choose(
            places[1], "From image to row", form.TO_ROW, f"{key}.to_row", help_for("flatten"), persist_state="session"
        )
    row_of_options(index, "units", *(["l2"] if state[f"{key}.units"].strip() else []), "dropout")


def choose_phase(shape: Experiment, frozen: Experiment, index: int) -> None:
    """One phase: classes, epochs, head and freeze depth; layers and training options folded away."""
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
    if layers := unfolded("Layers", key=f"layers.{index}"):
        with layers:
            show_layers(frozen, index)
    st.caption(plain(how_it_trains(frozen.phases[index])))
    if options := unfolded("Training options", key=f"options.{index}"):
        with options:
            choose_options(frozen, index)


def choose_options(frozen: Experiment, index: int) -> None:
    """How one phase trains: optimizer, learning rate over its epochs, when it ends, what becomes of images."""
    key = f"form.{index}"
    st.text_input("Name of the phase", key=f"{key}.name", persist_state="session", max_chars=60, help=help_for("phase"))
    row_of_options(index, "optimizer", "learning_rate", "batch_size")
    own = form.OWN_OPTION.get(state[f"{key}.optimizer"])
    row_of_options(index, *([own] if own else []), "block_rate_factor", "clip_norm")
    row_of_options(index, "schedule", *form.options_of(state[f"{key}.schedule"]))
    rate_curve(frozen.phases[index], key=f"rate.{index}")
    stopping = () if state[f"{key}.stop.watch"] == "never" else ("stop.patience", "stop.smallest_gain")
    row_of_options(index, "stop.watch", *stopping)
    row_of_options(index, "label_smoothing", "class_weights")
    st.pills(
        "Augmentation",
        list(form.AUGMENTATION),
        selection_mode="multi",
        format_func=form.AUGMENTATION.__getitem__,
        key=f"{key}.augmentation",
        persist_state="session",
        help=help_for("augmentation"),
        wrap=True,
    )
    if kinds := state[f"{key}.augmentation"]:
        copies = ["augmented_copies"] if form.takes_copies(kinds) else []
        row_of_options(index, *(name for kind in kinds for name in form.options_of(kind)), *copies)
        show_augmentation(frozen, index)


def choose_features(fold: DeltaGenerator) -> None:
    """How the output of frozen layers is kept, and what that costs."""
    choose(
        fold,
        "Output of frozen layers",
        form.FEATURES,
        "form.features",
        help_for("stored features"),
        persist_state="session",
    )
    fold.caption(FEATURES[wanted := state["form.features"]])
    if (allowed := allowed_size(wanted)) != wanted:
        fold.caption(f"On this computer: {form.FEATURES[allowed].lower()} (TRANSFER_LAB_FEATURES).")


def row_of_options(index: int, *names: str) -> None:
    """Some of a phase's training options side by side."""
    for position, name in enumerate(names):
        if position % 3 == 0:
            places = st.columns(3)
        option(places[position % 3], index, name)


def option(place: DeltaGenerator, index: int, name: str) -> None:
    """One training option of a phase. Like everything that is not always in view, it keeps its value while hidden."""
    key = f"form.{index}.{name}"
    if name in CHOICES:
        label, titles, term = CHOICES[name]
        choose(place, label, titles, key, help_for(term), persist_state="session")
    elif name in TEXTS:
        label, meant = TEXTS[name]
        usual = form.usual_milestones(state[f"form.{index}.epochs"]) if name == "steps.milestones" else "no dense layer"
        place.text_input(label, key=key, persist_state="session", placeholder=usual, help=meant)
    else:
        label, least, most, step, term, empty = NUMBERS[name]
        place.number_input(
            label,
            least,
            most,
            value=None if empty else "min",
            step=step,
            format=None if isinstance(step, int) else "%.6g",
            key=key,
            persist_state="session",
            placeholder=empty,
            help=help_for(term),
        )


def show_augmentation(frozen: Experiment, index: int) -> None:
    """On a click, a few training images, and what becomes of them."""
    phase, seed, key = frozen.phases[index], state["form.seed"], f"examples.{index}"
    about = (frozen.data, frozen.classes_of(phase), phase.augmentation, seed)
    if st.button("Show examples", key=f"{key}.button", disabled=reads.images_of(frozen.data) is None):
        try:
            with st.spinner("Changing a few images: TensorFlow needs several seconds to start …"):
                state[key] = about, reads.augmented(frozen, index, seed)
        except InspectionFailed as error:
            st.error(plain(str(error)), icon=":material/error:")
    shown_for, picture = state.get(key, (None, None))
    if shown_for == about:
        st.image(picture, caption="Left, the images as they are; beside them, what training may make of them.")


def back() -> None:
    """Fill the form with the last settings that worked."""
    form_state.fill(*state["form.shown"])


form_state.open_form()
st.title("Experiment", anchor=False)
beginning, ready = st.columns([2, 3], gap="large")
beginning.selectbox(
    "Start from",
    form.STARTS,
    format_func=lambda name: "Your own" if name == links.SCRATCH else RECIPES[name].title,
    key="form.start",
    on_change=form_state.restart,
    help="A recipe is a published experiment: its settings, and what its authors reported.",
)
with beginning.popover("Open an experiment file", icon=":material/folder_open:"):
    st.file_uploader(
        "Experiment (JSON)",
        type="json",
        max_upload_size=5,  # MB; `Experiment.parse_json` takes as much
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
    section("Images and classes")
    data = data_panel()
    if data is not None:
        class_side("source", "Source classes, learned first", data)
        class_side("target", "Target classes, transferred to", data)
    section("Validation and seed")
    st.segmented_control(
        "Validate on",
        list(POLICIES),
        format_func=POLICIES.__getitem__,
        key="form.validation",
        required=True,
        help=help_for("validation"),
    )
    if state["form.validation"] == "test":
        st.warning(f"Flagged beside every number: {TERMS['validated on the test set']}", icon=":material/flag:")
    else:
        st.caption(f"{100 * state['form.share']:g} % of them, {form.DRAWN[state['form.drawn']].lower()}.")
        if inside := unfolded("Share set apart, and how it is drawn", key="share"):
            with inside:
                choose_share()
    st.number_input("Seed", 0, 2**31 - 1, key="form.seed", help=help_for("seed"))
    if fold := unfolded("Stored features", key="fold.features"):
        choose_features(fold)

with right:
    section("Network and phases")
    meant = None
    if data is None:
        st.info("The network and its phases appear when the images are chosen.")
        st.button("Back to the last settings that worked", on_click=back)
        st.stop()
    choose_network(data)
    try:
        form.shorten(state)
        shape = Experiment.parse(form.without_freezing(form.draft(state)))
        form.clamp(state, shape)
        meant = frozen = Experiment.parse(form.draft(state))
    except ExperimentError as error:
        st.error(plain(str(error)), icon=":material/error:")
        st.button("Back to the last settings that worked", on_click=back)
        shape = frozen = state["form.shown"][1]  # the phases stay where they are, to be corrected
        form.clamp(state, shape)
    if meant is not None:
        form_state.remember(meant, state["form.seed"])
        with ready:  # sent before the phases, which keep a browser busy for longest
            start_panel(meant, state["form.seed"])
    for index in range(min(state["form.phases"], len(frozen.phases))):
        with st.container(border=True):
            choose_phase(shape, frozen, index)
    with st.container(horizontal=True):
        st.button(
            "Add a phase",
            icon=":material/add:",
            on_click=form_state.add_phase,
            disabled=state["form.phases"] >= 12,
            help="It begins with the network as the phase before leaves it. There may be twelve.",
        )
        st.button(
            "Remove the last phase",
            on_click=form_state.remove_phase,
            disabled=state["form.phases"] <= 1,
            help="Its settings are lost. There is always one phase.",
        )

if meant is not None:
    st.markdown("[Up to Start](#experiment)")
