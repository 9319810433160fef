"""Products with Jacobians and Hessians, made of reverse sweeps.

With J = dy/dx, a reverse sweep gives v^T J for weights v of y. That is linear in v, so a second sweep
that differentiates it with respect to v gives the product J t with a direction t, the forward mode:

    J t = d<v^T J, t> / dv

whatever v is. The second sweep reads no v, therefore, and what only v needed is left behind unused.
Second derivatives are gradients of gradients: H v = d<dy/dx, v> / dx.

Sources: Townsend, A new trick for calculating Jacobian vector products, 2017; Pearlmutter, Fast exact
multiplication by the Hessian, 1994.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from graphflow.autodiff.reverse import gradients, listed, of_type, paired, require_differentiable
from graphflow.errors import GradientError
from graphflow.ir import provenance
from graphflow.ir.builder import Builder
from graphflow.ir.dims import Dim
from graphflow.ir.graph import describe, scoped
from graphflow.ir.node import Tensor
from graphflow.ir.traversal import creation_order
from graphflow.ops.creation import eye
from graphflow.ops.dependence import needed_tensors
from graphflow.vectorize.walk import along

LARGEST = 10_000
"""Elements of x up to which a Hessian is built, as it takes the memory of a sweep for each."""


def vjp(ys: Tensor | Sequence[Tensor], xs: Tensor | Sequence[Tensor], vs: Any) -> list[Tensor]:
    """Vector-Jacobian products, the reverse mode: dx_i = sum_j (dy_j / dx_i)^T v_j.

    Arguments:
        ys: a floating-point tensor or several.
        xs: floating-point tensors of the same graph; intermediate ones may be asked for.
        vs: for each of `ys` a tensor, or array, of its type.

    Returns:
        for each x a tensor of its type, zeros if no y depends on it.

    Raises:
        GradientError: if the vs do not fit the ys, and as gf.gradients.

    Source: array frameworks' vjp, as jax.vjp; Griewank and Walther, Evaluating Derivatives, 2008.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", (3,))
    >>> [product] = gf.vjp(gf.sin(x), x, [1.0, 0.0, 2.0])
    >>> gf.Session(backend="numpy").run(product, {x: [0.0, 0.0, 0.0]})
    array([1., 0., 2.], dtype=float32)
    """
    targets, sources = listed(ys, "ys"), listed(xs, "xs")
    require_differentiable(targets, sources)
    with _building(targets[0], "vjp"):
        weights = _vectors(ys, targets, vs, ("ys", "vs", "vector"))
        return _connected(gradients(targets, sources, weights), sources)


def jvp(ys: Tensor | Sequence[Tensor], xs: Tensor | Sequence[Tensor], tangents: Any) -> list[Tensor]:
    """Jacobian-vector products, the forward mode: dy_j = sum_i (dy_j / dx_i) t_i.

    It is the derivative of the ys along the direction t. Two reverse sweeps build it; what only the
    first needed stays in the graph unused, which costs nothing in a run.

    Arguments:
        ys: a floating-point tensor or several.
        xs: floating-point tensors of the same graph; intermediate ones may be asked for.
        tangents: for each of `xs` a tensor, or array, of its type.

    Returns:
        for each y a tensor of its type, zeros if it depends on no x.

    Raises:
        GradientError: if the tangents do not fit the xs; as gf.gradients; and if a custom gradient on
            the way is not linear in its cotangents, so that there is no Jacobian to multiply with.

    Source: Townsend, A new trick for calculating Jacobian vector products, 2017; as jax.jvp.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", (3,))
    >>> [product] = gf.jvp(x * x, x, [1.0, 0.0, 2.0])
    >>> gf.Session(backend="numpy").run(product, {x: [1.0, 2.0, 3.0]})
    array([ 2.,  0., 12.], dtype=float32)
    """
    targets, sources = listed(ys, "ys"), listed(xs, "xs")
    require_differentiable(targets, sources)
    with _building(targets[0], "jvp") as builder:
        directions = _vectors(xs, sources, tangents, ("xs", "tangents", "tangent"))
        weights = [builder.full_like(0, target) for target in targets]
        slopes = gradients(targets, sources, weights, unconnected="none")
        start = len(builder.graph)
        made = _along(slopes, weights, directions)
        _check_linear(made, weights, start)
        return made


def hessian_vector_product(y: Tensor, xs: Tensor | Sequence[Tensor], vs: Any) -> list[Tensor]:
    """Products of the Hessian with a direction: h_i = sum_j (d^2 y / dx_i dx_j) v_j.

    Arguments:
        y: a floating-point scalar.
        xs: floating-point tensors of the same graph.
        vs: for each of `xs` a tensor, or array, of its type; a constant to differentiation.

    Returns:
        for each x a tensor of its type, for about twice the cost of a gradient.

    Raises:
        GradientError: if y is not scalar, if the vs do not fit the xs, and as gf.gradients.

    Source: Pearlmutter, Fast exact multiplication by the Hessian, 1994.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", (2,))
    >>> [product] = gf.hessian_vector_product(gf.sum(x * x * x), x, [1.0, 10.0])
    >>> gf.Session(backend="numpy").run(product, {x: [1.0, 2.0]})
    array([  6., 120.], dtype=float32)
    """
    sources = listed(xs, "xs")
    target = _scalar(y, sources, "hessian_vector_product")
    with _building(target, "hessian_vector_product"):
        directions = _vectors(xs, sources, vs, ("xs", "vs", "vector"))
        return _along(gradients(target, sources, unconnected="none"), sources, directions)


def hessian(y: Tensor, x: Tensor) -> Tensor:
    """All second derivatives: h[i, j] = d^2 y / dx[i] dx[j], i and j being indices of x.

    One reverse sweep over the gradient is built and then batched over the elements of x. In a run it
    takes their number times the work and memory of a gradient, so it is meant for small x;
    gf.hessian_vector_product serves large ones.

    Arguments:
        y: a floating-point scalar.
        x: a floating-point tensor of the same graph, of static shape.

    Returns:
        a tensor of the dtype of x and the shape x.shape + x.shape.

    Raises:
        GradientError: if y is not scalar, if x has symbolic sizes or more than 10,000 elements, and as
            gf.gradients.

    Source: Griewank and Walther, Evaluating Derivatives, 2008; as jax.hessian.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", (2,))
    >>> h = gf.hessian(x[0] * x[0] * x[1], x)
    >>> gf.Session(backend="numpy").run(h, {x: [1.0, 3.0]})
    array([[6., 2.],
           [2., 0.]], dtype=float32)
    """
    source = _single(x, "x", "hessian")
    target = _scalar(y, [source], "hessian")
    count = _static_size(source)
    with _building(target, "hessian") as builder:
        [slope] = gradients(target, [source], unconnected="none")
        if slope is None or not count:
            return builder.broadcast_to(builder.like(0, source), shape=source.shape * 2)
        with builder.graph:
            basis = builder.reshape(eye(count, dtype=source.dtype), shape=(count, *source.shape))
        direction = builder.identity(builder.full_like(0, source))
        row = _connected(gradients(slope, [source], [direction]), [source])
        [rows] = along(builder, row, {direction: basis}, count)
        return builder.reshape(rows, shape=source.shape * 2)


@contextmanager
def _building(target: Tensor, name: str) -> Iterator[Builder]:
    """A builder whose nodes go to a scope of that name, and are taken back if the block fails."""
    graph = target.graph
    with graph.attempt(), scoped(graph, name):
        yield Builder(graph, provenance.capture())


def _vectors(tensors: Any, several: list[Tensor], given: Any, words: tuple[str, str, str]) -> list[Tensor]:
    """The vectors as tensors of the types of what they belong to."""
    what, whose, noun = words
    values = paired(tensors, several, given, what, whose)
    for tensor, value in zip(several, values):
        if value is None:
            raise GradientError(
                f"the {noun} of {tensor.name} is None",
                hint="pass zeros, gf.zeros_like(...), for what should not count",
                operands=describe([tensor]),
                origin=provenance.capture(),
            )
    return [of_type(tensor, value, noun) for tensor, value in zip(several, values)]


def _along(
    slopes: Sequence[Tensor | None], sources: Sequence[Tensor], directions: Sequence[Tensor]
) -> list[Tensor]:
    """The gradients of sum <slope, direction> with respect to the sources; a None is a slope of zero."""
    kept = [(slope, direction) for slope, direction in zip(slopes, directions) if slope is not None]
    if not kept:
        builder = Builder(sources[0].graph, provenance.capture()) if sources else None
        return [builder.full_like(0, source) for source in sources] if builder else []
    targets, weights = zip(*kept)
    return _connected(gradients(targets, sources, weights), sources)


def _connected(found: Sequence[Tensor | None], sources: Sequence[Tensor]) -> list[Tensor]:
    """The gradients, of which none is None where the policy is "zero"."""
    return [tensor for tensor, _ in zip(found, sources, strict=True) if tensor is not None]


def _check_linear(made: list[Tensor], weights: list[Tensor], start: int) -> None:
    """The products read no weights, unless a rule is not linear in its cotangents.

    Where one does, a node of the second sweep, from number `start` on, reads what the first made of the
    weights; its line is that of the first sweep's node that is not linear.
    """
    above = needed_tensors(made)
    if not above.intersection(weights):
        return
    reached, readers = set(weights), []
    for node in creation_order({tensor.node for tensor in above}):
        if any(tensor in reached for tensor in node.inputs):
            reached.update(node.outputs)
            readers.append(node)
    culprit = next((node for node in readers if node.id >= start), readers[0])
    raise GradientError(
        "there is no product with a direction: a gradient on the way is not linear in its cotangents, as "
        f"the derivative of that gradient, {culprit.name}, still depends on them",
        hint="use gf.vjp, or a custom gradient that only adds and scales its cotangents",
        operands=describe(culprit.outputs),
        origin=culprit.origin,
    )


def _single(value: Any, what: str, asker: str) -> Tensor:
    if isinstance(value, Tensor):
        return value
    raise GradientError(
        f"{asker} needs one tensor as {what}, not {value!r:.80} of type {type(value).__name__}",
        hint="call it once for each tensor",
        origin=provenance.capture(),
    )


def _scalar(y: Any, sources: list[Tensor], asker: str) -> Tensor:
    target = _single(y, "y", asker)
    require_differentiable([target], sources)
    if target.shape:
        raise GradientError(
            f"{asker} needs a scalar y, but {target.name} is {target.type}",
            hint="reduce it first, for example with gf.sum, or take one element",
            operands=describe([target]),
            origin=provenance.capture(),
        )
    return target


def _static_size(source: Tensor) -> int:
    """The number of elements, once it is known to be fixed and not too large."""
    size = source.size
    if not isinstance(size, Dim) and not any(isinstance(part, Dim) for part in source.shape):
        if size <= LARGEST:
            return size
        fault = f"has {size:,} elements, over {LARGEST:,}, each of which takes the memory of a sweep"
    else:
        fault = f"is {source.type}, whose size is not fixed"
    raise GradientError(
        f"a Hessian cannot be built, as {source.name} {fault}",
        hint="use gf.hessian_vector_product, which takes one sweep for any size",
        operands=describe([source]),
        origin=provenance.capture(),
    )
