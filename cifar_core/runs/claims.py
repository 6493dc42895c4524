"""Writing as the owner of a run."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, update

from cifar_core.runs.database import Database
from cifar_core.runs.errors import ClaimLost
from cifar_core.runs.tables import runs


@contextmanager
def claimed(database: Database, run: str, owner: str | None, /, **values: Any) -> Iterator[Connection]:
    """A transaction whose first statement changes the run on condition that it is the owner's, or nobody's.

    Raises:
        ClaimLost: when it is not.
    """
    with database.writing() as connection:
        mine = update(runs).where(runs.c.id == run, runs.c.owner == owner)
        if not connection.execute(mine.values(version=runs.c.version + 1, **values)).rowcount:
            raise ClaimLost(run)
        yield connection
