"""Random well-typed graphs: any operator of the registry, patterns of rules, control flow, products with
weights, and whatever takes operands that fit each other; and gradients of it all.

A graph grows by one call after the other. Operands are tensors that are there, recent ones rather than old
ones; what an operator refuses is tried otherwise. Each tensor is computed at once, for inputs that belong
to the graph, and one with NaN, infinities or very large numbers is not built upon, so that values say
something. The patterns of the optimizer's rules are built as well, so that rules have something to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from graphflow.autodiff.reverse import gradients
from graphflow.errors import GraphFlowError
from graphflow.ir.dims import Dim, substitute
from graphflow.ir.dtypes import as_dtype
from graphflow.ir.graph import Graph
from graphflow.ir.node import Tensor
from graphflow.ir.opdef import OpDef, registry
from graphflow.ops.declare import builtin, constant, placeholder
from graphflow.optimizer.closeness import magnitude
from graphflow.optimizer.journal import describe
from graphflow.optimizer.nonfinite import is_finite
from graphflow.optimizer.pattern import Operation, Variable
from graphflow.optimizer.rules import RULES
from graphflow.optimizer.value_check import ValueCheck
from graphflow.prove.fuzz.draw import DTYPES, Draw
from graphflow.prove.fuzz.flow import control_flow
from graphflow.prove.fuzz.pieces import piece
from graphflow.prove.fuzz.weighted import weighted

MOST_ELEMENTS, LARGEST = 4000, 1e4
OUTPUTS = 6
_ATTEMPTS = 30

LEFT_OUT = {
    "bitcast": "the bits of a float that is rounded otherwise are other bits",
    "frexp": "so is the mantissa next to a power of two",
    "astype_float8": "narrow dtypes have tests of their own",
    "astype_int4": "narrow dtypes have tests of their own",
    "scan": "made by gf.scan",
    "while_loop": "made by gf.while_loop",
    "switch_case": "made by gf.cond",
    "call": "made by gf.function",
    "static_case": "made by the optimizer alone",
    "eig": "eigenvectors are known up to a factor",
    "eigh": "eigenvectors are known up to a sign",
    "svd": "singular vectors are known up to a sign",
    "qr": "the factors are known up to signs where a column vanishes",
    "solve": "of a singular matrix it raises; made for others",
    "inv": "of a singular matrix it raises; made for others",
    "cholesky": "of an indefinite matrix it raises; made for others",
}
"""Operators that are not called with any operand there is, each with the reason."""


@dataclass(frozen=True)
class Generated:
    """A random graph.

    Attributes:
        seed, number: what it was made of.
        graph, outputs: it, and what is compared.
        inputs: the values, by name, for which it was made.
        crashes: what making it has raised that is no GraphFlowError, in words.
    """

    seed: int
    number: int
    graph: Graph
    outputs: tuple[Tensor, ...]
    inputs: dict[str, np.ndarray]
    crashes: tuple[str, ...] = ()


def generated(seed: int, number: int = 0, calls: int = 16) -> Generated:
    """The graph of a seed and number.

    Arguments:
        calls: how many operators it has, or somewhat more.

    >>> made = generated(7)
    >>> [str(tensor.type) for tensor in made.outputs] == [str(tensor.type) for tensor in generated(7).outputs]
    True
    """
    with Graph(f"fuzz_{seed}_{number}") as graph:
        growing = _Growing(Draw(seed, number), graph)
        for _ in range(calls):
            growing.grow()
        outputs = growing.outputs()
    return Generated(seed, number, graph, tuple(outputs), growing.inputs, tuple(growing.crashes))


@cache
def _operators(size: int) -> tuple[OpDef, ...]:
    """Those that graphs may use; `size` is that of the registry."""
    return tuple(
        [
            op
            for op in registry
            if not {"nullary_input", "effect", "finds_size"} & set(op.traits)
            and op.name not in LEFT_OUT
            and op.family not in ("strings", "state")
            and op.version
            and type(op) is OpDef
        ]
    )


class _Growing:
    """A graph while it is made: its tensors, and their values for its inputs."""

    def __init__(self, draw: Draw, graph: Graph) -> None:
        self.draw, self.graph = draw, graph
        self.inputs: dict[str, np.ndarray] = {}
        self.crashes: list[str] = []
        self.symbol = symbol = Dim("n") if draw.chance(0.4) else None
        self.sizes = {"n": draw.number(1, 4)} if symbol is not None else {}
        self.values = ValueCheck({}, self.sizes)
        self.tensors: list[Tensor] = []
        for number in range(draw.number(1, 4)):
            shape, dtype = draw.shape(symbol), draw.one(DTYPES) if number else "float32"
            self.tensors.append(self._fed(shape, dtype))
        self._checked = 0  # constraints of sizes that were there before the last call
        self.operators = _operators(len(registry))

    def _fed(self, shape: Sequence[Any], dtype: str = "float32", batched: bool = False) -> Tensor:
        """A new input; `batched` if its first axis may be symbolic."""
        if batched and self.symbol is not None and self.draw.chance(0.4):
            shape = (self.symbol, *shape[1:])
        name = f"x{len(self.inputs)}"
        made = placeholder(name, shape, dtype=dtype)
        known = [self.sizes["n"] if isinstance(size, Dim) else size for size in shape]
        self.values.values[made] = self.inputs[name] = self.draw.array(dtype, known)
        return made

    # Growing

    def grow(self) -> None:
        """One more operator, pattern, constant or loop."""
        for _ in range(_ATTEMPTS):
            chance = self.draw.rng.random()
            self._checked = len(self.graph.constraints)
            try:
                made = self._made(chance)
                kept = [tensor for tensor in made if self._is_good(tensor)]
            except (GraphFlowError, np.linalg.LinAlgError):
                continue
            except Exception as error:  # any that a call can bring about is what is looked for
                self.crashes.append(f"{describe(self.graph.nodes[-1])}: {type(error).__name__}: {error}")
                continue
            self.tensors += kept
            if kept:
                return

    def _made(self, chance: float) -> list[Tensor]:
        """What a number between 0 and 1 stands for."""
        if chance < 0.5:
            return self._call(self.draw.one(self.operators))
        if chance < 0.72:
            return self._pattern(self.draw.one(self.draw.one(RULES).patterns))
        if chance < 0.8:
            return control_flow(self.draw, self.tensors)
        if chance < 0.89:
            self.values.values[builtin(self.graph, "session_key")] = np.zeros(4, np.uint32)
            return piece(self.draw, self.tensors)
        if chance < 0.93:
            return weighted(self.draw, self._fed)
        return [self._constant(self.draw.one(self.tensors))]

    def _call(self, op: OpDef) -> list[Tensor]:
        count = self.draw.number(1, 3) if op.arity is None else op.arity
        inputs: list[Tensor] = []
        for _ in range(count):
            inputs.append(self._tensor(inputs[0] if inputs else None))
        return _listed(op(*inputs, **self.draw.attributes(op, inputs)))

    def _tensor(self, like: Tensor | None = None) -> Tensor:
        """A tensor that is there: a recent one rather than an old one, of the dtype of `like` if possible."""
        draw = self.draw
        able = self.tensors
        if like is not None:
            if draw.chance(0.2):
                return self._constant(like)
            able = [tensor for tensor in able if tensor.dtype == like.dtype] or able
            same = [tensor for tensor in able if tensor.shape == like.shape]
            able = same if same and draw.chance(0.5) else able
        return able[-1 - int(draw.rng.random() ** 2 * len(able))]

    def _constant(self, like: Tensor) -> Tensor:
        shape = [size for size in like.shape if isinstance(size, int)]
        given = () if self.draw.chance(0.5) else shape[self.draw.number(0, len(shape)) :]
        return constant(self.draw.constant(like.dtype.name, given))

    def _pattern(self, pattern: Operation) -> list[Tensor]:
        """What a rule looks for, with tensors for its variables."""
        known: dict[str, Tensor] = {}
        made: dict[int, list[Tensor]] = {}
        for part, _ in reversed(list(pattern.operations())):
            if part.op_name not in registry:
                return []
            made[id(part)] = self._built(part, known, made)
        return made[id(pattern)]

    def _built(
        self, part: Operation, known: dict[str, Tensor], made: dict[int, list[Tensor]]
    ) -> list[Tensor]:
        op, inputs = registry[part.op_name], []
        for operand in part.operands:
            if isinstance(operand, Operation):
                inputs.append(made[id(operand)][0])
            elif isinstance(operand, Variable):
                if operand.name not in known:
                    known[operand.name] = self._fitting(operand, inputs)
                inputs.append(known[operand.name])
            elif operand is ...:
                inputs += [self._tensor() for _ in range((op.arity or 2) - len(inputs))]
            else:
                like = inputs[0] if inputs else self._tensor()
                inputs.append(constant(np.asarray(operand).astype(like.dtype.numpy)))
        attrs = self.draw.attributes(op, inputs)
        attrs.update({name: value for name, value in part.attrs.items() if not isinstance(value, Variable)})
        return _listed(op(*inputs, **attrs))

    def _fitting(self, variable: Variable, inputs: Sequence[Tensor]) -> Tensor:
        for _ in range(8):
            found = self._tensor(inputs[0] if inputs else None)
            if not variable.kinds or found.dtype.kind in variable.kinds:
                break
        return self._constant(found) if variable.constant else found

    def _is_good(self, tensor: Tensor) -> bool:
        """Whether its value is there, small, finite and moderate."""
        if as_dtype(tensor.dtype).is_storage:
            return False
        for left, right, _ in self.graph.constraints[self._checked :]:
            if substitute(left, self.sizes) != substitute(right, self.sizes):
                return False
        sizes = [substitute(size, self.sizes) for made in tensor.node.outputs for size in made.shape]
        if any([isinstance(size, int) and size < 0 for size in sizes]):
            return False
        value = self.values.value(tensor)
        return value.size <= MOST_ELEMENTS and is_finite(value) and magnitude(value) <= LARGEST

    # Ending

    def outputs(self) -> list[Tensor]:
        """What nothing reads, up to some, and gradients of it."""
        read = {tensor for node in self.graph.nodes for tensor in node.inputs}
        listed = [tensor for tensor in self.tensors if tensor not in read and tensor.node.inputs]
        listed = listed[-OUTPUTS:] or [tensor for tensor in self.tensors if tensor.node.inputs][-1:]
        if not listed:
            listed = [registry["negative"](self.tensors[0])]
        return list(dict.fromkeys([*listed, *self._gradients(listed)]))

    def _gradients(self, outputs: Sequence[Tensor]) -> list[Tensor]:
        ys = [tensor for tensor in outputs if tensor.dtype.is_floating]
        xs = [tensor for tensor in self.graph.placeholders.values() if tensor.dtype.is_floating]
        if not ys or not xs or self.draw.chance(0.5):
            return []
        self._checked = len(self.graph.constraints)
        try:
            made = gradients(ys, xs)
        except GraphFlowError:
            return []
        return [tensor for tensor in made if tensor is not None and self._is_good(tensor)]


def _listed(made: Any) -> list[Tensor]:
    return [made] if isinstance(made, Tensor) else list(made)
