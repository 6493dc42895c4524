"""Values, texts and bytes that nobody means."""

import copy
import json
import random
import string
from functools import cache
from typing import Any

from cifar_core.experiment.recipes import RECIPES
from cifar_core.experiment.record import Record

NASTY = (
    "", " ", "\0", "\x1b[31m", "\ud800", "\u202e", "٣", "１２", "1e9999", "-1", "0", "nan", "NaN", "null", "[]", "{}",
    "-", "--help", "../../etc/passwd", "/dev/zero", "/dev/stdin", "~nobody-here/x", "~", "/proc/self/mem", "C:\\con",
    "a\nb",
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "**b** [l](javascript:alert(1)) $x^2$ :red[r]", "%s%n",
    "${jndi:ldap://x}", "{0.__class__}", "'; DROP TABLE runs; --", "é" * 200, "🧨" * 50, "x" * 5000, "9" * 5000,
    "=cmd|' /C calc'!A0", "\ufeff", "true", "a=b=c", ",,,,", "....", "__class__", "phases.0", "0.0.0.0", "1,2,3,,",
)  # fmt: skip


def some_value(draws: random.Random, depth: int = 0) -> Any:
    """A value of any type that JSON, as Python reads it, has."""
    match draws.randrange(12 if depth < 3 else 9):
        case 0:
            return None
        case 1:
            return draws.choice((True, False))
        case 2:
            return draws.choice((-1, 0, 1, 7, 255, 2**31, 2**63, -(2**63) - 1, 10**30, 10**400))
        case 3:
            return draws.choice((0.5, -0.0, 1e308, 5e-324, -1e308, float("nan"), float("inf"), float("-inf"), 3.0))
        case 4 | 5 | 6:
            return draws.choice(NASTY)
        case 7:
            return "".join(draws.choice(string.printable) for _ in range(draws.randrange(40)))
        case 8:
            return draws.choice(([], {}, [[]], [None], {"": None}, {"kind": "conv"}, {"kind": []}, [1, 1, 1]))
        case 9:
            return [some_value(draws, depth + 1) for _ in range(draws.randrange(5))]
        case 10:
            return {str(some_value(draws, 3))[:50]: some_value(draws, depth + 1) for _ in range(draws.randrange(4))}
        case _:
            nested: Any = draws.choice((1, "x", None))
            for _ in range(draws.choice((5, 100, 200))):  # deeper ones are written as text
                nested = [nested]
            return nested


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything in a document."""
    found = [path] if path else []
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return found + [place for key, entry in entries for place in places(entry, (*path, key))]


@cache
def recipes() -> list[Any]:
    return [json.loads(recipe.experiment.to_json()) for recipe in RECIPES.values()]


@cache
def field_pattern() -> str:
    """What names a field of an experiment: its path at the beginning of a line, or that there is none like it."""

    def below(kind: type[Record]) -> list[type[Record]]:
        return [each for own in kind.__subclasses__() for each in (own, *below(own))]

    known = "|".join({name for kind in below(Record) for name in kind.model_fields})
    return rf"(?m)^(experiment|seed|({known})(\..*)?)(: | is a single value)|there is no field "


def mangled(draws: random.Random, document: Any) -> Any:
    """A document with one to three places changed."""
    changed = copy.deepcopy(document)
    for _ in range(draws.choice((1, 1, 1, 2, 3))):
        *parents, last = draws.choice(places(changed))
        inner = changed
        for key in parents:
            inner = inner[key]
        match draws.randrange(8):
            case 0 if isinstance(inner, dict):
                del inner[last]
            case 1 if isinstance(inner, dict):
                inner[draws.choice(NASTY)] = some_value(draws)
            case 2 if isinstance(inner, list):
                inner *= draws.choice((0, 2, 50))
                if not inner:
                    inner.append(some_value(draws))
            case _:
                inner[last] = some_value(draws)
        if not places(changed):
            break
    return changed


def damaged(draws: random.Random, content: bytes) -> bytes:
    """Content with bytes flipped, cut out, repeated, cut off or put in."""
    changed = bytearray(content)
    for _ in range(draws.choice((1, 1, 2, 5, 20))):
        at = draws.randrange(len(changed) + 1)
        match draws.randrange(7):
            case 0 if changed:
                changed[at % len(changed)] ^= 1 << draws.randrange(8)
            case 1:
                changed[at : at + draws.randrange(64)] = b""
            case 2:
                changed[at:at] = draws.randbytes(draws.randrange(1, 40))
            case 3:
                del changed[at:]
            case 4 if len(changed) > 8:
                changed[at % (len(changed) - 4) :][:4] = b""
                changed[at % (len(changed) - 4) : at % (len(changed) - 4) + 4] = draws.choice(
                    (b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80")
                )
            case 5 if len(changed) > 1:
                start = draws.randrange(len(changed))
                changed[at:at] = changed[start : start + 32]
            case _ if changed:
                changed[at % len(changed)] = draws.randrange(256)
    return bytes(changed)
