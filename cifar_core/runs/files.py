"""The files of runs: in a folder each on this machine, and in an object store where there is one."""

import shutil
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select

from cifar_core.experiment.measured import State
from cifar_core.home import artifacts_address
from cifar_core.runs.artifacts import Kept, Objects, Twin, copied
from cifar_core.runs.claims import claimed
from cifar_core.runs.database import Database
from cifar_core.runs.errors import ArtifactsUnusable
from cifar_core.runs.rows import in_parts
from cifar_core.runs.tables import artifacts, runs

_KEPT = select(artifacts.c.name, artifacts.c.hash, artifacts.c.size, artifacts.c.written)


class Files:
    """The files of the runs of a home, in `runs/<id>/`.

    With an address in `TRANSFER_LAB_ARTIFACTS`, several homes share them through an object store
    (`cifar_core.runs.artifacts`): they are on the machine that works on the run, and brought elsewhere when asked for.

    Every method may raise StoreUnusable.
    """

    def __init__(self, home: Path, database: Database):
        self._folder, self._database = home / "runs", database
        address = artifacts_address()
        self._objects = None if address is None else Objects(address)

    def folder(self, run: str) -> Path:
        """Return the folder of the run's files on this machine, for who works on it. It is there from the claim on."""
        return self._folder / run

    def path(self, run: str, name: str) -> Path:
        """Return where a file of the run is, to be read; it is brought here first, if another machine has it.

        Raises:
            ArtifactsUnusable: when it cannot be brought.
        """
        if (twin := self._twin(run)) is not None:
            with self._database.told():
                twin.bring_one(name)
        return self.folder(run) / name

    def written(self, run: str, name: str) -> float | None:
        """Return when a file of the run was changed, in seconds since 1970, wherever it is; None without one."""
        if self._objects is not None and (found := self._kept(run).get(name)) is not None:
            return found.written / 1e9
        try:
            return (self.folder(run) / name).stat().st_mtime
        except OSError:
            return None

    def sizes(self, run: str) -> dict[str, int]:
        """Return the bytes of all files of the run, by name, wherever they are."""
        with self._database.told():
            folder = self.folder(run)
            here = {path.name: path.stat().st_size for path in (folder.iterdir() if folder.exists() else ())}
        return here if self._objects is None else here | {name: each.size for name, each in self._kept(run).items()}

    def runs_with(self, name: str) -> frozenset[str]:
        """Return the runs that have a file of this name in the object store; none where there is no such store."""
        if self._objects is None:
            return frozenset()
        with self._database.reading() as connection:
            return frozenset(connection.execute(select(artifacts.c.run).where(artifacts.c.name == name)).scalars())

    def bring(self, run: str) -> None:
        """Make the run's folder what it was wherever the run was worked on last: for who has claimed it, at first.

        Raises:
            ArtifactsUnusable: when it cannot be brought.
        """
        if (twin := self._twin(run)) is not None:
            with self._database.told():
                twin.bring()

    def keep(self, run: str, owner: str | None, *, last: bool = False) -> bool:
        """Put what has changed in the run's folder into the object store, and return whether there was anything.

        Before the `last` time, logs alone are not worth it. Without an owner, it is news that was left of a run that
        has ended.

        Raises:
            ArtifactsUnusable: when it cannot be put there; what was kept before is still there.
        """
        if (twin := self._twin(run)) is None:
            return False
        with self._database.told():
            if owner is None:
                twin.clear_parts()
                if twin.seen() != self._kept(run):
                    return False  # a newer one was made elsewhere
            if (now := twin.put(logs=last or owner is None)) is None:
                return False
            with twin.held():
                with claimed(self._database, run, owner) as connection:
                    before = _kept(connection, run)
                    if owner is None:
                        now = before | now  # what is not here may have been cleared away
                    connection.execute(delete(artifacts).where(artifacts.c.run == run))
                    connection.execute(insert(artifacts), [{"run": run, **asdict(each)} for each in now.values()])
                twin.see(now)
            twin.forget(before, now)
        return True

    def clear_copies(self) -> None:
        """Remove what this machine has of runs that were deleted, or have ended with other files, elsewhere.

        What is not in the object store, or cannot be removed, stays.
        """
        if self._objects is None:
            return
        twins = {run: twin for run in copied(self._folder) if (twin := self._twin(run)) is not None}
        found: dict[str, State] = {}
        kept: dict[str, dict[str, Kept]] = {run: {} for run in twins}
        with self._database.reading() as connection:
            for part in in_parts(twins):
                states = connection.execute(select(runs.c.id, runs.c.state).where(runs.c.id.in_(part)))
                found |= {row.id: State(row.state) for row in states}
                for row in connection.execute(_KEPT.add_columns(artifacts.c.run).where(artifacts.c.run.in_(part))):
                    kept[row.run][row.name] = Kept(*row[:-1])
        for run, twin in twins.items():
            state = found.get(run)
            is_left = not twin.has_news() if state is None else state.is_finished and twin.is_outdated(kept[run])
            if is_left:
                with suppress(OSError, ArtifactsUnusable), twin.held():
                    if self._has_ended(run):  # still: it may go on here by now
                        shutil.rmtree(twin.folder)

    @property
    def are_shared(self) -> bool:
        """Whether there is an object store."""
        return self._objects is not None

    def check(self) -> None:
        """Do nothing where the object store answers, or there is none."""
        if self._objects is not None:
            self._objects.check()

    def remove(self, run: str) -> None:
        """Remove all files of the run, here and in the object store."""
        if self._objects is not None:
            self._objects.remove(run)
        with self._database.told():
            if self.folder(run).exists():
                shutil.rmtree(self.folder(run))

    def size(self, run: str) -> Any:
        """Return what the run's files take, in bytes; of objects, as a question to the database."""
        if self._objects is not None:
            own = select(func.coalesce(func.sum(artifacts.c.size), 0)).where(artifacts.c.run == run)
            return own.scalar_subquery()
        with self._database.told():
            return sum(path.stat().st_size for path in self.folder(run).rglob("*") if path.is_file())

    def _has_ended(self, run: str) -> bool:
        with self._database.reading() as connection:
            state = connection.execute(select(runs.c.state).where(runs.c.id == run)).scalar_one_or_none()
        return state is None or State(state).is_finished

    def _twin(self, run: str) -> Twin | None:
        if self._objects is None:
            return None
        return Twin(self._objects, self.folder(run), lambda: self._kept(run))

    def _kept(self, run: str) -> dict[str, Kept]:
        with self._database.reading() as connection:
            return _kept(connection, run)


def _kept(connection: Connection, run: str) -> dict[str, Kept]:
    """Which objects are the run's files, by name."""
    found = connection.execute(_KEPT.where(artifacts.c.run == run))
    return {row.name: Kept(*row) for row in found}
