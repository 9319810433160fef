"""Which axis each leaf of a nest gets."""

from __future__ import annotations

import pytest

from graphflow.errors import AttributeValueError, GraphError
from graphflow.vectorize.axes import axes_of, checked_axes


@pytest.mark.parametrize(
    ("spec", "value", "wanted"),
    [
        (0, 1, [0]),
        (None, (1, [2, {"a": 3}]), [None] * 3),
        (-1, {"a": 1, "b": (2, 3)}, [-1] * 3),
        ((0, None), (1, {"a": 2, "b": 3}), [0, None, None]),
        ([0, (1, 2)], (5, [6, 7]), [0, 1, 2]),
        ({"b": 1, "a": None}, {"a": (1, 2), "b": 3}, [None, None, 1]),
        (({"k": (0, None)}, 2), ({"k": (1, [2, 3])}, None), [0, None, None]),
        (0, None, []),
        ((), (), []),
    ],
)
def test_an_axis_holds_for_all_that_is_below_it(spec, value, wanted) -> None:
    assert axes_of(spec, value, "in_axes") == wanted


@pytest.mark.parametrize(
    ("spec", "value", "text"),
    [
        ((0, 1), (1, 2, 3), "where there is a tuple of 3"),
        ((0, (1, 2)), (1, 2), r"has \(1, 2\) at \[1\], where there is a tensor"),
        ({"a": 0}, {"b": 0}, "where there is a dict of 'b'"),
        ([0], None, "where there is nothing"),
        ({"a": 0}, {}, "where there is a dict of nothing"),
    ],
)
def test_a_structure_that_is_not_there_is_refused(spec, value, text: str) -> None:
    with pytest.raises(AttributeValueError, match=text):
        axes_of(spec, value, "in_axes")


@pytest.mark.parametrize("spec", [1.0, True, "0", (0, [None, b"1"]), {"a": 1j}])
def test_what_is_no_axis_is_refused(spec) -> None:
    with pytest.raises(AttributeValueError, match="is no axis"):
        checked_axes(spec, "out_axes")


def test_a_nest_without_end_is_refused() -> None:
    endless: list = []
    endless.append(endless)
    with pytest.raises(GraphError, match="deep"):
        checked_axes(endless, "in_axes")
