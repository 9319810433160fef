"""The attention layer and the transformer block: variables, options, and caches of keys and values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow import layers, nn
from graphflow.errors import AttributeValueError, DTypeError, GraphError, ShapeError
from graphflow.ir.interpret import evaluate


def _weights(graph: gf.Graph, rng: np.random.Generator) -> dict[gf.Tensor, np.ndarray]:
    return {
        tensor: rng.standard_normal(tensor.shape).astype(tensor.dtype.numpy)
        for tensor in graph.variables.values()
        if tensor.dtype.is_floating
    }


def test_fewer_key_heads_have_fewer_weights() -> None:
    x = gf.placeholder("x", ("batch", "time", 12))
    layers.multi_head_attention(x, heads=4, kv_heads=2, use_bias=False)
    assert {name.split("/")[1]: tuple(w.shape) for name, w in x.graph.variables.items()} == {
        "query": (12, 12), "key": (12, 6), "value": (12, 6), "output": (12, 12),
    }  # fmt: skip


def test_the_options_are_those_of_attention(rng: np.random.Generator) -> None:
    x = gf.placeholder("x", (2, 5, 16), gf.float64)
    options: dict[str, Any] = {"causal": True, "window": (2, 0), "softcap": 3.0}
    y = layers.multi_head_attention(x, heads=4, kv_heads=2, rotary=50.0, **options)
    feeds = {x: rng.standard_normal((2, 5, 16)), **_weights(x.graph, rng)}
    w = {name.split("/", 1)[1]: feeds[tensor] for name, tensor in x.graph.variables.items()}

    def part(name: str, heads: int) -> gf.Tensor:
        return nn.split_heads(feeds[x] @ w[f"{name}/kernel"] + w[f"{name}/bias"], heads)

    tables = nn.rotary_tables(5, 4, 50.0, gf.float64)
    q, k = (nn.rotary_embedding(part(name, heads), *tables) for name, heads in (("query", 4), ("key", 2)))
    mixed = nn.merge_heads(nn.attention(q, k, part("value", 2), **options))
    expected = gf.matmul(mixed, w["output/kernel"]) + w["output/bias"]
    np.testing.assert_allclose(*evaluate([y, expected], feeds), rtol=1e-10)


def test_a_block_adds_to_what_comes_in(rng: np.random.Generator) -> None:
    x = gf.placeholder("x", (2, 3, 8), gf.float64)
    y = layers.transformer_block(x, heads=2, hidden=5, activation=nn.relu, causal=True)
    assert [name.split("/", 1)[1] for name in x.graph.variables if "kernel" in name] == [
        *[f"attention/{part}/kernel" for part in ("query", "key", "value", "output")],
        "hidden/kernel",
        "output/kernel",
    ]
    feeds = {x: rng.standard_normal((2, 3, 8)), **_weights(x.graph, rng)}
    by_name = {tensor.node.name: tensor for tensor in feeds}
    still = {by_name[f"transformer_block/{part}/{kind}"] for part in ("output", "attention/output")
             for kind in ("kernel", "bias")}  # fmt: skip
    silent = {tensor: np.zeros_like(value) if tensor in still else value for tensor, value in feeds.items()}
    np.testing.assert_array_equal(evaluate([y], silent)[0], feeds[x])
    assert not np.allclose(evaluate([y], feeds)[0], feeds[x])


def _decoding(positions: Any, rng: np.random.Generator, causal: bool = True) -> None:
    """Two sequences, of which each goes on from a position of its own, as far as they are equally long."""
    attend = layers.shared(
        lambda x, cache: layers.multi_head_attention(
            x, 4, kv_heads=2, causal=causal, rotary=True, cache=cache
        ),
        name="attend",
    )
    x = gf.placeholder("x", (2, "time", 16), gf.float64)
    start = np.broadcast_to(positions, (2,))
    text = rng.standard_normal((2, 9, 16))
    whole = attend(x, None)
    place = gf.placeholder("place", np.shape(positions), gf.int32)
    kept = [gf.placeholder(name, (2, 2, 9, 4), gf.float64) for name in ("key", "value")]
    y, cache = attend(x, layers.AttentionCache(*kept, place))
    with gf.Session(backend="numpy") as sess:
        empty = {one: np.zeros(one.shape) for one in kept}
        filled = sess.run(cache, {x: text, place: np.zeros_like(positions), **empty})
        last = np.stack([text[n, start[n] : start[n] + 2] for n in range(2)])
        feeds = {x: last, place: positions, kept[0]: filled[0], kept[1]: filled[1]}
        made, moved = sess.run([y, cache], feeds)
        for n in range(2):
            stop = start[n] + 2
            expected = sess.run(whole, {x: np.repeat(text[n : n + 1, :stop], 2, axis=0)})
            np.testing.assert_allclose(made[n], expected[n, -2:], rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(moved.position, np.asarray(positions) + 2)
    for old, new in zip(filled, moved):
        if new.ndim == 4:
            np.testing.assert_allclose(new, old, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("positions", [np.int32(0), np.int32(6), np.int32([3, 7])])
@pytest.mark.parametrize("causal", [True, False])
def test_a_cache_goes_on_where_it_stands(positions: Any, causal: bool, rng: np.random.Generator) -> None:
    _decoding(positions, rng, causal)


def test_a_cache_is_state_that_no_training_changes() -> None:
    cache = layers.attention_cache(1, 2, 5, 4)
    graph = cache.key.graph
    assert not any(w.node.attrs["trainable"] for w in graph.variables.values())
    assert list(graph.variables) == [f"attention_cache/{part}" for part in ("key", "value", "position")]
    assert list(layers.attention_cache(1, 2, 5, 4, name="second").key.shape) == [1, 2, 5, 4]
    with pytest.raises(GraphError, match="taken already"):
        layers.attention_cache(1, 2, 5, 4, name="second")


def _layer(x: gf.Tensor, **options: Any) -> Any:
    return layers.multi_head_attention(x, 4, **options)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda x: _layer(x, kv_heads=3), AttributeValueError, "4 heads cannot share 3 heads"),
        (lambda x: _layer(x, memory=x, rotary=True), AttributeValueError, "attend to a memory"),
        (lambda x: _layer(x, rotary=None), AttributeValueError, "base"),
        (lambda x: _layer(x, head_size=3, rotary=True), ShapeError, "must be even"),
        (lambda x: _layer(x, cache=3), AttributeValueError, "no attention cache"),
        (lambda x: _layer(x, cache=layers.attention_cache(2, 2, 9, 4)), ShapeError, "cannot write"),
        (
            lambda x: _layer(x, cache=layers.attention_cache(2, 4, 9, 4, gf.float64)),
            DTypeError,
            "a cache|an attention cache of float64 cannot take float32",
        ),
        (lambda x: _layer(x, cache=layers.AttentionCache(x, x, x)), ShapeError, r"or \[batch\], not"),
        (lambda x: layers.attention_cache(2, 4, 0, 4), AttributeValueError, "room"),
        (lambda x: layers.attention_cache(2, 4, 9, 4, gf.int32), DTypeError, "holds floats"),
        (lambda x: layers.attention_cache(2, 4, 9, 4).assign(3), AttributeValueError, "no attention cache"),
        (lambda x: layers.transformer_block(x, 4, hidden=0), AttributeValueError, "hidden"),
        (lambda x: layers.transformer_block(x[0], 4), ShapeError, "not of rank 2"),
        (lambda x: layers.transformer_block(x, 4, cache=x), AttributeValueError, "no attention cache"),
    ],
)
def test_refusals(build: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build(gf.placeholder("x", (2, 5, 16)))
