"""Random streams that depend on nothing but their address.

Every draw of a run is addressed by (seed, purpose, phase, epoch, …), never by what was drawn before. So a run that
was resumed, one that reuses an earlier phase, and an undisturbed one draw the same numbers.
"""

import zlib

import numpy as np


def stream(seed: int, purpose: str, *address: int) -> int:
    """Return the start of a random stream: a whole number from 0 to 2**31 - 1."""
    words = np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), *address]).generate_state(1)
    return int(words[0] & 0x7FFFFFFF)
