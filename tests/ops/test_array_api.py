"""The Python array API standard 2024.12: every function is there, takes its arguments, and gives its values.

`STANDARD` is the standard's table of contents: each function with those of its parameters that have
names (the others are positional-only), and `REASONS` what is different here on purpose.
"""

from __future__ import annotations

import inspect
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import AttributeValueError, DTypeError, GraphError, ShapeError
from graphflow.ir.interpret import evaluate

STANDARD = {
    "creation": """
        arange: stop step dtype device; asarray: dtype device copy; empty: shape dtype device;
        empty_like: dtype device; eye: k dtype device; from_dlpack: device copy;
        full: shape fill_value dtype device; full_like: fill_value dtype device;
        linspace: num dtype device endpoint; meshgrid: indexing; ones: shape dtype device;
        ones_like: dtype device; tril: k; triu: k; zeros: shape dtype device; zeros_like: dtype device""",
    "data types": """
        astype: copy device; can_cast:; finfo:; iinfo:; isdtype:; result_type:""",
    "elementwise": """
        abs:; acos:; acosh:; add:; asin:; asinh:; atan:; atan2:; atanh:; bitwise_and:; bitwise_left_shift:;
        bitwise_invert:; bitwise_or:; bitwise_right_shift:; bitwise_xor:; ceil:; clip: min max; conj:;
        copysign:; cos:; cosh:; divide:; equal:; exp:; expm1:; floor:; floor_divide:; greater:;
        greater_equal:; hypot:; imag:; isfinite:; isinf:; isnan:; less:; less_equal:; log:; log1p:; log2:;
        log10:; logaddexp:; logical_and:; logical_not:; logical_or:; logical_xor:; maximum:; minimum:;
        multiply:; negative:; nextafter:; not_equal:; positive:; pow:; real:; reciprocal:; remainder:;
        round:; sign:; signbit:; sin:; sinh:; square:; sqrt:; subtract:; tan:; tanh:; trunc:""",
    "indexing": "take: axis; take_along_axis: axis",
    "linear algebra": "matmul:; matrix_transpose:; tensordot: axes; vecdot: axis",
    "manipulation": """
        broadcast_arrays:; broadcast_to:; concat: axis; expand_dims: axis; flip: axis; moveaxis:;
        permute_dims: axes; repeat: axis; reshape: shape copy; roll: shift axis; squeeze: axis; stack: axis;
        tile:; unstack: axis""",
    "searching": """
        argmax: axis keepdims; argmin: axis keepdims; count_nonzero: axis keepdims; nonzero:;
        searchsorted: side sorter; where:""",
    "sets": "unique_all:; unique_counts:; unique_inverse:; unique_values:",
    "sorting": "argsort: axis descending stable; sort: axis descending stable",
    "statistics": """
        cumulative_prod: axis dtype include_initial; cumulative_sum: axis dtype include_initial;
        max: axis keepdims; mean: axis keepdims; min: axis keepdims; prod: axis dtype keepdims;
        std: axis correction keepdims; sum: axis dtype keepdims; var: axis correction keepdims""",
    "utilities": "all: axis keepdims; any: axis keepdims; diff: axis n prepend append",
}
DTYPES = [
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64",
    "complex64", "complex128",
]  # fmt: skip
REASONS = {"device": "the device is chosen by the session that runs the graph"}
DATA_DEPENDENT = {"nonzero", "unique_all", "unique_counts", "unique_inverse", "unique_values"}
"""The sizes of their results depend on values, so that they take `size=`, which XLA needs."""


def _functions() -> dict[str, list[str]]:
    found = {}
    for section in STANDARD.values():
        for entry in section.split(";"):
            name, _, parameters = entry.partition(":")
            found[name.strip()] = parameters.split()
    return found


@pytest.mark.parametrize(("name", "parameters"), _functions().items())
def test_every_function_takes_the_arguments_of_the_standard(name: str, parameters: list[str]) -> None:
    assert name in gf.__all__
    taken = inspect.signature(getattr(gf, name)).parameters
    missing = [parameter for parameter in parameters if parameter not in taken]
    assert not set(missing) - set(REASONS)
    needed = [one for one in taken.values() if one.default is one.empty and one.kind is one.KEYWORD_ONLY]
    assert not needed, "it can be called with the arguments of the standard alone"
    assert ("size" in taken) == (name in DATA_DEPENDENT)


