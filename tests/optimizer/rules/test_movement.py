"""Rules of moves: what they give, what they keep, and what they leave alone."""

from __future__ import annotations

from graphflow.optimizer.rules import movement as rules
from graphflow.optimizer.rules.shape import permute_of_permute, same_order
from tests.optimizer.rewriting import assert_declines, assert_rewrites, build, rewrite
from tests.optimizer.rules.cases import Case

X = "x: float32[4,7]"
XY = "x: float32[4,7], y: float32[4,7]"
IMAGE = "x: float32[2,3,4,5]"

CASES = [
    Case(
        rules.move_past_elementwise,
        "x: float32[3,4] -> reshape(rsqrt(add(mean(x, axis=1), 1.0)), (3, 1))",
        "rsqrt(add(mean(x, axis=1, keepdims=True), 1.0))",
    ),
    Case(
        rules.move_past_elementwise,
        f"{IMAGE} -> permute_dims(relu(permute_dims(x, (0, 2, 3, 1))), (0, 2, 1, 3))",
        "relu(permute_dims(x, (0, 3, 2, 1)))",
    ),
    Case(
        rules.move_past_elementwise,
        f"{IMAGE} -> permute_dims(multiply(exp(permute_dims(x, (0, 2, 3, 1))), 2.0), (0, 2, 1, 3))",
        "multiply(exp(permute_dims(x, (0, 3, 2, 1))), 2.0)",
    ),
    Case(
        rules.move_past_elementwise,
        f"{IMAGE}, s: float32[3], c: float32[2,1,1,1] -> "
        "permute_dims(add(c, multiply(permute_dims(x, (0, 2, 3, 1)), s)), (3, 0, 1, 2))",
        "add(reshape(c, (1, 2, 1, 1)), multiply(permute_dims(x, (1, 0, 2, 3)), reshape(s, (3, 1, 1, 1))))",
    ),
    Case(
        rules.move_past_elementwise,
        f"{X} -> reshape(tanh(subtract(1.0, reshape(x, (28,)))), (2, 14))",
        "tanh(subtract(1.0, reshape(x, (2, 14))))",
    ),
    Case(
        rules.elementwise_of_permuted,
        f"{XY} -> add(permute_dims(x), permute_dims(y))",
        "permute_dims(add(x, y))",
    ),
    Case(
        rules.elementwise_of_permuted,
        "x: float32[4,7,1], y: float32[1,7,3] -> less(permute_dims(x), permute_dims(y))",
        "permute_dims(less(x, y))",
    ),
    Case(
        rules.concat_of_permuted,
        "x: int32[4,7], y: int32[4,2] -> concat(permute_dims(x), permute_dims(y), axis=0)",
        "permute_dims(concat(x, y, axis=1))",
    ),
    Case(
        rules.pad_between_permutations,
        f"{IMAGE} -> permute_dims(pad(permute_dims(x, (0, 2, 3, 1)), "
        "pads=((0, 0), (1, 2), (3, 0), (0, 4)), value=-0.0), (3, 0, 1, 2))",
        "permute_dims(pad(x, pads=((0, 0), (0, 4), (1, 2), (3, 0)), value=-0.0), (1, 0, 2, 3))",
    ),
    Case(
        rules.pad_between_permutations,
        f"{IMAGE} -> permute_dims(pad(permute_dims(x, (2, 3, 1, 0)), "
        "pads=((1, 1), (0, 2), (0, 0), (0, 0)), mode='reflect'), (3, 2, 1, 0))",
        "permute_dims(pad(x, pads=((0, 0), (0, 0), (1, 1), (0, 2)), mode='reflect'), (0, 1, 3, 2))",
    ),
    Case(
        rules.elementwise_of_reshaped,
        f"{XY} -> maximum(reshape(x, (28,)), reshape(y, (28,)))",
        "reshape(maximum(x, y), (28,))",
    ),
    Case(
        rules.elementwise_of_broadcast,
        "x: float32[7] -> square(broadcast_to(x, (4, 7)))",
        "broadcast_to(square(x), (4, 7))",
    ),
    Case(
        rules.elementwise_of_broadcast,
        "x: float32[7], y: float32[1] -> divide(broadcast_to(x, (4, 7)), broadcast_to(y, (4, 7)))",
        "broadcast_to(divide(x, y), (4, 7))",
    ),
    Case(
        rules.function_of_broadcast,
        "x: float32[7] -> exp(broadcast_to(x, (4, 7)))",
        "broadcast_to(exp(x), (4, 7))",
    ),
    Case(
        rules.convert_around_move,
        "x: float16[4,7] -> astype(permute_dims(astype(x, 'float32')), 'float64')",
        "permute_dims(astype(x, 'float64'))",
    ),
    Case(
        rules.convert_around_move,
        "x: float16[4,7] -> astype(reshape(astype(x, 'float32'), (28,)), 'float16')",
        "reshape(astype(x, 'float16'), (28,))",
    ),
    Case(
        rules.slice_of_permuted,
        f"{X} -> slice(permute_dims(x), (1, 0), (5, 4), (2, 1))",
        "permute_dims(slice(x, (0, 1), (4, 5), (1, 2)))",
    ),
    Case(
        rules.slice_of_broadcast,
        "x: float32[1,7] -> slice(broadcast_to(x, (3, 4, 7)), (1, 0, 0), (3, 2, 7))",
        "broadcast_to(x, (2, 2, 7))",
    ),
]


