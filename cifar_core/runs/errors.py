"""What can go wrong with stored runs. Every message is for a person: what happened and what to do.

StoreError
├── UnknownRun      no run has this id
├── NotFinished     only a finished run can be deleted
├── NotResumable    only a run that ended before its end can go on
├── TooManyRuns     one person has as many runs waiting and working as this server allows
├── ClaimLost       the run is no longer the writer's: finished, or taken for interrupted
└── StoreUnusable   the store cannot be read or written: damaged, locked, no room, no permission, newer
    └── ArtifactsUnusable   the object store that files of runs go through cannot be: silent, no permission, no package
"""

from collections.abc import Iterable

from cifar_core.experiment.measured import State
from cifar_core.experiment.record import nearest


class StoreError(Exception):
    """Anything about stored runs that a person can be told; `str(error)` is the sentence."""


class UnknownRun(StoreError):  # noqa: N818 - says what has happened
    """No run has this id."""

    def __init__(self, run: str, known: Iterable[str]):
        super().__init__(f'There is no run "{run}"; it may have been deleted.{nearest(run, known)}')


class NotFinished(StoreError):  # noqa: N818 - says what has happened
    """Only a finished run can be deleted."""

    def __init__(self, run: str, state: State):
        super().__init__(f'The run "{run}" is {state.value}; stop it before deleting it.')


class NotResumable(StoreError):  # noqa: N818 - says what has happened
    """Only a run that ended before its end can go on."""

    def __init__(self, run: str, state: State):
        super().__init__(f'The run "{run}" is {state.value}; only one that ended before its end can go on.')


class TooManyRuns(StoreError):  # noqa: N818 - says what has happened
    """One person has as many runs waiting and working as this server allows."""

    def __init__(self, unfinished: int, more: int, most: int):
        super().__init__(
            f"This server takes {most} waiting and working runs per person, and you have {unfinished}: {more} more "
            "do not fit. Start fewer, cancel some, or wait until some have ended."
        )


class ClaimLost(StoreError):  # noqa: N818 - says what has happened
    """The run is no longer the writer's."""

    def __init__(self, run: str):
        super().__init__(
            f'The run "{run}" is no longer this worker\'s: it has ended, or was taken for interrupted. '
            "Nothing more can be written to it."
        )


class StoreUnusable(StoreError):  # noqa: N818 - says what has happened
    """The store cannot be read or written."""


class ArtifactsUnusable(StoreUnusable):
    """The object store that files of runs go through cannot be read or written."""