def test_the_table_is_complete() -> None:
    counts = {section: text.count(":") for section, text in STANDARD.items()}
    assert counts == {
        "creation": 16, "data types": 6, "elementwise": 67, "indexing": 2, "linear algebra": 4,
        "manipulation": 14, "searching": 6, "sets": 4, "sorting": 2, "statistics": 9, "utilities": 3,
    }  # fmt: skip


def test_the_manual_lists_all_of_them() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "array-api.md").read_text("utf-8")
    table = page.partition("All of its functions are there")[2].partition("Some have further")[0]
    listed = [name for cell in re.findall(r"`([a-z0-9_ ]+)`", table) for name in cell.split()]
    assert sorted(listed) == sorted([*_functions(), "e", "inf", "nan", "newaxis", "pi"])


def test_dtypes_and_constants() -> None:
    assert all(name in gf.__all__ and gf.as_dtype(name) is getattr(gf, name) for name in DTYPES)
    assert (gf.e, gf.pi, gf.inf) == (math.e, math.pi, math.inf) and math.isnan(gf.nan)
    assert gf.newaxis is None and gf.zeros(3)[:, gf.newaxis].shape == (3, 1)


def test_aliases_are_the_functions_themselves() -> None:
    assert (gf.isnan, gf.isinf, gf.isfinite) == (gf.is_nan, gf.is_inf, gf.is_finite)


# The special cases of the standard, as it lists them, on both backends

