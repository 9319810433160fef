"""Reading a jaxpr: every equation becomes operators of a graph, by the rule of its primitive.

    rules[primitive](step, *operands) -> tensors

Values that are known while reading (literals, small constants, and what follows from them alone) stay
NumPy arrays until an operator needs them, so that a rule can see that indices are in range or that a
number to pad with is 0. Each node has the user's line and the `jax.named_scope` of its equation.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import jax
import jaxlib
import numpy as np
from jax.extend import core

from graphflow.errors import BackendError, DTypeError, GraphFlowError
from graphflow.ir import dims, provenance
from graphflow.ir.builder import Builder, builder_for
from graphflow.ir.dims import Size
from graphflow.ir.dtypes import as_dtype, uint32
from graphflow.ir.graph import Graph
from graphflow.ir.interpret import evaluate
from graphflow.ir.node import Tensor
from graphflow.ir.provenance import Origin
from graphflow.ir.types import TensorType
from graphflow.runtime.jax import from_jax_sizes

Value: TypeAlias = Tensor | np.ndarray
Rule: TypeAlias = Callable[..., Any]

KNOWN = 1024
"""Elements that integers, such as indices, may have to be computed while reading; other numbers 64."""

rules: dict[str, Rule] = {}
_unfolded: set[str] = set()
_LIBRARIES = tuple(
    os.path.dirname(os.path.abspath(str(module.__file__))) + os.sep for module in (jax, jaxlib)
)
_KEY_WORDS = 2


def mapped(*names: str, fold: bool = True) -> Callable[[Rule], Rule]:
    """Decorator that makes a function the rule of these primitives.

    It gets a Step and the operands, tensors or known arrays, and gives the results: one, or a list.

    Arguments:
        fold: whether results of known operands may be computed while reading.
    """

    def register(rule: Rule) -> Rule:
        for name in names:
            rules[name] = rule
            if not fold:
                _unfolded.add(name)
        return rule

    return register


class Step:
    """One equation: the builder to use, its parameters, and the types of what it takes and gives."""

    __slots__ = ("b", "equation", "params", "reader", "types", "outs")

    def __init__(self, reader: Reader, b: Builder, equation: Any) -> None:
        self.reader = reader
        self.b = b
        self.equation = equation
        self.params: dict[str, Any] = equation.params
        self.types = [reader.type_of(atom.aval) for atom in equation.invars]
        self.outs = [reader.type_of(atom.aval) for atom in equation.outvars]

    @property
    def out(self) -> TensorType:
        """The type of the first result."""
        return self.outs[0]

    def tensor(self, value: Value) -> Tensor:
        """The value as a tensor."""
        return self.b.tensor(value)

    def sizes(self, shape: Sequence[Any]) -> tuple[Size, ...]:
        """A shape among the parameters, in GraphFlow's sizes."""
        return self.reader.sizes_of(shape)

    def refuse(self, reason: str, hint: str) -> GraphFlowError:
        """The error of a primitive that is mapped in general, but not in this form."""
        return BackendError(
            f"the JAX primitive {self.equation.primitive.name!r} {reason}",
            hint=hint,
            origin=line_of(self.equation),
        )


