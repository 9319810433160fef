"""Functions of JAX that move elements: shapes, reductions, sorting, indexing, slices at positions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from tests.runtime.from_jax_cases import agree, case, normal

X, Y, Z = normal(3, 4), normal(3, 4, seed=1), normal(2, 3, 4)
ROWS = np.array([0, 2, -1], np.int32)
OUT = np.array([0, 2, -1, 7, -9], np.int32)
INTS = np.random.default_rng(0).integers(-5, 5, (3, 4)).astype(np.int32)
WORDS = np.random.default_rng(1).integers(0, 2**32, (5, 3)).astype(np.uint32)
AT, FAR = np.int32(2), np.int32(7)

REDUCTIONS = [
    *["sum", "mean", "max", "min", "prod", "std", "var", "argmax", "argmin", "all", "any", "median", "ptp"],
    *["nanmean", "cumsum", "cumprod", "sort", "argsort", "nansum", "count_nonzero"],
]


@pytest.mark.parametrize("axis", [0, -1, None])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reduction(name, axis):
    agree(lambda x: getattr(jnp, name)(x, axis=axis), X)


SHAPES = [
    case("reshape", lambda x: x.reshape(4, 3).T.reshape(2, -1), X),
    case("reshape of transposed", lambda x: lax.reshape(x, (6, 2), (1, 0)), X),
    case("axes", lambda x, z: [x[None], jnp.squeeze(x[:1], 0), x.T, jnp.moveaxis(z, 0, -1)], X, Z),
    case("broadcast", lambda x: jnp.broadcast_to(x[:, None, :], (3, 2, 4)), X),
    case("join", lambda x, y: [jnp.concatenate([x, y], 1), jnp.stack([x, y], 1)], X, Y),
    case("repeat", lambda x: [jnp.tile(x, (2, 1)), jnp.repeat(x, 2, axis=0), jnp.roll(x, 1, 1)], X),
    case("split", lambda x: jnp.split(x, 2, axis=1), X),
    case("unstack", lambda x: jnp.unstack(x, axis=1), X),
    case("flip", lambda x: [jnp.flip(x), jnp.rot90(x)], X),
    case("pad", lambda x: [jnp.pad(x, 1), jnp.pad(x, ((1, 2), (0, 1)), constant_values=3.0)], X),
    case("pad by copies", lambda x: [jnp.pad(x, 1, mode=mode) for mode in ("edge", "reflect", "wrap")], X),
    case("pad inside", lambda x: lax.pad(x, 0.0, ((1, -1, 1), (-1, 2, 2))), X),
    case("pad inside with 2", lambda x: lax.pad(x, jnp.float32(2), ((1, -1, 1), (-1, 2, 2))), X),
    case("pad with a tensor", lambda x, v: lax.pad(x, v, ((1, -1, 1), (-1, 2, 2))), X, np.float32(3)),
    case("pad an empty axis", lambda x: lax.pad(x[:0], 1.0, ((1, 1, 2), (0, 0, 0))), X),
    case("slices", lambda x: [x[1:, ::2], x[::-1], x[:, -2:], x[1], x[..., 0], x[2:1]], X),
    case(
        "made", lambda x: [jnp.arange(5), lax.broadcasted_iota(jnp.int32, (2, 3), 1), jnp.eye(3) * x[0, 0]], X
    ),
    case("triangles", lambda x: [jnp.tri(3), jnp.triu(x), jnp.tril(x, -1), jnp.trace(x), jnp.diagonal(x)], X),
    case("diagonal", lambda x: [jnp.diag(x[0]), jnp.linspace(0, 1, 5) + x[0, 0]], X),
    case("large constant", lambda x: x + jnp.asarray(np.arange(5000.0, dtype=np.float32))[:4], X),
]

RUNNING = [
    case("running max", lambda x: lax.cummax(x, 1), X),
    case("running min", lambda x: lax.cummin(x, 0, reverse=True), X),
    case("running logsumexp", lambda x: lax.cumlogsumexp(x, 1), X),
    case("running sum", lambda x: lax.cumsum(x, 1, reverse=True), X),
    case("xor", lambda x: jnp.bitwise_xor.reduce(x), WORDS),
    case("and", lambda x: jnp.bitwise_and.reduce(x, axis=1), WORDS),
    case("or", lambda x: jnp.bitwise_or.reduce(x), WORDS),
    case("parity", lambda x: lax.reduce_xor(x > 0, axes=(0,)), X),
    case(
        "own reduction",
        lambda x: lax.reduce(x, np.float32(1), lambda a, b: a * b + 0, (0, 1)),
        X,
        gradient=False,
    ),
    case("quantile", lambda x: jnp.quantile(x, 0.3, axis=1), X),
    case("sort by two", lambda x, y: lax.sort((jnp.round(x), y, x + y), num_keys=2), X, Y),
    case("top k", lambda x: lax.top_k(x, 2), X),
    case("unique", lambda x: jnp.unique(x, size=5), INTS),
    case("nonzero", lambda x: jnp.nonzero(x, size=12), INTS),
    case("search", lambda x, v: jnp.searchsorted(jnp.sort(x), v), X[0], Y),
    case("histogram", lambda x: jnp.histogram(x, bins=4)[0], X, gradient=False),
    case("bincount", lambda x: jnp.bincount(x, length=6), np.abs(INTS).ravel()),
    case("segment sum", lambda x, i: jax.ops.segment_sum(x, i, num_segments=4), X, np.array([0, 2, 2])),
    case("segment max", lambda x, i: jax.ops.segment_max(x, i, num_segments=3), X, np.array([0, 2, 2])),
    case("associative scan", lambda x: lax.associative_scan(jnp.add, x), X),
]

INDEXING = [
    case("index", lambda x, i: [x[i], x[:, i], x[i, i], x[i][:, i]], X, ROWS),
    case("index outside", lambda x, i: [x[i], x[:, i], x[i, i]], X, OUT, gradient=False),
    case("known indices", lambda x: [x[jnp.array([0, 2])], x[np.array([[0, 1], [2, 0]])]], X),
    case("index and slice", lambda x: x[jnp.array([0, 2]), 1:3], X),
    case(
        "take",
        lambda x, i: [jnp.take(x, i, axis=a, mode=m) for a in (0, 1) for m in ("clip", "wrap")],
        X,
        OUT,
    ),
    case("take or NaN", lambda x, i: jnp.take(x, i, axis=1, mode="fill"), X, OUT, gradient=False),
    case("take or -1", lambda x, i: x.at[i].get(mode="fill", fill_value=-1), INTS, OUT),
    case("along", lambda x, i: jnp.take_along_axis(x, i, axis=1), X, np.array([[0, 1], [2, 3], [1, 1]])),
    case("along three", lambda z, i: jnp.take_along_axis(z, i, axis=-1), Z, np.abs(INTS[:2, :3, None]) % 4),
    case("mask", lambda x: x.at[np.array([True, False, True])].set(0.0), X),
    case("set", lambda x, i: [x.at[i].set(1.0), x.at[0].set(2.0), x.at[1:, ::2].set(0.0)], X, ROWS),
    case("add", lambda x, i: [x.at[:, i].add(2.0), x.at[i, i].add(x[:, 0]), x.at[0].add(1.0)], X, ROWS),
    case("multiply", lambda x, i: [x.at[i, i].mul(3.0), x.at[i].divide(2.0)], X, ROWS),
    case("subtract", lambda x, i: x.at[i].subtract(1.0), X, ROWS),
    case("extremes", lambda x, i: [x.at[i].max(0.0), x.at[i].min(0.1)], X, ROWS),
    case("set clipped", lambda x, i: x.at[i].set(jnp.ones(4), mode="clip"), X, OUT[:4]),
    case("outside", lambda x, i: [x.at[i].set(1.0), x.at[:, i].add(2.0), x.at[i, 1].set(9.0)], X, OUT),
    case("combined outside", lambda x, i: [x.at[i].max(0.0), x.at[i, 0].mul(2.0), x.at[i].min(0.1)], X, OUT),
    case("known outside", lambda x: [x.at[jnp.array([0, 9])].set(1.0), x.at[np.array([5])].add(1.0)], X),
    case("integers outside", lambda x, i: [x.at[i].max(3), x.at[i].min(-1), x.at[i].set(7)], INTS, OUT),
    case("window", lambda x, i: x.at[i, 1:3].add(1.0), X, ROWS),
    case("scalar index", lambda x, i: [x[i], x.at[i].set(0.0), x[i, i]], X, AT),
    case("each its own", lambda x, i: jax.vmap(lambda row, k: row[k])(x, i), X, ROWS),
    case(
        "each its own slice",
        lambda x, i: jax.vmap(lambda r, k: lax.dynamic_slice(r, (k,), (2,)))(x, i),
        X,
        ROWS,
    ),
    case("each its own set", lambda x, i: jax.vmap(lambda row, k: row.at[k].set(5.0))(x, i), X, ROWS),
    case(
        "each its own update",
        lambda x, i: jax.vmap(lambda r, k: lax.dynamic_update_slice(r, jnp.ones(2), (k,)))(x, i),
        X,
        ROWS,
    ),
]

POSITIONS = [
    case(
        "slice", lambda x, i: [lax.dynamic_slice(x, (i, i), (2, 2)), lax.dynamic_index_in_dim(x, i, 1)], X, AT
    ),
    case("update", lambda x, i: lax.dynamic_update_slice(x, jnp.ones((2, 2)), (i, 1)), X, AT),
    case("update a column", lambda x, i: lax.dynamic_update_slice_in_dim(x, x[:, :1], i, 1), X, AT),
    case("update all", lambda x, i: lax.dynamic_update_slice(x, x * 2, (i, i)), X, AT),
    case("clamped", lambda x, i: lax.dynamic_slice(x, (i, i), (2, 2)), X, FAR),
    case("clamped update", lambda x, i: lax.dynamic_update_slice(x, jnp.ones((2, 2)), (i, i)), X, FAR),
    case("known", lambda x: lax.dynamic_slice(x, (jnp.int32(1), jnp.int32(9)), (2, 2)), X),
]

TABLE = [*SHAPES, *RUNNING, *INDEXING, *POSITIONS]


@pytest.mark.parametrize(("name", "fn", "arrays", "options"), TABLE, ids=[row[0] for row in TABLE])
def test_function(name, fn, arrays, options):
    agree(fn, *arrays, **options)
