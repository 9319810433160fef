"""Samples of the indexing family: negative, clamped, repeated and narrow indices, empty axes."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from tests.samples import sample

CUBE = np.linspace(-2, 2, 24, dtype=np.float32).reshape(2, 3, 4)
TABLE = np.linspace(0, 3, 12).reshape(4, 3)
SPOILT = np.array([np.nan, -0.0, np.inf, -np.inf], np.float32)
INTS = np.arange(12, dtype=np.int8).reshape(3, 4)
BOOLS = np.array([True, False, True])
EMPTY = np.zeros((0, 3), np.float32)
LONG = np.arange(300, dtype=np.float32)
WILD = np.array([0, -1, 99, -99, 2, 2], np.int32)  # wrapped, clamped on both sides, repeated
FAR = np.array([2**40, -(2**40), -2, np.iinfo(np.int64).min], np.int64)
UNSIGNED = np.array([0, 3, 2**64 - 1], np.uint64)
BYTES = np.array([-1, 127, -128], np.int8)

sample("slice", CUBE, starts=(0, 1, None), stops=(None, 3, -1))
sample("slice", CUBE, starts=(None, -1, 3), stops=(None, None, None), steps=(1, -1, -2))
sample("slice", CUBE, starts=1, stops=99, steps=2, axes=2)
sample("slice", CUBE, starts=(5,), stops=(9,), axes=(1,))
sample("slice", CUBE, starts=(-99, 2), stops=(None, -99), steps=(3, -1), axes=(-1, 1))
sample("slice", TABLE, starts=(3, 2), stops=(0, 0), steps=(-2, -1))
sample("slice", EMPTY, starts=(None, None), stops=(None, None), steps=(-1, 2))
sample("slice", np.float32(1.0), starts=(), stops=())
sample("slice", SPOILT, starts=None, stops=None, steps=-1, gradient=False)
sample("slice", INTS, starts=(1, 1), stops=(2, 2))
sample("slice", BOOLS, starts=2, stops=None, steps=-2)

sample("unslice", CUBE, shape=(4, 3, 9), starts=(1, 2, 8), stops=(3, None, 0), steps=(1, -1, -2))
sample("unslice", TABLE, shape=(4, 3), starts=(0, 0), stops=(4, 3))
sample("unslice", TABLE[:1, :1], shape=(2, 5), starts=(-1, 2), stops=(None, 3))
sample("unslice", EMPTY, shape=(4, 3), starts=(2, 0), stops=(2, 3))
sample("unslice", np.float32(1.0), shape=(), starts=(), stops=())
sample("unslice", SPOILT, shape=(8,), starts=(7,), stops=(None,), steps=(-2,), gradient=False)
sample("unslice", BOOLS, shape=(5,), starts=(1,), stops=(4,))

sample("take", TABLE, WILD)
sample("take", CUBE, np.array([[1, -1], [0, 7]]), axis=1)
sample("take", CUBE, np.int32(-1), axis=-1)
sample("take", TABLE, FAR)
sample("take", TABLE, UNSIGNED, axis=1)
sample("take", LONG, BYTES)
sample("take", LONG, np.array([0, 200, 255], np.uint8))
sample("take", EMPTY, np.zeros((2, 0), np.int32), axis=0)
sample("take", EMPTY, WILD, axis=1)
sample("take", np.ones((1, 1)), np.zeros(3, np.int64))
sample("take", SPOILT, np.array([3, 0, 1]), gradient=False)
sample("take", BOOLS, np.array([2, 1], np.uint16))

sample("index_add", TABLE, WILD, np.linspace(1, 2, 18).reshape(6, 3))
sample("index_add", CUBE, np.array([[1, -1], [0, 7]]), np.ones((2, 2, 2, 4), np.float32), axis=1)
sample("index_add", CUBE, np.int32(1), np.ones((2, 3), np.float32), axis=-1)
sample("index_add", TABLE, np.zeros(0, np.int32), np.zeros((0, 3)))
sample("index_add", LONG, BYTES, np.ones(3, np.float32))
sample("index_add", INTS, np.array([0, 0, 0]), np.full((3, 4), 100, np.int8))
sample("index_add", SPOILT, np.array([0, 1, 2]), np.array([1, -0.0, -np.inf], np.float32), gradient=False)

sample("take_along_axis", TABLE, np.array([[0], [-1], [9], [-9]]))
sample("take_along_axis", CUBE, np.array([[[1, -1, 0, 5]], [[0, 0, 0, 2]]], np.int32), axis=1)
sample("take_along_axis", TABLE, FAR[:3].reshape(1, 3), axis=0)
sample("take_along_axis", EMPTY, np.zeros((0, 2), np.int32))
sample("take_along_axis", np.array([3.0, 4.0]), np.zeros(5, np.uint8))
sample("take_along_axis", SPOILT, np.array([3, 0]), gradient=False)

sample(
    "add_along_axis", TABLE, np.array([[0, 0], [-1, 1], [9, 9], [-9, 2]]), np.linspace(0, 1, 8).reshape(4, 2)
)
sample("add_along_axis", CUBE, np.zeros((2, 2, 4), np.int32), np.ones((2, 2, 4), np.float32), axis=1)
sample("add_along_axis", EMPTY, np.zeros((0, 2), np.int32), np.zeros((0, 2), np.float32))
sample("add_along_axis", INTS, np.zeros((3, 5), np.int64), np.full((3, 5), 60, np.int8))

sample("gather_nd", CUBE, np.array([[0, 1], [1, -1], [9, -9]]))
sample("gather_nd", CUBE, np.array([[[1, 2, 3]], [[0, 0, -1]]], np.int32))
sample("gather_nd", TABLE, np.zeros((2, 0), np.int32))
sample("gather_nd", TABLE, np.array([3, 1]))
sample("gather_nd", TABLE, np.zeros((0, 2), np.int32))
sample("gather_nd", SPOILT, np.array([[0], [1]]), gradient=False)
sample("gather_nd", BOOLS, np.array([[2], [5]], np.uint32))

sample("scatter_nd_add", CUBE, np.array([[0, 1], [0, 1], [9, -9]]), np.ones((3, 4), np.float32))
sample("scatter_nd_add", TABLE, np.array([[[1, 2]], [[0, 0]]]), np.array([[1.5], [2.5]]))
sample("scatter_nd_add", TABLE, np.zeros((2, 0), np.int32), np.stack([TABLE, TABLE]))
sample("scatter_nd_add", TABLE, np.zeros((0, 1), np.int32), np.zeros((0, 3)))
sample("scatter_nd_add", INTS, np.zeros((3, 2), np.int64), np.full(3, 100, np.int8))

sample("one_hot", np.array([0, 2, -1, 5], np.int32), depth=3)
sample("one_hot", np.array([[0, 2], [1, 1]]), depth=3, axis=0, dtype="int8")
sample("one_hot", np.uint8(255), depth=256, dtype="float64")
sample("one_hot", np.array([2**64 - 1, 1], np.uint64), depth=2)
sample("one_hot", np.zeros((0,), np.int64), depth=2, axis=-2)
sample("one_hot", np.array([1]), depth=0)
sample("one_hot", np.array([1, 0]), depth=2, dtype="bool")

EIGHTHS = np.arange(4).astype(ml_dtypes.float8_e4m3fn)
PLACES = np.array([[0], [2], [-1], [2], [9]], np.int32)  # repeated, wrapped and clamped
ROWS = np.linspace(-1, 1.5, 15).reshape(5, 3)

sample("scatter_nd", TABLE, PLACES, ROWS)
sample("scatter_nd", CUBE, np.array([[0, 1], [1, -1], [9, -9]]), np.ones((3, 4), np.float32))
sample("scatter_nd", CUBE, np.array([[[1, 2, 3]], [[0, 0, -1]]], np.int8), np.array([[5], [6]], np.float32))
sample("scatter_nd", TABLE, np.zeros((2, 0), np.int32), np.stack([TABLE + 1, TABLE + 2]))
sample("scatter_nd", TABLE, np.array([3, 1]), np.float64(7))
sample("scatter_nd", TABLE, np.zeros((0, 1), np.int32), np.zeros((0, 3)))
sample("scatter_nd", EMPTY, np.zeros((0, 2), np.int32), np.zeros(0, np.float32))
sample("scatter_nd", np.float32(2), np.zeros((3, 0), np.int32), np.arange(3, dtype=np.float32))
sample("scatter_nd", SPOILT, np.array([[0], [3]]), np.array([-0.0, np.nan], np.float32), gradient=False)
sample("scatter_nd", BOOLS, np.array([[2], [2]]), np.array([True, False]))
for _reduction in ("mul", "min", "max"):
    sample("scatter_nd", TABLE, PLACES, ROWS, reduction=_reduction)
    sample("scatter_nd", INTS, np.array([[0, 1], [0, 1], [2, -1]]), np.array([3, 50, 7], np.int8),
           reduction=_reduction)  # fmt: skip
    sample("scatter_nd", TABLE, np.zeros((2, 0), np.int32), np.stack([TABLE / 2, TABLE - 0.2]),
           reduction=_reduction, gradient=_reduction == "mul")  # fmt: skip
    sample("scatter_nd", SPOILT, np.array([[1], [1], [2], [0]]), np.array([1, 2, np.nan, 0], np.float32),
           reduction=_reduction, gradient=False)  # fmt: skip
sample("scatter_nd", np.array([0.0, 2.0, 0.0, 3.0]), np.array([[0], [0], [1], [1], [2]]),
       np.array([2.0, 3.0, 0.0, 5.0, 0.0]), reduction="mul")  # fmt: skip

sample("scatter_nd", EIGHTHS, np.array([[2], [0], [2]]), EIGHTHS[:3], gradient=False)

sample("reverse_sequence", EIGHTHS[None], np.array([3]), time_axis=1, batch_axis=0, gradient=False)
sample("reverse_sequence", TABLE, np.array([4, 0, 2]))
sample("reverse_sequence", TABLE, np.array([1, 3, 2, 9], np.int8), time_axis=1, batch_axis=0)
sample("reverse_sequence", CUBE, np.array([-5, 1, 99, 3], np.int16), time_axis=-2, batch_axis=-1)
sample("reverse_sequence", CUBE, np.array([2**64 - 1, 2], np.uint64), time_axis=2, batch_axis=0)
sample("reverse_sequence", EMPTY, np.array([1, 2, 3]))
sample("reverse_sequence", np.ones((1, 1)), np.array([1]))
sample("reverse_sequence", INTS, np.array([3, 2, 1, 0], np.uint8))
sample("reverse_sequence", SPOILT[None], np.array([3]), time_axis=1, batch_axis=0, gradient=False)
