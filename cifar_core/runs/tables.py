"""The tables of the store. Rows mirror the dataclasses of `cifar_core.experiment.measured`."""

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    false,
)
from sqlalchemy.types import UserDefinedType

SCHEMA_VERSION = 4

UPGRADES = {
    1: (
        "ALTER TABLE phases ADD COLUMN kept_epoch INTEGER",
        "ALTER TABLE phases ADD COLUMN reused_from VARCHAR",
        "ALTER TABLE phases ADD COLUMN features TEXT DEFAULT '' NOT NULL",
        "ALTER TABLE phases ADD COLUMN features_seconds DOUBLE PRECISION DEFAULT 0 NOT NULL",
        "ALTER TABLE runs ADD COLUMN resumed INTEGER DEFAULT 0 NOT NULL",
    ),
    2: (
        "ALTER TABLE runs ADD COLUMN person TEXT DEFAULT '' NOT NULL",
        "CREATE INDEX runs_by_person ON runs (person, started)",
        "ALTER TABLE runs ADD COLUMN tags TEXT DEFAULT '' NOT NULL",
        "CREATE INDEX runs_by_version ON runs (created, id, version)",
    ),
    3: (
        "ALTER TABLE runs ADD COLUMN queued DOUBLE PRECISION DEFAULT 0 NOT NULL",
        "UPDATE runs SET queued = created",
        "ALTER TABLE phases ADD COLUMN features_of_others BOOLEAN DEFAULT FALSE NOT NULL",
        # What their sentence says. A run that was resumed, or an earlier phase of the same run, may have stored them.
        "UPDATE phases SET features_of_others = TRUE WHERE features LIKE '%%They were there already.%%' "
        "AND run IN (SELECT id FROM runs WHERE resumed = 0) AND NOT EXISTS (SELECT 1 FROM phases AS earlier WHERE "
        "earlier.run = phases.run AND earlier.phase < phases.phase AND earlier.features LIKE 'Stored features%%')",
    ),
}
"""For each earlier version, the statements that make it the next one. Runs of before keep everything they have."""


class Number(UserDefinedType[float]):
    """A float of which NaN comes back too. SQLite turns NaN into NULL, so there it is kept as text."""

    cache_ok = True

    def get_col_spec(self, **_options: Any) -> str:
        """Return the column's type, the same in SQLite and PostgreSQL."""
        return "DOUBLE PRECISION"

    def bind_processor(self, dialect: Dialect) -> Callable[[float | None], Any]:
        """Return what turns a number into what the database keeps."""
        kept = "nan" if dialect.name == "sqlite" else math.nan
        return lambda value: None if value is None else kept if math.isnan(value) else float(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], float | None]:
        """Return what reads text and numbers alike."""
        return lambda value: None if value is None else float(value)


