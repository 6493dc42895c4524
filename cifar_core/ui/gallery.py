"""Images of a data set in rows that wrap, each with its caption: one element on the page, however many there are."""

import base64
import html
from collections.abc import Callable, Iterable
from io import BytesIO

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

from cifar_core.data.arrays import Images
from cifar_core.experiment.measured import Run
from cifar_core.ui import reads

PAGE = 24
"""Images on one page of a gallery."""
_SIDE = 96  # pixels; small images are enlarged by the browser, large ones are made smaller here
_PERCENT = "\N{NO-BREAK SPACE}%"
_STYLE = """<style>
.gallery { display: flex; flex-wrap: wrap; gap: 0.75rem; }
.gallery figure { margin: 0; width: calc(var(--side) + 24px); }
.gallery img { width: var(--side); height: var(--side); image-rendering: pixelated; border-radius: 0.25rem; }
.gallery figcaption { font-size: 0.8rem; line-height: 1.3; overflow-wrap: anywhere; white-space: pre-line; }
</style>"""


def images_of(run: Run) -> Images | None:
    """Return the images that a run was tested on, or say that they are not there and return None."""
    opened = reads.images_of(run.experiment.data)
    if opened is not None and opened.fingerprint == run.environment.get("fingerprint"):
        return opened
    st.info("The images of this run are not on this computer, or are others now; the tables still tell.")
    return None


def cell_boxes(classes: Iterable[str], *, true: str, predicted: str) -> tuple[str | None, str | None]:
    """Let the reader name a cell of a confusion matrix; return its true and its predicted class, None until chosen.

    `true` and `predicted` are the boxes' keys, which the address has too, and which a click on a matrix sets.
    """
    with st.container(horizontal=True):
        chosen = [
            st.selectbox(label, classes, index=None, key=key, bind="query-params", width=240)
            for label, key in (("True class", true), ("Predicted class", predicted))
        ]
    return chosen[0], chosen[1]


def paged(
    images: NDArray[np.uint8], numbers: NDArray[np.int64], caption: Callable[[int], str], *, key: str, what: str
) -> None:
    """Show some of `images`, uint8 (n, height, width, 3), by their numbers, a page at a time.

    `caption` says what stands below the image at a place among `numbers`; `what` names the images for a screen reader.
    """
    pages = max(1, -(-len(numbers) // PAGE))
    if st.session_state.get(key, 1) > pages:
        st.session_state[key] = 1
    page = st.pagination(pages, key=key, bind="query-params") if pages > 1 else 1
    places = range((page - 1) * PAGE, min(page * PAGE, len(numbers)))
    chosen = [int(numbers[place]) for place in places]
    gallery(
        ((images[number], f"{what} {number}", caption(place)) for number, place in zip(chosen, places, strict=True))
    )


def gallery(pictures: Iterable[tuple[NDArray[np.uint8], str, str]], side: int = _SIDE) -> None:
    """Show pictures, uint8 (height, width, 3), each with what a screen reader calls it and a caption below.

    They are drawn as squares of `side` pixels.
    """
    figures = [
        f'<figure><img src="{_address(picture)}" alt="{html.escape(name)}">'
        f"<figcaption>{html.escape(caption).replace(' %', _PERCENT)}</figcaption></figure>"
        for picture, name, caption in pictures
    ]
    st.html(f'{_STYLE}<div class="gallery" style="--side: {side}px">{"".join(figures)}</div>')


def _address(picture: NDArray[np.uint8]) -> str:
    image = Image.fromarray(np.ascontiguousarray(picture))
    if image.width > 2 * _SIDE:
        image.thumbnail((2 * _SIDE, 2 * _SIDE))
    file = BytesIO()
    image.save(file, "PNG", compress_level=1)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
