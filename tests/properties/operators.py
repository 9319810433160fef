"""The operators of random programs: what each computes, in either language, and which operands fit it.

Values stay of moderate size, whatever a program does: what grows is bounded (a product by a sine, the
argument of exp by tanh). Comparisons are never close to a tie that two ways of rounding could decide
differently: thresholds are odd numbers, and what is ranked is moved apart first (`apart`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


class Draw:
    """Random choices, all of them made by one seed."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def one(self, values: Sequence[Any]) -> Any:
        return values[self.rng.integers(len(values))]

    def number(self, least: int, most: int) -> int:
        return int(self.rng.integers(least, most, endpoint=True))

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)


@dataclass(frozen=True)
class Slot:
    """The type of a value of a program."""

    dtype: np.dtype
    shape: tuple[int, ...]

    @property
    def kind(self) -> str:
        return self.dtype.kind


@dataclass(frozen=True)
class Operator:
    """An operator of programs.

    Attributes:
        compute: (language, *operands, **params) -> value.
        fits: for each operand whether a slot will do, given those before it.
        params: draws the other arguments, from the operands' slots; static sizes may be used only if
            the last argument is False.
        smooth: whether it has second derivatives everywhere.
        static: whether it needs all sizes while building.
    """

    name: str
    compute: Callable[..., Any]
    fits: tuple[Callable[..., bool], ...]
    params: Callable[[Draw, list[Slot], bool], dict[str, Any]]
    smooth: bool
    static: bool


TABLE: dict[str, Operator] = {}


def floats(*before: Slot) -> bool:
    return before[-1].kind == "f"


def integers(*before: Slot) -> bool:
    return before[-1].kind == "i"


def booleans(*before: Slot) -> bool:
    return before[-1].kind == "b"


def anything(*before: Slot) -> bool:
    return True


def of(kinds: str, least_rank: int = 0, full: bool = False) -> Callable[..., bool]:
    """Slots of these kinds, of some rank, with a last axis that is not empty if `full`."""

    def fits(*before: Slot) -> bool:
        slot = before[-1]
        return slot.kind in kinds and len(slot.shape) >= least_rank and not (full and slot.shape[-1:] == (0,))

    return fits


def broadcastable(kinds: str) -> Callable[..., bool]:
    """Slots that broadcast with all before them."""

    def fits(*before: Slot) -> bool:
        try:
            shape = np.broadcast_shapes(*[slot.shape for slot in before])
        except ValueError:
            return False
        return before[-1].kind in kinds and len(shape) <= 4 and np.prod(shape) <= 400

    return fits


