"""A function of tensors on every backend: with a batch of unknown size, and its derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import graphflow as gf
from graphflow.autodiff.check import check_gradients


def everywhere(
    build: Callable[..., Any],
    *arrays: np.ndarray,
    batched: Sequence[int] = (0,),
    gradient: bool = True,
    rtol: float = 1e-5,
) -> Any:
    """What `build` makes of placeholders for the arrays, on the numpy backend, found to be the same on jax.

    Axis 0 of the arrays that `batched` numbers is symbolic. With `gradient`, first and second
    derivatives by the floating arrays are compared with differences, and between the backends.
    """
    with gf.Graph() as graph:
        feeds = {}
        for index, array in enumerate(arrays):
            shape = ("n", *array.shape[1:]) if index in batched and array.ndim else array.shape
            feeds[gf.placeholder(f"x{index}", shape, array.dtype)] = array
        made = build(*feeds)
        ys = list(made) if isinstance(made, (tuple, list)) else [made]
        xs = [x for x in feeds if x.dtype.is_floating]
        slopes = _slopes(ys, xs, feeds) if gradient else []
        values = _run(graph, "numpy", [*ys, *slopes], feeds)
        for index, (ours, theirs) in enumerate(zip(values, _run(graph, "jax", [*ys, *slopes], feeds))):
            assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
            np.testing.assert_allclose(theirs, ours, rtol=rtol, atol=rtol, err_msg=f"result {index}")
    return tuple(values[: len(ys)]) if isinstance(made, (tuple, list)) else values[0]


def _slopes(ys: list[gf.Tensor], xs: list[gf.Tensor], feeds: dict[gf.Tensor, np.ndarray]) -> list[gf.Tensor]:
    smooth = [y for y in ys if y.dtype.is_floating]
    total = gf.sum(gf.concat([gf.reshape(gf.sin(gf.astype(y, gf.float64)), (-1,)) for y in smooth]))
    first = gf.gradients([total], xs)
    check_gradients(total, xs, feeds)
    check_gradients(first, xs, feeds, tolerance=1e-4)
    return first


def _run(graph: gf.Graph, backend: str, fetches: list[gf.Tensor], feeds: Any) -> list[np.ndarray]:
    with gf.Session(graph, backend=backend) as session:
        return session.run(fetches, feeds)
