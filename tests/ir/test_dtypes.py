"""Element types: NumPy agrees with every entry of the promotion table."""

from __future__ import annotations

import enum
import itertools
import pickle

import ml_dtypes
import numpy as np
import pytest

from graphflow.errors import DTypeError
from graphflow.ir import dtypes
from graphflow.ir.dtypes import DTYPES, as_dtype, floating, promote, scalar_dtype

WITHOUT_BFLOAT16 = [dtype for dtype in DTYPES if dtype is not dtypes.bfloat16]


@pytest.mark.parametrize("left", WITHOUT_BFLOAT16, ids=str)
def test_promotion_is_numpys(left) -> None:
    for right in WITHOUT_BFLOAT16:
        assert promote(left, right).numpy == np.result_type(left.numpy, right.numpy), (left, right)


def test_promotion_is_a_lattice() -> None:
    for left, right in itertools.product(DTYPES, DTYPES):
        both = promote(left, right)
        assert both is promote(right, left) and promote(both, left) is both and promote(left, left) is left
    for a, b, c in itertools.product(DTYPES, DTYPES, DTYPES):
        upper = promote(promote(a, b), c)
        assert all(promote(upper, one) is upper for one in (a, b, c))


def test_promotion_loses_no_value_of_an_integer_but_in_64_bits() -> None:
    for left, right in itertools.product(DTYPES, DTYPES):
        both = promote(left, right)
        for one in (left, right):
            if one.is_integer and one.itemsize < 8 and both.is_floating and both.itemsize > 2:
                limits = np.iinfo(one.numpy)
                assert int(np.array(limits.max).astype(both.numpy)) == limits.max


def test_bfloat16() -> None:
    b = dtypes.bfloat16
    assert (
        b.numpy == np.dtype(ml_dtypes.bfloat16)
        and as_dtype(ml_dtypes.bfloat16) is b
        and as_dtype("bfloat16") is b
    )
    assert promote(b, dtypes.float16) is dtypes.float32 and promote(b, dtypes.int8) is b
    assert promote(b, dtypes.int32) is dtypes.float64 and promote(b, dtypes.bool_) is b


@pytest.mark.parametrize("dtype", WITHOUT_BFLOAT16, ids=str)
def test_functions_of_real_numbers_lift_integers_as_numpy_does(dtype) -> None:
    assert floating(dtype).numpy == np.exp(np.zeros(1, dtype.numpy)).dtype


def test_python_scalars_are_weak() -> None:
    assert scalar_dtype(2, None) is dtypes.int32 and scalar_dtype(2.0, None) is dtypes.float32
    assert scalar_dtype(True, None) is dtypes.bool_ and scalar_dtype(1j, None) is dtypes.complex64
    assert scalar_dtype(2, dtypes.uint8) is dtypes.uint8 and scalar_dtype(2, dtypes.float16) is dtypes.float16
    assert (
        scalar_dtype(2.0, dtypes.int64) is dtypes.float32
        and scalar_dtype(1j, dtypes.float64) is dtypes.complex64
    )
    assert scalar_dtype(enum.IntEnum("E", "one").one, None) is dtypes.int32


def test_as_dtype() -> None:
    for dtype in DTYPES:
        assert (
            as_dtype(dtype)
            is as_dtype(dtype.name)
            is as_dtype(dtype.numpy)
            is as_dtype(dtype.numpy.type)
            is dtype
        )
        assert pickle.loads(pickle.dumps(dtype)) is dtype
        assert dtype.itemsize == dtype.numpy.itemsize
    assert as_dtype(int) is dtypes.int32 and as_dtype(float) is dtypes.float32
    assert as_dtype(bool) is dtypes.bool_ and as_dtype(complex) is dtypes.complex64
    assert as_dtype(">f4") is dtypes.float32


@pytest.mark.parametrize(
    "value", ["float31", "", ",", "O", "S3", "datetime64[s]", object, "a b", np.longdouble, 3, [1]]
)
def test_what_is_no_dtype(value) -> None:
    with pytest.raises(DTypeError, match="not an element type"):
        as_dtype(value)
