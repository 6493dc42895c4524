"""The SQLite file under the store: how it is opened, its transactions, and what its errors mean in words."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, create_engine, event, insert, select, update
from sqlalchemy.exc import DatabaseError, DBAPIError, IntegrityError

from cifar_core.runs.errors import StoreUnusable
from cifar_core.runs.tables import SCHEMA_VERSION, UPGRADES, metadata, schema

BUSY_SECONDS = 10.0


class Database:
    """An SQLite file in WAL mode, usable from many threads and processes at once.

    Raises:
        StoreUnusable: on opening and in both kinds of transaction, when the file cannot be used.
    """

    def __init__(self, path: Path):
        self.path = path
        with self.told():
            path.parent.mkdir(parents=True, exist_ok=True)
        url = URL.create("sqlite", database=str(path))
        engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS}, max_overflow=-1)
        event.listen(engine, "connect", _set_up)
        event.listen(engine, "begin", _begin)
        self._readers = engine
        self._writers = engine.execution_options(begin="BEGIN IMMEDIATE")
        with self.writing() as connection:
            metadata.create_all(connection)
            found = connection.execute(select(schema.c.version)).scalar()
            if found is None:
                connection.execute(insert(schema).values(version=SCHEMA_VERSION))
            elif found in UPGRADES:
                for version in range(found, SCHEMA_VERSION):
                    for statement in UPGRADES[version]:
                        connection.exec_driver_sql(statement)
                connection.execute(update(schema).values(version=SCHEMA_VERSION))
            elif found != SCHEMA_VERSION:
                raise StoreUnusable(
                    f"The store {path} was written by another version of Transfer Lab (schema {found}; this one "
                    f"reads {SCHEMA_VERSION}). Update Transfer Lab, or set TRANSFER_LAB_HOME to another folder."
                )

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent view of the store."""
        with self.told(), self._readers.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction, alone among writers from its beginning: what it reads stays true until it commits."""
        with self.told(), self._writers.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close the file; the next transaction opens it again."""
        self._readers.dispose()

    @contextmanager
    def told(self) -> Iterator[None]:
        """Turn errors of the database and of the home's files into StoreUnusable."""
        try:
            yield
        except IntegrityError:
            raise  # a mistake in the caller, not in the file
        except DatabaseError as error:
            raise StoreUnusable(_sentence(self.path, error)) from error
        except OSError as error:
            raise StoreUnusable(
                f"The folder {self.path.parent} cannot be used: {error.strerror or error}. Make it writable, make "
                "room on its disk, or set TRANSFER_LAB_HOME to another folder."
            ) from error


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


def _sentence(path: Path, error: DBAPIError) -> str:
    """Say what a database error means and what to do about it."""
    name = getattr(error.orig, "sqlite_errorname", "")
    match name.split("_")[1] if "_" in name else "":
        case "BUSY" | "LOCKED":
            return (
                f"The store {path} was kept busy by another program for more than {BUSY_SECONDS:.0f} s. Try "
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
