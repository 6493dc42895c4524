"""What can happen to a store in a file."""

import shutil
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy.exc import DBAPIError

from cifar_core.runs.errors import StoreUnusable
from cifar_core.runs.sqlite import SQLite
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


def test_a_failing_disk_that_is_full_is_called_full(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = sqlite3.OperationalError("disk I/O error")
    failing.sqlite_errorname = "SQLITE_IOERR_SHMSIZE"
    error = DBAPIError("", {}, failing)
    said = SQLite(store.home / "store.sqlite", 1.0).sentence
    assert said(error).startswith("The disk failed")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    assert said(error).startswith("There is no room left on the disk")


def test_a_full_disk_is_said_and_loses_nothing(store: Store) -> None:
    run = submit(store)
    with store._database.writing() as connection:  # the file may not grow any more
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
    with pytest.raises(StoreUnusable, match="no room left"):
        store.set_note(run, "x" * 1_000_000)
    assert store.run(run).note == ""
