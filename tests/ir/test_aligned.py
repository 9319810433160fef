"""Aligned copies: equal, read-only, at multiples of 64 bytes, and not copied once more."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from graphflow.ir.aligned import ALIGNMENT, aligned_copy
from graphflow.ir.attrs import read_only
from graphflow.ops.packed_conv import packed

LARGE = np.arange(300_000)


@pytest.mark.parametrize(
    "array",
    [
        LARGE.reshape(300, 1000).T,
        LARGE.astype(np.uint16)[::-1],
        LARGE.astype(ml_dtypes.bfloat16),
        (LARGE % 2).astype(np.bool_).reshape(2, 3, 50, 1000).swapaxes(0, 3),
        LARGE.astype(np.complex128),
    ],
    ids=["transposed", "reversed", "bfloat16", "bool", "complex"],
)
def test_large_copies_are_aligned_and_sealed(array: np.ndarray) -> None:
    copy = aligned_copy(array)
    assert copy.dtype == array.dtype and np.array_equal(copy, array)
    assert copy.ctypes.data % ALIGNMENT == 0 and copy.flags.c_contiguous
    assert not copy.flags.writeable and not np.shares_memory(copy, array)
    assert read_only(copy) is copy and np.shares_memory(read_only(copy[0:1]), copy)
    with pytest.raises(ValueError, match="cannot set WRITEABLE flag"):
        copy.setflags(write=True)


@pytest.mark.parametrize(
    "array",
    [np.float32(2.5).reshape(()), np.zeros((0, 3)), np.array(["a", "b"] * 40_000, np.dtypes.StringDType())],
)
def test_small_arrays_and_texts_are_copied_as_ever(array: np.ndarray) -> None:
    copy = aligned_copy(array)
    assert copy.dtype == array.dtype and copy.shape == array.shape and np.array_equal(copy, array)
    assert not copy.flags.writeable and read_only(copy) is copy


def test_panels_are_made_once() -> None:
    panels = packed(np.ones((256, 300), np.float32), 1, 16)
    assert panels.ctypes.data % ALIGNMENT == 0 and read_only(panels) is panels
