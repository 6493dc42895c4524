"""The store in a PostgreSQL database, which several machines can share."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Double, Engine, cast, create_engine, event, extract, func
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from cifar_core.runs.errors import StoreUnusable

_LOCK = 0x54524C42  # any number will do, as long as every writer takes the same
_CONNECT_SECONDS = 10
_PROBE_SECONDS = 5
_IDLE_SECONDS = 4
"""A transaction that does nothing for so long is undone, and tried again by who still lives."""
_SECRETS = {"password", "sslpassword"}


class PostgreSQL:
    """A database by its URL, as a `cifar_core.runs.database.System`.

    The password is libpq's affair (`PGPASSWORD`, `~/.pgpass`), so that no log or message can show it.

    Raises:
        StoreUnusable: for an address that is none, names another system or holds a password, or without psycopg.
    """

    insert = staticmethod(postgresql.insert)
    elsewhere = "set TRANSFER_LAB_STORE to another database"

    def __init__(self, address: str, busy_seconds: float):
        self._busy_seconds = busy_seconds
        try:
            url = make_url(address)
        except (ArgumentError, ValueError) as error:  # what it holds is not shown: it may be a password
            raise StoreUnusable(_EXPECTED) from error
        if url.get_backend_name() != "postgresql":
            raise StoreUnusable(f"{_EXPECTED} Received one that begins with {url.drivername}.")
        if url.password is not None or _SECRETS & url.query.keys():
            raise StoreUnusable(
                "The address in TRANSFER_LAB_STORE holds a password, which would end up in logs and lists of "
                "processes. Take it out, and give it as PGPASSWORD in the environment or in ~/.pgpass."
            )
        self.name = f"{url.database} on {url.host or 'this computer'}"
        patience = {
            "connect_timeout": _CONNECT_SECONDS,
            # A server that has lost its power or its cable is noticed after so long, not after hours: when it does
            # not confirm what it is sent, and also while its answer is waited for.
            "keepalives_idle": _CONNECT_SECONDS,
            "keepalives_interval": _PROBE_SECONDS,
            "tcp_user_timeout": 1000 * _CONNECT_SECONDS,
        }
        try:
            engine = create_engine(
                url.set(drivername="postgresql+psycopg"), connect_args=patience, max_overflow=-1, pool_pre_ping=True
            )
        except ModuleNotFoundError as error:
            raise StoreUnusable(
                "A store in PostgreSQL needs the package psycopg: pip install -r requirements-cluster.txt."
            ) from error
        event.listen(engine, "connect", self._set_up)
        event.listen(engine, "begin", _begin)
        self.readers: Engine = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self.writers: Engine = engine.execution_options(isolation_level="READ COMMITTED", writes=True)

    def now(self) -> ColumnElement[float]:
        """The server's clock: those of the machines may differ by more than a lease."""
        return cast(extract("epoch", func.clock_timestamp()), Double)

    def sentence(self, error: DBAPIError) -> str:
        """Say what an error means and what to do about it."""
        said = " ".join(str(error.orig).split()).rstrip(".")
        match getattr(error.orig, "sqlstate", None):
            case "55P03":  # lock_not_available
                return (
                    f"The store {self.name} was kept busy by another program for more than {self._busy_seconds:.0f} s. "
                    "Try again."
                )
            case "53100":  # disk_full
                return f"There is no room left on the disk of the store {self.name}. Free some on its server."
            case "53300":  # too_many_connections
                return f"The store {self.name} has no connection left. Raise max_connections on its server."
            case "42501" | "25006":  # insufficient_privilege, read_only_sql_transaction
                return f"The store {self.name} cannot be written ({said}). Give its user the right to."
            case None:
                return (
                    f"The store {self.name} cannot be reached: {said}. Check that PostgreSQL runs there, and the "
                    "address in TRANSFER_LAB_STORE; the password belongs into PGPASSWORD or ~/.pgpass."
                )
        return f"The store {self.name} cannot be used: {said}."

    def _set_up(self, connection: Any, _record: object) -> None:
        from psycopg.types.string import StrDumper

        class Text(StrDumper):
            """Text without NUL, which PostgreSQL cannot keep and the end of a log may hold."""

            def dump(self, obj: str) -> Any:
                return super().dump(obj.replace("\0", "\N{SYMBOL FOR NULL}"))

        connection.adapters.register_dumper(str, Text)
        milliseconds = round(1000 * self._busy_seconds)
        connection.execute(f"SET lock_timeout = {milliseconds}")
        # A machine that was lost in the middle of a transaction must not keep all others from writing.
        connection.execute(f"SET idle_in_transaction_session_timeout = {1000 * _IDLE_SECONDS}")
        # Nor must the sessions of lost machines use up the server's connections, for the hours that it would keep them.
        connection.execute(f"SET tcp_keepalives_idle = {_CONNECT_SECONDS}")
        connection.execute(f"SET tcp_keepalives_interval = {_PROBE_SECONDS}")
        connection.execute(f"SET tcp_user_timeout = {1000 * _CONNECT_SECONDS}")
        connection.commit()


_EXPECTED = "TRANSFER_LAB_STORE expects an address such as postgresql+psycopg://user@host/database."


def _begin(connection: Connection) -> None:
    if connection.get_execution_options().get("writes"):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
