"""Choosing images: which data set, how many, from where; and fetching CIFAR-10 where it is not there yet."""

import logging
import threading
from dataclasses import dataclass, field

import pandas as pd
import streamlit as st

from cifar_core.data.arrays import Images
from cifar_core.data.catalogue import open_images
from cifar_core.data.download import SIZE, download_cifar10
from cifar_core.data.errors import DataError, DownloadCancelledError
from cifar_core.data.folders import FolderContents, halves
from cifar_core.experiment.datasets import DATASETS
from cifar_core.experiment.experiment import Data
from cifar_core.experiment.record import ExperimentError
from cifar_core.home import home
from cifar_core.ui import form, people, reads
from cifar_core.ui.text import plain

SIDES = (32, 48, 64, 96, 128, 160, 224)
CIFAR10 = Data(name="cifar10")
state = st.session_state

_log = logging.getLogger(__name__)


@dataclass
class Download:
    """The one download of this server, in a background thread: it belongs to the server, not to a tab."""

    done: int = 0
    total: int = SIZE
    message: str = ""
    brought: bool = False
    _cancelled: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        """Whether bytes are on their way."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start, or continue where an earlier one ended."""
        if not self.is_running:
            self.message, self.brought = "", False
            self._cancelled.clear()
            self._thread = threading.Thread(target=self._fetch, name="download", daemon=True)
            self._thread.start()

    def cancel(self) -> None:
        """End it soon; what has arrived is kept for the next time."""
        self._cancelled.set()

    def _fetch(self) -> None:
        try:
            download_cifar10(home(), progress=self._hear, cancelled=self._cancelled.is_set)
            open_images(CIFAR10, home=home())
            self.brought = True
        except DownloadCancelledError:
            self.message = "Cancelled. What has arrived is kept; starting again continues there."
        except DataError as error:
            self.message = str(error)
        except Exception as error:
            self.message = f"Something unexpected ended the download: {type(error).__name__}: {error}"
            _log.exception("The download ended.")

    def _hear(self, done: int, total: int | None) -> None:
        self.done, self.total = done, total or SIZE


@st.cache_resource(show_spinner=False)
def the_download() -> Download:
    """Return this server's download."""
    return Download()


def data_panel() -> Data | None:
    """Show the choice of images and return it, or None while it is not complete."""
    titles = {name: row.title for name, row in DATASETS.items()}
    st.segmented_control(
        "Images",
        list(titles),
        format_func=titles.__getitem__,
        key="form.data",
        required=True,
        on_change=_other_images,
        help="CIFAR-10: 60,000 photographs. The built-in sample: 12,000 drawn pictures, ready at once, offline. "
        "A folder of images: your own, a folder for each class.",
    )
    chosen, problem = None, ""
    try:
        chosen = Data.parse(form.data(state))
    except ExperimentError as error:
        problem = str(error)
    match state["form.data"]:
        case "sample":
            state["form.location"] = ""
            st.caption("Synthetic: drawn by Transfer Lab. Its figures say nothing about photographs.")
        case "folder":
            _own_folder(chosen)
        case _:
            _cifar10(chosen)
    if problem and (state["form.classes"] or state["form.data"] != "folder"):
        st.error(plain(problem), icon=":material/error:")
    st.number_input(
        "Images per class",
        2,
        None,
        value=None,
        step=50,
        key="form.per_class",
        placeholder="all",
        help="Fewer images for a quick look: that many to train on and at most as many to test on.",
    )
    return chosen


def _other_images() -> None:
    """Another data set was chosen: what was said about the one before does not hold for it."""
    state["form.location"], state["form.classes"] = "", ()
    if known := DATASETS[state["form.data"]].classes:
        _split(len(known))


def _split(classes: int) -> None:
    """Keep the split of the last settings that worked where they had as many classes, or begin anew."""
    _, experiment, _ = state["form.shown"]
    split = experiment.split if experiment.class_count == classes else halves(classes)
    state["form.source"], state["form.target"] = list(split.source), list(split.target)