def operator(
    *fits: Callable[..., bool],
    params: Callable[[Draw, list[Slot], bool], dict[str, Any]] | None = None,
    smooth: bool = True,
    static: bool = False,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Put a function into the table, under its name."""

    def declare(compute: Callable[..., Any]) -> Callable[..., Any]:
        name = compute.__name__.rstrip("_")
        TABLE[name] = Operator(name, compute, fits, params or (lambda *_: {}), smooth, static)
        return compute

    return declare


def axis(draw: Draw, slots: list[Slot], symbolic: bool) -> dict[str, Any]:
    rank = len(slots[0].shape)
    return {"axis": draw.number(-rank, rank - 1)}


def full_axis(draw: Draw, slots: list[Slot], symbolic: bool) -> dict[str, Any]:
    """An axis that is not empty; the last one always is not."""
    shape = slots[0].shape
    return {"axis": draw.one([i for i, size in enumerate(shape) if size] or [-1])}


def axes(draw: Draw, slots: list[Slot], symbolic: bool) -> dict[str, Any]:
    rank = len(slots[0].shape)
    chosen = tuple([i for i in range(rank) if draw.chance(0.5)])
    return {"axis": None if draw.chance(0.3) else chosen, "keepdims": draw.chance(0.5)}


def apart(m: Any, x: Any, axis: int) -> Any:
    """x with its elements along the axis moved apart, so that rounding does not decide their order."""
    return x + 0.0371 * m.cumulative_sum(m.ones_like(x), axis=axis)


# One float tensor, element by element

UNARY: dict[str, Callable[[Any, Any], Any]] = {
    "sin": lambda m, x: m.sin(x),
    "cos": lambda m, x: m.cos(x),
    "tanh": lambda m, x: m.tanh(x),
    "exp": lambda m, x: m.exp(m.tanh(x)),
    "expm1": lambda m, x: m.expm1(m.sin(x)),
    "log1p": lambda m, x: m.log1p(m.square(x)),
    "log": lambda m, x: m.log(1.5 + m.sin(x)),
    "sqrt": lambda m, x: m.sqrt(1.0 + m.square(x)),
    "reciprocal": lambda m, x: m.reciprocal(1.5 + m.cos(x)),
    "erf": lambda m, x: m.erf(x),
    "sigmoid": lambda m, x: m.sigmoid(x),
    "softplus": lambda m, x: m.softplus(m.sin(x)),
    "silu": lambda m, x: m.silu(m.sin(x)),
    "gelu": lambda m, x: m.gelu(m.sin(x)),
    "atan": lambda m, x: m.atan(x),
    "asinh": lambda m, x: m.asinh(x),
    "cosh": lambda m, x: m.cosh(m.tanh(x)),
    "acos": lambda m, x: m.acos(0.7 * m.sin(x)),
    "cube": lambda m, x: m.pow(m.sin(x), 3),
    "negative": lambda m, x: -x,
    "scaled": lambda m, x: 0.7 * x - 0.3,
}
KINKED: dict[str, Callable[[Any, Any], Any]] = {
    "relu": lambda m, x: m.relu(x + 0.1237),
    "abs": lambda m, x: m.abs(x - 0.3217),
    "clip": lambda m, x: m.clip(x, -0.5103, 0.7309),
    "sign": lambda m, x: m.sign(x + 0.0713),
    "floor": lambda m, x: m.floor(x + 0.3331),
    "round": lambda m, x: m.round(x + 0.2221),
    "remainder": lambda m, x: m.remainder(x + 0.0217, 0.7717),
    "stop_gradient": lambda m, x: m.stop_gradient(x),
}


def _unary(name: str, compute: Callable[[Any, Any], Any], smooth: bool) -> None:
    TABLE[name] = Operator(name, compute, (floats,), lambda *_: {}, smooth, False)


for _name, _compute in UNARY.items():
    _unary(_name, _compute, True)
for _name, _compute in KINKED.items():
    _unary(_name, _compute, False)


# Two, broadcast and promoted


@operator(of("fi"), broadcastable("fib"))
def add(m, x, y):
    return m.multiply(0.5, m.like(m.add(x, y), m.sin(m.add(x, y))))


@operator(floats, broadcastable("fi"))
def subtract(m, x, y):
    return m.sin(m.subtract(x, y))


@operator(floats, broadcastable("fib"))
def multiply(m, x, y):
    return m.sin(m.multiply(x, y))


@operator(floats, broadcastable("f"))
def divide(m, x, y):
    return m.divide(m.sin(x), 1.5 + m.cos(y))


@operator(floats, broadcastable("f"))
def power(m, x, y):
    return m.pow(1.5 + m.sin(x), m.tanh(y))


@operator(floats, broadcastable("f"))
def atan2(m, x, y):
    return m.atan2(x, 1.5 + m.sin(y))


@operator(floats, broadcastable("f"))
def logaddexp(m, x, y):
    return m.logaddexp(m.sin(x), m.cos(y))


@operator(floats, broadcastable("f"), smooth=False)
def maximum(m, x, y):
    return m.maximum(x, m.sin(y) + 0.0773)


@operator(floats, broadcastable("f"), smooth=False)
def minimum(m, x, y):
    return m.minimum(m.cos(x), y - 0.0773)


@operator(floats, broadcastable("fi"), smooth=False)
def less(m, x, y):
    return m.less(x + 0.0137, y)


@operator(booleans, broadcastable("f"), broadcastable("fi"), smooth=False)
def where(m, condition, x, y):
    return m.where(condition, x, m.sin(m.like(y, x)))


@operator(floats, broadcastable("f"), smooth=False)
def masked(m, x, y):
    return m.where(x > 0.2117, y, 0.0)


# Integers and booleans


@operator(integers, broadcastable("i"), smooth=False)
def whole_product(m, x, y):
    return m.remainder(m.multiply(x, y) + 5, 7)


@operator(integers, broadcastable("i"), smooth=False)
def bits(m, x, y):
    return m.bitwise_xor(m.bitwise_and(x, 6), y) // 2


@operator(booleans, broadcastable("b"), smooth=False)
def logic(m, x, y):
    return m.logical_xor(m.logical_not(x), m.logical_and(x, y))


@operator(floats, smooth=False)
def whole(m, x):
    return m.int32(m.floor(3.0 * m.sin(x) + 0.1119))


@operator(of("ib"), smooth=False)
def real(m, x):
    return m.astype(x, np.float64)


@operator(integers, smooth=False)
def one_hot(m, x):
    return m.one_hot(m.remainder(x, 3), 3)


@operator(of("fi"), smooth=False)
def parity(m, x):
    return m.equal(m.remainder(m.int32(m.floor(x + 0.1119)), 2), 0)


@operator(floats)
def single(m, x):
    return m.astype(x, np.float32)


@operator(floats)
def double(m, x):
    return m.astype(x, np.float64)


# Reductions


@operator(floats, params=axes)
def sum_(m, x, axis, keepdims):
    return m.sin(m.sum(x, axis=axis, keepdims=keepdims))


@operator(of("f", 1, full=True), params=full_axis)
def mean(m, x, axis):
    return m.mean(x, axis=axis)


@operator(of("f", 1, full=True), params=full_axis)
def variance(m, x, axis):
    return m.var(x, axis=axis)


@operator(of("f", 1, full=True), params=full_axis, smooth=False)
def largest(m, x, axis):
    return m.max(apart(m, x, axis), axis=axis)


@operator(of("f", 1, full=True), params=full_axis, smooth=False)
def smallest(m, x, axis):
    return m.min(apart(m, x, axis), axis=axis)


@operator(of("f", 1, full=True), params=full_axis, smooth=False)
def argmax(m, x, axis):
    return m.int32(m.argmax(apart(m, x, axis), axis=axis))


@operator(of("f", 1), params=axis)
def product(m, x, axis):
    return m.prod(1.2 * m.sin(x), axis=axis)


@operator(of("f", 1, full=True), params=full_axis)
def logsumexp(m, x, axis):
    return m.logsumexp(x, axis=axis)


@operator(of("f", 1), params=axis)
def norm(m, x, axis):
    return m.norm(m.square(m.sin(x)) + 0.3, axis)


@operator(booleans, params=axes, smooth=False)
def all_(m, x, axis, keepdims):
    return m.all(x, axis=axis, keepdims=keepdims)


@operator(booleans, params=axes, smooth=False)
def any_(m, x, axis, keepdims):
    return m.any(x, axis=axis, keepdims=keepdims)


# Along an axis


@operator(of("f", 1), params=axis)
def softmax(m, x, axis):
    return 3.0 * m.softmax(x, axis=axis)


@operator(of("f", 1), params=axis)
def log_softmax(m, x, axis):
    return m.log_softmax(x, axis=axis)


@operator(of("f", 1, full=True))
def layer_norm(m, x):
    return m.layer_norm(x, axis=-1, epsilon=0.1)


@operator(of("f", 1), params=axis)
def cumulative_sum(m, x, axis):
    return m.sin(m.cumulative_sum(x, axis=axis))


@operator(of("f", 1), params=axis)
def cumulative_prod(m, x, axis):
    return m.cumulative_prod(1.3 * m.sin(x), axis=axis)


@operator(of("f", 1), params=axis, smooth=False)
def sort(m, x, axis):
    return m.sort(apart(m, x, axis), axis=axis)


@operator(of("f", 1), params=axis, smooth=False)
def argsort(m, x, axis):
    return m.int32(m.argsort(apart(m, x, axis), axis=axis))


@operator(of("f", 1, full=True), smooth=False)
def top(m, x):
    return m.highest(apart(m, x, -1), 1)


@operator(of("f", 1), params=axis)
def diff(m, x, axis):
    return m.diff(m.concat([x, m.sin(x)], axis=axis), axis=axis)


@operator(of("f", 1, full=True))
def spectrum(m, x):
    return m.sin(m.spectrum(x))


# Matrices


@operator(of("f", 1), of("f", 1))
def outer(m, x, y):
    return m.multiply(m.expand_dims(m.reshape(x, (-1,)), axis=1), m.reshape(y, (-1,)))[:5, :5]


@operator(of("f", 2), lambda x, y: y.kind == "f" and len(y.shape) == 2 and y.shape[0] == x.shape[-1])
def matmul(m, x, y):
    return m.sin(m.matmul(x, y))


@operator(of("f", 2), lambda x, y: y.kind == "f" and len(y.shape) == 2 and y.shape[1] == x.shape[-1])
def contraction(m, x, y):
    return m.sin(m.einsum("...k,jk->...j", x, y))


@operator(of("f", 2))
def gram(m, x):
    return m.tanh(m.matmul(x, m.matrix_transpose(x)))


@operator(of("f", 2))
def upper(m, x):
    return m.triu(x) - 0.5 * m.tril(x, k=-1)


def _positive(m, x):
    """A well-conditioned positive definite matrix made of any."""
    wide = m.matmul(m.expand_dims(m.sin(x), axis=-1), m.expand_dims(m.sin(x), axis=-2))
    rows, columns = (m.cumulative_sum(m.ones_like(wide), axis=axis) for axis in (-2, -1))
    return wide + 1.5 * m.like(m.equal(rows, columns), wide)


@operator(of("f", 1, full=True))
def cholesky(m, x):
    return m.sum(m.cholesky(_positive(m, x)), axis=-1)


@operator(of("f", 1, full=True))
def solve(m, x):
    right = m.expand_dims(m.cos(x), axis=-1)
    return m.squeeze(m.inner_solve(_positive(m, x), right), axis=-1)


# Shapes


def _permutation(draw: Draw, slots: list[Slot], symbolic: bool) -> dict[str, Any]:
    return {"order": tuple(draw.rng.permutation(len(slots[0].shape)).tolist())}


@operator(anything, params=_permutation)
def permute(m, x, order):
    return m.permute_dims(x, order)


@operator(anything)
def flat(m, x):
    return m.reshape(x, (-1,))


def _new_shape(draw: Draw, slots: list[Slot], symbolic: bool) -> dict[str, Any]:
    count = int(np.prod(slots[0].shape))
    pairs = [(a, count // a) for a in range(1, count + 1) if count % a == 0] if count else [(0, 2), (3, 0)]
    return {"shape": draw.one(pairs)}


@operator(of("fib"), params=_new_shape, static=True)
def reshape(m, x, shape):
    return m.reshape(x, shape)


def _wider(draw: Draw, slots: list[Slot], symbolic: bool) -> dict[str, Any]:
    shape = [draw.one([0, 2, 3]) if size == 1 else size for size in slots[0].shape]
    return {"shape": tuple([draw.number(0, 3), *shape][draw.number(0, 1) :])}


@operator(lambda x: len(x.shape) < 3, params=_wider, static=True)
def broadcast(m, x, shape):
    return m.broadcast_to(x, shape)


def _new_axis(draw: Draw, slots: list[Slot], symbolic: bool) -> dict[str, Any]:
    return {"axis": draw.number(0, len(slots[0].shape))}


@operator(lambda x: len(x.shape) < 4, params=_new_axis)
def expand(m, x, axis):
    return m.expand_dims(x, axis=axis)


@operator(lambda x: 1 in x.shape)
def squeeze(m, x):
    found = tuple(i for i, size in enumerate(x.shape) if isinstance(size, int) and size == 1)
    return m.squeeze(x, axis=found[:1])


@operator(of("fi", 1), params=axis)
def flip(m, x, axis):
    return m.flip(x, axis=axis)


def _shift(draw: Draw, slots: list[Slot], symbolic: bool) -> dict[str, Any]:
    return {**axis(draw, slots, symbolic), "shift": draw.number(-6, 6)}


@operator(of("fib", 1), params=_shift)
def roll(m, x, axis, shift):
    return m.roll(x, shift, axis=axis)


@operator(lambda x: len(x.shape) > 0 and np.prod(x.shape) < 60, params=axis)
def repeat(m, x, axis):
    return m.repeat(x, 2, axis=axis)


@operator(lambda x: len(x.shape) > 0 and np.prod(x.shape) < 60)
def tile(m, x):
    return m.tile(x, (1,) * (len(x.shape) - 1) + (2,))


@operator(lambda x: x.kind in "fi" and len(x.shape) > 0 and np.prod(x.shape) < 60)
def pad(m, x):
    return m.pad(x, [(1, 0)] + [(0, 0)] * (len(x.shape) - 1))


@operator(of("f", 1), lambda x, y: y.kind in "fi" and x.shape[1:] == y.shape[1:] and len(y.shape) > 0)
def concat(m, x, y):
    return m.concat([x, y], axis=0)[:6]


@operator(floats, lambda x, y: x == y and len(x.shape) < 3)
def stack(m, x, y):
    return m.stack([x, y], axis=-1)


# Indexing

SLICES = (
    slice(None), slice(1, None), slice(None, -1), slice(None, None, -1), slice(None, None, 2),
    slice(0, 3), slice(-3, None), slice(-1, 0, -2),
)  # fmt: skip


def _index(draw: Draw, slots: list[Slot], symbolic: bool) -> dict[str, Any]:
    entries: list[Any] = []
    for size in slots[0].shape:
        parts = [one for one in SLICES if not symbolic or len(range(size)[one]) > 1 or one == slice(None)]
        entries.append(draw.one([*parts, 0, -1] if size else parts))
    if draw.chance(0.5) and len(entries) < 4:
        entries.insert(draw.number(0, len(entries)), None)
    if draw.chance(0.5):
        entries = [Ellipsis, *entries[len(entries) // 2 :]] if None not in entries else entries
    return {"key": tuple(entries)}


@operator(anything, params=_index)
def index(m, x, key):
    return x[key]


@operator(of("f", 1, full=True), integers, smooth=True)
def take(m, x, indices):
    return m.take(x, m.remainder(m.reshape(indices, (-1,))[:4], m.size(x, -1)), axis=-1)


@operator(of("f", 1), params=axis, smooth=False)
def take_along(m, x, axis):
    return m.take_along_axis(m.sin(x), m.argsort(apart(m, x, axis), axis=axis), axis=axis)


@operator(of("f", 1, full=True), integers)
def scatter(m, x, indices):
    chosen = m.remainder(m.reshape(indices, (-1,)), m.size(x, -1))
    flat = m.sum(x, axis=tuple(range(len(x.shape) - 1)))
    return m.scattered(flat, chosen, m.like(m.sin(m.astype(chosen, np.float64) + 1.0), x))
