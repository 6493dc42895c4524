"""Keeps a server from growing: garbage is collected soon, and the memory that it leaves goes back to the system.

Streamlit would collect after each run of a page, which costs more than the run and is switched off. Python by itself
waits until a quarter of all objects is new: what lives longer comes to lie scattered among the dead, and holds the
memory between. What lasts as long as the server, as modules do, is left out of the search.
"""

import asyncio
import ctypes
import gc
import platform
from collections.abc import Iterator
from contextlib import contextmanager

_SECONDS = 60.0


@contextmanager
def lasting() -> Iterator[None]:
    """Import what is needed to the end: nobody looks for garbage meanwhile, nor later among what is there by then."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


async def keep_small(seconds: float = _SECONDS) -> None:
    """Tidy up every so many seconds, for ever."""
    glibc = ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None  # others have no such function
    while True:
        await asyncio.sleep(seconds)
        gc.collect()
        if glibc is not None:
            glibc.malloc_trim(0)
