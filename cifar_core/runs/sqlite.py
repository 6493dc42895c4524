"""The store in an SQLite file: one computer, as many processes as wanted."""

import shutil
import time
from pathlib import Path
from typing import Any

from sqlalchemy import URL, ColumnElement, Connection, Double, Engine, create_engine, event, literal
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError

# What SQLite shares with other processes in a file of its own, without which nothing can be read either.
_BYTES_BESIDE_THE_FILE = 64 * 1024


class SQLite:
    """A file in WAL mode, as a `cifar_core.runs.database.System`."""

    insert = staticmethod(sqlite.insert)
    elsewhere = "set TRANSFER_LAB_HOME to another folder"

    def __init__(self, path: Path, busy_seconds: float):
        self._path, self._busy_seconds = path, busy_seconds
        self.name = str(path)
        url = URL.create("sqlite", database=str(path))
        self.readers = create_engine(url, connect_args={"timeout": busy_seconds}, max_overflow=-1)
        event.listen(self.readers, "connect", _set_up)
        event.listen(self.readers, "begin", _begin)
        self.writers: Engine = self.readers.execution_options(begin="BEGIN IMMEDIATE")

    def now(self) -> ColumnElement[float]:
        """The computer's clock: there is only one."""
        return literal(time.time(), Double)

    def sentence(self, error: DBAPIError) -> str:
        """Say what an error means and what to do about it."""
        path = self._path
        name = getattr(error.orig, "sqlite_errorname", "")
        kind = name.split("_")[1] if "_" in name else ""
        if kind == "IOERR" and shutil.disk_usage(path.parent).free < _BYTES_BESIDE_THE_FILE:
            kind = "FULL"
        match kind:
            case "BUSY" | "LOCKED":
                return (
                    f"The store {path} was kept busy by another program for more than {self._busy_seconds:.0f} s. Try "
                    "again; close programs that have the file open if it stays so."
                )
            case "FULL":
                return f"There is no room left on the disk of {path}. Free some: deleting runs does, too."
            case "READONLY" | "PERM" | "AUTH":
                return f"The store {path} cannot be written. Make the file and its folder writable."
            case "CANTOPEN":
                return f"The store {path} cannot be opened. Make the file and its folder readable and writable."
            case "CORRUPT" | "NOTADB":
                return (
                    f"The store {path} is damaged ({error.orig}). Move it aside together with the files of the same "
                    "name ending in -wal and -shm; a new one is made. Models and predictions in the folder "
                    f"{path.parent / 'runs'} stay."
                )
            case "IOERR":
                return f"The disk failed under {path} ({error.orig}). Check that it is connected and has room."
        return f"The store {path} cannot be used: {error.orig}."


def _set_up(connection: Any, _record: object) -> None:
    # SQLAlchemy begins transactions itself: the driver's own deferred BEGIN would let two writers start
    # from the same view, and refuse one of them at its first write whatever the timeout.
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL")
    # Each commit reaches the disk: an epoch that was shown is still there after a power cut.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))
