"""Any image through the networks of one or several runs."""

import hashlib
from datetime import datetime
from io import BytesIO

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

from cifar_core.analysis.inside import montage, probability_table, spotlight
from cifar_core.analysis.labels import titles
from cifar_core.analysis.wording import percent
from cifar_core.data import pictures
from cifar_core.experiment.measured import Run
from cifar_core.home import home
from cifar_core.runs import inspect
from cifar_core.ui import reads
from cifar_core.ui.gallery import gallery
from cifar_core.ui.glossary import help_for
from cifar_core.ui.page import set_up, unfolded
from cifar_core.ui.run_header import linked_runs
from cifar_core.ui.text import plain

MOST = 4
SOURCES = ("test image", "upload", "camera")
FORMATS = ["png", "jpg", "jpeg", "webp", "bmp", "gif", "tif", "tiff"]
Images = dict[str, NDArray[np.uint8]]  # as each run's images are, by run
state, address = st.session_state, st.query_params
set_up("Try")


def chosen_runs() -> list[Run]:
    """Choose runs that have kept a network; the page's address keeps naming them."""
    known = {run.id: run for run in reads.runs() if run.state.is_finished and reads.has_model(run)}
    if not known:
        st.info("No run has kept a network yet.", icon=":material/image_search:")
        st.page_link("pages/1_Experiment.py", label="Go to the experiment form", icon=":material/tune:")
        st.stop()
    linked = linked_runs(known)[:MOST]
    if "try.runs" not in state or (linked and linked != state.get("try.linked")):
        state["try.runs"] = linked or state.get("try.linked") or [next(iter(known))]
    chosen = st.multiselect(
        f"Runs, 1 to {MOST}",
        list(known),
        format_func=lambda run: f"{known[run].name} ({run})",
        key="try.runs",
        max_selections=MOST,
        help="Finished runs that have kept their network. Each sees the image at the size of its own images.",
    )
    state["try.linked"] = chosen
    address["runs"] = ",".join(chosen)
    if not chosen:
        st.caption("Choose at least one run.")
        st.stop()
    return [known[run] for run in chosen]


def chosen_file(runs: list[Run]) -> tuple[bytes, str]:
    """Choose an image, and return the file, empty where there is none yet, with its class where that is known."""
    source = st.segmented_control(
        "Image",
        SOURCES,
        default=SOURCES[0],
        required=True,
        key="try.source",
        bind="query-params",
        help="The page's address reopens what you see: runs, test image and choices. An image of yours is not in it.",
    )
    if source == "upload":
        file = st.file_uploader("An image file", type=FORMATS, key="try.upload")
        return bytes(file.getvalue()) if file else b"", ""
    if source == "camera":
        photo = st.camera_input("A photo", key="try.camera", width=480)
        return bytes(photo.getvalue()) if photo else b"", ""
    opened = reads.images_of(runs[0].experiment.data)
    if opened is None:
        st.info("The images of the first run are not on this computer; upload one.", icon=":material/folder_off:")
        return b"", ""
    experiment = runs[0].experiment
    known = np.isin(opened.test_labels, experiment.classes_of(experiment.phases[-1]))
    number = st.number_input(
        "Number of the test image",
        0,
        len(opened.test_images) - 1,
        value=int(known.argmax()),
        key="try.number",
        bind="query-params",
        help="Counted from 0 in the test images of the first run's data set, as Results and Compare number them.",
        width=240,
    )
    label = opened.dataset.classes[opened.test_labels[number]]
    gallery([(opened.test_images[number], f"Test image {number}", label)])
    with BytesIO() as kept:
        Image.fromarray(np.ascontiguousarray(opened.test_images[number])).save(kept, "PNG")
        return kept.getvalue(), label


def in_each_size(file: bytes, runs: list[Run]) -> Images | str:
    """Return the image as each run's images are, or why it cannot be read."""
    found = {}
    for run in runs:
        picture = pictures.read(BytesIO(file), run.experiment.image_shape[0])
        if isinstance(picture, str):
            return picture
        found[run.id] = picture
    return found


@st.cache_resource(max_entries=32, show_spinner=False)
def looks(asked: list[tuple[str, datetime | None]], file: bytes, _images: Images) -> dict[str, inspect.Look]:
    """What the networks of runs, each with the moment of its end, make of an image: asked once for all who look."""
    return inspect.look(home(), _images)


def classified(runs: list[Run], file: bytes, images: Images) -> dict[str, inspect.Look]:
    """Return what the networks make of an image, by run, where it was asked for: here, or by who made the link."""
    view = hashlib.sha256(",".join(run.id for run in runs).encode() + file).hexdigest()[:8]
    if st.button("Classify", type="primary", icon=":material/image_search:", help="Takes several seconds."):
        address["classified"] = view
    if address.get("classified") != view:
        return {}
    try:
        with st.spinner("Asking the networks …", show_time=True):
            return looks([(run.id, run.finished) for run in runs], file, images)
    except inspect.InspectionFailed as error:
        del address["classified"]
        st.error(plain(str(error)), icon=":material/error:")
        return {}


def show(run: Run, name: str, image: NDArray[np.uint8], look: inspect.Look, label: str) -> None:
    """What one network makes of the image; `label` is its class, where that is known."""
    table = probability_table(look.probabilities, look.class_names)
    st.markdown(f"**{plain(name)}**")
    st.markdown(f"{plain(table['class'][0])}, {percent(float(look.probabilities.max()))}")
    if label and label not in look.class_names:
        st.caption(f"This network has no output for {plain(label)}.")
    st.dataframe(
        table,
        hide_index=True,
        height="content" if len(table) <= 10 else 400,
        column_config={"probability": st.column_config.ProgressColumn(format="%.1f %%", min_value=0, max_value=100)},
        alt=f"Probabilities of {name}",
    )
    names = [look.class_names[output] for output in look.explained]
    explained = st.selectbox(
        "Where it comes from", names, key=f"try.class.{run.id}", bind="query-params", help=help_for("Grad-CAM")
    )
    heat = look.heat[names.index(explained)]
    gallery(
        [
            (image, "The image as the network sees it", "seen"),
            (spotlight(image, heat), f"Grad-CAM for {explained}", f"{explained}: Grad-CAM, {look.layer}"),
        ],
        side=160,
    )
    if not heat.any():
        st.caption(f"Nothing in the image speaks for {plain(explained)}.")
    if maps := unfolded("Feature maps by block", key=f"fold.maps.{run.id}", in_link=True):
        maps.caption("The channels of each block's last map that vary most, each from its least to its largest value.")
        for block, tiles in look.maps.items():
            words, scale = f"{block}: {tiles.shape[1]} × {tiles.shape[2]}", max(1, 64 // tiles.shape[1])
            picture = montage(tiles, 4, scale)
            maps.image(picture, caption=plain(words), alt=f"Feature maps of {words}", output_format="PNG")


st.title("Try", anchor=False)
runs = chosen_runs()
names = titles(runs) if len(runs) > 1 else {runs[0].id: runs[0].name}
file, label = chosen_file(runs)
if not file:
    st.stop()
images = in_each_size(file, runs)
if isinstance(images, str):
    st.error(f"This file cannot be used: {images}.", icon=":material/broken_image:")
    st.stop()
if found := classified(runs, file, images):
    for column, run in zip(st.columns(len(runs)), runs, strict=True):
        with column:
            show(run, names[run.id], images[run.id], found[run.id], label)
