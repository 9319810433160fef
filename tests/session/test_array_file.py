"""Array files: the safetensors library reads ours and we read its, nothing is copied, nothing is trusted."""

from __future__ import annotations

import json
import mmap
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphflow.errors import FileFormatError
from graphflow.files import Content, map_file
from graphflow.ir.dtypes import ALL_DTYPES, DTYPES, NARROW, as_dtype, string
from graphflow.session.array_file import pack_arrays, types_of, unpack


def packed(arrays: dict[str, np.ndarray]) -> bytes:
    return b"".join(pack_arrays(arrays))


def content_of(data: bytes) -> Content:
    return Content(data, 0, len(data))


def back(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return unpack(content_of(packed(arrays)), types_of(arrays), "test")


@pytest.mark.parametrize("dtype", ALL_DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (2, 3)], ids=str)
def test_every_dtype_and_shape(dtype: object, shape: tuple[int, ...], rng: np.random.Generator) -> None:
    dtype = as_dtype(dtype)
    if dtype is string:
        array = np.full(shape, "zero\0, größe and 日本", object).astype(dtype.numpy)
        assert back({"a": array})["a"].tolist() == array.tolist()
        return
    if dtype.kind == "bool" or dtype.bits < 8:
        array = rng.integers(0, 2**dtype.bits if dtype.kind != "bool" else 2, shape, np.uint8).view(
            dtype.numpy
        )
    else:
        array = np.frombuffer(rng.bytes(int(np.prod(shape)) * dtype.itemsize), dtype.numpy).reshape(shape)
    found = back({"a": array})["a"]
    assert found.dtype == array.dtype and found.shape == shape and found.tobytes() == array.tobytes()
    assert not found.flags.writeable and found.flags.c_contiguous and found.flags.aligned


def test_the_library_reads_what_is_written() -> None:
    from safetensors.numpy import load

    known = [dtype for dtype in DTYPES if dtype.name != "bfloat16"]  # which its NumPy side lacks
    arrays = {f"{dtype}": np.arange(6).astype(dtype.numpy).reshape(2, 3) for dtype in known}
    found = load(packed(arrays))
    for name, array in arrays.items():
        pairs = array.dtype.kind == "c"
        expected = np.stack([array.real, array.imag], axis=-1) if pairs else array
        np.testing.assert_array_equal(found[name], expected)


def test_what_the_library_writes_is_read() -> None:
    from safetensors.numpy import save

    known = [dtype for dtype in DTYPES if dtype.kind != "complex"]
    arrays = {f"{dtype}": np.arange(6).astype(dtype.numpy).reshape(2, 3) for dtype in known}
    found = unpack(content_of(save(arrays, {"made": "elsewhere"})), types_of(arrays), "test")
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


def test_strided_arrays_are_written_in_order() -> None:
    """The safetensors library writes their memory as it lies, without an error."""
    for dtype in (np.float32, ml_dtypes.bfloat16, np.complex64, ml_dtypes.int4):
        base = np.arange(4).repeat(6).astype(dtype).reshape(4, 6)
        arrays = {
            "t": base.T,
            "s": base[::2, ::-3],
            "f": np.asfortranarray(base),
            "b": np.broadcast_to(base, (2, 4, 6)),
        }
        for name, array in back(arrays).items():
            np.testing.assert_array_equal(array, arrays[name])


def test_equal_arrays_give_equal_bytes_whatever_their_order() -> None:
    arrays = {"b": np.ones(3, np.float32), "a": np.ones(3, np.float64), "c": np.ones(1, np.int8)}
    assert packed(arrays) == packed(dict(reversed(arrays.items())))
    start = 8 + int.from_bytes(packed(arrays)[:8], "little")
    assert start % 64 == 0


