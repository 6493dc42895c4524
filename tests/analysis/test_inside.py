import json

import numpy as np
import pytest

from cifar_core.analysis.inside import (
    filter_tiles,
    montage,
    probability_table,
    projection_figure,
    separation_table,
    similarity_figure,
    similarity_sentence,
    similarity_table,
    spotlight,
    what_was_before,
)
from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.recipes import RECIPES


def test_what_was_before_the_target_classes_is_what_the_run_had_learned_by_then() -> None:
    assert "training on the source classes left it" in what_was_before(RECIPES["a-ft2"].experiment)
    tuned: dict[str, object] = {"phases": [{"name": "tuned", "train_on": "target"}], "backbone": "mobilenet"}
    said = what_was_before(Experiment.parse(tuned | {"initial_weights": {"source": "imagenet"}}))
    assert "at its start" in said and said.endswith("Initial weights learned on ImageNet.")


def test_filters_are_grey_where_they_are_zero_and_scaled_each_by_its_own() -> None:
    kernel = np.zeros((1, 2, 3, 2), np.float32)
    kernel[0, 0, 0] = [0.5, -4]
    tiles = filter_tiles(kernel)
    assert tiles.shape == (2, 1, 2, 3)
    assert tiles[:, 0, 0, 0].tolist() == [255, 0]
    assert (tiles[:, 0, 1] == 127).all()


@pytest.mark.parametrize("shape", [(5, 2, 2), (5, 2, 2, 3)])
def test_a_montage_keeps_every_tile_and_is_see_through_between(shape: tuple[int, ...]) -> None:
    found = montage(np.full(shape, 7, np.uint8), across=3, scale=4)
    assert found.shape == (2 * 10, 3 * 10, 4)
    assert (found[..., 3] == 255).sum() == 5 * 64
    assert (found[found[..., 3] == 255][:, :3] == 7).all()


def test_a_spotlight_dims_what_is_cold() -> None:
    image = np.full((1, 2, 3), 100, np.uint8)
    assert spotlight(image, np.array([[0, 1]], np.float32))[0, :, 0].tolist() == [20, 100]


def test_similarity_is_drawn_and_said() -> None:
    similarity = similarity_table(np.array([[0.99, 0.3], [0.2, 0.5]]), ["conv_1", "conv_2"], ["conv_1", "conv_2"])
    said = similarity_sentence(similarity)
    assert "conv_1 (0.99)" in said and "conv_2 (0.50)" in said
    figure = similarity_figure(similarity, 500)
    assert np.array(figure.data[0].z).tolist() == similarity.to_numpy().tolist()
    assert "500 test images" in figure.layout.title.text
    json.loads(figure.to_json())


def test_networks_without_a_common_block_are_said_so() -> None:
    assert "No block" in similarity_sentence(similarity_table(np.ones((1, 1)), ["one"], ["other"]))


def test_a_projection_has_a_colour_and_a_symbol_for_each_class() -> None:
    points, labels = np.arange(40, dtype=np.float32).reshape(20, 2), np.arange(20) % 10
    names = [f"class {place}" for place in range(10)]
    figure = projection_figure(points, np.array([0.5, 0.25], np.float32), labels, names, np.arange(20), "after")
    assert [trace.name for trace in figure.data] == names
    looks = {(trace.marker.color, trace.marker.symbol) for trace in figure.data}
    assert len(looks) == 10
    assert "50 %" in figure.layout.xaxis.title.text
    json.loads(figure.to_json())


def test_where_classes_lie_is_said_in_numbers() -> None:
    points = np.array([[0, 0], [2, 0], [5, 5]], np.float32)
    table = separation_table(points, np.array([0, 0, 1]), ["cat", "dog"])
    assert table.to_numpy().tolist() == [["cat", 2, 1.0, 0.0, 1.0], ["dog", 1, 5.0, 5.0, 0.0]]


def test_probabilities_come_most_probable_first() -> None:
    table = probability_table(np.array([0.2, 0.7, 0.1], np.float32), ("cat", "dog", "bird"))
    assert table["class"].tolist() == ["dog", "cat", "bird"]
    assert table["probability"].tolist() == pytest.approx([70, 20, 10])
