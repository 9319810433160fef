"""Reverse-mode differentiation: one sweep from the results back, building ordinary nodes.

For y = f(x) the sweep carries cotangents, dy/dt summed over the elements of y, for every tensor t
between x and y. A node's operator turns the cotangents of its outputs into those of its inputs (its
vector-Jacobian product); where a tensor is read several times they add up; where broadcasting
copied elements they are summed back. A cotangent that is zero is None and costs no node. A function
with a gradient of its own counts as one node that reads its arguments.

Source: Griewank and Walther, Evaluating Derivatives, 2008, chapter 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from graphflow.errors import GradientError
from graphflow.ir import provenance
from graphflow.ir.builder import Builder
from graphflow.ir.collector import paused_collector
from graphflow.ir.graph import describe
from graphflow.ir.node import Node, Tensor
from graphflow.ir.opdef import NotDifferentiable
from graphflow.ir.traversal import ancestors, creation_order
from graphflow.ir.types import TensorType
from graphflow.ops.shape import sum_to

if TYPE_CHECKING:
    from graphflow.autodiff.custom import CustomGradient

POLICIES = ("zero", "none", "raise")


def gradients(
    ys: Tensor | Sequence[Tensor],
    xs: Tensor | Sequence[Tensor],
    grad_ys: Any = None,
    unconnected: str = "zero",
) -> list[Tensor | None]:
    """The derivatives of the sum of all elements of `ys` with respect to each of `xs`.

    Result i has the type of xs[i] and the elements  sum_y sum_k grad_y[k] * dy[k] / dx_i.

    Arguments:
        ys: a tensor or several; tensors that are not scalar are summed.
        xs: floating-point tensors of the same graph; intermediate ones may be asked for.
        grad_ys: for each of `ys` the weight of its elements, of its type; ones if left out.
        unconnected: what to give for an x on which no y depends: "zero" a zero tensor, "none"
            None, "raise" an error that names the edge at which the path breaks.

    Returns:
        for each x a tensor, named in the scope `gradients/`, whose nodes have the lines of the nodes
        they differentiate.

    Raises:
        GradientError: for a path through an operator without a gradient, for integer xs or ys, for
            tensors of two graphs, for weights of another type, and where `unconnected="raise"` says so.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ("n",))
    >>> gf.gradients(gf.sum(x * x), [x])
    [<tensor gradients/add:0 float32[n] by add>]
    """
    targets, sources = listed(ys, "ys"), listed(xs, "xs")
    sources = [_inside(source, targets) for source in sources]
    if not isinstance(unconnected, str) or unconnected not in POLICIES:
        raise GradientError(
            f"unconnected={unconnected!r:.80} is no policy", hint="use 'zero', 'none' or 'raise'"
        )
    require_differentiable(targets, sources)
    graph = targets[0].graph
    builder = Builder(graph, provenance.capture())
    outer = graph.scope
    try:
        graph.scope = f"{outer}gradients/"
        sweep = _Sweep(builder, targets, sources, f"{outer}gradients/")
        sweep.seed(targets, _weights(ys, targets, grad_ys))
        with paused_collector(), graph:
            sweep.run()
        graph.scope = f"{outer}gradients/"
        return [_answer(builder, sweep, source, targets, unconnected) for source in sources]
    finally:
        graph.scope = outer


Builder.differentiate = staticmethod(gradients)


def _inside(source: Tensor, targets: Sequence[Tensor]) -> Tensor:
    """What stands for the source in the body that the targets belong to, if it lies outside of that."""
    graph = targets[0].graph if targets else source.graph
    if graph.outer is None or source.graph is graph:
        return source
    inside = graph.bring(source)
    roundabout = _way_around(source, inside, targets)
    if roundabout is not None:
        raise GradientError(
            f"inside of {graph.name!r} there is no gradient with respect to {source.name}, as what is "
            f"captured there, {roundabout.name}, was computed from it outside",
            hint="differentiate outside of the loop or branch, or compute it inside",
            operands=describe([source, roundabout]),
            origin=provenance.capture(),
        )
    return inside


def _way_around(source: Tensor, inside: Tensor, targets: Sequence[Tensor]) -> Tensor | None:
    """A tensor around a body that the targets read and that depends on `source`, if there is one."""
    above = {tensor for node in ancestors(targets) for tensor in node.outputs}
    pending = [
        (outer, outer)
        for inner, outer in getattr(inside.graph, "outside", {}).items()
        if inner in above and inner is not inside
    ]
    seen: set[Tensor] = set()
    while pending:
        tensor, captured = pending.pop()
        if tensor is source:
            return captured
        vjp = tensor.node.op.vjp
        if tensor in seen or not tensor.dtype.is_differentiable:
            continue
        seen.add(tensor)
        outer = getattr(tensor.graph, "outside", {}).get(tensor)
        pending += [] if outer is None else [(outer, captured)]
        if not isinstance(vjp, NotDifferentiable):
            pending += [(read, captured) for read in tensor.node.inputs]
    return None


class _Sweep:
    """The state of one reverse sweep: which nodes matter, and the cotangents gathered so far."""

    def __init__(self, builder: Builder, targets: list[Tensor], sources: list[Tensor], prefix: str) -> None:
        self.builder = builder
        self.prefix = prefix
        self.customs = builder.graph.custom_gradients
        self.active, self.nodes = _downstream(sources, targets)
        builder.wanted = self.active
        self.gathered: dict[Tensor, Tensor] = {}

    def seed(self, targets: list[Tensor], weights: list[Tensor | None]) -> None:
        """Start from the targets that depend on a source."""
        for target, weight in zip(targets, weights):
            if target in self.active:
                self.add(target, self.builder.full_like(1, target) if weight is None else weight)

    def add(self, tensor: Tensor, cotangent: Tensor) -> None:
        """Gather a cotangent; summing at once, not at the end, lets the parts be freed early."""
        found = self.gathered.get(tensor)
        self.gathered[tensor] = cotangent if found is None else self.builder.add(found, cotangent)

    def run(self) -> None:
        """Visit the nodes in reverse, with their line and scope for what is built."""
        builder, graph, gathered = self.builder, self.builder.graph, self.gathered
        customs = self.customs
        for node in reversed(self.nodes):
            for tensor in customs[node].outputs if node in customs else node.outputs:
                if tensor in gathered:
                    break
            else:
                continue
            builder.origin = node.origin
            scope = node.name.rpartition("/")[0]
            graph.scope = f"{self.prefix}{scope}/" if scope else self.prefix
            self.step(node)

    def step(self, node: Node) -> None:
        """Carry the cotangents of a node's outputs over to its inputs."""
        if node in self.customs:
            custom = self.customs[node]
            self.spread(custom.inputs, custom.cotangents(self.builder, self.gathered, self.active), False)
            return
        vjp = node.op.vjp
        if vjp is None or isinstance(vjp, NotDifferentiable):
            if vjp is None or not vjp.zero:
                raise _no_gradient(node, "it defines none" if vjp is None else vjp.reason)
            return
        parts = vjp(self.builder, node, *[self.gathered.get(tensor) for tensor in node.outputs])
        if len(parts) != len(node.inputs):
            raise _no_gradient(node, f"its rule gave {len(parts)} cotangents for {len(node.inputs)} inputs")
        self.spread(node.inputs, parts, "broadcasting" in node.op.traits)

    def spread(self, inputs: Sequence[Tensor], parts: Sequence[Any], broadcasting: bool) -> None:
        """Add the cotangents to those of the inputs, as far as a source is above them."""
        for tensor, part in zip(inputs, parts):
            if part is None or tensor not in self.active or not tensor.type.dtype.is_differentiable:
                continue
            if type(part) is not Tensor:
                part = part()
                if part is None:
                    continue
            if part.type is not tensor.type:
                part = self.fit(part, tensor.type, broadcasting)
            self.add(tensor, part)

    def fit(self, part: Tensor, wanted: TensorType, broadcasting: bool) -> Tensor:
        """Undo the promotion and broadcasting that the forward operator applied to its input."""
        if broadcasting and part.type.shape != wanted.shape:
            part = sum_to(self.builder, part, wanted.shape)
        if part.type.dtype is not wanted.dtype:
            part = self.builder.astype(part, dtype=wanted.dtype)
        return part


