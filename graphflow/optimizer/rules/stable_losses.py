"""Stable forms of what losses are written with: softmax, its logarithm, sigmoids, and their gradients.

Written out naively these overflow for large scores, or take the logarithm of a probability that has
become 0. As in `stabilize`, the last bits may change and a NaN may become the number that was meant.
-z ln s(x) - (1 - z) ln(1 - s(x)) comes out as z softplus(-x) + (1 - z) softplus(x) by three of these rules.
"""

from __future__ import annotations

from functools import partial

from graphflow.ir.builder import Builder
from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.pattern import Match, P, Variable, variables
from graphflow.optimizer.rule import Answer, Rule, decline, rule
from graphflow.optimizer.rules.common import (
    AXIS,
    CONDITION,
    FLOAT,
    X,
    Y,
    Z,
    fitted,
    in_place_of,
    stays_in_place,
)

stable = partial(rule, safety="rounding", evidence="sampled", tags="stabilize")

# Softmax and its logarithm


@stable([P.subtract(X, P.logsumexp(X, axis=AXIS)), P.subtract(P.logsumexp(X, axis=AXIS), X)])
def log_softmax_written_out(m: Match, b: Builder) -> Answer:
    """x - logsumexp(x) = log_softmax(x), and logsumexp(x) - x = -log_softmax(x)."""
    if not stays_in_place(m.inner.node) or m.X.shape != m.output.shape:
        return None
    if len(m.AXIS) != 1:
        return decline(f"log_softmax takes one axis, not {m.AXIS}")
    logs = b.log_softmax(m.X, axis=m.AXIS[0])
    return logs if m.root.inputs[0] is m.X else b.negative(logs)


@stable(P.log_softmax(P.subtract(X, Y)))
def log_softmax_of_shifted(m: Match, b: Builder) -> Answer:
    """log_softmax(x - c) = log_softmax(x) for c constant along the axis, such as max(x)."""
    axis = m.root.attrs["axis"]
    if m.X.shape != m.output.shape or not _is_constant_along(m.Y, axis, m.output.ndim):
        return None
    return b.log_softmax(m.X, axis=axis)


@stable([P.softmax(P.subtract(X, Y)), P.softmax(P.add(X, Y))])
def softmax_of_offset(m: Match, b: Builder) -> Answer:
    """softmax(x + c) = softmax(x - c) = softmax(x) for c constant along the axis."""
    axis, rank = m.root.attrs["axis"], m.output.ndim
    for kept, offset in ((m.X, m.Y), (m.Y, m.X))[: 2 if m.inner.node.op.name == "add" else 1]:
        if kept.shape == m.output.shape and _is_constant_along(offset, axis, rank):
            return b.softmax(kept, axis=axis)
    return None


def _is_constant_along(tensor: Tensor, axis: int, rank: int) -> bool:
    """Whether a tensor, aligned at the end with one of a given rank, has size 1 or nothing at an axis."""
    place = axis - (rank - tensor.ndim)
    return place < 0 or tensor.shape[place] == 1


@stable(P.add(P.logsumexp(P.subtract(X, Y)), Z))
def logsumexp_of_shifted(m: Match, b: Builder) -> Answer:
    """logsumexp(x - c) + c = logsumexp(x) for c constant along the axes, such as max(x)."""
    total, shift = m.inner, m.Y
    axes, rank = total.attrs["axis"], m.X.ndim
    if total.tensor.type is not m.output.type or m.X.shape != total.node.inputs[0].shape:
        return None
    constant = all([_is_constant_along(shift, axis, rank) for axis in axes])
    if not constant or not _same_elements(m.Z, shift, total.node, rank):
        return None
    return b.logsumexp(m.X, axis=axes, keepdims=total.attrs["keepdims"])


def _same_elements(tensor: Tensor, shift: Tensor, total: Node, rank: int) -> bool:
    """Whether `tensor` adds to a reduction's results what `shift`, of the operand's rank, took from that."""
    axes, keeps = total.attrs["axis"], total.attrs["keepdims"]
    if tensor is shift:
        return shift.ndim == 0 or (stays_in_place(total) and (keeps or shift.ndim <= rank - len(axes)))
    if keeps or shift.ndim != rank:
        return False
    node, origin, wide = tensor.node, shift.node, total.inputs[0].shape
    if node.op.name in ("reshape", "squeeze") and node.inputs[0] is shift:
        return tensor.shape == tuple([size for axis, size in enumerate(shift.shape) if axis not in axes])
    if origin.op.name == "reshape" and origin.inputs[0] is tensor:
        return shift.shape == tuple([1 if axis in axes else size for axis, size in enumerate(wide)])
    extreme = node.op.name == origin.op.name == "max" and node.inputs[0] is origin.inputs[0]
    return extreme and node.attrs["axis"] == origin.attrs["axis"] == axes and not node.attrs["keepdims"]


