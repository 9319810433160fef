"""Tensor types and shapes: interned, printed, substituted; what is no shape is refused."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from graphflow.errors import ShapeError
from graphflow.ir.dims import Dim
from graphflow.ir.dtypes import bfloat16, float32, int8
from graphflow.ir.types import TensorType, as_shape


def test_equal_types_are_one_object() -> None:
    assert TensorType(float32, (2, 3)) is TensorType(float32, (2, 3))
    assert TensorType(float32, (Dim("n"),)) is TensorType(float32, (Dim("n"),))
    assert TensorType(float32, (2,)) is not TensorType(int8, (2,)) is not TensorType(int8, (3,))
    kind = TensorType(float32, (3, Dim("n")))
    assert TensorType(float32, (3, Dim("n"))) is kind
    static = TensorType(float32, (2, 3))
    assert pickle.loads(pickle.dumps(static)) is static


def test_types_with_other_bounds_are_apart() -> None:
    """Two graphs may use one name for sizes of different bounds."""
    free, bounded = TensorType(int8, (Dim("k"),)), TensorType(int8, (Dim("k", 1, 4),))
    assert free is not bounded
    assert free.shape[0].symbol.max is None and bounded.shape[0].symbol.max == 4
    assert TensorType(int8, (Dim("k", 1, 4),)) is bounded and TensorType(int8, (Dim("k"),)) is free
    assert TensorType(int8, (Dim("k") * 2,)) is not TensorType(int8, (Dim("k", 1, 4) * 2,))


def test_sizes_in_elements_and_bytes() -> None:
    kind = TensorType(bfloat16, as_shape(("n", 3)))
    assert kind.dtype is bfloat16 and kind.rank == 2 and not kind.is_static
    assert kind.size == 3 * Dim("n") and kind.nbytes == 6 * Dim("n")
    fixed = kind.substitute({"n": 4})
    assert fixed is TensorType(bfloat16, (4, 3)) and fixed.is_static and fixed.nbytes == 24
    assert fixed.substitute({"n": 9}) is fixed
    assert TensorType(float32, ()).size == 1 and repr(TensorType(float32, ())) == "float32[]"
    assert repr(kind) == "bfloat16[n, 3]"


def test_as_shape() -> None:
    assert as_shape(3) == (3,) and as_shape("n") == (Dim("n"),) and as_shape([]) == ()
    assert as_shape((np.int64(2), "n", Dim("m") + 1)) == (2, Dim("n"), Dim("m") + 1)
    assert type(as_shape((np.int64(2),))[0]) is int
    assert as_shape((None, 4, None), fresh="x") == (Dim("x_0"), 4, Dim("x_2"))


@pytest.mark.parametrize("shape", [None, 1.5, (1.5,), (-1,), (2, None), ("2 3",), object(), np.ones((2, 2))])
def test_what_is_no_shape(shape) -> None:
    with pytest.raises(ShapeError):
        as_shape(shape)
