"""Figures leave under names that say what they are, and what is sent does not keep a page waiting for ever."""

import pytest

from cifar_core.ui import export
from cifar_core.ui.export import camera, file_name
from tests.analysis.made_up import make_run


@pytest.mark.parametrize(("form", "format", "scale"), [("SVG", "svg", 1), ("PNG", "png", 2)])
def test_a_figure_is_saved_in_the_chosen_form(form: str, format: str, scale: int) -> None:
    image = camera(form, "confusion", "test")["toImageButtonOptions"]
    assert image == {"format": format, "filename": "transfer-lab-confusion-test", "scale": scale}


def test_a_picture_is_saved_under_a_name_that_files_can_have() -> None:
    assert file_name("confusion", "head only · seed 3 / **x**") == "transfer-lab-confusion-head-only-seed-3-x"
    assert len(file_name("x" * 300)) == 80


def test_a_tracking_server_that_does_not_answer_is_given_up_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "SECONDS_TO_SEND", 0.01)
    run, _ = make_run()
    sent, said = export._send_to_mlflow(run)
    assert not sent
    assert said.startswith("MLflow had not taken everything") and f"export {run.id} --as mlflow" in said
