"""Read a pickled CIFAR-10 batch without running anything that is in it.

A pickle is a program for a small stack machine. This is such a machine, over the standard library's
`pickletools.genops`, that knows only the instructions a dict of numbers, texts and arrays needs. It imports
nothing, calls nothing and never hands bytes to numpy's own unpickling; the few names it accepts stand for
functions here. Everything else is refused by name. (A restricted `pickle.Unpickler` is not enough: a few bytes
make it reserve 64 GB for its memo or overflow the C stack by hashing nested tuples.)
"""

import io
import math
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cifar_core.data.errors import DataDamagedError, DataUnsafeError


def unpickle(content: bytes, *, file: str, max_steps: int) -> Any:
    """What a pickle of plain containers, numbers, texts and uint8 or integer arrays holds.

    Python 2 strings come back as bytes. `file` is what errors call the file. `max_steps` bounds the
    instructions that are followed.

    Raises DataUnsafeError for a pickle that asks for anything else, DataDamagedError for one that cannot be
    followed.
    """
    machine = _Machine(file)
    try:
        for step, (opcode, argument, _) in enumerate(pickletools.genops(io.BytesIO(content))):
            if step > max_steps:
                raise DataUnsafeError(
                    f"{file} is a pickle of more than {max_steps:,} steps, which no CIFAR-10 batch needs; it was "
                    "not read. Use the files as they come in cifar-10-python.tar.gz."
                )
            machine.follow(opcode.name, argument)
        return machine.result()
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, MemoryError, RecursionError) as error:
        # genops and the stack operations below fail in these ways on bytes that are no valid pickle.
        raise DataDamagedError(
            f"{file} cannot be read as a pickled batch ({type(error).__name__}: {error}). It is damaged, cut off "
            "or another kind of file; copy or unpack it again from cifar-10-python.tar.gz."
        ) from error


@dataclass(frozen=True)
class _Function:
    """A name a pickle may call, and what is done in its place."""

    name: str
    call: Callable[..., Any]


@dataclass(frozen=True)
class _ArrayType:
    """The class numpy.ndarray, which pickles name as an argument."""


class _DType:
    """A numpy dtype under construction: integers only."""

    def __init__(self, code: Any, *_: Any) -> None:
        text = _text(code).lstrip("|<>=")
        if text not in {"u1", "i1", "i2", "i4", "i8", "u2", "u4", "u8"}:
            raise DataUnsafeError(f"an array of type {text[:20]!r} (only integers belong in a batch)")
        self.value = np.dtype(text)

    def build(self, state: tuple[Any, ...]) -> None:
        order = _text(state[1])
        if order not in {"|", "<", ">"} or any(part is not None for part in state[2:5]):
            raise DataUnsafeError("an array type with fields or objects")
        if order != "|":
            self.value = np.dtype(f"{order}{self.value.kind}{self.value.itemsize}")


