"""Where runs are kept: the queue, who has claimed what, and everything that was measured.

A run is claimed by one conditional UPDATE, with an owner and a lease; whoever writes names the owner. So any
number of supervisors may share a store: nothing runs twice, and only an expired lease makes a run interrupted.
"""

import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Double, Row, Select, Table, case, delete, func, insert, literal, or_, select, update

from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.measured import (
    Before,
    Comparison,
    Epoch,
    LayerChange,
    PhaseHistory,
    Point,
    Progress,
    Run,
    State,
)
from cifar_core.runs.claims import claimed
from cifar_core.runs.database import Database
from cifar_core.runs.errors import NotFinished, NotResumable, StoreUnusable, TooManyRuns, UnknownRun
from cifar_core.runs.files import Files
from cifar_core.runs.rows import in_parts, read_epochs, read_history, read_run, unreadable
from cifar_core.runs.tables import changes, checkpoints, comparisons, epochs, phases, points, runs

LEASE_SECONDS = 6.0

_INTERRUPTED = case((runs.c.stop_requested, State.STOPPED.value), else_=State.INTERRUPTED.value)
_RELEASED: dict[str, Any] = {"owner": None, "lease_until": None, "step": ""}
_ID_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that reads like something else


class Store:
    """The runs of one home folder: a database (`cifar_core.runs.database`), and `files` (`cifar_core.runs.files`).

    May be used from many threads and processes at once. What it hands out is plain immutable data; each write is
    one committed transaction. Every method may raise StoreUnusable; those that take a run's id raise UnknownRun,
    and those that also take an owner raise ClaimLost instead, once the run is not the owner's (any more).
    """

    def __init__(self, home: Path):
        self.home = home
        self._database = Database(home)
        self.files = Files(home, self._database)

    def close(self) -> None:
        """Close the file; using the store again opens it again."""
        self._database.close()

    # --- the queue and its claims

    def submit(
        self,
        experiment: Experiment,
        seed: int,
        name: str,
        *,
        token: str | None = None,
        person: str = "",
        most: int | None = None,
        reserved: float = 0.0,
    ) -> str:
        """Queue a run behind the person's others and return its id; a token used before returns the run it made then.

        For `reserved` seconds it can only be claimed by its id.

        Raises:
            TooManyRuns: and nothing is queued, when more than `most` of the person's runs would wait and work.
        """
        run, now = _new_id(), _now()
        with self._database.writing() as connection:
            connection.execute(
                self._database.insert(runs)
                .values(
                    id=run,
                    token=token,
                    name=name,
                    experiment=experiment.to_json(),
                    seed=seed,
                    state=State.QUEUED,
                    position=select(func.coalesce(func.max(runs.c.position), 0) + 1).scalar_subquery(),
                    created=now,
                    queued=now,
                    lease_until=self._database.now() + reserved,
                    person=person,
                )
                .on_conflict_do_nothing(index_elements=["token"])
            )
            _refuse_too_many(connection, person, most)
            if token is not None:
                run = connection.execute(select(runs.c.id).where(runs.c.token == token)).scalar_one()
        return run

    def claim(self, owner: str, *, run: str | None = None, lease: float = LEASE_SECONDS) -> Run | None:
        """Make the first of `queue` (or exactly `run`, if it is queued) the owner's for `lease` seconds.

        None when there is nothing to claim. An `owner` should be used for one claim only, so that a worker of an
        earlier claim is told apart. The run's folder exists afterwards.
        """
        free = or_(runs.c.lease_until.is_(None), runs.c.lease_until <= self._database.now())
        first = _in_turn(select(runs.c.id).where(free)).limit(1)
        claim = (
            update(runs)
            .where(runs.c.state == State.QUEUED, runs.c.id == (run or first.scalar_subquery()))
            .values(
                state=State.PREPARING,
                owner=owner,
                lease_until=self._database.now() + lease,
                started=_now(),
                version=runs.c.version + 1,
            )
            .returning(runs)
        )
        with self._database.writing() as connection:
            row = connection.execute(claim).one_or_none()
            if row is None:
                return None
            self.files.folder(row.id).mkdir(parents=True, exist_ok=True)
        claimed = read_run(row)
        if claimed is None:
            self.finish(row.id, owner, State.FAILED, reason=unreadable(row.id))
        return claimed

    def renew(self, run: str, owner: str, *, lease: float = LEASE_SECONDS) -> bool:
        """Prolong the claim to `lease` seconds from now. False: the claim is lost."""
        renewal = update(runs).where(runs.c.id == run, runs.c.owner == owner)
        with self._database.writing() as connection:
            return bool(connection.execute(renewal.values(lease_until=self._database.now() + lease)).rowcount)

    def is_claimed(self, run: str, owner: str, *, overdue: float = 0.0) -> bool:
        """Whether the run is the owner's, and the lease has not expired, or not for longer than `overdue` seconds."""
        mine = select(runs.c.id).where(runs.c.id == run, runs.c.owner == owner)
        with self._database.reading() as connection:
            lasting = runs.c.lease_until >= self._database.now() - overdue
            return connection.execute(mine.where(lasting)).first() is not None

    def reprieve(self, *, lease: float = LEASE_SECONDS) -> None:
        """Prolong expired claims once more, after a time in which nobody could: their owners may be alive."""
        overdue = update(runs).where(runs.c.owner.is_not(None), runs.c.lease_until < self._database.now())
        with self._database.writing() as connection:
            connection.execute(overdue.values(lease_until=self._database.now() + lease))

    def reconcile(self) -> list[str]:
        """Make runs whose lease has expired interrupted, or stopped where that was asked for, and return their ids."""
        # By the time of asking: who waits for a turn to write, or for an answer, makes those wait who would renew.
        began = time.time()
        with self._database.reading() as connection:
            now = connection.execute(select(self._database.now())).scalar_one()
        asked = now - max(0.0, time.time() - began)
        overdue = (
            update(runs)
            .where(runs.c.owner.is_not(None), runs.c.lease_until < literal(asked, Double))
            .values(
                state=_INTERRUPTED,
                reason="The program that ran it stopped without a word: it was closed or crashed, or the computer "
                "was switched off or slept. Everything measured until then is kept.",
                finished=runs.c.lease_until,
                version=runs.c.version + 1,
                **_RELEASED,
            )
            .returning(runs.c.id)
        )
        with self._database.writing() as connection:
            left = [str(run) for run in connection.execute(overdue).scalars()]
            for run in left:
                connection.execute(update(runs).where(runs.c.id == run).values(size=self.files.size(run)))
        return left

    # --- what a worker writes

    def set_state(self, run: str, owner: str, state: State, step: str = "") -> None:
        """Set an active state, and in words what the run is doing. Ends are written by `finish`."""
        if not state.is_active:
            raise ValueError(f"set_state takes an active state, received {state.value}")
        self._write(run, owner, state=state, step=step)

    def set_progress(self, run: str, owner: str, progress: Progress) -> None:
        """Set how far the run has come."""
        self._write(run, owner, progress=asdict(progress))

    def set_environment(self, run: str, owner: str, environment: Mapping[str, Any]) -> None:
        """Set hardware, versions and provenance: plain data that JSON can hold."""
        self._write(run, owner, environment=dict(environment))

    def begin_phase(self, run: str, owner: str, index: int, name: str) -> None:
        """Begin the phase with this index, counted from 0. Everything measured belongs to a begun phase.

        A phase that was begun before the run was resumed goes on.
        """
        with claimed(self._database, run, owner) as connection:
            begun = self._database.insert(phases).values(run=run, phase=index, name=name)
            connection.execute(begun.on_conflict_do_nothing())

    def rewind(self, run: str, owner: str, phase: int, epoch: int) -> None:
        """Forget what was measured behind an epoch of a phase, so that the run can be continued from there.

        Finished epochs stay until they are measured again, which gives the same numbers.
        """
        with claimed(self._database, run, owner) as connection:
            connection.execute(delete(phases).where(phases.c.run == run, phases.c.phase > phase))
            within = (points.c.run == run) & (points.c.phase == phase)
            connection.execute(delete(points).where(within, points.c.epoch > epoch))
            connection.execute(delete(changes).where(changes.c.run == run, changes.c.phase == phase))

    def record_checkpoint(self, run: str, owner: str, phase: int, key: str) -> None:
        """Offer the end of the run's phase to later runs that begin alike."""
        with claimed(self._database, run, owner) as connection:
            offered = self._database.insert(checkpoints).values(key=key, run=run, phase=phase)
            connection.execute(offered.on_conflict_do_nothing())

    def checkpoint(self, key: str) -> tuple[str, int] | None:
        """Return the run and the phase that a checkpoint stands for, or None."""
        with self._database.reading() as connection:
            row = connection.execute(select(checkpoints.c.run, checkpoints.c.phase).where(checkpoints.c.key == key))
            found = row.one_or_none()
        return None if found is None else (found.run, found.phase)

    def reuse(self, run: str, owner: str, source: str, last_phase: int) -> None:
        """Take over what another run measured in its phases up to one, saying whose it is.

        Raises:
            UnknownRun: when the other run has been deleted.
        """
        with claimed(self._database, run, owner) as connection:
            self._state(connection, source)
            for table in (phases, epochs, points, changes):
                own = (table.c.run == source) & (table.c.phase <= last_phase)
                rows = [{**row, "run": run} for row in connection.execute(select(table).where(own)).mappings()]
                if table is phases:
                    rows = [row | {"reused_from": row["reused_from"] or source} for row in rows]
                if rows:
                    connection.execute(self._database.insert(table).on_conflict_do_nothing(), rows)

    def record_features(
        self, run: str, owner: str, phase: int, sentence: str, seconds: float, *, of_others: bool = False
    ) -> None:
        """Set whether the phase trains on stored features, and why, and the seconds it took to have them.

        `of_others`: others had stored them, or some.
        """
        with claimed(self._database, run, owner) as connection:
            mine = update(phases).where(phases.c.run == run, phases.c.phase == phase)
            connection.execute(mine.values(features=sentence, features_seconds=seconds, features_of_others=of_others))

    def record_before(self, run: str, owner: str, phase: int, before: Before) -> None:
        """Set the phase's validation before any step."""
        with claimed(self._database, run, owner) as connection:
            connection.execute(
                update(phases).where(phases.c.run == run, phases.c.phase == phase).values(**asdict(before))
            )

    def add_points(self, run: str, owner: str, phase: int, new: Sequence[Point]) -> None:
        """Add points of the phase's training curve, in order."""
        self._append(points, run, owner, phase, new)

    def add_epoch(self, run: str, owner: str, phase: int, epoch: Epoch) -> None:
        """Add a finished epoch of the phase."""
        with claimed(self._database, run, owner) as connection:
            measured = self._database.insert(epochs).values(run=run, phase=phase, **asdict(epoch))
            keys = ["run", "phase", "epoch"]
            connection.execute(measured.on_conflict_do_update(index_elements=keys, set_=asdict(epoch)))

    def record_changes(self, run: str, owner: str, phase: int, new: Sequence[LayerChange]) -> None:
        """Set how far the phase moved its layers, in the network's order."""
        self._append(changes, run, owner, phase, new, instead=True)

    def record_kept(self, run: str, owner: str, phase: int, epoch: int) -> None:
        """Set the epoch whose weights the phase ended with."""
        with claimed(self._database, run, owner) as connection:
            mine = update(phases).where(phases.c.run == run, phases.c.phase == phase)
            connection.execute(mine.values(kept_epoch=epoch))

    def finish(
        self,
        run: str,
        owner: str,
        state: State,
        *,
        reason: str = "",
        metrics: Mapping[str, Mapping[str, Any]] | None = None,
        seconds: Mapping[str, float] | None = None,
    ) -> None:
        """End the run, release the claim, and record what its artifacts take.

        One that is interrupted while it is asked to stop has stopped: it must not go on by itself.
        """
        if not state.is_finished:
            raise ValueError(f"finish takes the state of a finished run, received {state.value}")
        measured: dict[str, Any] = {}
        if metrics is not None:
            measured["metrics"] = {name: dict(values) for name, values in metrics.items()}
        if seconds is not None:
            measured["seconds"] = dict(seconds)
        self._write(
            run,
            owner,
            state=_INTERRUPTED if state is State.INTERRUPTED else state,
            reason=reason,
            finished=_now(),
            size=self.files.size(run),
            **measured,
            **_RELEASED,
        )

    # --- what people do

    def request_stop(self, run: str) -> None:
        """Ask an active run to stop, and stop a queued one at once. A finished one stays as it is."""
        with self._database.writing() as connection:
            match self._state(connection, run):
                case State.QUEUED:
                    stopped = {"state": State.STOPPED, "finished": _now()}
                    again = self._known(connection, run, runs.c.resumed)[0]
                    reason = f"Cancelled before it {'went on' if again else 'started'}."
                    _update(connection, run, reason=reason, **stopped)
                case state if state.is_active:
                    _update(connection, run, stop_requested=True)

    def resume(self, run: str, *, most: int | None = None, reserved: float = 0.0) -> None:
        """Queue a run that ended before its end again; it goes on from its last finished epoch.

        For `reserved` seconds it can only be claimed by its id.

        Raises:
            NotResumable: for a run in another state.
            TooManyRuns: and nothing is queued, when more than `most` of its person's runs would wait and work.
        """
        with self._database.writing() as connection:
            person = self._known(connection, run, runs.c.person)[0]
            state = self._state(connection, run)
            if not state.can_go_on:
                raise NotResumable(run, state)
            last = select(func.coalesce(func.max(runs.c.position), 0) + 1).scalar_subquery()
            again = {"state": State.QUEUED, "queued": _now(), "reason": "", "finished": None, "stop_requested": False}
            until = self._database.now() + reserved
            _update(connection, run, **again, position=last, resumed=runs.c.resumed + 1, lease_until=until)
            _refuse_too_many(connection, person, most)

    def stop_requested(self, run: str) -> bool:
        """Whether somebody asked the run to stop."""
        with self._database.reading() as connection:
            return bool(self._known(connection, run, runs.c.stop_requested)[0])

    def move(self, run: str, before: str | None) -> bool:
        """Put a queued run right before another queued one of the same person, or last of that person's.

        False, and nothing changes, when one of them has left the queue meanwhile, or belongs to somebody else.
        """
        with self._database.writing() as connection:
            for named in filter(None, (run, before)):
                self._state(connection, named)
            person = select(runs.c.person).where(runs.c.id == run).scalar_subquery()
            own = select(runs.c.id, runs.c.position).where(runs.c.state == State.QUEUED, runs.c.person == person)
            places = {each.id: each.position for each in connection.execute(own.order_by(runs.c.position))}
            queue = list(places)
            if run not in queue or (before is not None and before not in queue):
                return False
            if run != before:
                queue.remove(run)
                queue.insert(len(queue) if before is None else queue.index(before), run)
            for position, queued in zip(places.values(), queue, strict=True):
                _update(connection, queued, position=position)
        return True

    def rename(self, run: str, name: str) -> None:
        """Give the run another name."""
        self._change(run, name=name)

    def set_note(self, run: str, note: str) -> None:
        """Set the run's note."""
        self._change(run, note=note)

    def set_tags(self, run: str, tags: Iterable[str]) -> None:
        """Set the run's tags: each once, without spaces around it."""
        self._change(run, tags="\n".join(dict.fromkeys(filter(None, (" ".join(tag.split()) for tag in tags)))))

    def archive(self, run: str, archived: bool = True) -> None:
        """Put the run away, or get it back."""
        self._change(run, archived=archived)

    def delete(self, run: str) -> None:
        """Delete a finished run for good, with its artifacts.

        Raises:
            NotFinished: for a run that waits or works.
        """
        with self._database.reading() as connection:
            state = self._state(connection, run)
        if not state.is_finished:
            raise NotFinished(run, state)
        # Files first: should that fail, the run is still listed and can be deleted again.
        self.files.remove(run)
        with self._database.writing() as connection:
            connection.execute(delete(runs).where(runs.c.id == run))

    def keep_comparison(
        self,
        name: str,
        runs: Sequence[str],
        baseline: str,
        *,
        note: str = "",
        view: Mapping[str, Any] | None = None,
        instead_of: str | None = None,
    ) -> str:
        """Keep a comparison under a name, in place of another or as a new one, and return its id."""
        comparison = instead_of or _new_id()
        kept = {"name": name, "note": note, "runs": ",".join(runs), "baseline": baseline, "view": dict(view or {})}
        with self._database.writing() as connection:
            row = self._database.insert(comparisons).values(id=comparison, created=_now(), **kept)
            connection.execute(row.on_conflict_do_update(index_elements=["id"], set_=kept))
        return comparison

    def delete_comparison(self, comparison: str) -> None:
        """Forget a comparison; its runs stay."""
        with self._database.writing() as connection:
            connection.execute(delete(comparisons).where(comparisons.c.id == comparison))

    # --- what pages read

    def comparisons(self) -> list[Comparison]:
        """Return the comparisons that have a name, the newest first."""
        with self._database.reading() as connection:
            rows = connection.execute(select(comparisons).order_by(comparisons.c.created.desc())).mappings().all()
        return [Comparison(**{**row, "runs": tuple(row["runs"].split(","))}) for row in rows]

    def run(self, run: str) -> Run:
        """Return the run as it stands now."""
        with self._database.reading() as connection:
            row = self._known(connection, run, runs)
        found = read_run(row)
        if found is None:
            raise StoreUnusable(unreadable(run))
        return found

    def runs(
        self,
        *,
        archived: bool = False,
        limit: int | None = None,
        states: Iterable[State] | None = None,
        ids: Iterable[str] | None = None,
    ) -> list[Run]:
        """Return runs, the newest first; those put away only with `archived`.

        Runs of another version, whose experiment this one cannot read, are left out (and logged).
        """
        query = select(runs).order_by(runs.c.created.desc()).limit(limit)
        if not archived:
            query = query.where(~runs.c.archived)
        if states is not None:
            query = query.where(runs.c.state.in_(list(states)))
        with self._database.reading() as connection:
            if ids is None:
                rows = list(connection.execute(query))
            else:
                parts = [connection.execute(query.where(runs.c.id.in_(part))) for part in in_parts(ids)]
                rows = sorted(chain(*parts), key=lambda row: row.created, reverse=True)[:limit]
        return [run for row in rows if (run := read_run(row)) is not None]

    def queue(self) -> list[Run]:
        """Return the queued runs in the order in which they will be claimed.

        People take turns: one run of each, beginning with whoever's latest run started longest ago; then the next of
        each. A person's own runs are in the order of `submit` and `move`.
        """
        with self._database.reading() as connection:
            rows = connection.execute(_in_turn(select(runs))).all()
        return [run for row in rows if (run := read_run(row)) is not None]

    def versions(self) -> dict[str, int]:
        """Return the `version` of every run by its id, the newest first: what to look at to read only what changed."""
        with self._database.reading() as connection:
            found = connection.execute(select(runs.c.id, runs.c.version).order_by(runs.c.created.desc()))
            return {run: version for run, version in found}

    def version(self, run: str) -> int:
        """Return a number that grows whenever anything that `run` or `history` returns has changed."""
        with self._database.reading() as connection:
            return int(self._known(connection, run, runs.c.version)[0])

    def history(self, run: str, *, points: int | None = None) -> tuple[PhaseHistory, ...]:
        """Return everything that the run's phases have measured so far, all of it from the same moment.

        A run with more than `points` points comes with the first and the last of each phase and, between them, every
        second, third … one, as it was measured: for drawing, since an hour's points cost more than all the rest.
        """
        with self._database.reading() as connection:
            self._state(connection, run)
            return read_history(connection, run, points)

    def epochs(self, ids: Sequence[str]) -> dict[str, tuple[PhaseHistory, ...]]:
        """Return what `history` does of many runs at once, without points and changes; nothing of unknown ones."""
        with self._database.reading() as connection:
            return read_epochs(connection, ids)

    # --- how it is done

    def _write(self, run: str, owner: str, /, **values: Any) -> None:
        with claimed(self._database, run, owner, **values):
            pass

    def _append(
        self,
        table: Table,
        run: str,
        owner: str,
        phase: int,
        new: Sequence[Point | LayerChange],
        *,
        instead: bool = False,
    ) -> None:
        with claimed(self._database, run, owner) as connection:
            own = (table.c.run == run) & (table.c.phase == phase)
            if instead:
                connection.execute(delete(table).where(own))
            last = connection.execute(select(func.coalesce(func.max(table.c.number), 0)).where(own)).scalar_one()
            rows = [
                {"run": run, "phase": phase, "number": number, **asdict(one)}
                for number, one in enumerate(new, last + 1)
            ]
            if rows:
                connection.execute(insert(table), rows)

    def _change(self, run: str, **values: Any) -> None:
        with self._database.writing() as connection:
            self._state(connection, run)
            _update(connection, run, **values)

    def _state(self, connection: Connection, run: str) -> State:
        return State(self._known(connection, run, runs.c.state)[0])

    def _known(self, connection: Connection, run: str, *columns: Any) -> Row[Any]:
        row = connection.execute(select(*columns).where(runs.c.id == run)).one_or_none()
        if row is None:
            raise UnknownRun(run, connection.execute(select(runs.c.id)).scalars())
        return row


