"""Choosing images: which data set, how many, from where; and fetching CIFAR-10 where it is not there yet."""

import threading
from dataclasses import dataclass, field

import streamlit as st

from cifar_core.data.catalogue import open_images
from cifar_core.data.download import SIZE, download_cifar10
from cifar_core.data.errors import DataError, DownloadCancelledError
from cifar_core.experiment.datasets import DATASETS
from cifar_core.experiment.experiment import Data
from cifar_core.home import home
from cifar_core.ui import reads
from cifar_core.ui.text import plain


@dataclass
class Download:
    """The one download of this server, in a background thread: it belongs to the server, not to a tab."""

    done: int = 0
    total: int = SIZE
    message: str = ""
    _cancelled: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        """Whether bytes are on their way."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start, or continue where an earlier one ended."""
        if not self.is_running:
            self.message = ""
            self._cancelled.clear()
            self._thread = threading.Thread(target=self._fetch, name="download", daemon=True)
            self._thread.start()

    def cancel(self) -> None:
        """End it soon; what has arrived is kept for the next time."""
        self._cancelled.set()

    def _fetch(self) -> None:
        try:
            download_cifar10(home(), progress=self._hear, cancelled=self._cancelled.is_set)
            open_images("cifar10", home=home())
        except DownloadCancelledError:
            self.message = "Cancelled. What has arrived is kept; starting again continues there."
        except DataError as error:
            self.message = str(error)

    def _hear(self, done: int, total: int | None) -> None:
        self.done, self.total = done, total or SIZE


@st.cache_resource(show_spinner=False)
def the_download() -> Download:
    """Return this server's download."""
    return Download()


def data_panel() -> Data:
    """Show the choice of images and return it."""
    state = st.session_state
    titles = {name: row.title for name, row in DATASETS.items()}
    st.segmented_control(
        "Images",
        list(titles),
        format_func=titles.__getitem__,
        key="form.data",
        required=True,
        help="CIFAR-10: 60,000 photographs. The built-in sample: 12,000 drawn pictures, ready at once, offline.",
    )
    name = state["form.data"]
    if DATASETS[name].synthetic:
        state["form.location"] = ""
        st.caption("Synthetic: drawn by Transfer Lab. Its figures say nothing about photographs.")
    else:
        _cifar10(state["form.location"] or None)
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
    return Data(name=name, location=state["form.location"] or None, per_class=state["form.per_class"])


def _cifar10(location: str | None) -> None:
    found = reads.where_images_are("cifar10", location)
    if found is not None:
        try:
            st.caption(reads.images("cifar10", location, found).provenance)
        except DataError as error:
            st.error(plain(str(error)), icon=":material/broken_image:")
    elif location is None:
        st.info("CIFAR-10 is not on this computer yet.", icon=":material/download:")
        _download_panel()
    else:
        st.warning(f"There is no CIFAR-10 in {plain(location)}.", icon=":material/folder_off:")
    with st.expander("CIFAR-10 from a folder or archive of yours"):
        st.text_input(
            "Folder or archive on the server",
            key="form.location",
            placeholder="looked for in the usual places",
            help="The official python or binary batches, or cifar-10-python.tar.gz or cifar-10-binary.tar.gz.",
        )


@st.fragment(run_every=1.0)
def _download_panel() -> None:
    download = the_download()
    if download.is_running:
        share = min(1.0, download.done / download.total)
        st.progress(share, f"{download.done / 1e6:.0f} of {download.total / 1e6:.0f} MB")
        st.button("Cancel the download", on_click=download.cancel)
    elif download.done and not download.message:
        reads.where_images_are.clear()
        st.rerun()
    else:
        if download.message:
            st.warning(plain(download.message))
        st.button(f"Download CIFAR-10 ({SIZE / 1e6:.0f} MB)", icon=":material/download:", on_click=download.start)
