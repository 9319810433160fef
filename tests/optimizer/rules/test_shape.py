"""Rules of shapes: the same elements under another shape, order or dtype, or repeated."""

from __future__ import annotations

from graphflow.optimizer.rules import shape as rules
from tests.optimizer.rewriting import assert_declines
from tests.optimizer.rules.cases import Case

X = "x: float32[2,3,4]"
S = "x: float32[n,3]"

CASES = [
    Case(rules.same_type, f"{X} -> reshape(x, (2, 3, 4))", "x"),
    Case(rules.same_type, f"{S} -> reshape(x, (-1, 3))", "x"),
    Case(rules.same_type, f"{X} -> broadcast_to(x, (2, 3, 4))", "x"),
    Case(rules.same_type, f"{X} -> astype(x, 'float32')", "x"),
    Case(rules.same_type, f"{X} -> tile(x, (1, 1, 1))", "x"),
    Case(rules.same_type, f"{X} -> pad(x, ((0, 0), (0, 0), (0, 0)))", "x"),
    Case(rules.same_type, f"{X} -> squeeze(x, axis=())", "x"),
    Case(rules.same_order, f"{X} -> permute_dims(x, (0, 1, 2))", "x"),
    Case(rules.rename_axes, f"{X} -> expand_dims(x, 1)", "reshape(x, (2, 1, 3, 4))"),
    Case(rules.rename_axes, f"{S} -> expand_dims(x, (0, 3))", "reshape(x, (1, Dim('n'), 3, 1))"),
    Case(rules.rename_axes, "x: float32[2,1,3] -> squeeze(x, 1)", "reshape(x, (2, 3))"),
    Case(rules.reshape_of_reshape, f"{X} -> reshape(reshape(x, (6, 4)), (3, 8))", "reshape(x, (3, 8))"),
    Case(rules.reshape_of_reshape, f"{S} -> reshape(reshape(x, (-1,)), (-1, 1))", "reshape(x, (-1, 1))"),
    Case(
        rules.reshape_of_reshape, "x: int32[0,2] -> reshape(reshape(x, (0,)), (3, 0))", "reshape(x, (3, 0))"
    ),
    Case(
        rules.permute_of_permute,
        f"{X} -> permute_dims(permute_dims(x, (1, 2, 0)), (0, 2, 1))",
        "permute_dims(x, (1, 0, 2))",
    ),
    Case(
        rules.permute_axes_of_size_one,
        "x: float32[2,1,3] -> permute_dims(x, (1, 0, 2))",
        "reshape(x, (1, 2, 3))",
    ),
    Case(
        rules.broadcast_of_broadcast,
        "x: float32[3] -> broadcast_to(broadcast_to(x, (2, 3)), (4, 2, 3))",
        "broadcast_to(x, (4, 2, 3))",
    ),
    Case(
        rules.broadcast_adds_axes, f"{S} -> broadcast_to(x, (1, Dim('n'), 3))", "reshape(x, (1, Dim('n'), 3))"
    ),
    Case(
        rules.broadcast_of_leading_axes,
        "x: float32[3] -> broadcast_to(reshape(x, (1, 3)), (4, 3))",
        "broadcast_to(x, (4, 3))",
    ),
    Case(
        rules.move_copies,
        "x: float32[1] -> permute_dims(broadcast_to(x, (2, 3)), (1, 0))",
        "broadcast_to(reshape(x, ()), (3, 2))",
    ),
    Case(
        rules.move_copies,
        "x: float32[1] -> slice(broadcast_to(x, (7,)), (2,), (5,))",
        "broadcast_to(reshape(x, ()), (3,))",
    ),
    Case(
        rules.move_copies,
        "x: float32[1] -> astype(broadcast_to(x, (7,)), 'float64')",
        "broadcast_to(astype(reshape(x, ()), 'float64'), (7,))",
    ),
    Case(
        rules.implicit_broadcast,
        "x: float32[2,3], y: float32[3] -> add(x, broadcast_to(y, (2, 3)))",
        "add(x, y)",
    ),
    Case(
        rules.implicit_broadcast,
        "x: float32[2,3], y: float32[3] -> subtract(broadcast_to(y, (2, 3)), x)",
        "subtract(y, x)",
    ),
    Case(
        rules.implicit_broadcast,
        "x: float32[2], y: float32[1] -> less(broadcast_to(y, (2,)), broadcast_to(x, (2,)))",
        "less(y, broadcast_to(x, (2,)))",
    ),
    Case(
        rules.implicit_broadcast,
        "p: bool[], x: float32[n], y: float32[] -> "
        "where(broadcast_to(p, (Dim('n'),)), x, broadcast_to(y, (Dim('n'),)))",
        "where(p, x, y)",
    ),
    Case(rules.astype_of_astype, "x: int16[3] -> astype(astype(x, 'int32'), 'int8')", "astype(x, 'int8')"),
    Case(rules.astype_of_astype, f"{X} -> astype(astype(x, 'float64'), 'float16')", "astype(x, 'float16')"),
    Case(rules.known_shape, f"{X} -> shape_of(x)", "constant(np.array([2, 3, 4], 'int64'))"),
]


def test_what_changes_the_order_stays() -> None:
    assert_declines(rules.same_order, f"{X} -> permute_dims(x, (1, 0, 2))")
    assert_declines(rules.permute_axes_of_size_one, "x: float32[2,1,3] -> permute_dims(x, (2, 1, 0))")
    assert_declines(rules.same_type, f"{X} -> reshape(x, (4, 3, 2))")


def test_conversions_that_lose_something_stay() -> None:
    assert_declines(rules.astype_of_astype, "x: float32[3] -> astype(astype(x, 'int32'), 'float32')")
    assert_declines(rules.astype_of_astype, "x: int64[3] -> astype(astype(x, 'float64'), 'int64')")
    assert_declines(rules.astype_of_astype, "x: int32[3] -> astype(astype(x, 'bool'), 'int32')")
    assert_declines(rules.astype_of_astype, "x: float32[3] -> astype(astype(x, 'float64'), 'int32')")


def test_integers_that_saturate_on_the_way_stay() -> None:
    """300.0 becomes 127 as an int8, and 300 becomes 44; -1.0 becomes 0 as a uint8, and -1 becomes 255."""
    for source, target in (("int16", "int8"), ("int8", "uint8"), ("uint8", "int8"), ("int8", "string")):
        assert_declines(rules.astype_of_astype, f"x: {source}[3] -> astype(astype(x, 'float32'), '{target}')")
    assert_declines(rules.astype_of_astype, "x: bool[3] -> astype(astype(x, 'int8'), 'string')")


def test_a_broadcast_that_shapes_the_result_stays() -> None:
    assert_declines(
        rules.implicit_broadcast, "x: float32[2,1], y: float32[3] -> add(x, broadcast_to(y, (2, 3)))"
    )


def test_unknown_shapes_stay() -> None:
    assert_declines(rules.known_shape, f"{S} -> shape_of(x)")


def test_copies_of_several_elements_stay() -> None:
    assert_declines(rules.move_copies, "x: float32[2] -> permute_dims(broadcast_to(x, (3, 2)), (1, 0))")