def _downstream(sources: Sequence[Tensor], targets: Sequence[Tensor]) -> tuple[set[Tensor], list[Node]]:
    """The tensors on which targets may depend and that depend on a source; and the nodes that read one."""
    customs = targets[0].graph.custom_gradients
    begun: set[CustomGradient] = set()
    active, readers = set(sources), []
    for node in creation_order(_upstream(targets)):
        custom = customs.get(node)
        if custom is None:
            reads, makes = node.inputs, node.outputs
        elif custom not in begun:  # the sweep gets to the first of its nodes last, with all cotangents
            begun.add(custom)
            reads, makes = custom.reads, custom.outputs
        else:
            continue
        for tensor in reads:
            if tensor in active:
                active.update(makes)
                readers.append(node)
                break
    return active, readers


def _upstream(targets: Sequence[Tensor]) -> set[Node]:
    """The nodes above the targets; also those that only a custom gradient leads to."""
    customs = targets[0].graph.custom_gradients
    found = fresh = ancestors(targets)
    while customs and fresh:
        arguments = [tensor for node in fresh if node in customs for tensor in customs[node].inputs]
        fresh = ancestors(arguments, stop=lambda tensor: tensor.node in found)
        found.update(fresh)
    return found


def _answer(
    builder: Builder, sweep: _Sweep, source: Tensor, targets: list[Tensor], unconnected: str
) -> Tensor | None:
    found = sweep.gathered.get(source)
    if found is not None or unconnected == "none":
        return found
    if unconnected == "raise":
        raise GradientError(
            f"there is no gradient with respect to {source.name}: {_broken_edge(source, targets, sweep)}",
            hint="drop it from xs, or pass unconnected='zero' or 'none'",
            operands=describe([source, *targets]),
            origin=provenance.capture(),
        )
    builder.origin = source.node.origin
    return builder.full_like(0, source)