def test_arrays_in_order_are_written_and_read_without_a_copy(tmp_path: Path) -> None:
    array = np.arange(1000, dtype=np.float32)
    _, piece = pack_arrays({"a": array})
    assert np.shares_memory(np.frombuffer(piece, np.float32), array)
    (tmp_path / "file").write_bytes(packed({"a": array}))
    content = map_file(tmp_path / "file", 1 << 20)
    found = unpack(content, types_of({"a": array}), "test")["a"]
    owner = found
    while isinstance(owner, np.ndarray):
        owner = owner.base
    assert isinstance(owner, mmap.mmap)
    np.testing.assert_array_equal(found, array)
    assert map_file(tmp_path / "file", 1 << 20, read_below=1 << 20).is_mapped is False


@pytest.mark.parametrize("name", ["__metadata__", "\ud800"])
def test_names_that_cannot_be_stored(name: str) -> None:
    with pytest.raises(FileFormatError, match="rename"):
        packed({name: np.zeros(1)})


def edited(change: str) -> bytes:
    """A file of `a` float32[2] and `b` uint8[3] with another header."""
    data = packed({"a": np.zeros(2, np.float32), "b": np.arange(3, dtype=np.uint8)})
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    exec(change, {"h": header, "a": header["a"], "b": header["b"]})
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("h.pop('a')", "lacks"),
        ("h['c'] = a", "too many"),
        ("a['data_offsets'] = [0, 4]", "and not from 4 on"),
        ("a['data_offsets'] = [1, 9]", "and not from 0 on"),
        ("b['data_offsets'] = [4, 11]", "and not from 8 on"),
        ("a['data_offsets'] = [8, 0]", "wrongly|not from"),
        ("a['data_offsets'] = [0, 2**70]", "wrongly"),
        ("a['data_offsets'] = [0, 8, 8]", "wrongly"),
        ("b['data_offsets'] = [8, 12]", "bytes of data, not the"),
        ("a['shape'] = [3]", "manifest says"),
        ("a['shape'] = [-2]", "wrongly"),
        ("a['shape'] = [2.0]", "wrongly"),
        ("a['shape'] = [True, 2]", "wrongly"),
        ("a['dtype'] = 'F16'", "manifest says"),
        ("a['dtype'] = 7", "wrongly"),
        ("a['more'] = 7", "wrongly"),
        ("h['a'] = []", "wrongly"),
    ],
)
def test_headers_that_lie(change: str, reason: str) -> None:
    types = types_of({"a": np.zeros(2, np.float32), "b": np.zeros(3, np.uint8)})
    unpack(content_of(edited("")), types, "test")
    with pytest.raises(FileFormatError, match=reason) as caught:
        unpack(content_of(edited(change)), types, "test")
    assert caught.value.hint


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"1234567",
        b"\xff" * 8,
        b"\xff" * 7 + b"\x7f{}",
        b"\2" + bytes(7) + b"[]",
        b"\2" + bytes(7) + b"\xff\xff",
    ],
    ids=range(6),
)
def test_what_is_no_array_file(data: bytes) -> None:
    with pytest.raises(FileFormatError, match="no safetensors file"):
        unpack(content_of(data), {}, "test")


def test_a_key_that_is_there_twice() -> None:
    entry = b'"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'
    text = b"{" + entry + b"," + entry + b"}"
    with pytest.raises(FileFormatError, match="twice"):
        unpack(
            content_of(len(text).to_bytes(8, "little") + text + b"\0"),
            types_of({"a": np.zeros(1, np.uint8)}),
            "",
        )


@pytest.mark.parametrize("dtype", ["bool", *(dtype.name for dtype in NARROW if dtype.bits < 8)])
def test_bytes_that_stand_for_no_value(dtype: str) -> None:
    data = packed({"a": np.array([0, 255], np.uint8)}).replace(
        b'"U8"', b'"BOOL"' if dtype == "bool" else b'"U8"'
    )
    length = int.from_bytes(data[:8], "little") + (2 if dtype == "bool" else 0)
    data = length.to_bytes(8, "little") + data[8:]
    with pytest.raises(FileFormatError, match="a byte is 255"):
        unpack(content_of(data), {"a": (as_dtype(dtype), (2,))}, "test")


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    with pytest.raises(FileFormatError):
        unpack(content_of(data), {"a": (as_dtype("float32"), (2,))}, "test")
