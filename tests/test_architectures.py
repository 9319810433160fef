"""The common architectures: each is built, differentiated and trained on both backends, which agree.

A small member of each family is enough: what is asked is whether the vocabulary can say it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest

import graphflow as gf
from graphflow import layers, nn
from graphflow.ir.interpret import evaluate

Rng = np.random.Generator
STEPS = 6


class Net(NamedTuple):
    """A loss, what the net says, and a batch to learn."""

    loss: gf.Tensor
    output: gf.Tensor
    feeds: dict[gf.Tensor, np.ndarray]


def images(rng: Rng, dtype: Any, channels: int = 2, size: int = 8) -> tuple[gf.Tensor, np.ndarray]:
    x = gf.placeholder("x", ("batch", channels, size, size), dtype)
    return x, rng.standard_normal((4, channels, size, size)).astype(dtype.numpy)


def classified(logits: gf.Tensor, x: gf.Tensor, value: np.ndarray, rng: Rng) -> Net:
    labels = gf.placeholder("labels", ("batch",), gf.int32)
    classes = rng.integers(0, logits.shape[1], len(value), np.int32)
    return Net(nn.cross_entropy(logits, labels), logits, {x: value, labels: classes})


# Images


def residual(rng: Rng, dtype: Any = gf.float32) -> Net:
    """Convolutions with batch norm around which the input passes by, with a projection where it shrinks."""

    def block(x: gf.Tensor, filters: int, strides: int) -> gf.Tensor:
        y = layers.conv(x, filters, 3, strides, use_bias=False)
        y = nn.relu(layers.batch_norm(y))
        y = layers.batch_norm(layers.conv(y, filters, 3, use_bias=False))
        passed = x if strides == 1 else layers.conv(x, filters, 1, strides, use_bias=False)
        return nn.relu(y + passed)

    x, value = images(rng, dtype)
    hidden = block(block(layers.conv(x, 4, 3), 4, 1), 8, 2)
    return classified(layers.dense(gf.mean(hidden, axis=(2, 3)), 3), x, value, rng)


def mobile(rng: Rng, dtype: Any = gf.float32) -> Net:
    """Inverted residuals: wide inside, where each channel has a kernel of its own."""
    x, value = images(rng, dtype, channels=4)
    wide = nn.hard_swish(layers.conv(x, 12, 1, use_bias=False))
    mixed = nn.hard_swish(layers.conv(wide, 12, 3, groups=12, use_bias=False))
    gate = nn.hard_sigmoid(layers.dense(gf.mean(mixed, axis=(2, 3)), 12))
    y = x + layers.conv(mixed * gate[:, :, None, None], 4, 1, use_bias=False)
    return classified(layers.dense(gf.mean(y, axis=(2, 3)), 3), x, value, rng)


def u_net(rng: Rng, dtype: Any = gf.float32) -> Net:
    """Down and up again, with what was seen on the way down beside what comes up."""
    x, value = images(rng, dtype)
    target = gf.placeholder("target", x.shape[:1] + (1, 8, 8), dtype)
    fine = layers.conv(x, 4, 3, activation=nn.silu)
    coarse = layers.conv(nn.max_pool(fine, 2), 8, 3, activation=nn.silu)
    up = layers.conv_transpose(coarse, 4, 2, strides=2)
    y = layers.conv(gf.concat(fine, up, axis=1), 1, 3)
    mask = (value[:, :1] > 0).astype(dtype.numpy)
    return Net(nn.binary_cross_entropy_with_logits(y, target), y, {x: value, target: mask})


def detection(rng: Rng, dtype: Any = gf.float32) -> Net:
    """A class and a box for each anchor of a feature map, scored by two losses."""
    x, value = images(rng, dtype)
    features = layers.conv(layers.conv(x, 4, 3, 2, activation=nn.silu), 8, 3, 2, activation=nn.silu)
    head = gf.reshape(gf.permute_dims(layers.conv(features, 2 * 5, 3), (0, 2, 3, 1)), (-1, 5))
    scores, boxes = head[:, 0], head[:, 1:]
    found = gf.placeholder("found", scores.shape, dtype)
    where = gf.placeholder("where", boxes.shape, dtype)
    near = gf.mean(found * gf.sum(nn.huber(boxes, where, reduction="none"), axis=1))
    loss = nn.binary_cross_entropy_with_logits(scores, found) + near
    count = 4 * 2 * 2 * 2
    return Net(
        loss,
        head,
        {
            x: value,
            found: rng.integers(0, 2, count).astype(dtype.numpy),
            where: rng.standard_normal((count, 4)).astype(dtype.numpy),
        },
    )


# Graphs


def _edges(rng: Rng, nodes: int, edges: int) -> np.ndarray:
    """Pairs (from, to) of a random graph, both ways, and each node to itself."""
    pairs = rng.integers(0, nodes, (edges, 2), np.int32)
    own = np.stack([np.arange(nodes, dtype=np.int32)] * 2, axis=1)
    return np.unique(np.concatenate([pairs, pairs[:, ::-1], own]), axis=0)


def graph_convolution(rng: Rng, dtype: Any = gf.float32) -> Net:
    """Messages of neighbours, weighted by their degrees and summed at the node that each edge points to."""
    nodes, pairs = 9, _edges(rng, 9, 12)
    x = gf.placeholder("x", ("batch", 5), dtype)
    edges = gf.placeholder("edges", ("edges", 2), gf.int32)
    source, target = edges[:, 0], edges[:, 1]
    ones = gf.broadcast_to(gf.constant(1, dtype), source.shape)
    degree = gf.index_add(gf.zeros_like(x[:, 0]), target, ones)
    weight = gf.rsqrt(gf.take(degree, source) * gf.take(degree, target))

    def convolution(h: gf.Tensor, units: int) -> gf.Tensor:
        h = layers.dense(h, units)
        return gf.index_add(gf.zeros_like(h), target, gf.take(h, source) * weight[:, None])

    logits = convolution(nn.tanh(convolution(x, 6)), 3)
    net = classified(logits, x, rng.standard_normal((nodes, 5)).astype(dtype.numpy), rng)
    return net._replace(feeds={**net.feeds, edges: pairs})


# Sequences


def encoder(rng: Rng, dtype: Any = gf.float32) -> Net:
    """A transformer that reads a padded sequence and classifies it."""
    ids = gf.placeholder("ids", ("batch", "time"), gf.int32)
    lengths = gf.placeholder("lengths", ("batch",), gf.int32)
    x = layers.embedding(ids, 11, 8, dtype=dtype)
    x = x + gf.astype(nn.sinusoidal_positions("time", 8), dtype)
    read = nn.attention_mask(x.shape[1], x.shape[1], lengths=lengths)
    x = layers.transformer_block(x, heads=2, hidden=16, mask=read)
    real = gf.astype(read[:, 0, 0], dtype)
    pooled = gf.sum(layers.layer_norm(x) * real[:, :, None], axis=1) / gf.astype(lengths, dtype)[:, None]
    net = classified(layers.dense(pooled, 3), ids, rng.integers(0, 11, (4, 6), np.int32), rng)
    return net._replace(feeds={**net.feeds, lengths: np.int32([6, 2, 1, 4])})


def decoder(rng: Rng, dtype: Any = gf.float32) -> Net:
    """A language model: rotary positions, two query heads to a key head, and what comes next."""
    ids = gf.placeholder("ids", ("batch", "time"), gf.int32)
    following = gf.placeholder("following", ("batch", "time"), gf.int32)
    x = layers.embedding(ids, 11, 16, dtype=dtype)
    for _ in range(2):
        x = layers.transformer_block(x, heads=4, hidden=16, causal=True, kv_heads=2, rotary=True)
    logits = layers.dense(layers.layer_norm(x), 11)
    text = rng.integers(0, 11, (3, 8), np.int32)
    return Net(nn.cross_entropy(logits, following), logits, {ids: text[:, :-1], following: text[:, 1:]})


def linear_decoder(rng: Rng, dtype: Any = gf.float32) -> Net:
    """A gated linear attention in place of the softmax: its state has one size, however long the text."""
    ids = gf.placeholder("ids", ("batch", 7), gf.int32)
    following = gf.placeholder("following", ("batch", 7), gf.int32)
    x = layers.embedding(ids, 11, 8, dtype=dtype)
    q, k, v = (nn.split_heads(layers.dense(x, 8, name=name), 2) for name in ("query", "key", "value"))
    decay = -nn.softplus(nn.split_heads(layers.dense(x, 8, name="decay"), 2))
    y, _ = nn.linear_attention(q, k, v, decay=decay)
    logits = layers.dense(layers.layer_norm(x + nn.merge_heads(y)), 11)
    text = rng.integers(0, 11, (3, 8), np.int32)
    return Net(nn.cross_entropy(logits, following), logits, {ids: text[:, :-1], following: text[:, 1:]})


def texts(layer: Callable[..., Any], rng: Rng, dtype: Any, **options: Any) -> Net:
    """A recurrent layer reads texts of several lengths, and its last state tells the class."""
    ids = gf.placeholder("ids", ("batch", "time"), gf.int32)
    lengths = gf.placeholder("lengths", ("batch",), gf.int32)
    x = layers.embedding(ids, 11, 6, gf.initializers.normal(), dtype=dtype)
    y, _ = layer(x, 5, return_sequences=False, lengths=lengths, **options)
    net = classified(layers.dense(y, 3), ids, rng.integers(0, 11, (4, 6), np.int32), rng)
    return net._replace(feeds={**net.feeds, lengths: np.int32([6, 2, 1, 4])})


def simple_recurrent(rng: Rng, dtype: Any = gf.float32) -> Net:
    return texts(layers.rnn, rng, dtype)


def long_short_term_memory(rng: Rng, dtype: Any = gf.float32) -> Net:
    return texts(layers.lstm, rng, dtype, bidirectional=True, peephole=True)


def gated_recurrent(rng: Rng, dtype: Any = gf.float32) -> Net:
    """Two layers, of which the second reads what the first says of each letter, from the last on."""
    return texts(lambda x, units, **options: layers.gru(
        layers.gru(x, 4, lengths=options["lengths"])[0], units, reverse=True, **options
    ), rng, dtype)  # fmt: skip


# Without labels


def autoencoder(rng: Rng, dtype: Any = gf.float32) -> Net:
    """A variational autoencoder: a drawn code, and what it costs to tell it from noise."""
    x = gf.placeholder("x", ("batch", 10), dtype)
    hidden = layers.dense(x, 8, activation=nn.tanh)
    mean, log_variance = layers.dense(hidden, 3, name="mean"), layers.dense(hidden, 3, name="variance")
    noise = gf.random.normal(mean.shape, dtype=dtype, name="noise")
    code = mean + gf.exp(log_variance / 2) * noise
    again = layers.dense(layers.dense(code, 8, activation=nn.tanh), 10)
    cost = gf.sum(gf.exp(log_variance) + mean**2 - 1 - log_variance, axis=1) / 2
    loss = gf.mean(gf.sum((again - x) ** 2, axis=1) + 0.1 * cost)
    return Net(loss, again, {x: rng.standard_normal((6, 10)).astype(dtype.numpy)})


def siamese(rng: Rng, dtype: Any = gf.float32) -> Net:
    """One encoder for both sides of a pair; the partner has to be found among all of the batch."""
    encode = layers.shared(
        lambda side: layers.dense(layers.dense(side, 8, activation=nn.tanh), 4), name="encode"
    )
    left, right = gf.placeholder("left", (6, 5), dtype), gf.placeholder("right", (6, 5), dtype)
    codes = [code / gf.sqrt(gf.sum(code**2, axis=1, keepdims=True)) for code in map(encode, (left, right))]
    likeness = codes[0] @ gf.permute_dims(codes[1], (1, 0)) / 0.2
    value = rng.standard_normal((6, 5)).astype(dtype.numpy)
    near = (value + 0.1 * rng.standard_normal((6, 5))).astype(dtype.numpy)
    assert len(likeness.graph.variables) == 4
    return Net(nn.cross_entropy(likeness, np.arange(6, dtype=np.int32)), likeness, {left: value, right: near})


FAMILIES: list[Callable[..., Net]] = [
    residual, mobile, u_net, detection, graph_convolution, encoder, decoder, linear_decoder, autoencoder,
    siamese, simple_recurrent, long_short_term_memory, gated_recurrent,
]  # fmt: skip


def learn(train: gf.Update, net: Net, backend: str) -> tuple[np.ndarray, list[float]]:
    """The output before, and the loss of each step."""
    with gf.Session(backend=backend, seed=1) as sess:
        before, _ = sess.run([net.output, net.loss], net.feeds)
        return before, [float(sess.run([train, net.loss], net.feeds)[1]) for _ in range(STEPS)]


@pytest.mark.parametrize("family", FAMILIES)
def test_it_learns_and_the_backends_agree(family: Callable[..., Net], rng: Rng) -> None:
    net = family(rng)
    train = gf.train.Adam(0.01).minimize(net.loss)
    assert {assign.inputs[0] for assign in train.assigns} >= set(net.output.graph.variables.values())
    output, losses = learn(train, net, "jax")
    again, numpy_losses = learn(train, net, "numpy")
    assert losses[-1] < losses[0] - 1e-3 and np.isfinite(output).all()
    np.testing.assert_allclose(output, again, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(losses, numpy_losses, rtol=5e-3)


SMOOTH = [
    mobile, u_net, graph_convolution, encoder, decoder, linear_decoder, autoencoder, siamese,
    simple_recurrent, long_short_term_memory, gated_recurrent,
]  # fmt: skip


@pytest.mark.parametrize("family", SMOOTH)
def test_second_derivatives_are_differences_of_first(family: Callable[..., Net], rng: Rng) -> None:
    """H t = (g(w + e t) - g(w - e t)) / 2 e, in float64 where e can be small."""
    net = family(rng, gf.float64)
    weights = list(net.loss.graph.variables.values())
    values = [0.3 * rng.standard_normal(w.shape) for w in weights]
    along = [rng.standard_normal(w.shape) for w in weights]
    slopes = gf.gradients(net.loss, weights)
    products = gf.hessian_vector_product(net.loss, weights, along)

    with gf.Session(backend="numpy") as sess:

        def at(step: float, wanted: list[gf.Tensor]) -> list[np.ndarray]:
            moved = {w: value + step * t for w, value, t in zip(weights, values, along)}
            return sess.run([wanted, net.loss], {**net.feeds, **moved})[0]

        step = 1e-5
        differences = [(up - down) / (2 * step) for up, down in zip(at(step, slopes), at(-step, slopes))]
        made = at(0.0, products)
    scale = max(np.abs(one).max() for one in differences)
    assert scale > 1e-4
    for one, expected in zip(made, differences):
        np.testing.assert_allclose(one, expected, rtol=1e-4, atol=1e-6 * scale)


# What takes more than one loss, or one run


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_a_decoder_with_a_cache_says_what_the_whole_pass_says(backend: str, rng: Rng) -> None:
    room, text = 9, rng.integers(0, 11, (2, 8)).astype(np.int32)

    def body(ids: gf.Tensor, caches: list[Any]) -> tuple[gf.Tensor, list[Any]]:
        x, new = layers.embedding(ids, 11, 16), []
        for cache in caches:
            options = {"causal": True, "kv_heads": 2, "rotary": True, "window": (5, 0)}
            x = layers.transformer_block(x, heads=4, hidden=16, cache=cache, **options)
            if cache is not None:
                x, moved = x
                new.append(moved)
        return layers.dense(layers.layer_norm(x), 11), new

    model = layers.shared(body, name="model")
    whole = gf.placeholder("whole", (2, "time"), gf.int32)
    few = gf.placeholder("few", (2, "step"), gf.int32)
    expected, _ = model(whole, [None, None])
    weights = list(whole.graph.variables)
    caches = [layers.attention_cache(2, 2, room, 4) for _ in range(2)]
    logits, new = model(few, caches)
    assert [name for name in whole.graph.variables if "cache" not in name] == weights
    advance = gf.group(*[old.assign(moved) for old, moved in zip(caches, new)])
    restart = gf.group(*[cache.restart() for cache in caches])
    with gf.Session(backend=backend, seed=2) as sess:
        full = sess.run(expected, {whole: text})
        for sizes in ((3, 1, 1, 1, 1, 1), (8,), (1, 4, 3)):
            ends = np.cumsum((0, *sizes))
            parts = [text[:, start:stop] for start, stop in pairwise(ends)]
            made = [sess.run([logits, advance], {few: part})[0] for part in parts]
            np.testing.assert_allclose(np.concatenate(made, axis=1), full, rtol=1e-4, atol=1e-5)
            assert int(sess.run(caches[0].position)) == 8
            sess.run(restart)


def test_two_nets_that_play_against_each_other(rng: Rng) -> None:
    """A generator and a discriminator, each with its own loss, variables and method."""
    noise, real = gf.placeholder("noise", ("batch", 3)), gf.placeholder("real", ("batch", 2))
    judge = layers.shared(lambda x: layers.dense(layers.dense(x, 16, nn.leaky_relu), 1), name="judge")
    with gf.name_scope("generator"):
        fake = layers.dense(layers.dense(noise, 16, nn.leaky_relu), 2)
    genuine, copied = judge(real), judge(fake)
    told = nn.binary_cross_entropy_with_logits(genuine, gf.ones_like(genuine))
    told += nn.binary_cross_entropy_with_logits(copied, gf.zeros_like(copied))
    fooled = nn.binary_cross_entropy_with_logits(copied, gf.ones_like(copied))
    parts = {
        part: [w for name, w in fake.graph.variables.items() if name.startswith(part)]
        for part in ("generator", "judge")
    }
    assert [len(part) for part in parts.values()] == [4, 4]
    learn_to_tell = gf.train.Adam(0.02).minimize(told, parts["judge"])
    learn_to_fool = gf.train.Adam(0.02).minimize(fooled, parts["generator"])
    data = (np.float32([3, -2]) + 0.1 * rng.standard_normal((32, 2))).astype(np.float32)
    draws = rng.standard_normal((12, 32, 3)).astype(np.float32)
    ends = []
    for backend in ("jax", "numpy"):
        with gf.Session(backend=backend, seed=3) as sess:
            kept = sess.run(parts["generator"])
            first = sess.run(told, {noise: draws[0], real: data})
            for draw in draws:
                sess.run(learn_to_tell, {noise: draw, real: data})
            assert sess.run(told, {noise: draws[0], real: data}) < 0.8 * first
            assert all(np.array_equal(*pair) for pair in zip(kept, sess.run(parts["generator"])))
            before, judged = sess.run([fooled, parts["judge"][0]], {noise: draws[0]})
            for draw in draws:
                sess.run(learn_to_fool, {noise: draw})
            after, unmoved = sess.run([fooled, parts["judge"][0]], {noise: draws[0]})
            assert after < 0.8 * before and np.array_equal(judged, unmoved)
            ends.append(after)
    np.testing.assert_allclose(*ends, rtol=2e-2)


def test_summing_over_edges_is_a_product_with_the_adjacency(rng: Rng) -> None:
    """Both ways to write the same graph convolution: A_hat h, and sums over edges by index_add."""
    nodes, pairs = 7, _edges(rng, 7, 10)
    x = gf.placeholder("x", (nodes, 4), gf.float64)
    adjacency = np.zeros((nodes, nodes))
    adjacency[pairs[:, 1], pairs[:, 0]] = 1
    root = 1 / np.sqrt(adjacency.sum(axis=1))
    normal = adjacency * root[:, None] * root
    dense = gf.constant(normal) @ x
    weight = normal[pairs[:, 1], pairs[:, 0]][:, None]
    sparse = gf.index_add(gf.zeros_like(x), pairs[:, 1], gf.take(x, pairs[:, 0]) * weight)
    slopes = [gf.gradients(gf.sum(gf.sin(y)), [x])[0] for y in (dense, sparse)]
    made = evaluate([dense, sparse, *slopes], {x: rng.standard_normal((nodes, 4))})
    np.testing.assert_allclose(made[0], made[1], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(made[2], made[3], rtol=1e-12, atol=1e-14)


def test_a_detector_finds_what_it_was_shown(rng: Rng) -> None:
    """Trained on one picture with two squares, its best boxes that do not overlap are the two."""
    x = gf.placeholder("x", (1, 1, 16, 16))
    picture, squares = np.zeros((1, 1, 16, 16), np.float32), [(0, 0, 8, 8), (4, 8, 12, 16)]
    for top, left, bottom, right in squares:
        picture[0, 0, top:bottom, left:right] = 1 + rng.random()
    features = layers.conv(x, 8, 3, 4, activation=nn.silu)
    head = gf.reshape(gf.permute_dims(layers.conv(features, 5, 3), (0, 2, 3, 1)), (1, 16, 5))
    centres = (np.stack(np.meshgrid(np.arange(4), np.arange(4), indexing="ij"), axis=-1) * 4 + 2).reshape(
        -1, 2
    )
    anchors = np.tile(centres, 2).astype(np.float32)
    boxes, scores = head[:, :, 1:] * 8 + anchors, head[:, :, 0]
    owner = [
        next((n for n, s in enumerate(squares) if s[0] <= y < s[2] and s[1] <= x < s[3]), -1)
        for y, x in centres
    ]
    found = np.float32([[number >= 0 for number in owner]])
    where = np.float32([[squares[number] for number in owner]])
    loss = nn.binary_cross_entropy_with_logits(scores, found)
    loss += gf.mean(found[:, :, None] * nn.huber(boxes, where, reduction="none"))
    train = gf.train.Adam(0.02).minimize(loss)
    kept = nn.non_max_suppression(boxes, gf.expand_dims(scores, 1), 5, score_threshold=0.0, size=4)
    shown = gf.take(boxes[0], kept[:, 2], axis=0)
    ends = []
    for backend in ("jax", "numpy"):
        with gf.Session(backend=backend, seed=4) as sess:
            for _ in range(150):
                sess.run(train, {x: picture})
            chosen, best = sess.run([kept, shown], {x: picture})
        assert (chosen[:, 0] == [0, 0, -1, -1]).all()
        np.testing.assert_allclose(sorted(best[:2].tolist()), squares, atol=1.0)
        ends.append(chosen)
    np.testing.assert_array_equal(*ends)