@stable(P.exp(P.log_softmax(X, axis=AXIS)))
def exp_of_log_softmax(m: Match, b: Builder) -> Answer:
    """exp(log_softmax(x)) = softmax(x), rounded once less."""
    if not m.inner.has_one_use:
        return decline(f"{m.inner.name} has other users")
    return b.softmax(m.X, axis=m.AXIS)


_PICKS = ("take_along_axis", "take", "gather_nd", "slice", "reshape", "permute_dims", "squeeze")
_PROBABILITIES = ("softmax", "sigmoid")


@stable([P.log(getattr(P, pick)(...)) for pick in _PICKS])
def log_of_picked_probability(m: Match, b: Builder) -> Answer:
    """log(softmax(x)[i]) = log_softmax(x)[i], and likewise for a sigmoid: elements are picked afterwards."""
    pick = m.inner.node
    probability, *positions = pick.inputs
    name = probability.node.op.name
    if name not in _PROBABILITIES or not _reads_something(pick):
        return None
    x = probability.node.inputs[0]
    if name == "softmax":
        logs = b.log_softmax(x, axis=probability.node.attrs["axis"])
    else:
        logs = b.negative(b.softplus(b.negative(x)))
    return in_place_of(m, getattr(b, pick.op.name)(logs, *positions, **pick.attrs))


def _reads_something(pick: Node) -> bool:
    """Whether no axis is empty, where reading gives zeros, of which the logarithm is another."""
    return all([size != 0 and isinstance(size, int) for size in pick.inputs[0].shape]) or not pick.inputs[1:]


# Sigmoids


@stable([P.log(P.subtract(1, P.sigmoid(X))), P.log1p(P.negative(P.sigmoid(X)))])
def log_of_one_minus_sigmoid(m: Match, b: Builder) -> Answer:
    """log(1 - s(x)) = -softplus(x), finite where the sigmoid rounds to 1."""
    return fitted(m, b, b.negative(b.softplus(m.X)))


@stable([P.divide(1, P.add(P.exp(X), 1)), P.reciprocal(P.add(P.exp(X), 1))])
def opposite_logistic_function(m: Match, b: Builder) -> Answer:
    """1 / (1 + e^x) = sigmoid(-x), without overflow."""
    return fitted(m, b, b.sigmoid(b.negative(m.X)))


@stable(
    [P.log(P.where(CONDITION, 1, Y)), P.log1p(P.where(CONDITION, 0, Y)), P.log1p(P.where(CONDITION, -0.0, Y))]
)
def log_of_guarded(m: Match, b: Builder) -> Answer:
    """log(where(c, 1, s(x))) = where(c, 0, log(s(x))), so that the logarithm meets the sigmoid or softmax."""
    inner = m.Y.node.inputs[0].node if m.Y.node.op.name == "negative" else m.Y.node
    if inner.op.name not in _PROBABILITIES or m.Y.shape != m.output.shape:
        return None
    logs = getattr(b, m.root.op.name)(m.Y)
    return in_place_of(m, b.where(m.CONDITION, b.like(0.0, logs), logs))


@stable(P.log1p(P.negative(P.where(CONDITION, 0, P.sigmoid(X)))))
def log_of_guarded_complement(m: Match, b: Builder) -> Answer:
    """log1p(-where(c, 0, s(x))) = where(c, 0, -softplus(x))."""
    if m.X.shape != m.output.shape:
        return None
    logs = b.negative(b.softplus(m.X))
    return in_place_of(m, b.where(m.CONDITION, b.like(0.0, logs), logs))


# Gradients of logarithms of probabilities

S = Variable("S", kinds="float")
G = Variable("G", kinds="float")


def _is_positive(tensor: Tensor) -> bool:
    """Whether a tensor is above 0 in real arithmetic, though it may round to 0."""
    node = tensor.node
    if node.op.name in ("softmax", "sigmoid", "exp"):
        return True
    return node.op.name == "subtract" and node.inputs[1].node.op.name == "sigmoid"


@stable([P.multiply(P.divide(G, S), P.multiply(S, Y)), P.multiply(P.multiply(P.divide(G, S), S), Y)])
def cancel_probability(m: Match, b: Builder) -> Answer:
    """(g / s) (s y) = g y for a sigmoid, softmax or exponential s, also where s rounds to 0."""
    if not _is_positive(m.S):
        return None
    return in_place_of(m, b.multiply(m.G, m.Y))


@stable([P.multiply(P.divide(G, S), S), P.multiply(P.negative(P.divide(G, S)), S)])
def cancel_probability_alone(m: Match, b: Builder) -> Answer:
    """(g / s) s = g for a sigmoid, softmax or exponential s, also where s rounds to 0."""
    if not _is_positive(m.S):
        return None
    return fitted(m, b, b.negative(m.G) if m.inner.node.op.name == "negative" else m.G)


