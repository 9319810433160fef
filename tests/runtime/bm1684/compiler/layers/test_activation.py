"""Recipes against functions in doubles, over the whole range; and how many commands and cycles they take."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from scipy.special import erf, expit

from graphflow.runtime.bm1684.compiler.layers import activation, unary
from graphflow.runtime.bm1684.compiler.layers.function import Function
from graphflow.runtime.bm1684.compiler.layers.recipe import Recipe, Recorder, Term
from graphflow.runtime.bm1684.compiler.tensors import Box
from graphflow.runtime.bm1684.cycles import cycles
from graphflow.runtime.bm1684.isa import Operation, Shape
from tests.runtime.bm1684.compiler.harness import Bench, grown, part, value
from tests.runtime.bm1684.compiler.layers.test_convolution import floats

ROUND = 64 * 16
"""Elements that the tensor unit does at a time."""


def points() -> np.ndarray:
    """Numbers near zero, of common sizes, large, and tiny."""
    rng = np.random.default_rng(3)
    parts = [
        rng.normal(size=4 * ROUND),
        rng.normal(size=ROUND) * 1e-4,
        rng.uniform(-20, 20, 4 * ROUND),
        rng.uniform(-100, 100, 2 * ROUND),
        np.repeat(rng.normal(size=ROUND // 4), 4) * np.tile([1e-30, 1e-37, 1e-42, 0.0], ROUND // 4),
    ]
    return np.concatenate(parts).astype(np.float32)


def run(record: Callable[..., Term], *given: np.ndarray) -> tuple[np.ndarray, float]:
    """What a recipe makes of numbers, and its cycles for 16 elements of a lane."""
    shape = Shape(1, 64, 1, given[0].size // 64)
    inputs = tuple(value(f"x{index}", *shape) for index in range(len(given)))
    bench = Bench(Function(output=value("y", *shape), inputs=inputs, name="test", record=record))
    made = bench.run(*[one.reshape(shape) for one in given]).reshape(-1)
    return made, bench.cycles / max(1, shape.w // 16)


def gelu(x: np.ndarray) -> np.ndarray:
    return x * (1 + erf(x * np.sqrt(0.5))) / 2


def gelu_tanh(x: np.ndarray) -> np.ndarray:
    return x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2


def softplus(x: np.ndarray) -> np.ndarray:
    return np.logaddexp(x, 0)


CASES: dict[str, tuple[Callable[..., Term], Callable[[np.ndarray], np.ndarray], float, int]] = {
    "sigmoid": (activation.sigmoid, expit, 3e-6, 25),
    "silu": (activation.silu, lambda x: x * expit(x), 3e-6, 26),
    "tanh": (activation.tanh, np.tanh, 3e-6, 27),
    "erf": (activation.erf, erf, 6e-6, 27),
    "gelu": (activation.gelu, gelu, 4e-6, 31),
    "gelu by tanh": (activation.gelu_tanh, gelu_tanh, 3e-6, 29),
    "softplus": (activation.softplus, softplus, 3e-6, 31),
    "mish": (activation.mish, lambda x: x * np.tanh(softplus(x)), 3e-6, 30),
    "elu": (
        partial(activation.elu, alpha=0.7),
        lambda x: np.where(x > 0, x, 0.7 * np.expm1(np.minimum(x, 0))),
        1e-6,
        21,
    ),
    "leaky relu": (partial(activation.leaky_relu, alpha=0.1), lambda x: np.where(x > 0, x, 0.1 * x), 1e-7, 2),
    "steep": (partial(activation.leaky_relu, alpha=2.0), lambda x: np.where(x > 0, x, 2 * x), 1e-7, 3),
    "hard swish": (activation.hard_swish, lambda x: x * np.clip(x / 6 + 0.5, 0, 1), 1e-6, 6),
    "softsign": (activation.softsign, lambda x: x / (1 + abs(x)), 1e-6, 18),
    "sin": (activation.sine, np.sin, 1e-6, 20),
    "cos": (partial(activation.sine, quarter=0.5), np.cos, 1e-6, 22),
    "abs": (unary.absolute, np.abs, 0, 2),
    "negative": (unary.negative, np.negative, 0, 1),
    "square": (unary.square, np.square, 1e-7, 1),
    "sign": (unary.sign, np.sign, 0, 5),
    "round": (unary.rounded, np.rint, 0, 6),
    "floor": (unary.floor, np.floor, 0, 9),
    "ceil": (unary.ceil, np.ceil, 0, 9),
    "trunc": (unary.trunc, np.trunc, 0, 15),
}


@pytest.mark.parametrize("name", CASES)
def test_functions_are_near_the_true_ones_everywhere(name: str) -> None:
    record, true, tolerance, most = CASES[name]
    x = points()
    x = np.where(np.abs(x) < np.finfo(np.float32).tiny, np.float32(0), x)
    made, took = run(record, x)
    wanted = true(x.astype(np.float64))
    # What is left of a difference far below 0 is a part of the input.
    scale = np.maximum(1, np.abs(x) if name == "gelu" else np.abs(wanted))
    assert (np.abs(made - wanted) <= tolerance * scale + 1e-37).all()
    assert took == most


@pytest.mark.parametrize(
    ("record", "true", "low", "high", "tolerance"),
    [
        (activation.exponential, np.exp, -86.9, 88.7, 5e-6),
        (activation.log, np.log, 3e-38, 3e38, 3e-7),
        (partial(activation.log, scale=1 / np.log(10)), np.log10, 3e-38, 3e38, 4e-7),
        (activation.reciprocal, np.reciprocal, 1e-37, 1e37, 3e-7),
        (unary.sqrt, np.sqrt, 1e-37, 2e38, 3e-7),
        (unary.rsqrt, lambda x: 1 / np.sqrt(x), 1e-37, 2e38, 2e-7),
        (unary.log1p, np.log1p, 1e-6, 1e30, 5e-7),
        (unary.expm1, np.expm1, -80, 88, 6e-6),
        (activation.softplus, softplus, -80, 0, 5e-6),
        (partial(unary.power, exponent=2.5), lambda x: x**2.5, 1e-12, 1e12, 1e-6),
        (partial(unary.power, exponent=-3.0), lambda x: x**-3.0, 1e-9, 1e9, 1e-6),
        (partial(unary.power, exponent=1.3), lambda x: x**1.3, 1e-9, 1e9, 1e-5),
    ],
)
def test_functions_are_near_relative_to_each_value(
    record: Callable[..., Term], true: Callable, low: float, high: float, tolerance: float
) -> None:
    rng = np.random.default_rng(5)
    if low > 0:
        x = np.exp(rng.uniform(np.log(low), np.log(high), 4 * ROUND)).astype(np.float32)
        x[: ROUND // 2] = rng.uniform(0.5, 2, ROUND // 2)
    else:
        x = rng.uniform(low, high, 4 * ROUND).astype(np.float32)
    made, _ = run(record, x)
    wanted = true(x.astype(np.float64))
    assert (np.abs(made - wanted) <= tolerance * np.abs(wanted)).all()


def odd(*values: float) -> np.ndarray:
    return np.resize(np.array(values, np.float32), 64)


@pytest.mark.parametrize(
    ("record", "given", "wanted"),
    [
        (activation.exponential, (np.inf, -np.inf, 88.8, -88, 0.0, np.nan), (np.inf, 0, np.inf, 0, 1, 0)),
        (activation.sigmoid, (np.inf, -np.inf, -3e38), (1, 0, 0)),
        (activation.silu, (np.inf, 3e38, 0.0, -100.0), (np.inf, 3e38, 0, 0)),
        (activation.tanh, (np.inf, -np.inf, 1e-42), (1, -1, 0)),
        (activation.gelu, (np.inf, -3e38, -50.0, 0.0), (np.inf, 0, 0, 0)),
        (activation.softplus, (np.inf, -np.inf, 1e30), (np.inf, 0, 1e30)),
        (activation.elu, (np.inf, -np.inf, -0.0), (np.inf, -1, 0)),
        (activation.log, (0.0, -0.0, 1e-42, 1.0), (-np.inf, -np.inf, -np.inf, 0)),
        (activation.reciprocal, (0.0, -0.0, 4.0, -0.5), (np.inf, np.inf, 0.25, -2)),
        (unary.sqrt, (0.0, -4.0, 1e-42), (0, 0, 0)),
        (unary.rsqrt, (0.0, -4.0, 4.0), (np.inf, np.inf, 0.5)),
        (unary.floor, (-0.5, 2.5, -3.0, 1e30, -np.inf), (-1, 2, -3, 1e30, -np.inf)),
        (unary.rounded, (0.5, 1.5, -2.5, 4194305.5), (0, 2, -2, 4194305.5)),
        (unary.sign, (np.inf, -0.0, np.nan), (1, 0, 0)),
        (partial(unary.power, exponent=0.0), (0.0, 5.0), (1, 1)),
    ],
)
def test_limits_zeros_and_what_is_no_number(record: Callable[..., Term], given: tuple, wanted: tuple) -> None:
    made, _ = run(record, odd(*given))
    np.testing.assert_allclose(made[: len(wanted)], wanted, rtol=4e-6, atol=2e-33)


def test_polynomials_take_the_fewest_commands() -> None:
    x = floats(2, ROUND)
    for count in range(2, 14):
        coefficients = floats(count, count).astype(np.float64)
        made, took = run(partial(activation.polynomial, coefficients=tuple(coefficients)), x)
        wanted = np.polynomial.polynomial.polyval(x.astype(np.float64), coefficients)
        scale = np.polynomial.polynomial.polyval(np.abs(x.astype(np.float64)), np.abs(coefficients))
        assert (np.abs(made - wanted) <= 1e-6 * scale).all()
        # A sum that ends in its own register is copied from there.
        assert took <= 2 * count - 1


SHAPES = [
    Shape(1, 64, 4, 8),
    Shape(3, 130, 5, 7),
    Shape(2, 1, 1, 1),
    Shape(1, 3, 20, 41),
    Shape(2, 65, 1, 33),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("room", "told"), [(2048, True), (1 << 16, False)])
def test_parts_slices_and_larger_tiles(shape: Shape, room: int, told: bool) -> None:
    x = floats(1, *shape)
    layer = Function(
        output=value("y", *shape), inputs=(value("x", *shape),), name="silu", record=activation.silu
    )
    wanted = x * expit(x.astype(np.float64))
    whole = Box.whole(shape)
    for box in (whole, whole.rows(shape.h // 2, shape.h)):
        for margin in (Shape(0, 0, 0, 0), Shape(0, 0, 1, 1)):
            bench = Bench(layer, box, room=room, margin=margin, told=told)
            np.testing.assert_allclose(bench.run(x), part(wanted, box), rtol=5e-6, atol=1e-30)
            scratch = sum(sum(work.scratch) for work in bench.works)
            assert scratch <= max(room, 128 * layer.recipe.count)


def test_a_part_of_a_larger_output_is_written_to_its_place() -> None:
    shape = Shape(1, 130, 3, 5)
    x = floats(1, *shape)
    layer = Function(
        output=value("y", *shape), inputs=(value("x", *shape),), name="square", record=unary.square
    )
    box = Box.whole(shape).over("c", 64, 130)
    bench = Bench(layer, box, output=Box.whole(shape))
    np.testing.assert_array_equal(bench.run(x), part(x * x, box))


@pytest.mark.parametrize(
    "given",
    [Shape(2, 70, 3, 5), Shape(1, 70, 1, 1), Shape(2, 1, 3, 5), Shape(1, 1, 1, 5), Shape(2, 70, 3, 1)],
)
@pytest.mark.parametrize("room", [1024, 1 << 16])
def test_operands_are_broadcast(given: Shape, room: int) -> None:
    shape = Shape(2, 70, 3, 5)
    mask, x, z = floats(1, *shape), floats(2, *shape), floats(3, *given)
    layer = Function(
        output=value("y", *shape),
        inputs=(value("m", *shape), value("x", *shape), value("z", *given)),
        name="where",
        record=lambda r, m, x, z: r.select(m, 0.5, x, z),
    )
    wanted = np.where(mask > 0.5, x, z)
    for box in (Box.whole(shape), Box.whole(shape).rows(1, 2)):
        np.testing.assert_array_equal(Bench(layer, box, room=room).run(mask, x, z), part(wanted, box))


@pytest.mark.parametrize("record", [unary.sign, unary.rsqrt, lambda r, x: r.larger(x, 0.0), unary.rounded])
def test_a_result_may_take_the_place_of_its_input(record: Callable[..., Term]) -> None:
    shape = Shape(1, 64, 1, 32)
    x = np.abs(floats(1, *shape)) + np.float32(0.1)
    apart = Bench(Function(output=value("y", *shape), inputs=(value("x", *shape),), name="f", record=record))
    wanted = apart.run(x)
    inside = Bench(Function(output=value("y", *shape), inputs=(value("x", *shape),), name="f", record=record))
    assert inside.layer.overwrites() == (0,)
    inside.output = inside.tiles[0]
    np.testing.assert_array_equal(inside.run(x), wanted)


def test_registers_are_shared_by_what_is_not_needed_at_once() -> None:
    r = Recorder(1)
    made = r.inputs[0]
    for _ in range(20):
        made = r.multiply(made, made)
    assert Recipe.of(r).count == 1
    r = Recorder(1)
    kept = [r.multiply(r.inputs[0], float(index)) for index in range(4)]
    r.add(r.add(kept[0], kept[1]), r.add(kept[2], kept[3]))
    assert Recipe.of(r).count == 5 - 1


def test_a_silu_takes_a_fifth_of_what_lookups_and_a_division_do() -> None:
    lookups = 1 + 1 + 24 + 1 + 24 + (4 * 12 + 2) + 1 + 1 + 1 + 30 + 1
    _, took = run(activation.silu, floats(1, ROUND))
    assert took <= lookups / 5


def test_boxes_grow_within_their_value() -> None:
    assert grown(Box.whole(Shape(1, 2, 3, 4)), Shape(0, 0, 5, 5), Shape(1, 2, 3, 4)).shape == Shape(
        1, 2, 3, 4
    )


def test_the_said_cycles_are_those_of_the_commands() -> None:
    bench = Bench(
        Function(
            output=value("y", 1, 64, 1, 16),
            inputs=(value("x", 1, 64, 1, 16),),
            name="f",
            record=activation.tanh,
        )
    )
    bench.prepare(floats(1, 1, 64, 1, 16))
    assert bench.cycles == sum(cycles(command) for command in bench.commands)
    assert not any(getattr(command, "operation", None) is Operation.DIVIDE for command in bench.commands)
