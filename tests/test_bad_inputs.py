"""A few hundred inputs that nobody means: each is answered in a sentence that names the field or the file."""

import sys

import pytest

KINDS = ("experiment file", "--set", "form", "command line", "batch", "archive", "image", "folder")


@pytest.mark.skipif(sys.platform == "win32", reason="pipes with a name, and a time limit by signal")
@pytest.mark.parametrize("kind", KINDS)
def test_bad_inputs_are_answered(kind: str) -> None:
    from benchmarks.bad_inputs.giving import tally

    found = tally(kind, 12 if kind == "folder" else 60, seed=1)
    assert not found.failures, found.examples
    assert found.answered == found.inputs > 0