class Moment(TypeDecorator[datetime]):
    """A moment in UTC, kept as seconds since 1970 so that leases compare as plain numbers."""

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> float | None:
        """Return seconds since 1970."""
        return None if value is None else value.timestamp()

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Return an aware datetime."""
        return None if value is None else datetime.fromtimestamp(value, UTC)


class Json(TypeDecorator[dict[str, Any]]):
    """A dictionary as text, because databases' own JSON refuses NaN and infinity."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: dict[str, Any] | None, dialect: Dialect) -> str | None:
        """Return JSON text."""
        return None if value is None else json.dumps(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Return what was stored."""
        return None if value is None else json.loads(value)


metadata = MetaData()

schema = Table("schema", metadata, Column("version", Integer, primary_key=True, autoincrement=False))

runs = Table(
    "runs",
    metadata,
    Column("id", String, primary_key=True),
    Column("token", String, unique=True),
    Column("name", Text, nullable=False),
    Column("note", Text, nullable=False, default=""),
    Column("experiment", Text, nullable=False),
    Column("seed", Integer, nullable=False),
    Column("state", String, nullable=False),
    Column("step", Text, nullable=False, default=""),
    Column("reason", Text, nullable=False, default=""),
    Column("position", Integer, nullable=False),
    # Set exactly while a worker has the run: whoever writes must name the owner. Without one, a lease reserves the run.
    Column("owner", String),
    Column("lease_until", Moment),
    Column("created", Moment, nullable=False),
    # Since when it waits, or waited: since it was created or continued.
    Column("queued", Moment, nullable=False, server_default="0"),
    Column("started", Moment),
    Column("finished", Moment),
    Column("stop_requested", Boolean, nullable=False, default=False),
    Column("archived", Boolean, nullable=False, default=False),
    Column("progress", Json),
    Column("metrics", Json, nullable=False, default={}),
    Column("seconds", Json, nullable=False, default={}),
    Column("environment", Json, nullable=False, default={}),
    Column("size", BigInteger, nullable=False, default=0),
    # How often an interrupted or stopped run was continued.
    Column("resumed", Integer, nullable=False, default=0, server_default="0"),
    # Who submitted the run; runs of nobody belong to everybody.
    Column("person", Text, nullable=False, default="", server_default=""),
    # One a line.
    Column("tags", Text, nullable=False, default="", server_default=""),
    # Grows with everything that a page could show differently.
    Column("version", Integer, nullable=False, default=0),
    Index("runs_by_state", "state", "position"),
    Index("runs_by_age", "created"),
    Index("runs_by_person", "person", "started"),
    # What a page asks first, and all that it asks when nothing has changed: answered without reading a run.
    Index("runs_by_version", "created", "id", "version"),
)

phases = Table(
    "phases",
    metadata,
    Column("run", String, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("phase", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("val_loss", Number),
    Column("val_accuracy", Number),
    Column("at", Number),
    Column("kept_epoch", BigInteger),
    # The run that trained this phase, where it was not trained again.
    Column("reused_from", String),
    # Whether it was trained on stored features, and why: a sentence.
    Column("features", Text, nullable=False, default="", server_default=""),
    Column("features_seconds", Number, nullable=False, default=0.0, server_default="0"),
    # Whether others had stored those features, so that these seconds are not all that they cost.
    Column("features_of_others", Boolean, nullable=False, default=False, server_default=false()),
)

# Ends of phases that later runs may begin with, by everything that decides them.
checkpoints = Table(
    "checkpoints",
    metadata,
    Column("key", String, primary_key=True),
    Column("run", String, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("phase", Integer, nullable=False),
)

# Which objects of an object store (`cifar_core.runs.artifacts`) are the files of a run, as of one moment.
artifacts = Table(
    "artifacts",
    metadata,
    Column("run", String, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String, primary_key=True),
    Column("hash", String, nullable=False),
    Column("size", BigInteger, nullable=False),
    # When the file was last changed, in nanoseconds since 1970.
    Column("written", BigInteger, nullable=False),
    Index("artifacts_by_name", "name"),
)

# Runs beside each other, under a name.
comparisons = Table(
    "comparisons",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("created", Moment, nullable=False),
    Column("runs", Text, nullable=False),  # ids, with commas between: one that is deleted stays named
    Column("baseline", String, nullable=False),
    Column("view", Json, nullable=False),
)


def _measured(name: str, *columns: Column[Any]) -> Table:
    """A table of what phases measured: deleted with them."""
    return Table(
        name,
        metadata,
        Column("run", String, primary_key=True),
        Column("phase", Integer, primary_key=True, autoincrement=False),
        *columns,
        ForeignKeyConstraint(["run", "phase"], ["phases.run", "phases.phase"], ondelete="CASCADE"),
    )


epochs = _measured(
    "epochs",
    Column("epoch", BigInteger, primary_key=True, autoincrement=False),
    Column("loss", Number, nullable=False),
    Column("accuracy", Number, nullable=False),
    Column("val_loss", Number, nullable=False),
    Column("val_accuracy", Number, nullable=False),
    Column("learning_rate", Number, nullable=False),
    Column("seconds", Number, nullable=False),
    Column("images_per_second", Number, nullable=False),
    Column("images", BigInteger, nullable=False),
    Column("at", Number, nullable=False),
)

points = _measured(
    "points",
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("epoch", Number, nullable=False),
    Column("loss", Number, nullable=False),
    Column("accuracy", Number, nullable=False),
    Column("at", Number, nullable=False),
)

changes = _measured(
    "changes",
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("layer", Text, nullable=False),
    Column("frozen", Boolean, nullable=False),
    Column("change", Number, nullable=False),
    Column("norm", Number, nullable=False),
    Column("statistics", Number),
)
