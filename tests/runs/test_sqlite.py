"""What can happen to a store in a file."""

from pathlib import Path

import pytest

from cifar_core.runs.errors import StoreUnusable
from cifar_core.runs.store import Store
from tests.runs.helpers import submit


def test_a_file_that_is_no_store_is_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "store.sqlite").write_bytes(b"no database at all" * 1000)
    with pytest.raises(StoreUnusable, match=r"is damaged .* Move it aside"):
        Store(tmp_path)


def test_a_store_that_lost_its_middle_is_called_damaged(store: Store) -> None:
    run = submit(store)
    for _ in range(50):
        store.set_note(run, "x" * 5000)
        submit(store)
    store.close()
    file = store.home / "store.sqlite"
    content = file.read_bytes()
    file.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    with pytest.raises(StoreUnusable, match="is damaged"):
        Store(store.home).runs()


def test_a_full_disk_is_said_and_loses_nothing(store: Store) -> None:
    run = submit(store)
    with store._database.writing() as connection:  # the file may not grow any more
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
    with pytest.raises(StoreUnusable, match="no room left"):
        store.set_note(run, "x" * 1_000_000)
    assert store.run(run).note == ""