def _broken_edge(source: Tensor, targets: Sequence[Tensor], sweep: _Sweep) -> str:
    """Why no cotangent reaches `source`: the first edge below it that a cotangent met and did not pass."""
    active, readers = _downstream([source], targets)
    for node in readers:
        custom = sweep.customs.get(node)
        if not any(tensor in sweep.gathered for tensor in (custom or node).outputs):
            continue
        edge = next(t for t in (custom or node).inputs if t in active and t not in sweep.gathered)
        place = f"the path breaks between {edge.name} and {node.name} ({node.op.name}, {node.origin})"
        if custom is not None:
            return f"{place}: the custom gradient of {custom.name} passes none on to it"
        if isinstance(node.op.vjp, NotDifferentiable):
            return f"{place}: {node.op.vjp.reason}"
        if edge.dtype.is_differentiable:
            return f"{place}: {node.op.name} passes no gradient on to it"
        maker = edge.node.op.vjp
        reason = f" ({edge.node.op.name}: {maker.reason})" if isinstance(maker, NotDifferentiable) else ""
        return f"{place}: {edge.name} is {edge.dtype}, which has no gradients{reason}"
    if source.node in ancestors(targets):
        return "it is used only inside functions whose gradients are custom"
    return "no y depends on it"


def _no_gradient(node: Node, reason: str) -> GradientError:
    declare = f"declare one with @{node.op.name}.gradient, or " if node.op.vjp is None else ""
    return GradientError(
        f"node {node.name} cannot be differentiated, as {node.op.name} has no gradient: {reason}",
        hint=f"{declare}put gf.stop_gradient around its input if the gradient should end there",
        operands=describe(node.inputs),
        origin=node.origin,
    )


def listed(tensors: Any, what: str) -> list[Tensor]:
    """The tensors as a list, once it is known that they are some."""
    several = list(tensors) if isinstance(tensors, (list, tuple)) else [tensors]
    for tensor in several:
        if not isinstance(tensor, Tensor):
            raise GradientError(
                f"among the {what} is {tensor!r:.80} of type {type(tensor).__name__}, which is no tensor",
                hint=f"pass a tensor, or a list of tensors, as {what}",
                origin=provenance.capture(),
            )
    return several


def require_differentiable(targets: list[Tensor], sources: list[Tensor]) -> None:
    """Raise a GradientError unless these are floating-point tensors of one graph, one y at least."""
    if not targets:
        raise GradientError("there is no y to differentiate", hint="pass a tensor, or a list of them")
    graph = targets[0].graph
    for what, tensors in (("y", targets), ("x", sources)):
        for tensor in tensors:
            if tensor.graph is not graph:
                raise GradientError(
                    f"{tensor.name} belongs to the graph {tensor.graph.name!r} (number {tensor.graph.uid}), "
                    f"but {targets[0].name} to {graph.name!r} (number {graph.uid})",
                    hint="differentiate tensors of one graph",
                    operands=describe([targets[0], tensor]),
                    origin=provenance.capture(),
                )
            if not tensor.dtype.is_differentiable:
                raise GradientError(
                    f"{what} = {tensor.name} is {tensor.dtype}, "
                    "and only floating-point tensors have gradients",
                    hint="convert it with gf.astype before it enters the computation",
                    operands=describe([tensor]),
                    origin=provenance.capture(),
                )


def _weights(ys: Any, targets: list[Tensor], grad_ys: Any) -> list[Tensor | None]:
    """A weight of the type of its y, or None for ones, for each target."""
    if grad_ys is None:
        return [None] * len(targets)
    given = paired(ys, targets, grad_ys, "ys", "grad_ys")
    return [
        None if weight is None else of_type(target, weight, "weight")
        for target, weight in zip(targets, given)
    ]


def paired(tensors: Any, several: list[Tensor], values: Any, what: str, whose: str) -> list[Any]:
    """The values that go with the tensors, as a list of the same length; a single one may stand alone."""
    listed = isinstance(values, (list, tuple)) and (
        len(values) == len(several) or not isinstance(tensors, Tensor)
    )
    given = list(values) if listed else [values]
    if len(given) != len(several):
        raise GradientError(
            f"there are {len(several)} {what} but {len(given)} {whose}",
            hint=f"pass one for each of the {what}",
            operands=describe(several),
            origin=provenance.capture(),
        )
    return given


def of_type(target: Tensor, value: Any, what: str) -> Tensor:
    """The value as a tensor, once it is known to have the type and graph of `target`."""
    tensor = Builder(target.graph).tensor(value, None if isinstance(value, Tensor) else target.dtype)
    if tensor.type is target.type and tensor.graph is target.graph:
        return tensor
    if tensor.graph is not target.graph:
        fault = f"belongs to the graph {tensor.graph.name!r}, not to {target.graph.name!r}"
    else:
        fault = f"has type {tensor.type}, not {target.type}"
    raise GradientError(
        f"the {what} of {target.name} {fault}",
        hint=f"a {what} has the dtype and shape of what it belongs to, symbolic sizes included",
        operands=describe([target, tensor]),
        origin=provenance.capture(),
    )