class _Array:
    """An array under construction, as `numpy._core.multiarray._reconstruct` leaves it."""

    def __init__(self, kind: Any, shape: Any, _: Any) -> None:
        if not isinstance(kind, _ArrayType) or shape != (0,):
            raise DataUnsafeError("an array made in an unusual way")
        self.value: np.ndarray[Any, Any] | None = None

    def build(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, content = state
        self.value = _array(content, dtype, shape, "F" if fortran else "C")


def _array(content: Any, dtype: Any, shape: Any, order: str = "C") -> np.ndarray[Any, Any]:
    """An array of its own bytes: a shape that claims more than is there is refused before any allocation."""
    if not isinstance(content, bytes | bytearray) or not isinstance(dtype, _DType):
        raise DataUnsafeError("an array of objects (only integers belong in a batch)")
    if not isinstance(shape, tuple) or not all(isinstance(side, int) and side >= 0 for side in shape):
        raise ValueError("an array shape that is no row of whole numbers")
    if math.prod(shape) * dtype.value.itemsize != len(content):
        raise ValueError(f"an array of shape {shape} cannot be made of {len(content):,} bytes")
    flat = np.frombuffer(content, dtype.value)
    return flat.reshape(shape, order="F" if order == "F" else "C")


def _scalar(dtype: Any, content: Any) -> int:
    return int(_array(content, dtype, (1,))[0])


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    if _text(encoding) not in {"latin1", "latin-1"} or not isinstance(text, str):
        raise DataUnsafeError("a text in another encoding")
    return text.encode("latin-1")


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if not isinstance(value, str):
        raise TypeError(f"expected a text, received {type(value).__name__}")
    return value


_CALLS: dict[str, Callable[..., Any]] = {
    "multiarray _reconstruct": _Array,
    "multiarray scalar": _scalar,
    "numeric _frombuffer": _array,
}
_NAMES: dict[str, Any] = {
    "numpy ndarray": _ArrayType(),
    "numpy dtype": _Function("numpy.dtype", _DType),
    "_codecs encode": _Function("_codecs.encode", _encode),
} | {
    f"{package}.{name}": _Function(f"{package}.{name}".replace(" ", "."), call)
    for package in ("numpy.core", "numpy._core")
    for name, call in _CALLS.items()
}

_VALUES = {
    "BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8",
}  # fmt: skip
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_MARK = object()


class _Machine:
    """The pickle stack machine, as far as a batch needs it."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def follow(self, name: str, argument: Any) -> None:
        """Follow one instruction."""
        if name in _VALUES:
            self.stack.append(argument)
        elif name in {"BINSTRING", "SHORT_BINSTRING"}:  # Python 2 strings; genops decodes them as latin-1
            self.stack.append(argument.encode("latin-1"))
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in {"BINPUT", "LONG_BINPUT"}:
            self.memo[argument] = self.stack[-1]
        elif name in {"BINGET", "LONG_BINGET"}:
            self.stack.append(self.memo[argument])
        elif name in {"TUPLE1", "TUPLE2", "TUPLE3"}:
            count = int(name[-1])
            self.stack[-count:] = [tuple(self._top(count))]
        elif name not in {"PROTO", "FRAME", "STOP"}:
            self._compose(name, argument)

    def result(self) -> Any:
        """What the program left on the stack."""
        if len(self.stack) != 1:
            raise ValueError(f"{len(self.stack)} values left where one was expected")
        return _finished(self.stack[0])

    def _compose(self, name: str, argument: Any) -> None:
        match name:
            case "MARK":
                self.stack.append(_MARK)
            case "MEMOIZE":
                self.memo[len(self.memo)] = self.stack[-1]
            case "EMPTY_DICT":
                self.stack.append({})
            case "EMPTY_LIST":
                self.stack.append([])
            case "TUPLE":
                self.stack.append(tuple(self._since_mark()))
            case "APPEND":
                self._extend([self.stack.pop()])
            case "APPENDS":
                self._extend(self._since_mark())
            case "SETITEM":
                value = self.stack.pop()
                self._set([self.stack.pop(), value])
            case "SETITEMS":
                self._set(self._since_mark())
            case "GLOBAL":
                self._look_up(argument)
            case "STACK_GLOBAL":
                attribute = _text(self.stack.pop())
                self._look_up(f"{_text(self.stack.pop())} {attribute}")
            case "REDUCE":
                self._call(self.stack.pop())
            case "BUILD":
                self._build(self.stack.pop())
            case _:
                raise self._unsafe(f"the instruction {name}")

    def _top(self, count: int) -> list[Any]:
        taken = self.stack[-count:]
        if len(taken) != count or any(value is _MARK for value in taken):
            raise IndexError("the stack holds fewer values than an instruction takes")
        return taken

    def _since_mark(self) -> list[Any]:
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is _MARK:
                taken = self.stack[place + 1 :]
                del self.stack[place:]
                return taken
        raise IndexError("no mark on the stack")

    def _extend(self, values: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise TypeError("items appended to something that is no list")
        self.stack[-1].extend(_finished(value) for value in values)

    def _set(self, pairs: list[Any]) -> None:
        for field, value in zip(pairs[::2], pairs[1::2], strict=True):
            # Only texts are keys: hashing a tuple nested a thousand times over is an attack of its own.
            if not isinstance(field, str | bytes) or not isinstance(self.stack[-1], dict):
                raise TypeError("a dict with other keys than texts")
            self.stack[-1][_text(field)] = _finished(value)

    def _look_up(self, name: str) -> None:
        if name not in _NAMES:
            raise self._unsafe(f"Python's {name[:80].replace(' ', '.')}")
        self.stack.append(_NAMES[name])

    def _call(self, arguments: Any) -> None:
        function = self.stack.pop()
        if not isinstance(function, _Function) or not isinstance(arguments, tuple):
            raise self._unsafe("a call of something that is no function")
        try:
            self.stack.append(function.call(*arguments))
        except DataUnsafeError as error:
            raise self._unsafe(str(error)) from error

    def _build(self, state: Any) -> None:
        target = self.stack[-1]
        if not isinstance(target, _Array | _DType) or not isinstance(state, tuple):
            raise self._unsafe("to set the state of an object")
        try:
            target.build(state)
        except DataUnsafeError as error:
            raise self._unsafe(str(error)) from error

    def _unsafe(self, what: str) -> DataUnsafeError:
        return DataUnsafeError(
            f"{self.file} is a pickle that asks for {what}; a CIFAR-10 batch holds only numbers, texts and arrays "
            "of integers. Nothing in it was run. Don't use this file: get cifar-10-python.tar.gz from "
            "https://www.cs.toronto.edu/~kriz/cifar.html."
        )


def _finished(value: Any) -> Any:
    if isinstance(value, _Array):
        if value.value is None:
            raise ValueError("an array without content")
        return value.value
    return value
