"""What of exported scripts can be told without Keras; tests/training runs them."""

import argparse
import ast
import json
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from cifar_core.analysis.keras_script import ScriptError, keras_notebook, keras_script
from cifar_core.experiment.backbones import BACKBONES
from cifar_core.experiment.experiment import Data, Experiment, Phase
from cifar_core.experiment.measured import Run, State
from cifar_core.experiment.recipes import RECIPES


def run(experiment: Experiment, name: str = "a run") -> Run:
    return Run("abc", name, experiment, 3, State.DONE, datetime(2026, 11, 21, tzinfo=UTC))


@pytest.mark.parametrize("identifier", RECIPES)
def test_every_recipe_has_a_script_that_is_python(identifier: str) -> None:
    ast.parse(keras_script(run(RECIPES[identifier].experiment)))


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_has_a_script_that_is_python_and_needs_no_transfer_lab(backbone: str) -> None:
    script = keras_script(run(Experiment(backbone=backbone, phases=(Phase(name="base", train_on="source"),))))
    imported = {
        alias.name.partition(".")[0]
        for node in ast.walk(ast.parse(script))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in (node.names if isinstance(node, ast.Import) else [ast.alias(node.module or "")])
    }
    assert imported <= {"argparse", "csv", "keras", "math", "numpy", "pathlib", "pickle", "tensorflow", "zlib"}


def test_a_notebook_is_the_script_in_cells() -> None:
    exported = run(RECIPES["a-ft2"].experiment)
    notebook = json.loads(keras_notebook(exported))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    ast.parse("\n".join(cell["source"] for cell in code))
    script = keras_script(exported)
    # The first cell alone differs: a notebook has no command line.
    assert all(cell["source"] in script for cell in code[1:])


def test_a_name_cannot_break_out_of_its_comment() -> None:
    script = keras_script(run(RECIPES["e"].experiment, 'x\nimport os\r"""\u2028import os'))
    assert "os" not in {
        alias.name for node in ast.walk(ast.parse(script)) if isinstance(node, ast.Import) for alias in node.names
    }


def test_what_is_not_used_is_not_in_the_script() -> None:
    script = keras_script(run(RECIPES["e"].experiment))
    assert not any(word in script for word in ("augment", "class_weights", "one_hot", "layer_wise", "Cosine", "_flip"))


def test_images_that_are_not_cifar10_come_from_a_file() -> None:
    experiment = RECIPES["e"].experiment.model_copy(update={"data": Data(name="sample")})
    assert '"images.npz"' in keras_script(run(experiment))
    assert "cifar10" not in keras_script(run(experiment))


BEGINS_WITH_A_RUN = Experiment.parse(
    {
        "data": {"name": "cifar10"},
        "initial_weights": {"source": "run", "run": "abcdefgh"},
        "phases": [{"name": "base", "train_on": "source"}],
    }
)


def asked_for(script: str, *arguments: str) -> tuple[str | None, str | None]:
    """Execute the part of a script that reads its arguments, and return the places of images and weights."""
    body = ast.parse(script).body
    first, last = (
        next(place for place, node in enumerate(body) if text in ast.unparse(node))
        for text in ("ArgumentParser", "def stream")
    )
    names: dict[str, Any] = {"argparse": argparse}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["run.py", *arguments])
        exec(compile(ast.Module(body[first:last], []), "run.py", "exec"), names)
    return names["IMAGES"], names.get("WEIGHTS")


def test_a_run_that_begins_with_another_runs_model_finds_it_beside_its_script_or_where_it_is_told() -> None:
    script = keras_script(run(BEGINS_WITH_A_RUN))
    assert asked_for(script) == (None, "abcdefgh-model.keras")  # Keras's own CIFAR-10
    assert asked_for(script, "--weights", "w.keras") == (None, "w.keras")
    assert asked_for(script, "images.npz", "--weights", "w.keras") == ("images.npz", "w.keras")
    introduction = script.partition("import")[0].replace("\n# ", " ")
    assert "the model of run abcdefgh, which Transfer Lab exports as abcdefgh-model.keras" in introduction
    cells = json.loads(keras_notebook(run(BEGINS_WITH_A_RUN)))["cells"]
    assert any('WEIGHTS = "abcdefgh-model.keras"' in cell["source"] for cell in cells)


def test_a_script_that_needs_no_weights_asks_for_none() -> None:
    assert asked_for(keras_script(run(RECIPES["e"].experiment)), "folder") == ("folder", None)
    assert "Weights: " not in keras_script(run(RECIPES["e"].experiment))


def test_weights_from_a_file_are_refused_in_words() -> None:
    experiment = Experiment.parse(
        {"initial_weights": {"source": "file", "path": "w.h5"}, "phases": [{"name": "base", "train_on": "source"}]}
    )
    with pytest.raises(ScriptError, match="weights from a file of yours"):
        keras_script(run(experiment))
