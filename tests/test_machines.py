"""README's way from one machine to five, as far as it can be tried without five."""

import os

import pytest

from benchmarks import machines


@pytest.mark.parametrize("name", machines.STEPS)
def test_each_step_that_is_tried_is_one_block_of_the_readme(name: str) -> None:
    assert machines.STEPS[name] in machines.step(name)


def test_a_step_that_the_readme_does_not_have_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(machines.STEPS, "database", "createdb --of-long-ago")
    with pytest.raises(ValueError, match=r'one block with "createdb --of-long-ago" .* found 0'):
        machines.step("database")


def test_what_cannot_be_installed_in_the_trial_is_a_line_of_the_readme() -> None:
    assert machines.INSTALL in machines.step("database").splitlines()


def test_the_head_starts_two_programs_with_the_same_settings() -> None:
    source, scheduler, app = machines.step("head").splitlines()
    assert source == "source lab.env"
    assert "dask scheduler" in scheduler and "streamlit run" in app


def test_who_is_not_root_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "Run it as root on Linux" in machines.cannot()
