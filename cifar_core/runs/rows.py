"""Rows of the store, as the plain data that is handed out."""

import logging
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import fields, replace
from functools import lru_cache
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, Table, func, select

from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.measured import Before, Epoch, LayerChange, PhaseHistory, Point, Progress, Run, State
from cifar_core.experiment.record import ExperimentError
from cifar_core.runs.tables import changes, epochs, phases, points

_T = TypeVar("_T", Point, LayerChange)
_LOG = logging.getLogger(__name__)
# Of all that SQLite has ever been built with, the least is 999.
_VALUES_IN_A_QUESTION = 900


@lru_cache(maxsize=16_384)
def _experiment(text: str) -> Experiment | None:
    """The experiment, or None (logged once) when it was written by a version that knew other experiments."""
    try:
        return Experiment.parse_json(text)
    except ExperimentError as error:
        _LOG.warning("A stored experiment cannot be read: %s", error)
        return None


def unreadable(run: str) -> str:
    """Say that a run's experiment cannot be read, and what to do."""
    return (
        f'The experiment of the run "{run}" was written by another version of Transfer Lab, and this one cannot '
        "read it. Update Transfer Lab to see it."
    )


def read_run(row: Row[Any]) -> Run | None:
    """Return the run, or None when its experiment was written by a version that knew other ones."""
    experiment = _experiment(row.experiment)
    if experiment is None:
        return None
    return Run(
        id=row.id,
        name=row.name,
        experiment=experiment,
        seed=row.seed,
        state=State(row.state),
        created=row.created,
        queued=row.queued,
        note=row.note,
        step=row.step,
        reason=row.reason,
        started=row.started,
        finished=row.finished,
        stop_requested=row.stop_requested,
        archived=row.archived,
        progress=None if row.progress is None else Progress(**row.progress),
        metrics=row.metrics,
        seconds=row.seconds,
        environment=row.environment,
        resumed=row.resumed,
        size=row.size,
        person=row.person,
        version=row.version,
        tags=tuple(row.tags.splitlines()),
    )


def read_history(connection: Connection, run: str, most_points: int | None = None) -> tuple[PhaseHistory, ...]:
    """Return what each begun phase has measured, with at most `most_points` of the run (see `Store.history`)."""
    chosen = {} if most_points is None else _thinned(connection, run, most_points)
    return tuple(
        replace(
            phase,
            points=_measured(connection, points, Point, run, phase.index, *chosen.get(phase.index, ())),
            changes=_measured(connection, changes, LayerChange, run, phase.index),
        )
        for phase in read_epochs(connection, [run])[run]
    )


def in_parts(ids: Iterable[str]) -> Iterator[list[str]]:
    """Divide ids, each once, into lists that a question may name."""
    each_once = iter(dict.fromkeys(ids))
    while part := list(islice(each_once, _VALUES_IN_A_QUESTION)):
        yield part


def read_epochs(connection: Connection, ids: Iterable[str]) -> dict[str, tuple[PhaseHistory, ...]]:
    """Return, for each run, what its begun phases have measured by epoch: without points and changes."""
    return {run: phases for part in in_parts(ids) for run, phases in _read_epochs(connection, part).items()}


def _read_epochs(connection: Connection, ids: list[str]) -> dict[str, tuple[PhaseHistory, ...]]:
    measured: dict[tuple[str, int], list[Epoch]] = defaultdict(list)
    columns = [epochs.c[field.name] for field in fields(Epoch)]
    every = select(epochs.c.run, epochs.c.phase, *columns).where(epochs.c.run.in_(ids)).order_by(*epochs.primary_key)
    for run, phase, *values in connection.execute(every):
        measured[run, phase].append(Epoch(*values))
    found: dict[str, list[PhaseHistory]] = {run: [] for run in ids}
    begun = select(phases).where(phases.c.run.in_(ids)).order_by(*phases.primary_key)
    for row in connection.execute(begun):
        found[row.run].append(
            PhaseHistory(
                row.phase,
                row.name,
                before=None if row.at is None else Before(row.val_loss, row.val_accuracy, row.at),
                epochs=tuple(measured[row.run, row.phase]),
                kept_epoch=row.kept_epoch,
                reused_from=row.reused_from,
                features=row.features,
                features_seconds=row.features_seconds,
                features_of_others=row.features_of_others,
            )
        )
    return {run: tuple(histories) for run, histories in found.items()}


def _thinned(connection: Connection, run: str, most: int) -> dict[int, tuple[ColumnElement[bool]]]:
    """Return which points of each phase to read: the first and the last, and between them every n-th.

    Counted from the first, so that what has been drawn stays where it is until n grows.
    """
    lengths = select(points.c.phase, func.max(points.c.number)).where(points.c.run == run).group_by(points.c.phase)
    numbers: dict[int, int] = {phase: last for phase, last in connection.execute(lengths)}
    every = math.ceil(sum(numbers.values()) / max(1, most - 2 * len(numbers)))
    if every < 2:
        return {}
    return {phase: ((points.c.number % every == 1) | (points.c.number == last),) for phase, last in numbers.items()}


def _measured(
    connection: Connection, table: Table, kind: type[_T], run: str, phase: int, *chosen: ColumnElement[bool]
) -> tuple[_T, ...]:
    """Everything chosen of a kind that one phase measured, in order. Columns are named as the kind's fields."""
    columns = [table.c[field.name] for field in fields(kind)]
    own = (table.c.run == run) & (table.c.phase == phase)
    order = list(table.primary_key)
    return tuple(kind(*row) for row in connection.execute(select(*columns).where(own, *chosen).order_by(*order)))
