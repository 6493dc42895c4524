"""What is given, and what must not answer it."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Input:
    """A bad input: giving it returns the sentence with which it was refused, or None where it was usable.

    In an answer the pattern `named` is found, which says what names the field or the file.
    """

    give: Callable[[], str | None]
    named: str
    shown: str


class LastResortError(Exception):
    """Something that was prepared for what nobody expected has answered."""
