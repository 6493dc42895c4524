"""A server collects its garbage soon."""

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from cifar_core.memory import keep_small, lasting

PATIENCE_SECONDS = 30.0


class _Cycle:
    def __init__(self) -> None:
        self.myself = self


@pytest.fixture
def only_when_asked() -> Iterator[None]:
    """Python does not collect garbage by itself."""
    gc.disable()
    yield
    gc.enable()


def test_what_visitors_leave_behind_is_collected_soon(only_when_asked: None) -> None:
    garbage = weakref.ref(_Cycle())
    assert garbage() is not None

    async def serve() -> None:
        tidying = asyncio.create_task(keep_small(0.001))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while garbage() is not None:
                await asyncio.sleep(0.001)
        tidying.cancel()

    asyncio.run(serve())


def test_what_lasts_is_left_out_of_the_search_for_garbage() -> None:
    frozen = gc.get_freeze_count()
    with lasting():
        assert not gc.isenabled()
        made = _Cycle()
    assert gc.isenabled()
    assert gc.get_freeze_count() > frozen
    assert not any(each is made for each in gc.get_objects())
