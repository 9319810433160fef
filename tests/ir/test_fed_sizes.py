"""Symbols of fed values: their names, what they say, and `given_or`, which they call for."""

from __future__ import annotations

import pytest

import graphflow as gf
from graphflow.errors import ShapeError
from graphflow.ir import dims
from graphflow.ir.atoms import bounds
from graphflow.ir.fed_sizes import (
    MOST_ELEMENTS,
    can_be_sizes,
    element_symbols,
    fed_element,
    fed_symbol,
    placeholders_in,
    unfed,
)


@pytest.mark.parametrize(
    ("name", "element"),
    [
        ("shape[1]", ("shape", 1)), ("n[]", ("n", 0)), ("a/b[0]", ("a/b", 0)), ("x[0][3]", ("x[0]", 3)),
        ("batch", None), ("[0]", None), ("x[-1]", None), ("x[a]", None), ("x[0]y", None),
    ],
)  # fmt: skip
def test_names(name: str, element: tuple[str, int] | None) -> None:
    assert fed_element(name) == element


def test_no_size_of_a_user_has_such_a_name() -> None:
    with pytest.raises(ShapeError, match="cannot name a size"):
        gf.Dim("n[]")


def test_which_tensors_have_symbols() -> None:
    assert can_be_sizes(gf.placeholder("a", (MOST_ELEMENTS,), gf.int32))
    assert can_be_sizes(gf.placeholder("b", (), gf.uint8)) and can_be_sizes(
        gf.placeholder("c", (0,), gf.int64)
    )
    for name, shape, dtype in [
        ("d", (MOST_ELEMENTS + 1,), gf.int32), ("e", ("n",), gf.int32), ("f", (2,), gf.float32),
        ("g", (), gf.bool),
    ]:  # fmt: skip
        assert not can_be_sizes(gf.placeholder(name, shape, dtype))
    assert not can_be_sizes(gf.constant([1, 2]))


def test_bounds_are_those_of_the_dtype() -> None:
    signed = element_symbols(gf.placeholder("n", (), gf.int32)).item()
    unsigned = element_symbols(gf.placeholder("u", (1,), gf.uint8))[0]
    assert bounds(signed) == (-(2**31), None) and bounds(unsigned) == (0, None)
    assert dims.maximum(unsigned, 0) is unsigned and dims.maximum(signed, 0) is not signed
    assert placeholders_in(["u[0]", "batch", "n[]", "u[1]"]) == ["n", "u"]


def test_symbols_that_stand_for_nothing() -> None:
    placeholders = {"n": gf.placeholder("n", (), gf.int32)}
    symbols = {
        name: fed_symbol(name, low) for name, low in [("n[]", -(2**31)), ("n[0]", -(2**31)), ("m[]", 0)]
    }
    assert unfed({**symbols, "batch": gf.Dim("batch")}, placeholders) == ["n[0]", "m[]"]
    assert unfed({"n[]": fed_symbol("n[]", 0)}, placeholders) == ["n[]"]


def test_given_or() -> None:
    n, rest = fed_symbol("n[]", -(2**31)), gf.Dim("batch") // 2
    size = dims.given_or(n, rest)
    assert str(size) == "given('n[]', batch//2)" and bounds(size) == (None, None)
    assert dims.substitute(size, {"n[]": 3}) == 3 and dims.substitute(size, {"n[]": -1}) == rest
    assert dims.substitute(size, {"n[]": -1, "batch": 8}) == 4
    assert dims.given_or(-1, rest) is rest and dims.given_or(0, rest) == 0