def _in_turn(query: Select[Any]) -> Select[Any]:
    """The queued runs of a query in their order, which claims follow, too."""
    others = runs.alias()
    served = select(func.max(others.c.started)).where(others.c.person == runs.c.person)
    turn = func.row_number().over(partition_by=runs.c.person, order_by=runs.c.position)
    first = func.min(runs.c.position).over(partition_by=runs.c.person)  # between people who were never served
    order = turn, served.scalar_subquery().correlate(runs).nulls_first(), first
    return query.where(runs.c.state == State.QUEUED).order_by(*order).correlate(None)


def _refuse_too_many(connection: Connection, person: str, most: int | None) -> None:
    """Undo the transaction where it has given a person more unfinished runs than `most`. Nobody's are not counted."""
    if most is None or not person:
        return
    own = (runs.c.person == person) & runs.c.state.in_([state for state in State if not state.is_finished])
    unfinished = connection.execute(select(func.count()).select_from(runs).where(own)).scalar_one()
    if unfinished > most:
        raise TooManyRuns(unfinished - 1, 1, most)


def _new_id() -> str:
    return "".join(secrets.choice(_ID_ALPHABET) for _ in range(8))


def _now() -> datetime:
    return datetime.now(UTC)


def _update(connection: Connection, run: str, **values: Any) -> None:
    connection.execute(update(runs).where(runs.c.id == run).values(version=runs.c.version + 1, **values))
