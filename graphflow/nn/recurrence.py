"""What the recurrent nets share: the operands of each direction, the loop over time, and several lengths.

What a step reads of its input alone is one product for all steps, computed before the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ir.builder import Builder, builder_for
from graphflow.ir.dims import Size
from graphflow.ir.dtypes import promote
from graphflow.ir.node import Tensor
from graphflow.ir.types import Shape
from graphflow.nn.recurrent_activations import Function, gate_functions
from graphflow.ops.composite import with_tensors
from graphflow.ops.inference import real_number, require, show
from graphflow.ops.linalg import transposed
from graphflow.ops.looping import scan
from graphflow.ops.rearrange import stack
from graphflow.ops.windows import unify_shapes

_WAYS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}


States = tuple[Tensor, ...]
Step = Callable[[States, Tensor], States]


@dataclass(frozen=True, slots=True)
class Way:
    """What the steps of one direction read besides the states and their input.

    Attributes:
        r: the recurrent weights, turned: [units, gates * units].
        inner_bias: added to the product with r, where that is not the same as adding it to the other one.
        peephole: [3 * units], if there is one.
        functions: the activations.
        clip: a bound for what goes into them.
        reverse: whether it goes from the last step to the first.
    """

    r: Tensor
    inner_bias: Tensor | None
    peephole: Tensor | None
    functions: list[Function]
    clip: float | None
    reverse: bool

    def apply(self, b: Builder, number: int, x: Tensor) -> Tensor:
        """An activation, of what is clipped first."""
        if self.clip is not None:
            x = b.minimum(b.maximum(x, -self.clip), self.clip)
        return self.functions[number](x)


@dataclass(frozen=True, slots=True)
class Cell:
    """One kind of recurrent net.

    Attributes:
        kind: its name.
        gates: how many blocks of rows the weights have.
        states: the names of what goes from step to step; the first is also the output.
        functions: how many activations it takes.
        step: from what a direction reads to its step: the states, and what is known of the input, to the
            next states.
        separate_bias: whether the bias of the product with r cannot be added to the other one.
    """

    kind: str
    gates: int
    states: tuple[str, ...]
    functions: int
    step: Callable[[Builder, Way], Step]
    separate_bias: bool = False


@dataclass(frozen=True, slots=True)
class Options:
    """The arguments of all kinds that are no tensors, as the user gives them."""

    direction: Any
    activations: Any
    clip: Any
    batch_first: Any


def recurrent(
    cell: Cell,
    x: Any,
    weights: dict[str, Any],
    states: Sequence[Any],
    lengths: Any,
    options: Options,
) -> tuple[Tensor, list[Tensor]]:
    """The outputs of all steps, and the last states, as the public functions document them."""
    reverses = _ways(options.direction, cell.kind)
    clip = None if options.clip is None else real_number(options.clip, f"the clip of {cell.kind}", 0.0)
    functions = gate_functions(options.activations, cell.functions, len(reverses), cell.kind)
    b, given = _floats(cell, {"x": x, **weights, **dict(zip(cell.states, states))})
    if options.batch_first:
        _require_rank(cell, given["x"], "x", (3,))
        given["x"] = b.permute_dims(given["x"], axes=(1, 0, 2))
    single = _check_shapes(cell, given, len(reverses), bool(options.batch_first))
    x, state_axis = given.pop("x"), 1 if options.batch_first else 0
    seen = _seen(b, x, lengths, cell.kind)
    if seen is not None:
        x = b.where(seen, x, b.like(0, x))  # what lies behind the end must not reach a product, NaN least
    rows, last = [], []
    for way, reverse in enumerate(reverses):
        own = {
            name: part if single else _one_of(b, part, way, state_axis if name in cell.states else 0)
            for name, part in given.items()
        }
        inner, sums = _input_sums(b, cell, x, own)
        going = Way(transposed(b, own["r"]), inner, own.get("peephole"), functions[way], clip, reverse)
        made = _loop(b, cell, going, sums, seen, [own.get(name) for name in cell.states])
        rows.append(b.permute_dims(made[0], axes=(1, 0, 2)) if options.batch_first else made[0])
        last.append(made[1])
    if single:
        return rows[0], list(last[0])
    return stack(rows, axis=1 + state_axis), [stack(one, axis=state_axis) for one in zip(*last)]


def _ways(direction: Any, kind: str) -> tuple[bool, ...]:
    """For each direction whether it is that from the last step to the first."""
    if not isinstance(direction, str) or direction not in _WAYS:
        raise AttributeValueError(
            f"{kind} has no direction {direction!r:.80}", hint=f"choose among {', '.join(_WAYS)}"
        )
    return _WAYS[direction]


def _floats(cell: Cell, given: dict[str, Any]) -> tuple[Builder, dict[str, Tensor]]:
    """What is given, as tensors of one floating dtype."""
    names = [name for name, value in given.items() if value is not None]
    b, tensors = with_tensors(*[given[name] for name in names])
    for name, tensor in zip(names, tensors):
        if not tensor.dtype.is_floating:
            raise DTypeError(f"{cell.kind} needs floats, but {name} is {tensor.dtype}", hint="use gf.astype")
    dtype = reduce(promote, [tensor.dtype for tensor in tensors])
    return b, {
        name: tensor if tensor.dtype is dtype else b.astype(tensor, dtype=dtype)
        for name, tensor in zip(names, tensors)
    }


def _require_rank(cell: Cell, tensor: Tensor, name: str, ranks: tuple[int, ...]) -> None:
    shown = " or ".join(map(str, ranks))
    require(
        tensor.ndim in ranks, f"{cell.kind} needs {name} of rank {shown}, not of shape {show(tensor.shape)}"
    )


def _check_shapes(cell: Cell, given: dict[str, Tensor], ways: int, batch_first: bool) -> bool:
    """Raise unless all shapes fit; whether the operands have no axis of directions."""
    x, w, r = given["x"], given["w"], given["r"]
    _require_rank(cell, x, "x", (3,))
    _require_rank(cell, w, "w", (2, 3))
    _require_rank(cell, r, "r", (2, 3))
    single, units = w.ndim == 2, r.shape[-1]
    if single and ways == 2:
        raise ShapeError(
            f"a bidirectional {cell.kind} needs weights of two directions, not w of shape {show(w.shape)}",
            hint=f"stack those of both: [2, {cell.gates} * units, features]",
        )
    batch, features = x.shape[1:]
    rows = cell.gates * units
    wanted: dict[str, Shape] = {"w": (rows, features), "r": (rows, units), "peephole": (3 * units,)}
    wanted["bias"] = (rows if _is_sum(cell, given.get("bias"), rows) else 2 * rows,)
    wanted |= dict.fromkeys(cell.states, (batch, units))
    for name, tensor in given.items():
        if name == "x":
            continue
        shape = wanted[name]
        if not single:
            place = 1 if batch_first and name in cell.states else 0
            shape = (*shape[:place], ways, *shape[place:])
        unify_shapes(tensor.shape, shape, f"{cell.kind}: the shape of {name} is not what w, r and x ask for")
    return single


def _is_sum(cell: Cell, bias: Tensor | None, rows: Size) -> bool:
    """Whether a bias is the sum of the two that ONNX has."""
    return bias is not None and not cell.separate_bias and bias.shape[-1:] == (rows,)


def _one_of(b: Builder, part: Tensor, way: int, axis: int) -> Tensor:
    """The operand of one direction."""
    count = part.shape[axis]
    chosen = part if count == 1 else b.split(part, sections=2, axis=axis)[way]
    return b.squeeze(chosen, axis=axis)


def _seen(b: Builder, x: Tensor, lengths: Any, kind: str) -> Tensor | None:
    """Which steps lie before the end of their sequence: [time, batch, 1]."""
    if lengths is None:
        return None
    lengths = b.tensor(lengths)
    if not lengths.dtype.is_integer:
        raise DTypeError(f"{kind} needs integer lengths, not {lengths.dtype}", hint="convert with gf.astype")
    unify_shapes(lengths.shape, x.shape[1:2], f"{kind} needs lengths of the shape [batch]")
    place = b.expand_dims(b.iota(size=x.shape[0], dtype=lengths.dtype), axis=(1, 2))
    return b.less(place, b.expand_dims(lengths, axis=1))


def _input_sums(b: Builder, cell: Cell, x: Tensor, own: dict[str, Tensor]) -> tuple[Tensor | None, Tensor]:
    """The bias that remains for the steps, and x w + bias of all steps: [time, batch, gates * units]."""
    sums = b.matmul(x, transposed(b, own["w"]))
    bias = own.get("bias")
    if bias is None:
        return None, sums
    if _is_sum(cell, bias, own["w"].shape[0]):
        return None, b.add(sums, bias)
    outer, inner = b.split(bias, sections=2, axis=0)
    if cell.separate_bias:
        return inner, b.add(sums, outer)
    return None, b.add(sums, b.add(outer, inner))


def _loop(
    b: Builder, cell: Cell, way: Way, sums: Tensor, seen: Tensor | None, first: Sequence[Tensor | None]
) -> tuple[Tensor, States]:
    """The outputs of all steps, [time, batch, units], and the last states."""
    zero = b.broadcast_to(b.like(0, sums), shape=(sums.shape[1], way.r.shape[0]))
    step = cell.step(b, way)

    def advance(states: States, now: tuple[Tensor, ...]) -> tuple[States, Tensor]:
        new = step(states, now[0])
        if seen is None:
            return new, new[0]
        inner = builder_for(now)
        kept = tuple(inner.where(now[1], one, old) for one, old in zip(new, states))
        return kept, inner.where(now[1], new[0], inner.like(0, new[0]))

    start = tuple(zero if one is None else one for one in first)
    moving = (sums,) if seen is None else (sums, seen)
    last, rows = scan(advance, start, moving, reverse=way.reverse, name=cell.kind)
    return rows, last