def test_a_transpose_and_its_inverse_cancel_around_a_chain() -> None:
    chosen = [rules.move_past_elementwise, permute_of_permute, same_order]
    program = build(f"{IMAGE} -> permute_dims(gelu(add(permute_dims(x, (0, 2, 3, 1)), 1.0)), (0, 3, 1, 2))")
    rewrite(program, chosen)
    assert [node.op.name for node in program.order()] == ["placeholder", "constant", "add", "gelu"]


def test_shared_moves_stay() -> None:
    assert_declines(rules.move_past_elementwise, f"{X} -> y = relu(permute_dims(x)); (y, permute_dims(y))")
    assert_declines(
        rules.elementwise_of_permuted,
        f"{XY} -> p = permute_dims(x); (p, add(p, permute_dims(y)))",
        "has other users",
    )
    assert_declines(
        rules.elementwise_of_reshaped,
        f"{XY} -> p = reshape(x, (28,)); (p, add(p, reshape(y, (28,))))",
        "has other users",
    )
    assert_declines(
        rules.convert_around_move,
        "x: float16[4] -> p = reshape(astype(x, 'float32'), (2, 2)); (p, astype(p, 'float64'))",
        "reshape has other users",
    )
    assert_declines(
        rules.slice_of_permuted,
        f"{X} -> p = permute_dims(x); (p, slice(p, (0, 0), (2, 2)))",
        "has other users",
    )


def test_different_permutations_stay() -> None:
    assert_declines(
        rules.elementwise_of_permuted,
        "x: float32[2,2,2], y: float32[2,2,2] -> add(permute_dims(x, (1, 0, 2)), permute_dims(y, (2, 1, 0)))",
    )


def test_an_operand_with_axes_of_its_own_holds_a_move_back() -> None:
    assert_declines(
        rules.move_past_elementwise,
        f"{IMAGE}, y: float32[5,3] -> permute_dims(add(permute_dims(x, (0, 2, 3, 1)), y), (0, 3, 1, 2))",
    )
    assert_declines(
        rules.move_past_elementwise, f"{X}, y: float32[4] -> reshape(add(reshape(x, (7, 4)), y), (28,))"
    )


def test_shared_permutations_stay() -> None:
    assert_declines(
        rules.concat_of_permuted,
        f"{X} -> p = permute_dims(x); (concat(p, permute_dims(negative(x)), axis=0), p)",
        "one of the permuted tensors has other users",
    )
    assert_declines(rules.concat_of_permuted, "x: int32[4,4] -> concat(x, permute_dims(x), axis=0)")
    assert_declines(
        rules.pad_between_permutations,
        f"{X} -> y = pad(permute_dims(x), pads=((1, 0), (0, 1))); (permute_dims(y), y)",
        "pad has other users",
    )


def test_a_conversion_that_loses_digits_stays() -> None:
    assert_declines(
        rules.convert_around_move,
        "x: float32[4] -> astype(reshape(astype(x, 'float16'), (2, 2)), 'float32')",
    )
    assert_declines(
        rules.convert_around_move,
        "x: int16[4] -> astype(reshape(astype(x, 'float32'), (2, 2)), 'int8')",
    )


def test_slices_of_what_is_copied_stay() -> None:
    assert_declines(
        rules.slice_of_broadcast, "x: float32[7] -> slice(broadcast_to(x, (4, 7)), (0, 1), (4, 7))"
    )


def test_symbolic_sizes() -> None:
    assert_rewrites(
        rules.elementwise_of_broadcast,
        "x: float32[n] -> square(broadcast_to(x, (4, Dim('n'))))",
        "broadcast_to(square(x), (4, Dim('n')))",
    )
