"""The forms that `name_composites` looks for: which nodes a composite is made of, found from its last one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.rewriter import Rewriter

_LONGEST = 10  # nodes between the two products of attention


class Found(NamedTuple):
    """A composite: its nodes, the tensors that others read, its first operands, and what it is called."""

    nodes: list[Node]
    outputs: list[Tensor]
    operands: list[Tensor]
    title: str


Places = dict[Node, int]
"""Where each node stands in the order of the program."""


def _only(tensor: Tensor, rewriter: Rewriter) -> bool:
    return rewriter.use_count(tensor) == 1


def _inner(tensor: Tensor, op_name: str, rewriter: Rewriter, places: Places) -> Node | None:
    """The node that makes a tensor, if it is of that operator and serves one node only."""
    node = tensor.node
    return node if node.op.name == op_name and node in places and _only(tensor, rewriter) else None


# RMS normalization: x rsqrt(mean(x^2) + e) s


def rms_norm(node: Node, rewriter: Rewriter, places: Places) -> Found | None:
    """multiply(x, rsqrt(add(mean(square(x)), e))), with e or without, and a scale of the normalized axes."""
    for x, factor in (node.inputs, node.inputs[::-1]):
        nodes = _chain(factor, ("rsqrt", "add", "mean", "square"), rewriter, places)
        nodes = nodes or _chain(factor, ("rsqrt", "mean", "square"), rewriter, places)
        if nodes is None or nodes[-1].inputs[0] is not x:
            continue
        total, mean = nodes[1], nodes[-2]
        added = [tensor for tensor in total.inputs if tensor is not mean.output] if len(nodes) == 4 else []
        axes = tuple(mean.attrs["axis"])
        whole = axes == tuple(range(x.ndim - len(axes), x.ndim)) and mean.attrs["keepdims"]
        if not whole or any([rewriter.splat(epsilon) is None for epsilon in added]):
            continue
        scaled = _scale_of(node, len(axes), rewriter, places)
        last = node if scaled is None else scaled
        return Found([*nodes, node, *([] if scaled is None else [scaled])], [last.output], [x], "rms_norm")
    return None


def _chain(tensor: Tensor, names: Sequence[str], rewriter: Rewriter, places: Places) -> list[Node] | None:
    """The nodes of these operators, each made from the next, through whichever operand fits."""
    found: list[Node] = []
    operands: Sequence[Tensor] = (tensor,)
    for name in names:
        node = next((one.node for one in operands if _inner(one, name, rewriter, places) is not None), None)
        if node is None:
            return None
        found.append(node)
        operands = node.inputs
    return found


def _scale_of(node: Node, inner: int, rewriter: Rewriter, places: Places) -> Node | None:
    """The product of a normalized tensor and a scale of the normalized axes, if that is all it is for."""
    users = list(rewriter.users[node.output])
    if len(users) != 1 or not _only(node.output, rewriter) or users[0].op.name != "multiply":
        return None
    user = users[0]
    scale = user.inputs[1] if user.inputs[0] is node.output else user.inputs[0]
    lead = scale.shape[: max(0, scale.ndim - inner)]
    known = user in places and user.output.type is node.output.type
    return user if known and all([size == 1 for size in lead]) else None


# The cell of an LSTM: c' = sigmoid(f) c + sigmoid(i) tanh(g), h = sigmoid(o) tanh(c')


def lstm_cell(node: Node, rewriter: Rewriter, places: Places) -> Found | None:
    """multiply(sigmoid(o), tanh(add(multiply(sigmoid(f), c), multiply(sigmoid(i), tanh(g)))))."""
    for first, second in (node.inputs, node.inputs[::-1]):
        show, bend = _inner(first, "sigmoid", rewriter, places), _inner(second, "tanh", rewriter, places)
        if show is None or bend is None:
            continue
        cell = bend.inputs[0].node
        if cell.op.name != "add" or cell not in places or not _is_apart(show.inputs[0], cell, places):
            continue
        terms = [_inner(one, "multiply", rewriter, places) for one in cell.inputs]
        gates = [None if one is None else _gated(one, rewriter, places) for one in terms]
        inner = [*(gates[0] or []), *(gates[1] or [])]
        if None in gates or [one.op.name for one in inner].count("tanh") != 1:
            continue
        nodes = [*inner, *[one for one in terms if one is not None], cell, bend, show, node]
        return Found(nodes, [node.output, cell.output], [], "lstm_cell")
    return None


def _gated(term: Node, rewriter: Rewriter, places: Places) -> list[Node] | None:
    """The gate of a term, and the tanh that it lets through if there is one."""
    for gate, value in (term.inputs, term.inputs[::-1]):
        sigmoid = _inner(gate, "sigmoid", rewriter, places)
        if sigmoid is not None:
            bend = _inner(value, "tanh", rewriter, places)
            return [sigmoid] if bend is None else [sigmoid, bend]
    return None


_NEAREST = 32  # nodes that are looked at to tell an output gate from the cell


def _is_apart(tensor: Tensor, node: Node, places: Places) -> bool:
    """Whether a tensor does not depend on a node, as far as a look at a few nodes can tell."""
    pending, seen = [tensor.node], 0
    while pending:
        one = pending.pop()
        seen += 1
        if one is node or one not in places or seen > _NEAREST:
            return False
        if places[one] > places[node]:
            pending += [inner.node for inner in one.inputs]
    return True


# Attention: softmax(mask(q k^T)) v


def attention(node: Node, rewriter: Rewriter, places: Places) -> Found | None:
    """matmul(softmax(..matmul(q, k^T)..), v), with what shapes, scales, caps and masks the scores between."""
    if node.inputs[0].ndim < 2 or node.inputs[1].ndim < 2:
        return None
    weights = node.inputs[0]
    guard = _guard(weights, rewriter, places)
    if guard:
        weights = guard[0].inputs[2]
    behind = _walk(weights, "softmax", ("reshape", "astype"), rewriter, places, len(guard))
    if behind is None or behind[-1].attrs["axis"] != behind[-1].output.ndim - 1:
        return None
    between = _walk(behind[-1].inputs[0], "matmul", _BETWEEN, rewriter, places)
    if between is None:
        return None
    product = between[-1]
    nodes = [*guard, *behind, *between, *_around(product, rewriter, places), node]
    output, grouped = node.output, any([one.op.name == "reshape" for one in between])
    after = list(rewriter.users[output])
    if grouped and len(after) == 1 and _only(output, rewriter) and after[0].op.name == "reshape":
        nodes.append(after[0])
        output = after[0].output
    if any([one not in places for one in nodes]):
        return None
    mask = _mask_kind(between)
    words = ["grouped"] * grouped + [mask] * bool(mask) + ["attention"]
    made = {tensor for one in nodes for tensor in one.outputs}
    first = [_source(product.inputs[0], made), _source(product.inputs[1], made), node.inputs[1]]
    return Found(nodes, [output], first, "_".join(words))


def _guard(weights: Tensor, rewriter: Rewriter, places: Places) -> list[Node]:
    """where(is_nan(s), 0, s), which gives rows without any allowed score no weights: both nodes, or none."""
    choice = _inner(weights, "where", rewriter, places)
    if choice is None or rewriter.splat(choice.inputs[1]) != 0:
        return []
    test = _inner(choice.inputs[0], "is_nan", rewriter, places)
    return [choice, test] if test is not None and test.inputs[0] is choice.inputs[2] else []


def _source(tensor: Tensor, made: set[Tensor]) -> Tensor:
    """What a tensor inside the composite is made of, outside of it."""
    while tensor in made:
        tensor = next((one for one in tensor.node.inputs if one.node.op.name != "constant"), tensor)
    return tensor


_BETWEEN = ("reshape", "astype", "where", "add", "subtract", "multiply", "divide", "tanh")


def _walk(
    tensor: Tensor, wanted: str, between: Sequence[str], rewriter: Rewriter, places: Places, uses: int = 0
) -> list[Node] | None:
    """The nodes from a tensor up to the one of the wanted operator, each serving the next alone.

    Arguments:
        uses: how often the first tensor is read, if that is known to be all right.
    """
    walked: list[Node] = []
    pending = [(tensor, 0)]
    while pending:
        tensor, depth = pending.pop()
        del walked[depth:]
        node = tensor.node
        known = depth == 0 and rewriter.use_count(tensor) == uses
        if depth > _LONGEST or node not in places or not (known or _only(tensor, rewriter)):
            continue
        if node.op.name == wanted:
            return [*walked, node]
        if node.op.name in between:
            walked.append(node)
            below = walked[-2] if depth else None
            pending += [(one, depth + 1) for one in reversed(_onwards(node, below, rewriter))]
    return None


def _onwards(node: Node, below: Node | None, rewriter: Rewriter) -> list[Tensor]:
    """The operands through which the scores may come.

    Arguments:
        below: the node that reads this one, if it is between the products too.
    """
    first, inputs = node.inputs[0], node.inputs
    if node.op.name == "where":
        return [one for one in inputs[1:] if rewriter.splat(one) is None]
    if node.op.name in ("multiply", "divide"):
        if rewriter.splat(inputs[1]) is not None:
            return [first]
        if node.op.name == "divide":
            return []
        if rewriter.splat(first) is not None:
            return [inputs[1]]
        pairs = ((first, inputs[1]), (inputs[1], first))
        return [scores for scores, kept in pairs if below is not None and _keeps(kept, node, below, rewriter)]
    return [first] if node.op.name == "subtract" else list(inputs)


def _keeps(kept: Tensor, product: Node, below: Node, rewriter: Rewriter) -> bool:
    """Whether a factor b of the scores s is a mask, as in s b - 1e4 (1 - b)."""
    if below.op.name not in ("add", "subtract") or product.output not in below.inputs:
        return False
    values = _array(kept)
    if values is not None:
        return bool(((values == 0) | (values == 1)).all())
    added = below.inputs[1] if below.inputs[0] is product.output else below.inputs[0]
    if added.node.op.name != "multiply":
        return False
    away = next((one.node for one in added.node.inputs if rewriter.splat(one) is None), added.node)
    others = [one for one in away.inputs if one is not kept]
    return away.op.name == "subtract" and len(others) == 1 and rewriter.splat(others[0]) == 1


def _around(product: Node, rewriter: Rewriter, places: Places) -> list[Node]:
    """What scales the queries and turns the keys, for the first product alone."""
    found: list[Node] = []
    query = product.inputs[0]
    shaped = _inner(query, "reshape", rewriter, places)
    source = query if shaped is None else shaped.inputs[0]
    scaled = _inner(source, "multiply", rewriter, places)
    if scaled is not None and any([rewriter.splat(one) is not None for one in scaled.inputs]):
        found.append(scaled)
    if shaped is not None:
        found.append(shaped)
    turned = _inner(product.inputs[1], "permute_dims", rewriter, places)
    if turned is not None:
        rank = turned.output.ndim
        swap = (*range(rank - 2), rank - 1, rank - 2)
        found += [turned] if tuple(turned.attrs["axes"]) == swap else []
    return found


def _mask_kind(between: Sequence[Node]) -> str:
    """How the scores are masked: "", "causal" or "masked"."""
    places = [place for place, one in enumerate(between) if one.op.name in ("where", "add", "subtract")]
    if not places:
        return ""
    scores = between[places[0] + 1]
    allowed = _allowed(between[places[0]], scores) if len(places) == 1 else None
    if allowed is None or allowed.ndim < 2 or not _is_kept(allowed, scores, between[places[0] + 2 :]):
        return "masked"
    lower = np.tril(np.ones(allowed.shape[-2:], dtype=bool))
    return "causal" if np.array_equal(allowed, np.broadcast_to(lower, allowed.shape)) else "masked"


def _is_kept(allowed: np.ndarray, scores: Node, above: Sequence[Node]) -> bool:
    """Whether what multiplies the masked scores, if anything does, is one number or 1 where they count."""
    if scores.op.name != "multiply":
        return True
    factor = scores.inputs[1] if scores.inputs[0] in above[0].outputs else scores.inputs[0]
    kept = _array(factor)
    return kept is not None and (kept.size == 1 or np.array_equal(kept, allowed))


_FORBIDDEN = -9e3
"""Scores of at most this stand for what must not be seen: 16 bits hold 1e4, of which e^-x is 0."""


def _allowed(mask: Node, scores: Node) -> np.ndarray | None:
    """Where a mask of constants lets the scores through, elsewhere putting them out; None for any other."""
    if mask.op.name == "where":
        kept = mask.inputs[1] in scores.outputs
        condition, other = _array(mask.inputs[0]), _array(mask.inputs[2 if kept else 1])
        if condition is None or other is None or not (other <= _FORBIDDEN).all():
            return None
        return condition if kept else ~condition
    added = _array(mask.inputs[1 if mask.inputs[0] in scores.outputs else 0])
    if added is not None and mask.op.name == "subtract":
        added = -added
    if added is None or not ((added == 0) | (added <= _FORBIDDEN)).all():
        return None
    return np.asarray(added == 0)


def _array(tensor: Tensor) -> np.ndarray | None:
    """The array of a constant, broadcast or not, in a dtype that compares."""
    node = tensor.node
    if node.op.name == "broadcast_to":
        node = node.inputs[0].node
    if node.op.name != "constant":
        return None
    array = np.asarray(node.attrs["value"])
    return array if array.dtype.kind in "biuf" else array.astype(np.float32)