@stable(P.multiply(S, P.subtract(P.divide(G, S), Y)))
def spread_over_probability(m: Match, b: Builder) -> Answer:
    """s (g / s - y) = g - s y for a softmax or exponential s: the gradient of log(softmax(x))."""
    if not _is_positive(m.S):
        return None
    return in_place_of(m, b.subtract(m.G, b.multiply(m.S, m.Y)))


T, H = variables("T H", kinds="float")


@stable(
    [P.multiply(P.subtract(P.divide(G, S), P.divide(H, T)), P.multiply(S, T))]
    + [P.multiply(P.add(P.divide(G, S), P.divide(H, T)), P.multiply(S, T))],
)
def spread_over_sigmoid(m: Match, b: Builder) -> Answer:
    """(g / s + h / t) s t = g t + h s for a sigmoid s and t = 1 - s: the gradient of a cross entropy."""
    if not (_is_positive(m.S) and _is_positive(m.T)):
        return None
    join = getattr(b, m.inner.node.op.name)
    return in_place_of(m, join(b.multiply(m.G, m.T), b.multiply(m.H, m.S)))


_TOTAL = P.sum(P.exp(FLOAT), axis=AXIS, keepdims=True)


@stable(
    [P.multiply(P.divide(G, _TOTAL), P.exp(FLOAT))]
    + [P.multiply(P.sum(P.divide(G, _TOTAL), axis=AXIS, keepdims=True), P.exp(FLOAT))]
    + [P.multiply(P.sum(P.negative(P.divide(G, _TOTAL)), axis=AXIS, keepdims=True), P.exp(FLOAT))],
)
def exp_over_total(m: Match, b: Builder) -> Answer:
    """(g / sum(e^x)) e^x = g softmax(x), without overflow: the gradient of a softmax written out."""
    if len(m.AXIS) != 1:
        return decline(f"softmax takes one axis, not {m.AXIS}")
    names = [node.op.name for node in m.nodes]
    alone = names.count("sum") == 1
    if not alone and m.G.ndim != m.X.ndim:
        return None
    share = m.G if alone else b.sum(m.G, axis=m.AXIS, keepdims=True)
    if "negative" in names:
        share = b.negative(share)
    return in_place_of(m, b.multiply(share, b.softmax(m.X, axis=m.AXIS[0])))


_SHARE, _OTHER_SHARE = P.divide(G, _TOTAL), P.divide(H, _TOTAL)


@stable(
    [P.multiply(P.add(_SHARE, P.sum(P.negative(_OTHER_SHARE), axis=AXIS, keepdims=True)), P.exp(FLOAT))]
    + [P.multiply(P.subtract(_SHARE, P.sum(_OTHER_SHARE, axis=AXIS, keepdims=True)), P.exp(FLOAT))],
)
def softmax_gradient_written_out(m: Match, b: Builder) -> Answer:
    """(g / t - sum(h / t)) e^x = (g - sum(h)) softmax(x) for t = sum(e^x), without overflow."""
    if len(m.AXIS) != 1:
        return decline(f"softmax takes one axis, not {m.AXIS}")
    if m.H.ndim != m.X.ndim:
        return None
    rest = b.subtract(m.G, b.sum(m.H, axis=m.AXIS, keepdims=True))
    return in_place_of(m, b.multiply(rest, b.softmax(m.X, axis=m.AXIS[0])))


@stable(
    [P.multiply(P.subtract(_SHARE, _OTHER_SHARE), P.exp(FLOAT))]
    + [P.multiply(P.add(_SHARE, P.negative(_OTHER_SHARE)), P.exp(FLOAT))],
)
def shares_of_exp(m: Match, b: Builder) -> Answer:
    """(g / t - h / t) e^x = (g - h) softmax(x) for t = sum(e^x), without overflow."""
    if len(m.AXIS) != 1:
        return decline(f"softmax takes one axis, not {m.AXIS}")
    return in_place_of(m, b.multiply(b.subtract(m.G, m.H), b.softmax(m.X, axis=m.AXIS[0])))


@stable(P.multiply(P.reciprocal(_TOTAL), P.exp(FLOAT)))
def exp_times_reciprocal_total(m: Match, b: Builder) -> Answer:
    """(1 / sum(e^x)) e^x = softmax(x), without overflow."""
    if len(m.AXIS) != 1:
        return decline(f"softmax takes one axis, not {m.AXIS}")
    return b.softmax(m.X, axis=m.AXIS[0])


RULES: tuple[Rule, ...] = (
    log_softmax_written_out,
    log_softmax_of_shifted,
    softmax_of_offset,
    logsumexp_of_shifted,
    exp_of_log_softmax,
    log_of_picked_probability,
    log_of_one_minus_sigmoid,
    opposite_logistic_function,
    log_of_guarded,
    log_of_guarded_complement,
    cancel_probability,
    cancel_probability_alone,
    spread_over_probability,
    spread_over_sigmoid,
    exp_over_total,
    softmax_gradient_written_out,
    shares_of_exp,
    exp_times_reciprocal_total,
)
