"""What the benchmark that kills workers takes for a true state."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.chaos import Chaos
from cifar_core import events
from cifar_core.experiment.measured import State
from cifar_core.runs.store import Store
from tests.filled_store import claim


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_a_run_at_work_needs_its_own_worker_not_one_that_waits(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    chaos, working = Chaos.__new__(Chaos), claim(store)
    chaos.store, folder = store, store.files.folder(working.run)
    monkeypatch.setattr(chaos, "_workers", lambda: [SimpleNamespace(pid=2), SimpleNamespace(pid=3)])
    assert not chaos._is_true(store.run(working.run))
    for process, true in ((1, False), (2, True), (4, False)):
        events.note(folder, "started", process=process)
        events.note(folder, "state", state="training")
        assert chaos._is_true(store.run(working.run)) == true
    with (folder / events.FILE).open("a") as file:
        file.write('{"event": "sta')
    working.ends(State.INTERRUPTED)
    assert chaos._is_true(store.run(working.run))