INF, NAN = math.inf, math.nan
SPECIAL: dict[str, list[tuple[float, ...]]] = {
    # the arguments, then the result
    "abs": [(NAN, NAN), (-0.0, 0.0), (-INF, INF)],
    "acos": [(NAN, NAN), (1.5, NAN), (-1.5, NAN), (1.0, 0.0)],
    "acosh": [(NAN, NAN), (0.5, NAN), (1.0, 0.0), (INF, INF)],
    "asin": [(NAN, NAN), (1.5, NAN), (0.0, 0.0), (-0.0, -0.0)],
    "asinh": [(NAN, NAN), (0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -INF)],
    "atan": [(NAN, NAN), (0.0, 0.0), (-0.0, -0.0), (INF, math.pi / 2), (-INF, -math.pi / 2)],
    "atanh": [(NAN, NAN), (-1.5, NAN), (1.5, NAN), (-1.0, -INF), (1.0, INF), (0.0, 0.0), (-0.0, -0.0)],
    "add": [
        (NAN, 1.0, NAN), (INF, -INF, NAN), (INF, INF, INF), (-INF, -INF, -INF), (INF, 1.0, INF),
        (-0.0, -0.0, -0.0), (-0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (2.0, -2.0, 0.0),
    ],
    "atan2": [
        (NAN, 1.0, NAN), (1.0, NAN, NAN), (2.0, 0.0, math.pi / 2), (2.0, -0.0, math.pi / 2), (0.0, 2.0, 0.0),
        (0.0, 0.0, 0.0), (0.0, -0.0, math.pi), (0.0, -2.0, math.pi), (-0.0, 2.0, -0.0), (-0.0, 0.0, -0.0),
        (-0.0, -0.0, -math.pi), (-0.0, -2.0, -math.pi), (-2.0, 0.0, -math.pi / 2), (2.0, INF, 0.0),
        (2.0, -INF, math.pi), (-2.0, INF, -0.0), (-2.0, -INF, -math.pi), (INF, 2.0, math.pi / 2),
        (-INF, 2.0, -math.pi / 2), (INF, INF, math.pi / 4), (INF, -INF, 3 * math.pi / 4),
        (-INF, INF, -math.pi / 4), (-INF, -INF, -3 * math.pi / 4),
    ],
    "ceil": [(INF, INF), (-0.0, -0.0), (NAN, NAN), (-0.5, -0.0)],
    "copysign": [(2.0, -0.0, -2.0), (-2.0, 0.0, 2.0), (INF, -1.0, -INF), (0.0, -1.0, -0.0), (NAN, 1.0, NAN)],
    "cos": [(NAN, NAN), (0.0, 1.0), (-0.0, 1.0), (INF, NAN), (-INF, NAN)],
    "cosh": [(NAN, NAN), (0.0, 1.0), (INF, INF), (-INF, INF)],
    "divide": [
        (NAN, 1.0, NAN), (INF, -INF, NAN), (0.0, -0.0, NAN), (2.0, 0.0, INF), (2.0, -0.0, -INF),
        (-2.0, 0.0, -INF), (0.0, 2.0, 0.0), (0.0, -2.0, -0.0), (INF, -0.0, -INF), (INF, 2.0, INF),
        (2.0, -INF, -0.0), (-2.0, -INF, 0.0), (-0.0, 2.0, -0.0),
    ],
    "exp": [(NAN, NAN), (0.0, 1.0), (-0.0, 1.0), (INF, INF), (-INF, 0.0)],
    "expm1": [(NAN, NAN), (0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -1.0)],
    "floor": [(INF, INF), (-0.0, -0.0), (NAN, NAN), (0.5, 0.0)],
    "floor_divide": [
        (NAN, 1.0, NAN), (INF, -INF, NAN), (0.0, -0.0, NAN), (2.0, 0.0, INF), (2.0, -0.0, -INF),
        (-2.0, 0.0, -INF), (-2.0, -0.0, INF), (0.0, 2.0, 0.0), (-0.0, 2.0, -0.0), (0.0, -2.0, -0.0),
        (-0.0, -2.0, 0.0), (2.0, INF, 0.0), (-2.0, -INF, 0.0), (2.0, -INF, -1.0), (-2.0, INF, -1.0),
        (1.0, 2.0, 0.0), (-1.0, 2.0, -1.0), (1.0, -2.0, -1.0), (-1.0, -2.0, 0.0),
    ],
    "hypot": [(INF, NAN, INF), (NAN, -INF, INF), (NAN, 1.0, NAN), (1.0, NAN, NAN), (-0.0, 0.0, 0.0)],
    "log": [(NAN, NAN), (-1.0, NAN), (0.0, -INF), (-0.0, -INF), (1.0, 0.0), (INF, INF)],
    "log1p": [(NAN, NAN), (-1.5, NAN), (-1.0, -INF), (-0.0, -0.0), (0.0, 0.0), (INF, INF)],
    "log2": [(NAN, NAN), (-1.0, NAN), (0.0, -INF), (1.0, 0.0), (INF, INF)],
    "log10": [(NAN, NAN), (-1.0, NAN), (0.0, -INF), (1.0, 0.0), (INF, INF)],
    "logaddexp": [(NAN, 1.0, NAN), (INF, 1.0, INF), (INF, INF, INF), (1.0, -INF, 1.0), (-INF, -INF, -INF)],
    "maximum": [(NAN, 1.0, NAN), (1.0, NAN, NAN), (-INF, 1.0, 1.0)],
    "minimum": [(NAN, 1.0, NAN), (1.0, NAN, NAN), (INF, 1.0, 1.0)],
    "multiply": [
        (INF, 0.0, NAN), (INF, INF, INF), (INF, -2.0, -INF), (-2.0, 0.0, -0.0), (-0.0, -2.0, 0.0),
        (NAN, 0.0, NAN),
    ],
    "negative": [(NAN, NAN), (0.0, -0.0), (-0.0, 0.0), (INF, -INF)],
    "nextafter": [(NAN, 1.0, NAN), (1.0, NAN, NAN), (2.0, 2.0, 2.0), (-0.0, 0.0, 0.0), (0.0, -0.0, -0.0)],
    "pow": [
        (NAN, 0.0, 1.0), (NAN, -0.0, 1.0), (NAN, 2.0, NAN), (2.0, NAN, NAN), (1.0, NAN, 1.0),
        (2.0, INF, INF), (2.0, -INF, 0.0), (1.0, INF, 1.0), (-1.0, -INF, 1.0), (0.5, INF, 0.0),
        (0.5, -INF, INF), (INF, 2.0, INF), (INF, -2.0, 0.0), (-INF, 3.0, -INF), (-INF, 2.0, INF),
        (-INF, 2.5, INF), (-INF, -3.0, -0.0), (-INF, -2.0, 0.0), (0.0, 2.0, 0.0), (0.0, -2.0, INF),
        (-0.0, 3.0, -0.0), (-0.0, 2.0, 0.0), (-0.0, 2.5, 0.0), (-0.0, -3.0, -INF), (-0.0, -2.0, INF),
        (-2.0, 0.5, NAN),
    ],
    "reciprocal": [(NAN, NAN), (INF, 0.0), (-INF, -0.0), (0.0, INF), (-0.0, -INF)],
    "remainder": [
        (NAN, 1.0, NAN), (INF, 2.0, NAN), (0.0, 0.0, NAN), (2.0, -0.0, NAN), (0.0, 2.0, 0.0),
        (-0.0, 2.0, 0.0), (0.0, -2.0, -0.0), (-0.0, -2.0, -0.0), (2.0, INF, 2.0), (-2.0, -INF, -2.0),
        (-2.0, INF, INF), (2.0, -INF, -INF), (5.0, -3.0, -1.0), (-5.0, 3.0, 1.0),
    ],
    "round": [(INF, INF), (-0.0, -0.0), (NAN, NAN), (0.5, 0.0), (1.5, 2.0), (2.5, 2.0), (-0.5, -0.0)],
    "sign": [(-3.0, -1.0), (3.0, 1.0), (NAN, NAN), (INF, 1.0)],
    "sin": [(NAN, NAN), (0.0, 0.0), (-0.0, -0.0), (INF, NAN)],
    "sinh": [(NAN, NAN), (0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -INF)],
    "sqrt": [(NAN, NAN), (-1.0, NAN), (0.0, 0.0), (-0.0, -0.0), (INF, INF)],
    "subtract": [(INF, INF, NAN), (0.0, 0.0, 0.0), (-0.0, 0.0, -0.0), (0.0, -0.0, 0.0)],
    "tan": [(NAN, NAN), (0.0, 0.0), (-0.0, -0.0), (INF, NAN)],
    "tanh": [(NAN, NAN), (0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0)],
    "trunc": [(INF, INF), (-0.0, -0.0), (NAN, NAN), (-0.5, -0.0)],
}  # fmt: skip
QUESTIONS = {
    "isfinite": [(NAN, False), (INF, False), (-INF, False), (-0.0, True)],
    "isinf": [(INF, True), (-INF, True), (NAN, False)],
    "isnan": [(NAN, True), (INF, False)],
    "signbit": [
        (0.0, False), (-0.0, True), (INF, False), (-INF, True), (-1.0, True), (NAN, False),
        (-NAN, True),
    ],
}  # fmt: skip


@pytest.mark.parametrize("backend", ["numpy", "jax"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_special_cases(backend: str, dtype: str) -> None:
    """Signs of zeros count; all functions run as one program, so that this compiles once."""
    feeds, fetches, expected = {}, {}, {}
    for name, cases in {**SPECIAL, **QUESTIONS}.items():
        columns = [np.array(column, dtype) for column in list(zip(*cases))[:-1]]
        tensors = [gf.placeholder(f"{name}_{i}", column.shape, dtype) for i, column in enumerate(columns)]
        feeds.update(zip(tensors, columns))
        fetches[name] = getattr(gf, name)(*tensors)
        expected[name] = np.array([case[-1] for case in cases])
    with gf.Session(backend=backend) as sess:
        results = sess.run(fetches, feeds)
    for name, result in results.items():
        if name in QUESTIONS:
            assert result.tolist() == expected[name].tolist(), name
            continue
        np.testing.assert_allclose(result, expected[name].astype(dtype), rtol=1e-6, atol=0, err_msg=name)
        zeros = expected[name] == 0
        signs = np.signbit(result[zeros]) == np.signbit(expected[name][zeros])
        assert signs.all(), (
            f"{name}: {[case for case, z in zip(SPECIAL[name], zeros) if z]} gave {result[zeros]}"
        )


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_division_that_rounds_down_agrees_with_numpy_everywhere(dtype: str, rng: np.random.Generator) -> None:
    edges = np.array([NAN, INF, -INF, 0.0, -0.0, 1, -1, 0.1, -0.3, 7.5, -3, 6e4, -6e4, 6e-5], dtype)
    x, y = (
        np.concatenate([grid.ravel(), rng.normal(size=300).astype(dtype)])
        for grid in np.meshgrid(edges, edges)
    )
    operands = gf.placeholder("x", x.shape, dtype), gf.placeholder("y", y.shape, dtype)
    made = [gf.floor_divide(*operands), gf.remainder(*operands)]
    results = []
    for backend in ("numpy", "jax"):
        with gf.Session(backend=backend) as sess:
            results.append(sess.run(made, dict(zip(operands, (x, y)))))
    for ours, other, function in zip(*results, (np.floor_divide, np.remainder)):
        np.testing.assert_array_equal(ours, other)
        known = ~np.isnan(ours)
        np.testing.assert_array_equal(np.signbit(ours[known]), np.signbit(other[known]))
        if dtype != "float16":  # which NumPy divides in float16, and the reference in float32
            with np.errstate(all="ignore"):
                np.testing.assert_array_equal(ours, function(x, y))


# Values of what has no tests of its own elsewhere


def _value(tensor: Any) -> Any:
    return evaluate(tensor)[0] if isinstance(tensor, list) else evaluate([tensor])[0]


def test_asarray() -> None:
    x = gf.zeros(3)
    assert gf.asarray(x) is x and gf.asarray(x, copy=False) is x and gf.asarray(x, copy=True) is x
    assert gf.asarray(x, dtype=gf.int8).dtype is gf.int8
    assert gf.asarray([[1, 2], [3, 4]]).type == gf.constant([[1, 2], [3, 4]]).type
    assert gf.asarray(2.0).dtype is gf.float32 and gf.asarray(True).dtype is gf.bool
    assert np.isnan(_value(gf.asarray([gf.nan, 1.0]))[0])
    data = np.arange(3.0)
    made = gf.asarray(data)
    data[:] = 7
    np.testing.assert_array_equal(_value(made), [0, 1, 2])
    with pytest.raises(AttributeValueError, match="without copying"):
        gf.asarray(data, copy=False)
    with pytest.raises(AttributeValueError, match="as copy"):
        gf.asarray(data, copy="no")
    with pytest.raises(DTypeError):
        gf.asarray([object()])


def test_from_dlpack() -> None:
    jax = pytest.importorskip("jax")
    data = np.arange(6, dtype=np.int16).reshape(2, 3)
    for array in (data, jax.numpy.asarray(data)):
        made = gf.from_dlpack(array)
        assert made.dtype is gf.int16
        np.testing.assert_array_equal(_value(made), data)
    with pytest.raises(DTypeError, match="DLPack"):
        gf.from_dlpack([1, 2])
    with pytest.raises(DTypeError, match="DLPack"):
        gf.from_dlpack(gf.zeros(3))


def test_empty_tensors_and_default_dtypes() -> None:
    assert gf.empty((2, "n")).dtype is gf.float32 and gf.empty(3, dtype=gf.bool).dtype is gf.bool
    assert not _value(gf.empty((2, 3))).any()
    assert gf.empty_like(gf.zeros((2, 3), dtype=gf.int8)).type == gf.zeros((2, 3), dtype=gf.int8).type
    for make in (gf.zeros, gf.ones, gf.eye):
        assert make(2, dtype=None).dtype is gf.float32
    assert gf.full((2,), fill_value=3).dtype is gf.int32
    assert gf.full_like(gf.zeros(2), fill_value=3).dtype is gf.float32


def test_meshgrid_and_broadcasting_of_several() -> None:
    x, y = np.arange(3), np.arange(2) + 10
    for indexing in ("xy", "ij"):
        made = evaluate(gf.meshgrid(gf.constant(x), gf.constant(y), indexing=indexing))
        for ours, theirs in zip(made, np.meshgrid(x, y, indexing=indexing)):
            np.testing.assert_array_equal(ours, theirs)
    made = gf.broadcast_arrays(np.ones((3, 1)), np.zeros(4), 2.0)
    assert [tensor.shape for tensor in made] == [(3, 4)] * 3
    assert gf.broadcast_arrays() == []
    assert gf.broadcast_shapes((3, 1), (1, 4), ()) == (3, 4) and gf.broadcast_shapes() == ()
    with pytest.raises(ShapeError, match="do not broadcast"):
        gf.broadcast_shapes((3,), (4,))
    with pytest.raises(ShapeError, match="do not broadcast"):
        gf.broadcast_arrays(np.ones(3), np.ones(4))


def test_finfo_and_iinfo() -> None:
    for name in ("float16", "float32", "float64"):
        ours, theirs = gf.finfo(name), np.finfo(name)
        assert (ours.bits, ours.eps, ours.max, ours.min) == (theirs.bits, theirs.eps, theirs.max, theirs.min)
        assert ours.smallest_normal == theirs.smallest_normal and ours.dtype.name == name
    assert gf.finfo(gf.complex64) == gf.finfo(gf.float32) and gf.finfo(gf.complex128).bits == 64
    assert gf.finfo(gf.bfloat16).eps == 2.0**-7 and gf.finfo(gf.float8_e5m2).max == 57344.0
    assert gf.finfo(gf.zeros(3)) == gf.finfo("float32") == gf.finfo(np.zeros(3, np.float32))
    for name in ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"):
        limits, known = gf.iinfo(name), np.iinfo(name)
        assert (limits.bits, limits.max, limits.min) == (known.bits, known.max, known.min)
    assert (gf.iinfo(gf.int4).min, gf.iinfo(gf.uint4).max) == (-8, 15)
    for wrong in (gf.int32, gf.bool, "string"):
        with pytest.raises(DTypeError, match="no floating type"):
            gf.finfo(wrong)
    with pytest.raises(DTypeError, match="no integer type"):
        gf.iinfo(gf.bool)
    with pytest.raises(DTypeError):
        gf.finfo("nope")


def test_isdtype() -> None:
    members = {
        "bool": ["bool"], "signed integer": ["int8", "int64"], "unsigned integer": ["uint8", "uint64"],
        "integral": ["int8", "uint64"], "real floating": ["float16", "bfloat16", "float64"],
        "complex floating": ["complex64"], "numeric": ["int8", "uint8", "float32", "complex128"],
    }  # fmt: skip
    for kind, names in members.items():
        for name in [*DTYPES, "float16", "bfloat16"]:
            if name in names:
                assert gf.isdtype(name, kind)
            if name in np.sctypeDict and name != "bfloat16":
                assert gf.isdtype(name, kind) == np.isdtype(np.dtype(name), kind)
    assert gf.isdtype(gf.int8, gf.int8) and not gf.isdtype(gf.int8, gf.int16)
    assert gf.isdtype(gf.int8, ("bool", gf.int8)) and not gf.isdtype(gf.int8, ())
    assert not gf.isdtype(gf.int4, "integral")
    with pytest.raises(AttributeValueError, match="no kind"):
        gf.isdtype(gf.int8, "whole")
    with pytest.raises(AttributeValueError, match="no kind"):
        gf.isdtype(gf.int8, ("bool", 3))


def test_can_cast_and_result_type() -> None:
    for left in DTYPES:
        for right in DTYPES:
            assert gf.can_cast(left, right) == np.can_cast(left, right, "safe"), (left, right)
            assert gf.result_type(left, right).name == np.result_type(left, right).name
    assert gf.can_cast(gf.zeros(3), gf.float64) and not gf.can_cast(gf.float32, gf.bfloat16)
    assert gf.can_cast(gf.int4, gf.int4) and not gf.can_cast(gf.int4, gf.int8)
    small = gf.zeros((), dtype=gf.int8)
    for scalar, name in ((True, "int8"), (2, "int8"), (2.0, "float32"), (2j, "complex64")):
        assert gf.result_type(small, scalar).name == gf.result_type(scalar, small).name == name
        assert gf.result_type(small, scalar) is (small + scalar).dtype
    assert gf.result_type(2, 3.0) is gf.float32 and gf.result_type(True) is gf.bool
    assert gf.result_type(np.zeros(2), gf.float32, 1) is gf.float64
    assert gf.result_type(gf.Dim("n"), gf.int16) is gf.int16
    with pytest.raises(AttributeValueError, match="at least one"):
        gf.result_type()


def test_nextafter_signbit_positive() -> None:
    x, y = np.array([1.0, -1.0, 0.0, 3e38], np.float32), np.array([2.0, 0.0, -1.0, INF], np.float32)
    np.testing.assert_array_equal(_value(gf.nextafter(x, y)), np.nextafter(x, y))
    assert _value(gf.nextafter(gf.constant(1.0, dtype=gf.float16), 2.0)) == np.float16(1 + 2**-10)
    assert _value(gf.signbit(gf.constant([-1, 0, 2]))).tolist() == [True, False, False]
    assert _value(gf.signbit(gf.constant([0, 255], dtype=gf.uint8))).tolist() == [False, False]
    tensor = gf.zeros(3)
    assert gf.positive(tensor) is tensor
    for wrong in (gf.positive, gf.signbit):
        with pytest.raises(DTypeError):
            wrong(gf.constant([True]))


def test_diff() -> None:
    x = np.array([[1, 4, 9, 16], [2, 3, 5, 8]], np.int32)
    tensor = gf.constant(x)
    for n in range(6):
        np.testing.assert_array_equal(_value(gf.diff(tensor, n=n)), np.diff(x, n))
        np.testing.assert_array_equal(_value(gf.diff(tensor, axis=0, n=n)), np.diff(x, n, 0))
    for given in ({"prepend": 0}, {"append": x[:, :1]}, {"prepend": x[:, 2:], "append": 5}):
        np.testing.assert_array_equal(_value(gf.diff(tensor, **given)), np.diff(x, **given))
    flags = np.array([True, False, False, True])
    np.testing.assert_array_equal(_value(gf.diff(gf.constant(flags))), np.diff(flags))
    rows = gf.placeholder("rows", ("n", 3))
    with gf.Session(backend="numpy") as sess:
        for count in range(3):
            assert sess.run(gf.diff(rows, axis=0, n=2), {rows: np.ones((count, 3))}).shape == (0, 3)
        slope = gf.gradients(gf.sum(gf.square(gf.diff(rows, axis=0))), [rows])[0]
        made = sess.run(slope, {rows: np.array([[1.0] * 3, [3.0] * 3, [4.0] * 3])})
    np.testing.assert_array_equal(made[:, 0], [-4, 2, 2])
    for wrong in ({"axis": 2}, {"n": -1}, {"n": 2000}, {"prepend": x[:1]}):
        with pytest.raises(gf.GraphFlowError):
            gf.diff(tensor, **wrong)
    with pytest.raises(AttributeValueError):
        gf.diff(gf.constant(1.0))


@pytest.mark.parametrize("name", ["cumulative_sum", "cumulative_prod"])
def test_running_totals_with_the_initial_value(name: str) -> None:
    x = np.arange(1, 7, dtype=np.int32).reshape(2, 3)
    function, theirs = getattr(gf, name), getattr(np, name)
    for axis in (0, 1, -1):
        for initial in (False, True):
            np.testing.assert_array_equal(
                _value(function(x, axis=axis, include_initial=initial)),
                theirs(x, axis=axis, include_initial=initial),
            )
    np.testing.assert_array_equal(
        _value(function(x, axis=1, include_initial=True, reverse=True)),
        np.flip(theirs(np.flip(x, 1), axis=1, include_initial=True), 1),
    )
    for dtype in ("float32", "int8", "uint64"):
        made = function(x, axis=1, dtype=dtype, include_initial=True, name=f"{name}_{dtype}")
        assert made.dtype.name == dtype and made.node.name == f"{name}_{dtype}"
        np.testing.assert_array_equal(_value(made), theirs(x, axis=1, dtype=dtype, include_initial=True))
    assert function(gf.zeros(0), include_initial=True).shape == (1,)
    with pytest.raises(AttributeValueError, match="exclusive"):
        function(x, axis=1, include_initial=True, exclusive=True)
    with pytest.raises(AttributeValueError, match="True or False"):
        function(x, axis=1, include_initial=2)


@pytest.mark.parametrize("name", ["sum", "prod"])
def test_totals_in_another_dtype(name: str) -> None:
    x = np.array([[100, 100, 3], [7, 1, 2]], np.int16)
    for dtype in ("int8", "uint8", "int32", "int64", "float32", "complex64"):
        made = getattr(gf, name)(x, axis=1, dtype=dtype, name=f"{name}_{dtype}")
        assert made.dtype.name == dtype and made.node.name == f"{name}_{dtype}"
        expected = getattr(np, name)(x.astype(dtype), axis=1, dtype=dtype)
        np.testing.assert_allclose(_value(made), expected, rtol=1e-6)
    tensor = gf.constant(np.float16([2048, 1, 1]))
    assert _value(gf.sum(tensor, dtype="float32")) == 2050


def test_sorting_with_all_arguments() -> None:
    x = np.array([3.0, 1.0, 2.0, 1.0])
    for stable in (True, False):
        np.testing.assert_array_equal(_value(gf.sort(x, stable=stable)), np.sort(x))
        np.testing.assert_array_equal(
            _value(gf.argsort(x, axis=0, descending=True, stable=stable)), [0, 2, 1, 3]
        )
    with pytest.raises(AttributeValueError, match="stable"):
        gf.sort(x, stable="mergesort")
    places = gf.searchsorted(x, [0.0, 1.0, 2.5], side="right", sorter=gf.argsort(x))
    np.testing.assert_array_equal(_value(places), np.searchsorted(x, [0.0, 1.0, 2.5], "right", np.argsort(x)))
    np.testing.assert_array_equal(_value(gf.searchsorted([1.0, 3.0], 2)), 1)
    with pytest.raises(ShapeError, match="as many indices"):
        gf.searchsorted(x, [1.0], sorter=[0, 1])
    with pytest.raises(DTypeError):
        gf.searchsorted(x, [1.0], sorter=x)


def test_joining_and_repeating_with_all_arguments() -> None:
    x = np.arange(6.0).reshape(2, 3)
    parts = [x, np.array([9.0])]
    np.testing.assert_array_equal(_value(gf.concat(parts, axis=None)), np.concatenate(parts, axis=None))
    np.testing.assert_array_equal(_value(gf.concat([x, x], 1)), np.concatenate([x, x], 1))
    np.testing.assert_array_equal(_value(gf.concat(x, x, axis=-1)), np.concatenate([x, x], -1))
    for wrong in (([x, x], 0, 1), ([x], 1, 2), ()):
        with pytest.raises(gf.GraphFlowError):
            gf.concat(*wrong)
    for repeats, axis in (
        (2, None),
        (2, 1),
        ([2, 0, 1], 1),
        ([1, 3], 0),
        ([0, 0], 0),
        (np.array([1, 2, 3]), 1),
        ([2], 0),
    ):
        np.testing.assert_array_equal(_value(gf.repeat(x, repeats, axis=axis)), np.repeat(x, repeats, axis))
    np.testing.assert_array_equal(_value(gf.repeat(x, range(6))), np.repeat(x, range(6)))
    n, k = gf.Dim("n"), gf.Dim("k")
    assert gf.repeat(gf.placeholder("rows", (n, 3)), k, axis=0).shape == (n * k, 3)
    for wrong in ([1, 2], [1, -2, 3], [1.5, 1, 1]):
        with pytest.raises(gf.GraphFlowError):
            gf.repeat(x, wrong, axis=1)
    with pytest.raises(AttributeValueError, match="would store"):
        gf.repeat(x, [10**9, 1], axis=0)


def test_arguments_that_make_no_difference() -> None:
    x = gf.placeholder("x", (2, 3))
    for copy in (None, True, False):
        assert gf.reshape(x, (3, 2), copy=copy).shape == (3, 2)
        assert gf.astype(x, gf.int8, copy=copy).dtype is gf.int8
    assert gf.reshape(x, (6,), name="flat").node.name == "flat"
    assert gf.clip(x) is x and gf.clip(x, None, 2.0).shape == (2, 3)


# Tensors themselves


def test_attributes_of_tensors() -> None:
    x = gf.placeholder("x", (2, 3, "n"))
    assert x.mT.shape == (2, x.shape[2], 3) and (x.ndim, x.dtype) == (3, gf.float32)
    assert x.size == 6 * x.shape[2] and gf.zeros((2, 3)).size == 6
    matrix = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(_value(gf.constant(matrix).mT), matrix.T)
    np.testing.assert_array_equal(_value(gf.constant(matrix).T), matrix.T)
    with pytest.raises(ShapeError, match="mT transposes matrices"):
        gf.zeros(3).mT  # noqa: B018
    with pytest.raises(ShapeError, match="T transposes a matrix"):
        x.T  # noqa: B018


def test_python_operators_of_the_standard() -> None:
    x, y = np.array([7, -7, 3], np.int32), np.array([2, 2, -1], np.int32)
    a, b = gf.constant(x), gf.constant(y)
    pairs = [
        (abs(a), abs(x)), (-a, -x), (+a, +x), (~a, ~x), (a + b, x + y), (a - b, x - y), (a * b, x * y),
        (a / b, x / y), (a // b, x // y), (a % b, x % y), (a ** abs(b), x ** abs(y)), (a & b, x & y),
        (a | b, x | y), (a ^ b, x ^ y), (a << abs(b), x << abs(y)), (a >> abs(b), x >> abs(y)),
        (a < b, x < y), (a <= b, x <= y),
        (a > b, x > y), (a >= b, x >= y), (a @ b, x @ y), (2 - a, 2 - x), (2 ** abs(b), 2 ** abs(y)),
    ]  # fmt: skip
    for ours, theirs in pairs:
        np.testing.assert_array_equal(_value(ours), theirs)


def test_operators_in_place_make_new_tensors() -> None:
    x = before = gf.constant([1.0, 2.0])
    x += 1.0
    x @= gf.eye(2)
    assert x is not before and _value(before).tolist() == [1.0, 2.0] and _value(x).tolist() == [2.0, 3.0]


def test_what_tensors_cannot_do_is_explained() -> None:
    x = gf.placeholder("x", (3,))
    with pytest.raises(GraphError, match=r"cannot be changed(.|\n)*index_add"):
        x[0] = 1.0
    with pytest.raises(GraphError, match="cannot be changed"):
        del x[0]
    for kind in (int, float, complex):
        with pytest.raises(GraphError, match=f"no {kind.__name__} value"):
            kind(x[0])
    with pytest.raises(GraphError, match="truth value"):
        bool(x[0])
    with pytest.raises(DTypeError, match=r"boolean mask(.|\n)*gf.compress"):
        x[x > 0]
    assert (x == x) is True and (x == gf.identity(x)) is False, "equality asks for the same tensor"
    assert not hasattr(x, "__array_namespace__"), "so that code for arrays is not misled by that"
