"""A run's events: one JSON object a line."""

import json
import math
from pathlib import Path

from cifar_core import events


def test_every_event_is_a_line_of_json_with_its_time_and_run(tmp_path: Path) -> None:
    folder = tmp_path / "abc"
    folder.mkdir()
    events.note(folder, "started", seed=3)
    events.note(folder, "epoch", loss=math.nan, said="two\nlines")
    first, second = (json.loads(line) for line in (folder / events.FILE).read_text().splitlines())
    assert (first["run"], first["event"], first["seed"]) == ("abc", "started", 3)
    assert first["time"].endswith("+00:00")
    assert (second["loss"], second["said"]) == (None, "two\nlines")


def test_a_folder_that_takes_no_event_ends_nothing(tmp_path: Path) -> None:
    events.note(tmp_path / "gone", "started")
