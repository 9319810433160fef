"""Attributes: frozen, and told apart to the last bit."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from graphflow.errors import AttributeValueError
from graphflow.ir.attrs import EMPTY, Attrs, array_key, freeze, read_only, substitute_dims, value_key
from graphflow.ir.dims import Dim
from graphflow.ir.dtypes import float32
from graphflow.ops import initializers

DIFFERENT = [
    None, True, 1, 1.0, -0.0, 0.0, 0, False, 1j, complex(1, -0.0), "1", "n", Dim("n"), Dim("n", 1, 9),
    float32, (), (1,), (1.0,), ((1,),),
    np.array(1, np.float32), np.array([1.0]), np.array([0.0]), np.array([-0.0]),
    np.array([1], np.int8), np.array([[1.0]]), initializers.zeros(), initializers.constant(0.0),
    initializers.constant(-0.0), initializers.constant(0),
]  # fmt: skip


def test_values_that_python_confuses_are_told_apart() -> None:
    for left, right in itertools.combinations(DIFFERENT, 2):
        assert value_key(left) != value_key(right), (left, right)
        assert Attrs(v=left) != Attrs(v=right)


def test_equal_values_have_equal_keys_and_hashes() -> None:
    for value in [*DIFFERENT, float("nan"), np.array([np.nan]), np.arange(100.0)]:
        copy = value.copy() if isinstance(value, np.ndarray) else value
        assert Attrs(a=value, b=1) == Attrs(b=1, a=copy)
        assert hash(Attrs(a=value)) == hash(Attrs(a=copy))
    assert Attrs() == EMPTY and Attrs(a=1) != {"a": 1}


def test_large_arrays_are_told_apart_in_one_bit() -> None:
    left = np.zeros(1000)
    right = left.copy()
    right[-1] = -0.0
    assert array_key(left) != array_key(right) and array_key(left) == array_key(left.copy())
    assert array_key(left.reshape(10, 100)) != array_key(left)
    assert array_key(np.asfortranarray(np.arange(6).reshape(2, 3))) == array_key(np.arange(6).reshape(2, 3))


def test_attributes_are_frozen() -> None:
    attrs = Attrs(axis=1)
    assert attrs.axis == 1
    changes = [
        lambda: attrs.update(axis=2),
        lambda: attrs.pop("axis"),
        lambda: attrs.__setitem__("axis", 2),
        lambda: attrs.clear(),
        lambda: attrs.setdefault("b", 1),
        lambda: attrs.__delitem__("axis"),
    ]
    for change in changes:
        with pytest.raises(TypeError, match="frozen"):
            change()
    with pytest.raises(AttributeError, match="there are axis"):
        _ = attrs.axes


def test_freeze() -> None:
    assert freeze([1, [np.int64(2), np.float32(0.5)], np.bool_(True)]) == (1, (2, 0.5), True)
    assert type(freeze(np.float64(1.0))) is float and type(freeze(np.int8(1))) is int
    assert freeze(np.float32) is float32 and freeze(np.dtype("float32")) is float32
    for value in (object(), {1: 2}, {1}):
        with pytest.raises(AttributeValueError, match="cannot be an attribute"):
            freeze(value)


def test_read_only_copies_what_others_can_change() -> None:
    array = np.arange(6).reshape(2, 3)
    for source in (array, array.T, array[:, ::2]):
        copy = read_only(source)
        np.testing.assert_array_equal(copy, source)
        assert not copy.flags.writeable and copy.flags.c_contiguous and not np.shares_memory(copy, source)
        assert read_only(copy) is copy
    view = array.view()
    view.setflags(write=False)
    assert not np.shares_memory(read_only(view), array)


def test_substitute_dims() -> None:
    n = Dim("n")
    attrs = Attrs(shape=(n, 2 * n + 1, (n,)), axis=1, name="n")
    assert substitute_dims(attrs, {"n": 3}) == Attrs(shape=(3, 7, (3,)), axis=1, name="n")
    plain = Attrs(axis=1)
    assert substitute_dims(plain, {"n": 3}) is plain
