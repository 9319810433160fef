"""Functions of JAX against the graphs made of them: values on the numpy backend, and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import graphflow as gf

Case = tuple[str, Callable[..., Any], tuple[Any, ...], dict[str, Any]]


def case(name: str, fn: Callable[..., Any], *arrays: Any, **options: Any) -> Case:
    """A row of a table of cases; see `agree` for the options."""
    return name, fn, arrays, options


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    """Normal numbers, float32."""
    return np.random.default_rng(seed + sum(shape)).standard_normal(shape).astype(np.float32)


def agree(
    fn: Callable[..., Any], *arrays: Any, tol: float = 2e-5, gradient: bool = True, wide: bool = False
) -> None:
    """Assert that `gf.from_jax(fn)` computes what `fn` does, and has its gradients by all float arrays."""
    with jax.enable_x64(wide):
        given = jax.tree.map(jnp.asarray, arrays)
        graph = gf.from_jax(fn, *given)
        feeds = dict(zip(graph.placeholders, jax.tree.leaves(given), strict=True))
        got = run(graph, graph.outputs, feeds)
        wanted = jax.tree.leaves(fn(*given))
        assert len(got) == len(wanted)
        for found, right in zip(got, wanted):
            right = jax.random.key_data(right) if is_key(right) else right
            assert (found.dtype, found.shape) == (right.dtype, right.shape)
            close(found, right, tol)
        if gradient:
            same_gradients(fn, given, graph, feeds, max(tol, 1e-4))


def is_key(array: Any) -> bool:
    """Whether an array holds random keys of JAX."""
    return bool(jnp.issubdtype(array.dtype, jax.dtypes.prng_key))


def run(graph: gf.Graph, tensors: list[gf.Tensor], feeds: dict[str, Any]) -> list[np.ndarray]:
    """Tensors of a graph on the numpy backend; what they do not need is not fed."""
    outputs = {str(number): tensor for number, tensor in enumerate(tensors)}
    model = gf.Model(graph, list(graph.placeholders.values()), outputs)
    return list(model.run(feeds, backend="numpy").values())


def close(found: Any, right: Any, tol: float) -> None:
    """Assert that two arrays are equal up to rounding, in a dtype that can be compared."""
    wanted = np.asarray(right)
    kind = np.float32 if wanted.dtype.kind == "V" else wanted.dtype
    np.testing.assert_allclose(np.asarray(found).astype(kind), wanted.astype(kind), rtol=tol, atol=tol)


def same_gradients(fn: Any, given: Any, graph: gf.Graph, feeds: dict[str, Any], tol: float) -> None:
    leaves, tree = jax.tree.flatten(given)
    places = [place for place, leaf in enumerate(leaves) if jnp.issubdtype(leaf.dtype, jnp.floating)]

    def loss(*moved: Any) -> Any:
        filled = list(leaves)
        for place, array in zip(places, moved):
            filled[place] = array
        results = jax.tree.leaves(fn(*jax.tree.unflatten(tree, filled)))
        return sum(jnp.sum(jnp.sin(one)) for one in results if jnp.issubdtype(one.dtype, jnp.floating))

    floats = [tensor for tensor in graph.outputs if tensor.dtype.is_floating]
    if not places or not floats:
        return
    wanted = jax.grad(loss, argnums=tuple(range(len(places))))(*[leaves[place] for place in places])
    with graph:
        total = gf.sum(gf.sin(floats[0]))
        for tensor in floats[1:]:
            total = gf.add(total, gf.sum(gf.sin(tensor)))
        inputs = list(graph.placeholders.values())
        made = gf.gradients(total, [inputs[place] for place in places])
    for found, right in zip(run(graph, made, feeds), wanted, strict=True):
        close(found, right, tol)
