"""Checking symbolic gradients numerically, with one inner product instead of one test an element.

For a random direction u the directional derivative of s(x) = sum(y(x)) is both

    <ds/dx, u>   and   (s(x + e u) - s(x - e u)) / (2 e) + O(e^2),

so one number is compared whatever the shapes are. The graph is copied with float64 in place of the
narrower floats first, so that the difference is not drowned in rounding.
Gradients that are custom cannot be built in a copy, so they are built first and copied, too.

Source: the projection test of HIPS/autograd and PyTensor's verify_grad.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphflow.autodiff.reverse import gradients, listed
from graphflow.errors import FeedError, GradientError
from graphflow.ir import dims, provenance
from graphflow.ir.attrs import read_only, substitute_dims
from graphflow.ir.body import Body
from graphflow.ir.builder import Builder, several
from graphflow.ir.dims import Dim
from graphflow.ir.dtypes import DType, complex128, float64
from graphflow.ir.graph import Graph, describe
from graphflow.ir.interpret import evaluate
from graphflow.ir.node import Node, Tensor
from graphflow.ir.traversal import topological_order
from graphflow.ir.types import TensorType

Point = dict[Tensor, np.ndarray]


@dataclass(frozen=True, slots=True)
class GradientCheck:
    """The outcome for one x: the two directional derivatives and their relative difference."""

    name: str
    symbolic: float
    numeric: float
    error: float


def check_gradients(
    ys: Tensor | Sequence[Tensor],
    xs: Tensor | Sequence[Tensor],
    feeds: Mapping[Any, Any],
    epsilon: float = 1e-5,
    tolerance: float = 1e-5,
    seed: int = 0,
) -> list[GradientCheck]:
    """Compare `gf.gradients(ys, xs)` with central differences at the point `feeds`.

    Arguments:
        ys, xs: as for gf.gradients; of complex ys it is the real part that is compared.
        feeds: arrays by tensor or name, for every placeholder and variable the ys depend on; the
            training flag is False unless it is fed.
        epsilon: the step; the difference quotient errs by about its square.
        tolerance: the largest relative error accepted.
        seed: of the random directions.

    Returns:
        a GradientCheck for each x.

    Raises:
        GradientError: naming the worst x, if an error exceeds the tolerance; and as gf.gradients.
        FeedError: if a value is missing, or of the wrong shape.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", (3,))
    >>> [check] = gf.check_gradients(gf.sum(x * x), x, {x: [1.0, 2.0, 3.0]})
    >>> check.error < 1e-6
    True
    """
    targets, sources = listed(ys, "ys"), listed(xs, "xs")
    if not targets or not sources:
        return []
    point = _point(targets[0].graph, feeds)
    slopes = gradients(targets, sources) if targets[0].graph.custom_gradients else []
    custom = [tensor for tensor in slopes if tensor is not None]
    copies, values = _in_double([*targets, *custom], sources, point)
    new_targets = [copies[tensor] for tensor in targets]
    new_sources = [copies[tensor] for tensor in sources]
    new_slopes = [copies[tensor] for tensor in custom] or gradients(new_targets, new_sources)
    made = [tensor for tensor in new_slopes if tensor is not None]
    symbolic, at_sources = evaluate(made, values), evaluate(new_sources, values)
    rng = np.random.default_rng(seed)
    checks = []
    for tensor, source, value, gradient in zip(sources, new_sources, at_sources, symbolic):
        direction = _direction(rng, value)
        high, low = (
            _total(new_targets, {**values, source: value + sign * epsilon * direction}) for sign in (1, -1)
        )
        with np.errstate(all="ignore"):
            numeric, exact = (high - low) / (2 * epsilon), float(np.sum(gradient * direction).real)
            error = abs(exact - numeric) / max(1.0, abs(exact), abs(numeric))
        checks.append(GradientCheck(tensor.name, exact, numeric, float(error)))
    _judge(checks, sources, tolerance)
    return checks


def _direction(rng: np.random.Generator, value: np.ndarray) -> np.ndarray:
    real = rng.standard_normal(value.shape)
    return real + 1j * rng.standard_normal(value.shape) if value.dtype.kind == "c" else real


def _judge(checks: list[GradientCheck], sources: list[Tensor], tolerance: float) -> None:
    worst = max(range(len(checks)), key=lambda index: np.nan_to_num(checks[index].error, nan=np.inf))
    found = checks[worst]
    if found.error <= tolerance:  # not so if it is NaN
        return
    raise GradientError(
        f"the gradient with respect to {found.name} is off by {found.error:.2e}: symbolic "
        f"{found.symbolic:.8g}, numeric {found.numeric:.8g} along a random direction",
        hint="check the gradient rules of the operators between, or stay away from points with a kink",
        operands=describe([sources[worst]]),
        origin=provenance.capture(),
    )


def _total(targets: list[Tensor], values: Point) -> float:
    with np.errstate(all="ignore"):
        return float(sum(np.sum(value).real for value in evaluate(targets, values)))


def _point(graph: Graph, feeds: Mapping[Any, Any]) -> Point:
    """The feeds by tensor, as arrays of the tensors' dtypes, floats widened."""
    if not isinstance(feeds, Mapping):
        raise FeedError(f"the feeds are {feeds!r:.80}", hint="pass a dict from tensors or names to arrays")
    point = {}
    for key, value in feeds.items():
        tensor = key if isinstance(key, Tensor) else graph.tensor(str(key))
        dtype: DType = _wide(tensor.dtype)
        try:
            point[tensor] = np.asarray(value).astype(dtype.numpy)
        except (TypeError, ValueError) as error:
            raise FeedError(
                f"{tensor.name} is fed what is no array of numbers: {error}",
                hint="feed numbers, all rows equally long",
                operands=describe([tensor]),
            ) from error
    return point


