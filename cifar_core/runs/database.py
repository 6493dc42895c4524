"""The database under the store: its transactions, its upgrades, and what its errors mean in words."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sqlalchemy import ColumnElement, Connection, Engine, Table, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from cifar_core.home import store_address
from cifar_core.runs.errors import StoreUnusable
from cifar_core.runs.sqlite import SQLite
from cifar_core.runs.tables import SCHEMA_VERSION, UPGRADES, metadata, schema

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite

BUSY_SECONDS = 10.0


class System(Protocol):
    """What differs between database systems."""

    name: str
    """What people call the store."""
    elsewhere: str
    """How to use another store, as "set …"."""
    readers: Engine
    """Its transactions see one moment."""
    writers: Engine
    """Its transactions are alone among writers from their beginning."""

    @property
    def insert(self) -> Callable[[Table], "sqlite.Insert | postgresql.Insert"]:
        """Insert rows, or do something else about those that are there."""

    def now(self) -> ColumnElement[float]:
        """Return the clock that all who share the store go by, in seconds since 1970."""

    def sentence(self, error: DBAPIError) -> str:
        """Say what an error means and what to do about it."""


class Database:
    """The store's database, usable from many threads and processes at once.

    It is the one that `TRANSFER_LAB_STORE` names, else an SQLite file in the home folder.

    Raises:
        StoreUnusable: on opening and in both kinds of transaction, when the database cannot be used.
    """

    def __init__(self, home: Path):
        self._home = home
        with self.told():
            home.mkdir(parents=True, exist_ok=True)
        address = store_address()
        self._system: System
        if address is None:
            self._system = SQLite(home / "store.sqlite", BUSY_SECONDS)
        else:
            from cifar_core.runs.postgresql import PostgreSQL  # only now: it loads psycopg, which may not be there

            self._system = PostgreSQL(address, BUSY_SECONDS)
        self.insert, self.now = self._system.insert, self._system.now
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
                    f"The store {self._system.name} was written by another version of Transfer Lab (schema {found}; "
                    f"this one reads {SCHEMA_VERSION}). Update Transfer Lab, or {self._system.elsewhere}."
                )

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent view of the store."""
        with self.told(), self._system.readers.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction, alone among writers from its beginning: what it reads stays true until it commits."""
        with self.told(), self._system.writers.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close the database; the next transaction opens it again."""
        self._system.readers.dispose()

    @contextmanager
    def told(self) -> Iterator[None]:
        """Turn errors of the database and of the home's files into StoreUnusable."""
        try:
            yield
        except IntegrityError:
            raise  # a mistake in the caller, not in the store
        except DBAPIError as error:
            raise StoreUnusable(self._system.sentence(error)) from error
        except OSError as error:
            raise StoreUnusable(
                f"The folder {self._home} cannot be used: {error.strerror or error}. Make it writable, make "
                "room on its disk, or set TRANSFER_LAB_HOME to another folder."
            ) from error
