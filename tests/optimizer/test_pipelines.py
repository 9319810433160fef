"""Levels: what each may do, and that every pipeline keeps the values of random graphs."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphflow.errors import AttributeValueError, RewriteError
from graphflow.ir.builder import Builder
from graphflow.ir.graph import Graph
from graphflow.ir.interpret import evaluate
from graphflow.ir.node import Tensor
from graphflow.ops.declare import placeholder, training, variable
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.pipelines import (
    PIPELINES,
    level_pipeline,
    optimize,
    parse_pipeline,
    print_pipeline,
)
from graphflow.optimizer.program import Program, extract
from tests.optimizer.rewriting import assert_same_bits, awkward, build, show, values


def optimized(text: str, level: str) -> str:
    program = build(text)
    optimize(program, level, strict=True, check=True)
    return show(program)


# Levels


@pytest.mark.parametrize(
    ("text", "lowest"),
    [
        ("x: float32[3] -> multiply(x, 1.0)", "O1"),
        ("x: float32[3] -> add(x, add(constant(1.0), 2.0))", "O1"),
        ("x: float32[3] -> (exp(x), exp(x))", "O1"),
        ("x: float32[3] -> log(softmax(x))", "O2"),
        ("x: float32[3] -> subtract(exp(x), 1.0)", "O2"),
        ("x: float32[3] -> add(x, 0.0)", "O3"),
        ("x: float32[3] -> multiply(multiply(x, 3.0), 5.0)", "O3"),
        ("x: float32[3] -> divide(x, x)", "none"),
    ],
)
def test_levels_admit_what_they_say(text: str, lowest: str) -> None:
    levels = list(PIPELINES)
    untouched = show(build(text))
    changed = [level for level in levels if optimized(text, level) != untouched]
    assert changed == (levels[levels.index(lowest) :] if lowest in levels else [])


def test_a_pipeline_takes_the_place_of_the_level() -> None:
    program, journal = build("x: float32[3] -> multiply(log(softmax(x)), 1.0)"), Journal("counts")
    optimize(program, "O2", pipeline="eliminate,canonicalize{safety=exact,max-bytes=0}", journal=journal)
    assert journal.fired("neutral_element") == 1 and not journal.fired("log_of_softmax")
    assert journal.label == "eliminate,canonicalize{safety=exact,max-bytes=0}"


def test_pipelines_print_and_parse() -> None:
    for level in PIPELINES:
        passes = parse_pipeline(level_pipeline(level))
        assert parse_pipeline(print_pipeline(passes)) == passes
    assert (
        print_pipeline(parse_pipeline("canonicalize")) == "canonicalize{safety=exact,tags=,max-bytes=1048576}"
    )
    assert parse_pipeline(print_pipeline(parse_pipeline("canonicalize"))) == parse_pipeline("canonicalize")


@pytest.mark.parametrize(
    ("level", "pipeline"), [("O4", ""), ("O2", "fold-constant"), ("O2", "canonicalize{safety=perhaps}")]
)
def test_wrong_levels_and_pipelines_are_refused(level: str, pipeline: str) -> None:
    with pytest.raises(AttributeValueError):
        optimize(build("x: float32[3] -> x"), level, pipeline)


def test_o0_verifies() -> None:
    program = build("x: float32[3] -> exp(sqrt(x))")
    program.nodes[1].inputs = (program.nodes[2].outputs[0],)
    with pytest.raises(RewriteError, match="pass 'verify' failed"):
        optimize(program, "O0")


def test_the_training_flag_decides_branches() -> None:
    with Graph() as graph:
        x = placeholder("x", (3,))
        b = Builder(graph)
        y = b.where(training(), b.exp(x), b.sin(x))
        for flag, op in ((True, "exp"), (False, "sin")):
            program = optimize(extract([y], feeds=[x], training=flag), "O1")
            assert [node.op.name for node in program.nodes] == ["placeholder", op]
        assert len(optimize(extract([y], feeds=[x]), "O1").nodes) == 5, "an unknown flag decides nothing"


def test_updates_and_signature_stay() -> None:
    from graphflow.ops.declare import assign

    with Graph() as graph:
        b = Builder(graph)
        x, w = placeholder("x", (3,)), variable("w", (3,))
        update = assign(w, b.multiply(b.add(w, b.multiply(x, 0)), 1.0))
        program = extract([b.sum(w)], update.assigns, feeds=[x])
        optimize(program, "O3")
    assert program.updated == ["w"] and program.fetch_count == 1 and len(program.outputs) == 2
    assert program.updates[0].node.op.name == "variable", "nothing is left to compute"
    assert [tensor.node.name for tensor in program.feeds] == ["x"], "though x is read no more"
    assert list(program.variables) == ["w"]


def test_a_second_run_changes_nothing_at_any_level() -> None:
    text = "x: float32[4,3] -> s = softmax(x); log(multiply(reshape(reshape(s, (12,)), (4, 3)), 1.0))"
    for level in PIPELINES:
        program = build(text)
        optimize(program, level)
        journal = Journal("counts")
        optimize(program, level, journal=journal)
        assert not journal.edits


# Random graphs

_UNARY = (
    "exp",
    "negative",
    "abs",
    "sqrt",
    "tanh",
    "floor",
    "sign",
    "relu",
    "sigmoid",
    "square",
    "log",
    "reciprocal",
)
_BINARY = ("add", "subtract", "multiply", "divide", "maximum", "minimum", "pow")
_REDUCE = ("sum", "max", "mean", "min", "logsumexp")
_NUMBERS = (0.0, -0.0, 1.0, -1.0, 2.0, 0.5, 3.0)


def _unary(draw: st.DrawFn, b: Builder, x: Tensor, pool: list[Tensor]) -> Tensor:
    return getattr(b, draw(st.sampled_from(_UNARY)))(x)


def _binary(draw: st.DrawFn, b: Builder, x: Tensor, pool: list[Tensor]) -> Tensor:
    operation = getattr(b, draw(st.sampled_from(_BINARY)))
    fitting = [other for other in pool if other.shape == x.shape or other.shape == ()]
    other = draw(st.sampled_from([*fitting, *_NUMBERS]))
    return operation(x, other) if draw(st.booleans()) else operation(other, x)


def _reduce(draw: st.DrawFn, b: Builder, x: Tensor, pool: list[Tensor]) -> Tensor:
    axes = tuple(axis for axis in range(x.ndim) if draw(st.booleans()))
    return getattr(b, draw(st.sampled_from(_REDUCE)))(x, axis=axes, keepdims=draw(st.booleans()))


def _reshape(draw: st.DrawFn, b: Builder, x: Tensor, pool: list[Tensor]) -> Tensor:
    shape = draw(st.sampled_from([(-1,), (1, -1), (-1, 1), x.shape, x.shape[::-1]]))
    return b.reshape(x, shape=shape)


def _permute(draw: st.DrawFn, b: Builder, x: Tensor, pool: list[Tensor]) -> Tensor:
    return b.permute_dims(x, axes=tuple(draw(st.permutations(range(x.ndim)))))


def _slice(draw: st.DrawFn, b: Builder, x: Tensor, pool: list[Tensor]) -> Tensor:
    if not x.ndim:
        return b.expand_dims(x, axis=0)
    step = draw(st.sampled_from([1, -1, 2]))
    bounds = [draw(st.sampled_from([None, 0, 1, 2, -1])) for _ in range(2)]
    made: Tensor = b.slice(
        x, starts=(bounds[0],), stops=(bounds[1],), steps=(step,), axes=(draw(st.integers(0, x.ndim - 1)),)
    )
    return x if 0 in made.shape else made


def _concat(draw: st.DrawFn, b: Builder, x: Tensor, pool: list[Tensor]) -> Tensor:
    if not x.ndim:
        return b.squeeze(b.reshape(x, shape=(1, 1)), axis=(0, 1))
    return b.concat(
        x, *[one for one in pool if one.shape == x.shape][:2], axis=draw(st.integers(0, x.ndim - 1))
    )


def _broadcast(draw: st.DrawFn, b: Builder, x: Tensor, pool: list[Tensor]) -> Tensor:
    return b.broadcast_to(x, shape=(draw(st.sampled_from([1, 2])), *x.shape)) if x.ndim < 4 else x


def _choose(draw: st.DrawFn, b: Builder, x: Tensor, pool: list[Tensor]) -> Tensor:
    condition = draw(
        st.sampled_from([b.less(x, 1.0), b.equal(x, x), b.logical_not(b.greater(x, x)), True, False])
    )
    return b.where(condition, x, b.negative(x))


def _convert(draw: st.DrawFn, b: Builder, x: Tensor, pool: list[Tensor]) -> Tensor:
    return b.astype(
        b.astype(x, dtype=draw(st.sampled_from(["float64", "float16", "float32"]))), dtype="float32"
    )


def _stable(draw: st.DrawFn, b: Builder, x: Tensor, pool: list[Tensor]) -> Tensor:
    """The plain forms for which there are better ones."""
    forms = {
        "log_softmax": lambda: b.log(b.softmax(x, axis=-1)) if x.ndim else x,
        "logsumexp": lambda: b.log(b.sum(b.exp(x), axis=0)) if x.ndim else x,
        "softmax": lambda: b.divide(b.exp(x), b.sum(b.exp(x), axis=0, keepdims=True)) if x.ndim else x,
        "log1p": lambda: b.log(b.add(1, b.square(x))),
        "expm1": lambda: b.subtract(b.exp(x), 1),
        "sigmoid": lambda: b.divide(1, b.add(1, b.exp(b.negative(x)))),
        "softplus": lambda: b.log(b.add(1, b.exp(x))),
        "log_sigmoid": lambda: b.log(b.sigmoid(x)),
        "abs": lambda: b.sqrt(b.square(x)),
    }
    return forms[draw(st.sampled_from(sorted(forms)))]()


_STEPS = (
    _stable,
    _unary,
    _binary,
    _binary,
    _reduce,
    _reshape,
    _permute,
    _slice,
    _concat,
    _broadcast,
    _choose,
    _convert,
)


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """A well-typed program of up to 20 steps over two inputs."""
    with Graph() as graph:
        b = Builder(graph)
        shape = draw(st.sampled_from([(), (1,), (3,), (2, 3), (1, 3), (2, 1, 2)]))
        pool = [placeholder("x", shape), placeholder("y", shape)]
        for _ in range(draw(st.integers(1, 20))):
            operand = draw(st.sampled_from([*pool, *[pool[-1]] * len(pool)]))
            made = draw(st.sampled_from(_STEPS))(draw, b, operand, pool)
            if not isinstance(made.size, int) or made.size <= 64:
                pool.append(made)
        return extract(pool[-3:], feeds=pool[:2])


def _optimized_values(program: Program, arrays: list[np.ndarray], level: str) -> list[np.ndarray]:
    optimize(program, level, strict=True, check=True)
    return evaluate(program.outputs, dict(zip(program.feeds, arrays)))


def _copy(program: Program) -> Program:
    return extract(program.outputs, feeds=program.feeds)


@given(programs(), st.integers(0, 1000))
def test_exact_rules_keep_every_bit(program: Program, seed: int) -> None:
    """At O1 results are the same to the bit, for NaN, infinities and negative zeros too."""
    arrays = [awkward(tensor, seed + place) for place, tensor in enumerate(program.feeds)]
    wanted = values(program, arrays)
    for left, right in zip(_optimized_values(_copy(program), arrays, "O1"), wanted):
        assert_same_bits(left, right)


@given(programs(), st.integers(0, 1000))
def test_stable_forms_keep_values_where_the_plain_ones_are_good(program: Program, seed: int) -> None:
    """At O2 results agree wherever float32 and float64 agree on the plain program."""
    arrays = [
        np.asarray(awkward(tensor, seed + place, finite=True)) for place, tensor in enumerate(program.feeds)
    ]
    wanted = values(program, arrays)
    nudged = values(program, [np.asarray(array * np.float32(1 + 1e-6), array.dtype) for array in arrays])
    for left, right, moved in zip(_optimized_values(_copy(program), arrays, "O2"), wanted, nudged):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            steady = np.isfinite(right) & (np.abs(moved - right) <= 1e-4 * np.abs(right))
        np.testing.assert_allclose(left[steady], right[steady], rtol=1e-3, atol=1e-5)


def test_levels_and_doubled_options_are_no_pipelines() -> None:
    with pytest.raises(AttributeValueError, match="is a level, not a pipeline"):
        parse_pipeline("O2")
    with pytest.raises(AttributeValueError, match="there is no level 'O7'"):
        parse_pipeline("O7")
    with pytest.raises(AttributeValueError, match="given 'max-bytes' twice"):
        parse_pipeline("fold-constants{max-bytes=1,max-bytes=2}")


@pytest.mark.parametrize("text", [",", " ", " , "])
def test_a_text_without_a_pass_is_no_pipeline(text: str) -> None:
    with pytest.raises(AttributeValueError, match="names no pass"):
        parse_pipeline(text)
    assert parse_pipeline("") == []