def _cifar10(chosen: Data | None) -> None:
    found = None if chosen is None else reads.images_or_error(chosen)
    if isinstance(found, Images):
        st.caption(found.provenance)
    elif found is not None:
        st.error(plain(str(found)), icon=":material/broken_image:")
    elif state["form.location"]:
        st.warning(f"There is no CIFAR-10 in {plain(state['form.location'])}.", icon=":material/folder_off:")
    else:
        st.info("CIFAR-10 is not on this computer yet.", icon=":material/download:")
    if chosen is not None and chosen.location is None and not isinstance(found, Images):
        _download_panel()
    with st.expander("CIFAR-10 from a folder or archive of yours"):
        st.text_input(
            "Folder or archive on the server",
            key="form.location",
            placeholder="looked for in the usual places",
            help="The official python or binary batches, or cifar-10-python.tar.gz or cifar-10-binary.tar.gz.",
        )


def _own_folder(chosen: Data | None) -> None:
    place, side = st.columns([3, 1])
    place.text_input(
        "Folder on the computer that runs the app",
        key="form.location",
        on_change=_take_classes,
        help="It holds a folder of images for each class, named like the class; or train/ and test/ (or val/) with "
        "such folders in both. PNG, JPEG, BMP, GIF, WebP and TIFF are read; nothing in the folder is changed.",
    )
    side.selectbox(
        "Pixels a side",
        sorted({*SIDES, state["form.image_side"]}),
        key="form.image_side",
        help="All images are brought to this size: the centred square of each, resized. Larger ones show more, and "
        "take longer.",
    )
    if not state["form.location"]:
        st.info("Name the folder that holds a folder of images for each class.", icon=":material/folder_open:")
        return
    contents = reads.folder(state["form.location"])
    if isinstance(contents, DataError):
        st.warning(plain(str(contents)), icon=":material/folder_off:")
    else:
        _show_contents(contents, chosen)


def _show_contents(contents: FolderContents, chosen: Data | None) -> None:
    """What a folder holds, and what became of it."""
    for problem in contents.problems:
        st.error(plain(problem), icon=":material/broken_image:")
    if contents.classes != state["form.classes"]:
        st.warning("The folder holds other classes than these settings.", icon=":material/difference:")
        st.button("Take the folder's classes", on_click=_take_classes)
    found = None if chosen is None else reads.images_or_error(chosen)
    left_out = contents.left_out
    if isinstance(found, Images):
        st.caption(plain(found.provenance))
        left_out = found.left_out
    elif found is not None:
        st.error(plain(str(found)), icon=":material/broken_image:")
    elif chosen is not None and reads.wait_for_a_run(chosen):
        st.info(
            f"{len(contents.files(chosen.classes)):,} files: the first run reads them, and says how far it is. "
            f"{plain(contents.split)}.",
            icon=":material/hourglass_top:",
        )
    counts = [
        {"class": name, "to train on": len(contents.train[name]), "to test on": len(contents.test[name])}
        for name in contents.classes
    ]
    with st.expander(f"{len(counts):,} classes, {len(contents.files(contents.classes)):,} files"):
        st.dataframe(pd.DataFrame(counts), hide_index=True, alt="Files of each class")
    if left_out and not contents.problems:  # of a folder that is none of images, not even names are shown
        with st.expander(f"{len(left_out):,} files left out"):
            st.dataframe(pd.DataFrame({"file and reason": left_out}), hide_index=True, alt="Files left out, and why")


def _take_classes() -> None:
    """Take the classes of the folder that was named; a path that leads nowhere leaves none."""
    reads.folder.clear()
    contents = reads.folder(state["form.location"])
    if isinstance(contents, FolderContents):
        state["form.classes"] = contents.classes
        _split(len(contents.classes))
    else:
        state["form.classes"] = ()


@st.fragment(run_every=1.0)
def _download_panel() -> None:
    download, barred = the_download(), people.why_not()
    if download.brought and not download.is_running:
        download.brought = False  # once, or it would be looked for without end where it is gone again
        reads.forget_images()
    if download.is_running:
        share = min(1.0, download.done / download.total)
        st.progress(share, f"{download.done / 1e6:.0f} of {download.total / 1e6:.0f} MB")
        st.button("Cancel the download", on_click=download.cancel, disabled=bool(barred), help=barred)
    elif reads.images_of(CIFAR10) is not None:  # for all who look, whoever fetched them
        st.rerun()
    else:
        if download.message:
            st.warning(plain(download.message))
        st.button(
            f"Download CIFAR-10 ({SIZE / 1e6:.0f} MB)",
            icon=":material/download:",
            on_click=download.start,
            disabled=bool(barred),
            help=barred or "From the University of Toronto, once for this server; it goes on where it was cut off.",
        )
