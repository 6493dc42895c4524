"""What is inside a network, as pictures and figures: numbers come from a worker (`cifar_core.runs.inspect`)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from cifar_core.analysis import colours, wording
from cifar_core.analysis.figures import figure_of, matrix_figure
from cifar_core.experiment.beginning import source_phases
from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.wording import initial_weights

_SYMBOLS = ("circle", "square", "diamond", "cross", "x", "triangle-up", "triangle-down", "star")


def what_was_before(experiment: Experiment) -> str:
    """Return which network is meant by "before the target classes"."""
    if source_phases(experiment):
        return "Before: the network as training on the source classes left it."
    return f"Before: the network at its start, layers beyond the backbone at random. {initial_weights(experiment)}"


def filter_tiles(kernel: NDArray[np.float32], most: int = 64) -> NDArray[np.uint8]:
    """Return the first filters of a kernel (height, width, 3, filters) as pictures, uint8 (n, height, width, 3).

    Grey is 0; each filter is scaled by its own largest weight, as filters differ in it.
    """
    filters = kernel.transpose(3, 0, 1, 2)[:most]
    largest = np.abs(filters).max(axis=(1, 2, 3), keepdims=True)
    return np.asarray(127.5 + 127.5 * filters / np.maximum(largest, 1e-9), dtype=np.uint8)


def montage(tiles: NDArray[np.uint8], across: int, scale: int = 1) -> NDArray[np.uint8]:
    """Return tiles (n, height, width) or (n, height, width, 3) side by side, uint8 (…, …, 4), see-through between.

    Each pixel becomes `scale` × `scale` of them.
    """
    if tiles.ndim == 3:
        tiles = np.repeat(tiles[..., None], 3, axis=3)
    tiles = tiles.repeat(scale, axis=1).repeat(scale, axis=2)
    gap, missing = max(2, scale // 2), -len(tiles) % across
    opaque = np.concatenate([tiles, np.full((*tiles.shape[:3], 1), 255, np.uint8)], axis=3)
    padded = np.pad(opaque, ((0, missing), (0, gap), (0, gap), (0, 0)))
    count, height, width, channels = padded.shape
    rows = padded.reshape(count // across, across, height, width, channels).transpose(0, 2, 1, 3, 4)
    return rows.reshape(count // across * height, across * width, channels)


def spotlight(image: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return an image (height, width, 3) dimmed where `heat` (height, width), 0 to 1, is low."""
    return np.asarray(image * (0.2 + 0.8 * heat[..., None]), dtype=np.uint8)


def similarity_table(cka: NDArray[np.float64], before: Sequence[str], after: Sequence[str]) -> pd.DataFrame:
    """Return similarities as a table: a row per block before, a column per block after."""
    return pd.DataFrame(cka, index=pd.Index(before, name="before"), columns=pd.Index(after, name="after"))


def similarity_figure(similarity: pd.DataFrame, compared: int, *, dark: bool = False) -> go.Figure:
    """Draw the linear CKA of every block before with every block after (Kornblith et al. 2019)."""
    words = [f"linear CKA {value:.2f}" for value in similarity.to_numpy().ravel().tolist()]
    title = f"Linear CKA on {wording.number(compared)} test images"
    return matrix_figure(similarity, words, (0, 1), "{:.2f}", title, axes=("before", "after"), dark=dark)


def similarity_sentence(similarity: pd.DataFrame) -> str:
    """Return which blocks changed least and most; blocks in both networks are compared."""
    both = [block for block in similarity.index if block in similarity.columns]
    if not both:
        return "No block is in both networks."
    own = pd.Series({block: float(similarity.loc[block, block]) for block in both})
    return (
        f"Most alike before and after: {own.idxmax()} ({own.max():.2f}); least alike: {own.idxmin()} "
        f"({own.min():.2f}). 1 is the same up to rotation and scale."
    )


def projection_figure(
    points: NDArray[np.float32],
    explained: NDArray[np.float32],
    labels: NDArray[np.int64],
    names: Sequence[str],
    images: NDArray[np.int64],
    title: str,
    *,
    dark: bool = False,
) -> go.Figure:
    """Draw two principal components (n, 2) of features, a colour and a symbol for each class.

    `labels` (n,) are places in `names`; `images` (n,) are the numbers of the images; `explained` (2,) are the
    components' shares of the variance.
    """
    figure = figure_of(dark, height=460, margin={"l": 8, "r": 8, "t": 48, "b": 8})
    palette = colours.palette(dark)
    for order, label in enumerate(np.unique(labels).tolist()):
        own = labels == label
        figure.add_scatter(
            mode="markers",
            name=names[label],
            x=points[own, 0].tolist(),
            y=points[own, 1].tolist(),
            customdata=images[own].tolist(),
            hovertemplate="%{fullData.name}, test image %{customdata}<extra></extra>",
            marker={
                "size": 6,
                "opacity": 0.8,
                "color": palette[order % len(palette)],
                "symbol": _SYMBOLS[(order + order // len(palette)) % len(_SYMBOLS)],
            },
        )
    for update, component in ((figure.update_xaxes, 0), (figure.update_yaxes, 1)):
        share = wording.percent(float(explained[component]), 0)
        update(title_text=f"component {component + 1}, {share} of the variance", showticklabels=False, zeroline=False)
    figure.update_layout(
        title={"text": title, "font": {"size": 14}, "x": 0},
        legend={"orientation": "h", "yanchor": "top", "y": -0.12, "font": {"size": 12}},
        hovermode="closest",
        dragmode=False,
    )
    return figure


def separation_table(points: NDArray[np.float32], labels: NDArray[np.int64], names: Sequence[str]) -> pd.DataFrame:
    """Return where each class lies in a projection: class, images, component 1, component 2 (means) and spread.

    The spread is the root of the mean squared distance from the class's own mean.
    """
    rows = []
    for label in np.unique(labels).tolist():
        own = points[labels == label]
        mean = own.mean(axis=0)
        spread = float(np.sqrt(((own - mean) ** 2).sum(axis=1).mean()))
        rows.append((names[label], len(own), float(mean[0]), float(mean[1]), spread))
    return pd.DataFrame(rows, columns=["class", "images", "component 1", "component 2", "spread"])


def probability_table(probabilities: NDArray[np.float32], names: Sequence[str]) -> pd.DataFrame:
    """Return the probability of each class, the most probable first: class, probability (percent)."""
    order = np.argsort(-probabilities, kind="stable")
    return pd.DataFrame(
        {"class": [names[output] for output in order], "probability": 100 * probabilities[order].astype(float)}
    )
