"""What of exported scripts can be told without Keras; tests/training runs them."""

import ast
import json
from datetime import UTC, datetime

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
    assert imported <= {"csv", "keras", "math", "numpy", "pathlib", "pickle", "sys", "tensorflow", "zlib"}


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


def test_weights_from_a_file_are_refused_in_words() -> None:
    experiment = Experiment.parse(
        {"initial_weights": {"source": "file", "path": "w.h5"}, "phases": [{"name": "base", "train_on": "source"}]}
    )
    with pytest.raises(ScriptError, match="weights from a file of yours"):
        keras_script(run(experiment))
