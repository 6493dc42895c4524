import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cifar_core.data.errors import DataDamagedError, DataUnsafeError
from cifar_core.data.unpickle import unpickle
from tests.data.makers import batch, labels, pickled, pixels, python2_pickle, short_string


def read(content: bytes) -> Any:
    return unpickle(content, file="data_batch_1", max_steps=5000)


def assert_holds_batch(found: dict[str, Any], position: int) -> None:
    np.testing.assert_array_equal(found["data"], pixels(position))
    assert list(found["labels"]) == labels(position)


def test_the_python_2_pickles_of_the_official_files_are_read() -> None:
    found = read(python2_pickle(3))
    assert_holds_batch(found, 3)
    assert found["batch_label"] == b"training batch"


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_batches_pickled_again_by_python_3_are_read(protocol: int) -> None:
    assert_holds_batch(read(pickled(1, protocol)), 1)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_bytes_keys_are_read_as_texts(protocol: int) -> None:
    content = pickle.dumps({key.encode(): value for key, value in batch(1).items()}, protocol)
    assert_holds_batch(read(content), 1)


@pytest.mark.parametrize("kind", ["<i8", ">i4", "u1"])
def test_labels_may_be_arrays_of_whole_numbers(kind: str) -> None:
    assert_holds_batch(read(pickled(2, 4, labels=np.array(labels(2), kind))), 2)


def test_labels_may_be_numpy_scalars() -> None:
    assert_holds_batch(read(pickled(2, 4, labels=list(np.array(labels(2))))), 2)


def test_arrays_in_fortran_order_come_back_right() -> None:
    assert_holds_batch(read(pickled(1, 4, data=np.asfortranarray(pixels(1)))), 1)


class _Runs:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("function", [os.system, eval, exec, np.load, getattr, __import__, open])
def test_a_pickle_that_calls_something_is_refused_by_name_and_nothing_runs(
    protocol: int, function: Any, tmp_path: Path
) -> None:
    trace = tmp_path / "ran"
    content = pickle.dumps({"data": _Runs(function, f"touch {trace}")}, protocol)
    with pytest.raises(DataUnsafeError, match=rf"data_batch_1 .*{function.__name__}.*Nothing in it was run"):
        read(content)
    assert not trace.exists()


@pytest.mark.parametrize("name", ["builtins object.__subclasses__", "numpy core.multiarray", "numpy f2py.compile"])
def test_a_name_reached_through_another_is_refused(name: str) -> None:
    module, attribute = (part.encode() for part in name.split())
    for content in (
        b"\x80\x04\x8c" + bytes([len(module)]) + module + b"\x8c" + bytes([len(attribute)]) + attribute + b"\x93.",
        b"\x80\x02c" + module + b"\n" + attribute + b"\n.",
    ):
        with pytest.raises(DataUnsafeError, match=name.replace(" ", r"\.")):
            read(content)


def test_the_accepted_names_cannot_be_called_with_something_else() -> None:
    for call in (
        b"c_codecs\nencode\nX\x01\x00\x00\x00aX\x05\x00\x00\x00utf-8\x86R.",
        b"cnumpy.core.multiarray\n_reconstruct\nc_codecs\nencode\nK\x00\x85U\x01b\x87R.",
        b"cnumpy\nndarray\nK\x05\x85R.",
    ):
        with pytest.raises(DataUnsafeError):
            read(b"\x80\x02" + call)


@pytest.mark.parametrize(
    "data",
    [
        np.array([object()], dtype=object),
        np.array(["a"], dtype=object),
        np.zeros(2, dtype=[("a", "u1")]),
        np.zeros(2, dtype="float32"),
        np.array(["a"]),
    ],
)
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_arrays_of_anything_but_whole_numbers_are_refused(data: Any, protocol: int) -> None:
    content = pickle.dumps({"data": data.astype(object) if data.dtype == object else data}, protocol)
    with pytest.raises(DataUnsafeError):
        read(content)


def _claims() -> dict[str, bytes]:
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
    kind = b"cnumpy\ndtype\n" + short_string(b"u1") + b"K\x00K\x01\x87R"
    huge = b"\x8a\x08" + struct.pack("<q", 1 << 45)
    return {
        "bytes": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 45) + b"x.",
        "a text": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 45) + b"x.",
        "a string": b"\x80\x02T" + struct.pack("<i", 2**31 - 1) + b"x.",
        "a negative string": b"\x80\x02T" + struct.pack("<i", -5) + b"x.",
        "an empty array": b"\x80\x02" + array + huge + b"\x85U\x01b\x87R.",
        "a shape": b"\x80\x02" + array + b"K\x00\x85U\x01b\x87R(K\x01" + huge + b"\x85" + kind + b"\x89U\x01xtb.",
        "a buffer": b"\x80\x05cnumpy._core.numeric\n_frombuffer\n(U\x01x" + kind + huge + b"\x85U\x01CtR.",
    }


@pytest.mark.parametrize("claim", _claims())
def test_a_claim_of_a_huge_size_is_refused_before_anything_is_reserved(claim: str) -> None:
    with pytest.raises(DataDamagedError, match="data_batch_1"):
        read(_claims()[claim])


def test_a_huge_memo_index_reserves_nothing() -> None:
    assert read(b"\x80\x02}r\xff\xff\xff\xff.") == {}


def test_tuples_nested_without_end_are_no_keys() -> None:
    with pytest.raises(DataDamagedError, match="data_batch_1"):
        unpickle(b"\x80\x02})" + b"\x85" * 200_000 + b"K\x01s.", file="data_batch_1", max_steps=10**6)


def test_lists_nested_without_end_do_not_overflow() -> None:
    content = b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."
    assert isinstance(unpickle(content, file="data_batch_1", max_steps=10**6), list)


def test_too_many_steps_are_not_followed() -> None:
    with pytest.raises(DataUnsafeError, match="more than 5,000 steps"):
        read(b"\x80\x02" + b"]" * 6000 + b".")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b".",
        b"\x80\x02",
        b"no pickle at all",
        b"\x80\x02R.",
        b"\x80\x02t.",
        b"\x80\x02}s.",
        b"\x80\x02h\x07.",
        b"\x80\x02((((.",
        b"\x80\x02NN.",
        b"\x80\x02]K\x01K\x02\x86b.",
        b"\x80\x02\x86.",
        b"\x80\x02K\x01K\x02a.",
        b"\x80\x63.",
    ],
)
def test_bytes_that_are_no_valid_pickle_are_refused_by_name(content: bytes) -> None:
    with pytest.raises(DataDamagedError, match="data_batch_1"):
        read(content)


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.9, 0.9999])
def test_a_pickle_cut_off_anywhere_is_refused(share: float) -> None:
    whole = python2_pickle(0)
    with pytest.raises(DataDamagedError, match="damaged, cut off"):
        read(whole[: int(len(whole) * share)])
