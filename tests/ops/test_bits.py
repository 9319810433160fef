"""Bits read as another dtype: against NumPy's view, on both backends, and refusals."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import DTypeError


@pytest.mark.parametrize(
    ("source", "target"), [("float32", "uint32"), ("int16", "float16"), ("uint64", "float64")]
)
def test_bitcast_is_a_view(source, target) -> None:
    data = np.arange(12).astype(source).reshape(3, 4).T
    x = gf.placeholder("x", data.shape, source)
    y = gf.bitcast(x, target)
    back = gf.bitcast(y, source)
    for backend in ("numpy", "jax"):
        with gf.Session(backend=backend) as session:
            made, restored = session.run([y, back], {x: data})
        np.testing.assert_array_equal(np.asarray(made), np.ascontiguousarray(data).view(target))
        np.testing.assert_array_equal(np.asarray(restored), data)


@pytest.mark.parametrize(
    ("source", "target"), [("float32", "int64"), ("bool", "int16"), ("int8", "complex64")]
)
def test_refusals(source, target) -> None:
    with pytest.raises(DTypeError):
        gf.bitcast(gf.placeholder("x", (2,), source), target)
