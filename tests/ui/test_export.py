"""Figures leave under names that say what they are."""

from cifar_core.ui.export import as_svg


def test_a_figure_is_saved_as_svg_under_a_name_that_files_can_have() -> None:
    image = as_svg("confusion", "head only · seed 3 / **x**")["toImageButtonOptions"]
    assert image == {"format": "svg", "filename": "transfer-lab-confusion-head-only-seed-3-x"}
    assert len(as_svg("x" * 300)["toImageButtonOptions"]["filename"]) == 80