def _sizes(point: Point) -> dict[str, int]:
    """The symbolic sizes that the shapes of the fed arrays tell."""
    sizes: dict[str, int] = {}
    for tensor, value in point.items():
        fits = value.ndim == tensor.ndim
        for size, actual in zip(tensor.shape, value.shape):
            known = dims.substitute(size, sizes) if isinstance(size, Dim) else size
            solved = dims.solve(known, actual) if isinstance(known, Dim) else None
            if solved is not None:
                sizes[solved[0]] = solved[1]
            elif isinstance(known, int) and known != actual:
                fits = False
        if not fits:
            raise FeedError(
                f"{tensor.name} is {tensor.type}, but the array fed to it has shape {list(value.shape)}",
                hint="feed an array of the tensor's shape, sizes of one name being equal",
                operands=describe([tensor]),
                origin=provenance.capture(),
            )
    return sizes


def _in_double(
    targets: list[Tensor], sources: list[Tensor], point: Point
) -> tuple[dict[Tensor, Tensor], Point]:
    """A copy of the computation with float64 for the narrower floats, and the feeds of the copy."""
    builder = Builder(Graph("check"), provenance.capture())
    sizes = _sizes(point)
    copies: dict[Tensor, Tensor] = {}
    values: Point = {}
    for tensor, value in point.items():
        builder.origin = tensor.node.origin
        copies[tensor] = builder.placeholder(
            dtype=_wide(tensor.dtype), shape=value.shape, name=tensor.node.name
        )
        values[copies[tensor]] = value
    for node in topological_order([*targets, *sources], stop=copies.__contains__):
        made = _copy(builder, node, copies, sizes)
        for tensor, copy in zip(node.outputs, made):
            copies.setdefault(tensor, copy)
    return copies, values


def _copy(
    builder: Builder, node: Node, copies: Mapping[Tensor, Tensor], sizes: Mapping[str, int]
) -> Sequence[Tensor]:
    if node.op.name == "training_flag":
        return (builder.tensor(False),)
    if "nullary_input" in node.op.traits:
        raise FeedError(
            f"{node.op.name} {node.name!r} has no value", hint="add it to the feeds", origin=node.origin
        )
    attrs = {name: _wide(value) for name, value in substitute_dims(node.attrs, sizes).items()}
    builder.origin = node.origin
    return several(builder.apply(node.op, [copies[tensor] for tensor in node.inputs], attrs, node.name))


def _wide(value: Any) -> Any:
    if isinstance(value, DType):
        return {"float": float64, "complex": complex128}.get(value.kind, value)
    if isinstance(value, np.ndarray) and value.dtype.kind not in "biu":
        return read_only(value.astype(np.complex128 if value.dtype.kind == "c" else np.float64))
    if isinstance(value, Body):
        return _wide_body(value)
    return tuple(map(_wide, value)) if isinstance(value, tuple) else value


def _wide_body(body: Body) -> Body:
    """The body of a loop or branch with float64 for the narrower floats."""
    made = Body(body.name)
    builder = Builder(made)
    copies = {
        tensor: made.parameter(TensorType(_wide(tensor.dtype), tensor.shape), tensor.node.name)
        for tensor in body.parameters
    }
    for node in body.order()[len(copies) :]:
        copies.update(zip(node.outputs, _copy(builder, node, copies, {})))
    return made.close([copies[tensor] for tensor in body.outputs])
