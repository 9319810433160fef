"""Composites without an operator become calls under their names, and nothing is computed otherwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow.ir.body import nested_nodes
from graphflow.ir.parse import parse_graph
from graphflow.ir.text import print_graph
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.program import Program, extract
from tests.optimizer.rewriting import assert_same_bits, values

Q, KV = (2, 4, 6, 8), (2, 2, 6, 8)


def program_of(
    build: Callable[..., Any], *shapes: Sequence[int], level: str = "O2", exclude: Sequence[str] = ()
) -> tuple[Program, Program]:
    """What a function of placeholders gives, as built and optimised."""
    with gf.Graph():
        feeds = [gf.placeholder(f"x{place}", shape) for place, shape in enumerate(shapes)]
        made = build(*feeds)
        fetches = list(made) if isinstance(made, (list, tuple)) else [made]
        plain = extract(fetches, feeds=feeds)
        return plain, optimize(extract(fetches, feeds=feeds), level, strict=True, exclude=exclude)


def calls(program: Program) -> list[tuple[str, str]]:
    """The marks of calls and the names of their bodies, those inside of bodies too."""
    found = [node for node in nested_nodes(program.order()) if node.op.name == "call"]
    return [(node.attrs["mark"], node.attrs["body"].name) for node in found]


def assert_equal_values(plain: Program, program: Program, rtol: float = 2e-5) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=tensor.shape).astype("float32") for tensor in plain.feeds]
    for new, old in zip(values(program, arrays), values(plain, arrays)):
        np.testing.assert_allclose(new, old, rtol=rtol, atol=1e-6)


def by_hand(q: Any, k: Any, v: Any, mask: Any = None, scale: float = 8**-0.5) -> Any:
    scores = gf.matmul(q, gf.matrix_transpose(k)) * scale
    if mask is not None:
        scores = gf.where(mask, scores, -1e9)
    return gf.matmul(gf.nn.softmax(scores), v)


def repeated(x: Any) -> Any:
    batch, heads, time, size = x.shape
    wide = gf.broadcast_to(gf.expand_dims(x, axis=2), (batch, heads, 2, time, size))
    return gf.reshape(wide, (batch, heads * 2, time, size))


CAUSAL = np.tril(np.ones((6, 6), bool))

ATTENTION = [
    (lambda q, k, v: gf.nn.attention(q, k, v), (Q, Q, Q), "attention"),
    (lambda q, k, v: gf.nn.attention(q, k, v, causal=True), (Q, Q, Q), "causal_attention"),
    (lambda q, k, v: gf.nn.attention(q, k, v, mask=np.ones((6, 6), bool)), (Q, Q, Q), "masked_attention"),
    (lambda q, k, v, m: gf.nn.attention(q, k, v, mask=m), (Q, Q, Q, (6, 6)), "masked_attention"),
    (lambda q, k, v: gf.nn.attention(q, k, v, causal=True), (Q, KV, KV), "grouped_causal_attention"),
    (lambda q, k, v: gf.nn.attention(q, k, v, softcap=2.0), (Q, KV, KV), "grouped_attention"),
    (lambda q, k, v: by_hand(q, k, v), (Q, Q, Q), "attention"),
    (lambda q, k, v: by_hand(q, k, v), ((6, 8), (5, 8), (5, 3)), "attention"),
    (lambda q, k, v: by_hand(q, k, v, CAUSAL), (Q, Q, Q), "causal_attention"),
    (
        lambda q, k, v: by_hand(q, gf.repeat(k, 2, axis=1), gf.repeat(v, 2, axis=1)),
        (Q, KV, KV),
        "grouped_attention",
    ),
    (lambda q, k, v: by_hand(q, repeated(k), repeated(v), CAUSAL), (Q, KV, KV), "grouped_causal_attention"),
]


@pytest.mark.parametrize("level", ["O2", "O3"])
@pytest.mark.parametrize(("build", "shapes", "title"), ATTENTION)
def test_attention(build: Callable[..., Any], shapes: Any, title: str, level: str) -> None:
    plain, program = program_of(build, *shapes, level=level)
    wanted = ("attention", title)
    if title == "masked_attention" and len(shapes) == 3:  # a mask that allows all is none
        assert calls(program)[0][0] == "attention"
    else:
        assert calls(program) == [wanted]
    assert_equal_values(plain, program)


def test_hand_written_attention_ends_as_that_of_nn() -> None:
    def nn(q: Any, k: Any, v: Any) -> Any:
        return gf.nn.attention(q, k, v, scale=8**-0.5)

    def bodies(build: Callable[..., Any], *shapes: Any) -> list[Any]:
        program = program_of(build, *shapes)[1]
        return [node.attrs["body"].attribute_key() for node in program.order() if node.op.name == "call"]

    assert bodies(nn, Q, Q, Q) == bodies(by_hand, Q, Q, Q) != []
    grouped = bodies(lambda q, k, v: by_hand(q, repeated(k), repeated(v)), Q, KV, KV)
    assert bodies(nn, Q, KV, KV) == grouped != []


@pytest.mark.parametrize("scaled", [True, False])
def test_rms_norm(scaled: bool) -> None:
    def by_division(x: Any, s: Any) -> Any:
        y = x / gf.sqrt(gf.mean(x * x, axis=-1, keepdims=True) + 1e-6)
        return y * s if scaled else y + s

    def nn(x: Any, s: Any) -> Any:
        return gf.nn.rms_norm(x, s) if scaled else gf.nn.rms_norm(x) + s

    found = []
    for build in (by_division, nn):
        plain, program = program_of(build, (4, 5, 8), (8,))
        assert calls(program) == [("rms_norm", "rms_norm")]
        assert_equal_values(plain, program)
        found += [node.attrs["body"].attribute_key() for node in program.order() if node.op.name == "call"]
    assert found[0] == found[1]


def _lstm(x: Any, w: Any, r: Any) -> Any:
    y, (h, c) = gf.nn.lstm(x, w, r)
    return y, h, c


def _lstm_step(totals: Any, cell: Any) -> Any:
    i, f, g, o = gf.split(totals, 4, axis=1)
    new = gf.nn.sigmoid(f) * cell + gf.nn.sigmoid(i) * gf.tanh(g)
    return gf.nn.sigmoid(o) * gf.tanh(new), new


def test_lstm_cell_in_a_loop_and_by_hand() -> None:
    plain, program = program_of(_lstm, (5, 2, 3), (16, 3), (16, 4))
    assert calls(program) == [("lstm_cell", "lstm_cell")]
    assert_equal_values(plain, program)
    plain, program = program_of(_lstm_step, (2, 16), (2, 4))
    assert [node.op.name for node in program.order()] == ["placeholder", "split", "placeholder", "call"]
    assert_equal_values(plain, program)
    plain, program = program_of(lambda totals, cell: _lstm_step(totals, cell)[0], (2, 16), (2, 4))
    assert calls(program) == [("lstm_cell", "lstm_cell")]
    assert_equal_values(plain, program)


def test_an_output_gate_that_sees_the_new_cell_is_no_lstm_cell() -> None:
    def peephole(totals: Any, cell: Any) -> Any:
        i, f, g, o = gf.split(totals, 4, axis=1)
        new = gf.nn.sigmoid(f) * cell + gf.nn.sigmoid(i) * gf.tanh(g)
        return gf.nn.sigmoid(o + new) * gf.tanh(new)

    plain, program = program_of(peephole, (2, 16), (2, 4))
    assert calls(program) == []
    assert_equal_values(plain, program)


def test_the_cells_of_a_stack_do_not_depend_on_each_other_in_a_circle() -> None:
    def stack(totals: Any, cell: Any) -> Any:
        hidden, first = _lstm_step(totals, cell)
        again, second = _lstm_step(gf.concat([hidden, first, hidden, first], axis=1) * 0.5, first)
        return again, second, first

    plain, program = program_of(stack, (2, 16), (2, 4))
    assert calls(program) == [("lstm_cell", "lstm_cell")] * 2
    assert_equal_values(plain, program)


@pytest.mark.parametrize(
    "build",
    [
        lambda q, k, v: (lambda w: (gf.matmul(w, v), w))(gf.nn.softmax(gf.matmul(q, gf.matrix_transpose(k)))),
        lambda q, k, v: gf.matmul(gf.nn.softmax(gf.matmul(q, gf.matrix_transpose(k)), axis=-2), v),
        lambda q, k, v: gf.matmul(gf.nn.softmax(gf.exp(gf.matmul(q, gf.matrix_transpose(k)))), v),
        lambda q, k, v: gf.matmul(q, gf.matmul(gf.matrix_transpose(k), v)),
    ],
)
def test_what_is_no_attention_or_serves_others_too(build: Callable[..., Any]) -> None:
    assert calls(program_of(build, Q, Q, Q)[1]) == []


def test_training_keeps_what_its_gradients_read() -> None:
    def trained(q: Any, k: Any, v: Any) -> Any:
        y = gf.sum(gf.nn.attention(q, k, v))
        return [y, *gf.gradients(y, [q, k, v])]

    plain, program = program_of(trained, Q, Q, Q)
    assert calls(program) == []
    assert_equal_values(plain, program)


def test_naming_changes_no_bit_and_is_done_once() -> None:
    def net(q: Any, k: Any, v: Any) -> Any:
        return gf.nn.rms_norm(gf.nn.attention(q, k, v, causal=True))

    steps = "control-flow,bodies,fold-constants,canonicalize"
    with gf.Graph():
        feeds = [gf.placeholder(name, Q) for name in "qkv"]
        y = net(*feeds)
        plain = optimize(extract([y], feeds=feeds), pipeline=steps)
        named = optimize(extract([y], feeds=feeds), pipeline=f"{steps},name-composites", strict=True)
    assert [mark for mark, _ in calls(named)] == ["attention", "rms_norm"]
    arrays = [np.random.default_rng(3).normal(size=Q).astype("float32") for _ in range(3)]
    arrays[0][0, 0, 0, :3] = [np.nan, np.inf, -0.0]
    assert_same_bits(values(named, arrays)[0], values(plain, arrays)[0])
    journal = Journal("entries")
    optimize(named, pipeline=f"{steps},name-composites", journal=journal)
    assert not journal.edits


def test_a_named_call_survives_text_and_can_be_excluded() -> None:
    _, program = program_of(lambda q, k, v: gf.nn.attention(q, k, v), Q, Q, Q)
    again = parse_graph(print_graph(program))
    assert [node.attrs["mark"] for node in again.nodes if node.op.name == "call"] == ["attention"]
    with gf.Graph():
        feeds = [gf.placeholder(name, Q) for name in "qkv"]
        y = gf.nn.attention(*feeds)
        for name in ("name_attention", "name-composites"):
            assert calls(optimize(extract([y]), "O2", exclude=[name])) == []


def test_both_backends_run_it_and_its_gradient_exists() -> None:
    rng = np.random.default_rng(4)
    arrays = [rng.normal(size=Q).astype("float32") for _ in range(3)]
    results = []
    with gf.Graph():
        feeds = [gf.placeholder(name, Q) for name in "qkv"]
        y = gf.nn.attention(*feeds, causal=True)
        for backend in ("numpy", "jax"):
            with gf.Session(backend=backend) as sess:
                results.append(sess.run(y, dict(zip(feeds, arrays))))
        model = gf.optimize(gf.Model(inputs=feeds, outputs={"y": y}))
    np.testing.assert_allclose(results[1], results[0], rtol=1e-5, atol=1e-6)
    inputs, (output,) = list(model.inputs.values()), model.outputs.values()
    assert output.node.op.name == "call"
    slopes = gf.gradients(output, inputs)
    assert [slope.shape for slope in slopes] == [Q, Q, Q]


def _scores(q: Any, k: Any) -> Any:
    return gf.matmul(q, gf.matrix_transpose(k)) / 8**0.5


LOWER = np.tril(np.ones((Q[-2], Q[-2]), bool))


@pytest.mark.parametrize(
    ("mask", "title"),
    [
        (lambda s: s + gf.constant(np.where(LOWER, 0, -1e4).astype("float32")), "causal_attention"),
        (
            lambda s: s + gf.constant(np.where(LOWER, 0, -np.inf).astype("float32"), allow_nan=True),
            "causal_attention",
        ),
        (lambda s: gf.where(gf.constant(~LOWER), -1e9, s), "causal_attention"),
        (lambda s: gf.where(gf.constant(LOWER), s, 0.0), "masked_attention"),
        (lambda s: gf.where(gf.constant(~LOWER), s, -1e9), "masked_attention"),
        (lambda s: s + gf.constant(np.where(LOWER, 0, -1.0).astype("float32")), "masked_attention"),
    ],
)
def test_masks_are_told_apart_by_what_they_let_through(mask: Any, title: str) -> None:
    _, program = program_of(lambda q, k, v: gf.matmul(gf.nn.softmax(mask(_scores(q, k))), v), Q, Q, Q)
    assert calls(program) == [("attention", title)]


ONES = LOWER.astype("float32")
GAPS = np.where(np.arange(Q[-2]) == 2, 0, ONES).astype("float32")

KEPT = [
    (lambda s, b: s * b - 1e4 * (1 - b), ONES, "causal_attention"),
    (lambda s, b: s * b - 1e9 * (1 - b), ONES, "causal_attention"),
    (lambda s, b: b * s + -10000.0 * (1.0 - b), ONES, "causal_attention"),
    (lambda s, b: s * b + 1e4 * (b - 1), ONES, "causal_attention"),
    (lambda s, b: s - 1e4 * (1 - b), ONES, "causal_attention"),
    (lambda s, b: s * b - 1e4 * (1 - b), GAPS, "masked_attention"),
    (lambda s, b: s * b - 5.0 * (1 - b), ONES, "masked_attention"),
    (lambda s, b: s * b - 1e4 * (1 - ONES), GAPS, "masked_attention"),
]


@pytest.mark.parametrize(("mask", "kept", "title"), KEPT)
@pytest.mark.parametrize("fed", [False, True])
def test_masks_that_keep_and_put_away(mask: Any, kept: np.ndarray, title: str, fed: bool) -> None:
    """As GPT-2 has them: the number that puts away is finite, so rows of which all is masked have weights."""

    def attention(q: Any, k: Any, v: Any, *given: Any) -> Any:
        b = given[0] if given else gf.constant(kept)
        return gf.matmul(gf.nn.softmax(mask(_scores(q, k), b)), v)

    plain, program = program_of(attention, Q, Q, Q, *[kept.shape] * fed)
    other = (
        fed and mask is KEPT[-1][0]
    )  # what is kept and what is put away have nothing to do with each other
    assert calls(program) == ([] if other else [("attention", "masked_attention" if fed else title)])
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=Q).astype("float32") for _ in range(3)] + [kept * 0] * fed
    for feeds in (arrays, arrays[:3] + [kept] * fed):
        unnamed = program_of(attention, Q, Q, Q, *[kept.shape] * fed, exclude=["name_attention"])[1]
        assert calls(unnamed) == []
        assert_same_bits(values(program, feeds)[0], values(unnamed, feeds)[0])
        np.testing.assert_allclose(values(program, feeds)[0], values(plain, feeds)[0], rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize(
    "scores",
    [
        lambda s, m: s * m,  # a gate, not a mask
        lambda s, m: s * m + 1.0,
        lambda s, m: s * gf.constant(np.float32(2 * ONES)) - gf.constant(np.float32(1e4 * (1 - ONES))),
        lambda s, m: gf.subtract(m, s),
        lambda s, m: gf.divide(s, m),
    ],
)
def test_what_scales_scores_one_by_one_is_no_mask(scores: Any) -> None:
    _, program = program_of(
        lambda q, k, v, m: gf.matmul(gf.nn.softmax(scores(_scores(q, k), m)), v), Q, Q, Q, ONES.shape
    )
    assert calls(program) == []


@pytest.mark.parametrize("scaled", [True, False])
def test_rms_norm_without_epsilon(scaled: bool) -> None:
    plain, program = program_of(
        lambda x, s: x / gf.sqrt(gf.mean(x**2, axis=-1, keepdims=True)) * (s if scaled else 1.0),
        (4, 5, 8),
        (8,),
    )
    assert calls(program) == [("rms_norm", "rms_norm")]
    assert_equal_values(plain, program)
    zeros = [np.zeros((4, 5, 8), np.float32), np.ones(8, np.float32)]
    assert np.isnan(values(program, zeros)[0]).all() and np.isnan(values(plain, zeros)[0]).all()


def test_rows_without_any_allowed_score_may_be_guarded() -> None:
    def guarded(q: Any, k: Any, v: Any) -> Any:
        weights = gf.nn.softmax(gf.where(gf.constant(LOWER), _scores(q, k), -np.inf))
        return gf.matmul(gf.where(gf.is_nan(weights), 0.0, weights), v)

    plain, program = program_of(guarded, Q, Q, Q)
    assert calls(program) == [("attention", "causal_attention")]
    assert_equal_values(plain, program)


def test_an_lstm_cell_whose_gates_are_slices() -> None:
    def cell(x: Any, c: Any) -> Any:
        i, g, f, o = [x[:, 3 * part : 3 * part + 3] for part in range(4)]
        after = gf.tanh(g) * gf.nn.sigmoid(i) + c * gf.nn.sigmoid(f)
        return gf.tanh(after) * gf.nn.sigmoid(o)

    plain, program = program_of(cell, (2, 12), (2, 3))
    assert calls(program) == [("lstm_cell", "lstm_cell")]
    assert_equal_values(plain, program)