class Reader:
    """What is common to one reading: the symbolic sizes by name, and whether 64-bit dtypes are on."""

    def __init__(self, symbols: dict[str, Size], wide: bool) -> None:
        self.symbols = symbols
        self.wide = wide

    def sizes_of(self, shape: Sequence[Any]) -> tuple[Size, ...]:
        """A shape of JAX in GraphFlow's sizes."""
        return tuple([from_jax_sizes.from_jax(size, self.symbols) for size in shape])

    def type_of(self, aval: Any) -> TensorType:
        """The type of a tensor that holds such values; a random key is its words.

        Raises:
            DTypeError: if there is none.
        """
        shape = self.sizes_of(getattr(aval, "shape", ()))
        dtype = getattr(aval, "dtype", None)
        if dtype is not None and is_key(dtype):
            if str(dtype) != "key<fry>":
                raise DTypeError(
                    f"random keys {dtype} have no counterpart",
                    hint='use keys of the default generator: jax.random.key(seed, impl="threefry2x32")',
                )
            return TensorType(uint32, (*shape, _KEY_WORDS))
        if dtype is None:
            raise DTypeError(f"a value of JAX's type {aval} has no counterpart", hint="return arrays alone")
        if dtype == jax.dtypes.float0:
            dtype = np.dtype(bool)
        return TensorType(as_dtype(dtype), shape)

    def run(self, closed: Any, operands: Sequence[Value], consts: Sequence[Any] | None = None) -> list[Value]:
        """The outputs of a jaxpr for operands of the current graph."""
        jaxpr = getattr(closed, "jaxpr", closed)
        held = getattr(closed, "consts", ()) if consts is None else consts
        values: dict[Any, Value] = dict(zip(jaxpr.invars, operands))
        values.update(zip(jaxpr.constvars, map(self.constant, held)))
        for equation in live_equations(jaxpr):
            given = [self.read(atom, values) for atom in equation.invars]
            values.update(zip(equation.outvars, self.apply(equation, given)))
        return [self.read(atom, values) for atom in jaxpr.outvars]

    def read(self, atom: Any, values: dict[Any, Value]) -> Value:
        """The value of a variable or literal."""
        if isinstance(atom, core.Literal):
            return np.asarray(atom.val, self.type_of(atom.aval).dtype.numpy)
        return values[atom]

    def constant(self, value: Any) -> Value:
        """A constant that a function holds: known if it is small."""
        if hasattr(value, "dtype") and is_key(value.dtype):
            value = jax.random.key_data(value)
        array = np.asarray(value)
        return array if array.size <= KNOWN else builder_for(()).constant(value=array)

    def apply(self, equation: Any, operands: Sequence[Value]) -> list[Value]:
        """The results of one equation."""
        name = equation.primitive.name
        if name not in _unfolded and not any(isinstance(value, Tensor) for value in operands):
            if all(_is_small(self.type_of(atom.aval)) for atom in equation.outvars):
                with Graph("known") as scratch:
                    made = self._build(Builder(scratch), equation, operands)
                    return list(evaluate([scratch.bring(Builder(scratch).tensor(one)) for one in made], {}))
        return self._build(
            builder_for([one for one in operands if isinstance(one, Tensor)]), equation, operands
        )

    def _build(self, b: Builder, equation: Any, operands: Sequence[Value]) -> list[Value]:
        graph, scope = b.graph, b.graph.scope
        with b.at(line_of(equation)):
            step = Step(self, b, equation)
            named = scope_of(equation)
            graph.scope = f"{scope}{named}/" if named and not scope.endswith(f"{named}/") else scope
            try:
                made = rules[equation.primitive.name](step, *operands)
                parts = list(made) if isinstance(made, (list, tuple)) else [made]
                return [
                    b.astype(part, dtype=kind.dtype)
                    if isinstance(part, Tensor) and part.dtype is not kind.dtype
                    else part
                    for part, kind in zip(parts, step.outs, strict=True)
                ]
            except GraphFlowError as error:
                raise error.located(origin=line_of(equation)) from None
            finally:
                graph.scope = scope


def _is_small(kind: TensorType) -> bool:
    limit = KNOWN // 16 if kind.dtype.is_differentiable else KNOWN
    count = dims.product(kind.shape)
    return isinstance(count, int) and count <= limit


def live_equations(jaxpr: Any) -> list[Any]:
    """The equations that the outputs of a jaxpr need, or that do something else than computing."""
    needed = {atom for atom in jaxpr.outvars if not isinstance(atom, core.Literal)}
    live = []
    for equation in reversed(jaxpr.eqns):
        if equation.effects or any(atom in needed for atom in equation.outvars):
            live.append(equation)
            needed.update([atom for atom in equation.invars if not isinstance(atom, core.Literal)])
    live.reverse()
    return live


def is_key(dtype: Any) -> bool:
    """Whether a dtype of JAX is that of random keys."""
    return bool(jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key))


def scope_of(equation: Any) -> str:
    """The `jax.named_scope` of an equation."""
    stack = getattr(equation.source_info.name_stack, "stack", ())
    names = [part.name for part in stack if type(part).__name__ == "Scope"]
    return "/".join(
        "".join(c if c.isalnum() or c in "_.-/" else "_" for c in name).strip("/") for name in names
    )


def line_of(equation: Any) -> Origin | None:
    """The user's line that made an equation, the nearest outside of JAX and GraphFlow."""
    trace = equation.source_info.traceback
    for frame in trace.frames if trace is not None else ():
        file = frame.file_name
        if file.startswith(_LIBRARIES) or (file.startswith("<") and file != "<stdin>"):
            continue
        if not provenance.is_inside(file) and os.path.basename(file) not in ("functools.py", "contextlib.py"):
            return provenance.origin_at(file, frame.line_num)
    return None


def inner_jaxprs(equation: Any) -> Iterator[Any]:
    """The jaxprs that the rule of an equation reads."""
    name = equation.primitive.name
    if name == "custom_linear_solve":
        yield equation.params["jaxprs"].solve
        return
    if name.startswith(("scatter", "reduce_window")):
        return
    pending = list(equation.params.values())
    for value in pending:
        if isinstance(value, (core.Jaxpr, core.ClosedJaxpr)):
            yield value
        elif isinstance(value, (tuple, list)):
            pending.extend(value)


def unmapped(closed: Any) -> dict[str, list[Origin]]:
    """The primitives without a rule, at any depth, in order, with the lines that use them."""
    found: dict[str, list[Origin]] = {}
    pending = [closed]
    while pending:
        jaxpr = pending.pop()
        for equation in live_equations(getattr(jaxpr, "jaxpr", jaxpr)):
            name = equation.primitive.name
            if name not in rules:
                places = found.setdefault(name, [])
                place = line_of(equation)
                if place is not None and place not in places:
                    places.append(place)
            else:
                pending.extend(inner_jaxprs(equation))
    return dict(sorted(found.items()))
