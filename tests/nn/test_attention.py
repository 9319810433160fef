"""Attention in all its forms, against the onnx package's cases, jax, and sums written out."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import graphflow as gf
from graphflow import nn
from graphflow.autodiff.check import check_gradients
from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ir.interpret import evaluate
from graphflow.nn.attention import SCORES
from tests.onnx_cases import Case, cases

ATTENTION = cases("attention", "Attention")


def _close(made: Any, expected: Any, rtol: float = 1e-5, atol: float = 1e-6) -> None:
    half = np.asarray(expected).dtype.itemsize == 2
    assert made.shape == expected.shape and made.dtype == expected.dtype
    made, expected = made.astype(np.float64), expected.astype(np.float64)
    np.testing.assert_allclose(made, expected, rtol=3e-2 if half else rtol, atol=1e-2 if half else atol)


def _made(case: Case) -> list[np.ndarray | None]:
    """What attention_outputs gives for an ONNX case; a single past is no part of a call."""
    q, k, v, *rest = case.inputs
    mask, past_key, past_value, lengths = [*rest, None, None, None, None][:4]
    options = dict(case.attributes)
    sides = [options.pop(f"{side}_window_size", -1) for side in ("left", "right")]
    precision = options.pop("softmax_precision", None)
    named = {1: "float32", 10: "float16", 11: "float64", 16: "bfloat16", None: None}
    mode = SCORES[options.pop("qk_matmul_output_mode", 0)]
    made = nn.attention_outputs(
        q,
        k,
        v,
        mask,
        past_key,
        past_value,
        lengths,
        causal=bool(options.pop("is_causal", 0)),
        scale=options.pop("scale", None),
        window=[None if side < 0 else side for side in sides],
        softcap=options.pop("softcap", None),
        softmax_dtype=named[precision],
        heads=options.pop("q_num_heads", None),
        kv_heads=options.pop("kv_num_heads", None),
        scores=mode if len(case.outputs) == 4 else None,
    )
    assert not options
    return evaluate([one for one in made if one is not None], {})


def test_the_cases_are_there() -> None:
    assert len(ATTENTION) >= 90


@pytest.mark.parametrize("case", ATTENTION, ids=lambda case: case.name)
def test_attention_is_onnx_attention(case: Case) -> None:
    for made, expected in zip(_made(case), case.outputs):
        if expected is not None:
            assert made is not None
            _close(made, expected)


# What the cases leave out


def _value(tensor: gf.Tensor, feeds: Any = None) -> np.ndarray:
    return evaluate([tensor], feeds or {})[0]


def _drawn(rng: np.random.Generator, heads: int = 4, shared: int = 2, queries: int = 5, keys: int = 7) -> Any:
    shapes = [(2, heads, queries, 8), (2, shared, keys, 8), (2, shared, keys, 6)]
    return [rng.standard_normal(shape) for shape in shapes]


def _written_out(q: Any, k: Any, v: Any, allowed: Any, change: Any = lambda scores: scores) -> np.ndarray:
    """Attention by one head and query after the other; nothing allowed gives zeros."""
    heads, shared = q.shape[1], k.shape[1]
    allowed = np.broadcast_to(allowed, (*q.shape[:3], k.shape[2]))
    y = np.zeros((*q.shape[:3], v.shape[3]))
    for n, h, i in np.ndindex(q.shape[:3]):
        seen = allowed[n, h, i]
        if seen.any():
            place = h * shared // heads
            scores = change(k[n, place][seen] @ q[n, h, i] / np.sqrt(q.shape[3]))
            weights = np.exp(scores - scores.max())
            y[n, h, i] = weights / weights.sum() @ v[n, place][seen]
    return y


@pytest.mark.parametrize(("heads", "shared"), [(4, 4), (4, 2), (4, 1), (6, 3), (1, 1)])
def test_groups_of_heads_share_keys(heads: int, shared: int, rng: np.random.Generator) -> None:
    q, k, v = _drawn(rng, heads, shared)
    np.testing.assert_allclose(_value(nn.attention(q, k, v)), _written_out(q, k, v, True), rtol=1e-12)


def test_grouped_heads_are_those_of_jax_with_all_gradients(rng: np.random.Generator) -> None:
    values = [one.astype(np.float32) for one in _drawn(rng, 4, 2, 6, 6)]
    q, k, v = (gf.placeholder(name, one.shape) for name, one in zip("qkv", values))
    y = nn.attention(q, k, v, causal=True, window=(3, 0))
    slopes = gf.gradients(gf.sum(y**2), [q, k, v])

    def peer(q: Any, k: Any, v: Any) -> Any:
        moved = [one.transpose(0, 2, 1, 3) for one in (q, k, v)]
        wide = jnp.pad(moved[2], [(0, 0)] * 3 + [(0, 2)])  # jax wants values as wide as keys
        made = jax.nn.dot_product_attention(*moved[:2], wide, is_causal=True, local_window_size=(3, 0))
        return made.transpose(0, 2, 1, 3)[..., :6]

    expected = [peer(*values), *jax.grad(lambda *a: jnp.sum(peer(*a) ** 2), argnums=(0, 1, 2))(*values)]
    with gf.Session() as sess:
        made = sess.run([y, *slopes], dict(zip((q, k, v), values)))
    for one, other in zip(made, expected):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_no_head_is_repeated_in_the_graph(rng: np.random.Generator) -> None:
    """Shared keys stay as they are: the queries of a group are rows of one product."""
    q, k, v = _drawn(rng)
    y = nn.attention(q, k, v)
    products = [node for node in y.graph.nodes if node.op.name == "matmul"]
    assert [node.output.shape for node in products] == [(2, 2, 10, 7), (2, 2, 10, 6)]
    assert {node.op.name for node in y.graph.nodes} <= {
        "constant", "matmul", "multiply", "permute_dims", "reshape", "softmax",
    }  # fmt: skip


@pytest.mark.parametrize("window", [None, 2, (1, 0), (None, 1), (0, None)])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("offset", [0, 2, -3, np.int32([0, 2]), np.int64([-6, 3])])
def test_places_are_what_masks_say(window: Any, causal: bool, offset: Any, rng: np.random.Generator) -> None:
    q, k, v = _drawn(rng)
    lengths = np.int32([4, 7])
    left, right = window if isinstance(window, tuple) else (window, window)
    position = np.arange(5)[:, None] + np.broadcast_to(offset, (2,))[:, None, None, None]
    key = np.arange(7)
    allowed = key < lengths[:, None, None, None]
    for applies, seen in (
        (causal, key <= position),
        (left is not None, key >= position - (left or 0)),
        (right is not None, key <= position + (right or 0)),
    ):
        allowed = allowed & seen if applies else allowed
    made = nn.attention(q, k, v, causal=causal, window=window, offset=offset, lengths=lengths)
    np.testing.assert_allclose(_value(made), _written_out(q, k, v, allowed), rtol=1e-11)
    mask = nn.attention_mask(5, 7, causal, window, offset, lengths)
    assert mask.shape == (2, 1, 5, 7)
    np.testing.assert_array_equal(_value(mask), np.broadcast_to(allowed, (2, 1, 5, 7)))


def test_masks_without_terms_and_with_sizes_to_come() -> None:
    assert _value(nn.attention_mask(2, 3)).all()
    mask = nn.attention_mask(gf.Dim("q"), "k", causal=True, offset=gf.Dim("k") - gf.Dim("q"))
    assert mask.type == gf.placeholder("same", ("q", "k"), gf.bool).type


@pytest.mark.parametrize("mask", ["bool", "float"])
def test_what_may_see_nothing_is_zero_and_so_are_its_slopes(mask: str, rng: np.random.Generator) -> None:
    q, k, v = (gf.placeholder(name, (3, 4), gf.float64) for name in "qkv")
    allowed = np.array([[True, False, True], [False] * 3, [True] * 3])
    given = allowed if mask == "bool" else np.where(allowed, 0.5, -np.inf)
    y = nn.attention(q, k, v, mask=given)
    slopes = gf.gradients(gf.sum(y**2), [q, k, v])
    feeds = {one: rng.standard_normal((3, 4)) for one in (q, k, v)}
    made = evaluate([y, *slopes], feeds)
    assert all(np.isfinite(one).all() for one in made)
    assert not made[0][1].any() and not made[1][1].any() and made[0][[0, 2]].all()
    check_gradients(y, [q, k, v], feeds)


def test_a_mask_of_numbers_may_have_a_slope(rng: np.random.Generator) -> None:
    q, k, v = rng.standard_normal((3, 2, 4, 3))
    bias = gf.placeholder("bias", (2, 4, 4), gf.float64)
    check_gradients(nn.attention(q, k, v, mask=bias), [bias], {bias: rng.standard_normal((2, 4, 4))})
    alibi = nn.attention(q, k, v, mask=nn.alibi_bias(2, 4, 4), causal=True)
    assert alibi.dtype is gf.float64 and alibi.shape == (2, 4, 3)


def test_a_softcap_bounds_the_scores_before_the_mask(rng: np.random.Generator) -> None:
    q, k, v = (30 * one for one in _drawn(rng))
    allowed = rng.uniform(size=(5, 7)) < 0.5
    made = nn.attention(q, k, v, mask=allowed, softcap=2.0)
    expected = _written_out(q, k, v, allowed, lambda scores: 2 * np.tanh(scores / 2))
    np.testing.assert_allclose(_value(made), expected, rtol=1e-11)
    np.testing.assert_array_equal(_value(nn.attention(q, k, v, softcap=0)), _value(nn.attention(q, k, v)))


def test_the_dtype_of_the_softmax(rng: np.random.Generator) -> None:
    q, k, v = (one.astype(np.float16) for one in _drawn(rng))
    y = nn.attention(q, k, v, causal=True, softmax_dtype=gf.float32)
    assert y.dtype is gf.float16
    (softmax,) = [node for node in y.graph.nodes if node.op.name == "softmax"]
    assert softmax.output.dtype is gf.float32
    allowed = np.tri(5, 7, dtype=bool)
    expected = _written_out(*(one.astype(np.float64) for one in (q, k, v)), allowed)
    np.testing.assert_allclose(_value(y), expected, rtol=2e-2, atol=2e-3)
    narrow = nn.attention(*_drawn(rng), mask=np.zeros((5, 7), bool), softmax_dtype=gf.float16)
    np.testing.assert_array_equal(_value(narrow), np.zeros((2, 4, 5, 6)))


def test_dropout_takes_weights_while_training(rng: np.random.Generator) -> None:
    x = gf.placeholder("x", (1, 2, 40, 8))
    ones = gf.ones((1, 2, 40, 3))
    y = nn.attention(x, x, ones, dropout=0.25)
    value = rng.standard_normal((1, 2, 40, 8)).astype(np.float32)
    with gf.Session(seed=5) as sess:
        np.testing.assert_allclose(sess.run(y, {x: value}), 1.0, rtol=1e-5)
        trained = sess.run(y, {x: value, gf.training: True})
    assert np.ptp(trained) > 0.1 and abs(trained.mean() - 1) < 0.1


def test_nothing_to_attend_to_and_nobody_to_ask() -> None:
    made = _value(nn.attention(gf.zeros((2, 3, 4)), gf.zeros((2, 0, 4)), gf.zeros((2, 0, 5)), causal=True))
    np.testing.assert_array_equal(made, np.zeros((2, 3, 5)))
    assert _value(nn.attention(gf.zeros((2, 0, 4)), gf.zeros((2, 3, 4)), gf.ones((2, 3, 5)))).shape == (
        2,
        0,
        5,
    )


def test_the_past_comes_first(rng: np.random.Generator) -> None:
    q, k, v = _drawn(rng, queries=7)
    whole = _value(nn.attention(q, k, v, causal=True))
    made = nn.attention_outputs(
        q[:, :, 3:], k[:, :, 3:], v[:, :, 3:], None, k[:, :, :3], v[:, :, :3], causal=True
    )
    np.testing.assert_allclose(_value(made.y), whole[:, :, 3:], rtol=1e-12)
    np.testing.assert_array_equal(_value(made.key), k)
    assert made.scores is None


def test_heads_are_split_and_merged(rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 5, 12))
    apart = nn.split_heads(x, 3)
    np.testing.assert_array_equal(_value(apart)[1, 2, 4], x[1, 4, 8:])
    np.testing.assert_array_equal(_value(nn.merge_heads(apart)), x)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda x: nn.attention(x, x, x, window=(1, 2, 3)), AttributeValueError, "no pair"),
        (lambda x: nn.attention(x, x, x, window=-1), AttributeValueError, "at least 0"),
        (lambda x: nn.attention(x, x, x, causal=1), AttributeValueError, "causal=1"),
        (lambda x: nn.attention(x, x, x, softcap=-1.0), AttributeValueError, "softcap"),
        (lambda x: nn.attention(x, x, x, softmax_dtype=gf.int32), DTypeError, "softmax in int32"),
        (lambda x: nn.attention(x, x, x, mask=np.ones((5, 5), np.int32)), DTypeError, "a mask of int32"),
        (lambda x: nn.attention(x, x, x, causal=True, offset=0.5), DTypeError, "offset must be integers"),
        (lambda x: nn.attention(x, x, x, lengths=[[1, 2]]), ShapeError, "lengths must have the shape"),
        (lambda x: nn.attention(x, x, x, dropout=1.0), AttributeValueError, "rate=1.0"),
        (lambda x: nn.attention(gf.ones((2, 3), gf.int32), x, x), DTypeError, "not int32 queries"),
        (lambda x: nn.attention(x, x[:, :2], x), ShapeError, "2 heads of keys and 4 of values"),
        (lambda x: nn.attention(x, x[:, :3], x[:, :3]), ShapeError, "do not broadcast"),
        (lambda x: nn.attention_outputs(x, x, x, heads=4), AttributeValueError, "packed queries"),
        (lambda x: nn.attention_outputs(x, x, x, past_key=x), AttributeValueError, "together"),
        (lambda x: nn.attention_outputs(x, x, x, scores="raw"), AttributeValueError, "no scores 'raw'"),
        (lambda x: nn.attention_outputs(*[x[0]] * 3, heads=3, kv_heads=3), ShapeError, "divide into 3 heads"),
        (lambda x: nn.attention_outputs(*[x[0]] * 3), AttributeValueError, "number of heads"),
        (lambda x: nn.attention_mask(-1, 2), ShapeError, "negative size"),
        (lambda x: nn.merge_heads(x[0]), ShapeError, "not rank 3"),
        (lambda x: nn.split_heads(x, 2), ShapeError, "not from rank 4"),
    ],
)
def test_refusals(build: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build(gf.placeholder("x", (2, 4, 5, 8)))
