"""Patterns: expressions over variables that say which nodes a rule rewrites.

    X, AXIS = variables("X AXIS")
    P.log(P.softmax(X, axis=AXIS))

`P.name(...)` stands for an application of the operator of that name, whether or not it exists yet.
Positional arguments match the inputs:

    a variable      any tensor; the same tensor wherever the variable is repeated
    a pattern       a tensor made by such a node
    a number        a constant whose elements all equal it to the bit (0 is not -0.0), broadcast or not
    ...             all inputs, whatever they are

and keyword arguments the attributes: a variable takes any value, anything else must be equal.
The inputs of commutative operators are tried in both orders.

A pattern is compiled into plans, one for each order of operands. What the operators of the direct
inputs must be is asked first, and once for each combination of operators, so most nodes are passed
over at the price of one dictionary lookup; what must be above these is asked in the same way. See
`driver.RuleIndex`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from graphflow.errors import RewriteError
from graphflow.ir.attrs import value_key
from graphflow.ir.node import Node, Tensor
from graphflow.ir.opdef import OpDef, registry

if TYPE_CHECKING:
    from graphflow.optimizer.rewriter import Rewriter

LITERALS = (bool, int, float)
CONSTANT_LIKE = frozenset({"constant", "broadcast_to"})

Check: TypeAlias = Callable[[Tensor, "Match"], bool]
Early: TypeAlias = tuple[frozenset[str] | None, ...] | None


class Variable:
    """Stands for any tensor, or any value of an attribute, that meets its conditions.

    Arguments:
        name: the match offers what it stands for under this name.
        kinds: kinds of dtypes the tensor may have ("int uint bool"); any by default.
        constant: the tensor must be a constant.
    """

    __slots__ = ("constant", "kinds", "name")

    def __init__(self, name: str, kinds: str = "", constant: bool = False) -> None:
        self.name = name
        self.kinds = frozenset(kinds.split())
        self.constant = constant

    def __repr__(self) -> str:
        return self.name


def variables(names: str, kinds: str = "", constant: bool = False) -> tuple[Variable, ...]:
    """Several variables with the same conditions.

    >>> variables("X Y")
    (X, Y)
    """
    return tuple([Variable(name, kinds, constant) for name in names.split()])


class Operation:
    """An application of an operator to operands, with attributes; made by `P`."""

    __slots__ = ("attrs", "label", "op_name", "operands")

    def __init__(
        self, op_name: str, operands: tuple[Any, ...], attrs: dict[str, Any], label: str = ""
    ) -> None:
        self.op_name = op_name
        self.operands = operands
        self.attrs = attrs
        self.label = label
        for operand in operands:
            if not isinstance(operand, (Variable, Operation, type(...), *LITERALS)):
                raise RewriteError(
                    f"{operand!r} cannot be part of a pattern", hint="use variables, P.op(...), numbers"
                )

    def named(self, label: str) -> Operation:
        """The same pattern; the match offers the node it meets as `match.<label>`."""
        return Operation(self.op_name, self.operands, self.attrs, label)

    def operations(self) -> Iterator[tuple[Operation, int]]:
        """This operation and all inside it, each with its depth; patterns are small."""
        stack: list[tuple[Operation, int]] = [(self, 0)]
        while stack:
            operation, depth = stack.pop()
            yield operation, depth
            stack += [
                (child, depth + 1) for child in reversed(operation.operands) if isinstance(child, Operation)
            ]

    def __repr__(self) -> str:
        shown = ["..." if operand is ... else repr(operand) for operand in self.operands]
        shown += [f"{name}={value!r}" for name, value in self.attrs.items()]
        return f"{self.op_name}({', '.join(shown)})"


class _Operators:
    """`P.exp(X)` is the pattern of an application of exp."""

    def __getattr__(self, op_name: str) -> Callable[..., Operation]:
        return lambda *operands, **attrs: Operation(op_name, operands, attrs)


P = _Operators()


class Met:
    """A node that a pattern met, with what a rule asks of it."""

    __slots__ = ("_rewriter", "attrs", "name", "node", "tensor")

    def __init__(self, tensor: Tensor, rewriter: Rewriter) -> None:
        self.tensor = tensor
        self.node = tensor.node
        self.name = tensor.node.name
        self.attrs = tensor.node.attrs
        self._rewriter = rewriter

    @property
    def has_one_use(self) -> bool:
        """Whether nothing but the matched expression reads it."""
        return self._rewriter.use_count(self.tensor) == 1


class Match:
    """How a pattern fits a node: variables by name (`match.X`), the root, and the inner nodes.

    Attributes:
        root: the node the rule is to replace.
        nodes: all nodes met, the root first.
    """

    __slots__ = ("_labels", "_values", "nodes", "rewriter", "root")

    def __init__(self, root: Node, rewriter: Rewriter) -> None:
        self.root = root
        self.rewriter = rewriter
        self.nodes: list[Node] = [root]
        self._values: dict[str, Any] = {}
        self._labels: dict[str, Tensor] = {}

    def __getattr__(self, name: str) -> Any:
        if name in self._values:
            return self._values[name]
        if name in self._labels:
            return Met(self._labels[name], self.rewriter)
        raise AttributeError(
            f"the pattern has no {name!r}; it has {', '.join([*self._values, *self._labels]) or 'nothing'}"
        )

    @property
    def labels(self) -> Collection[str]:
        """The labels (`P.op(...).named(label)`) of the alternative that matched."""
        return self._labels.keys()

    @property
    def output(self) -> Tensor:
        """The tensor to replace, if the root has one output."""
        return self.root.output

    @property
    def inner(self) -> Met:
        """The first node below the root that the pattern names."""
        if len(self.nodes) < 2:
            raise RewriteError("the pattern has no inner operator", hint="use match.root")
        return Met(self.nodes[1].outputs[0], self.rewriter)

    def value(self, variable: Variable) -> np.ndarray:
        """The array of the constant that a variable with `constant=True` stands for."""
        array: np.ndarray = self._values[variable.name].node.attrs["value"]
        return array

    def splat(self, tensor: Tensor) -> Any:
        """The one value all elements of a constant tensor have, or None."""
        return self.rewriter.splat(tensor)


class Plan:
    """A pattern with a fixed order of operands, ready to be tried on nodes of `op`."""

    __slots__ = ("_attrs", "_kinds", "_operands", "_repeated", "_second", "early", "narrows", "op")

    def __init__(self, pattern: Operation) -> None:
        self.op = registry[pattern.op_name]
        self.early = _early(pattern)
        self._second = _second(pattern)
        last = pattern.operands[-1] if pattern.operands else None
        self._kinds = last.kinds if isinstance(last, Variable) else frozenset()
        self._operands = _operand_checks(pattern)
        self._attrs = _attr_checks(pattern)
        self._repeated = _repeated(pattern)
        self.narrows = bool(self._second or self._kinds or self._repeated)

    def accepts(self, child_ops: Sequence[str]) -> bool:
        """Whether the operators that make the inputs may fit; a quick No is all that matters."""
        if self.early is None:
            return True
        return len(child_ops) == len(self.early) and all(
            [wanted is None or name in wanted for wanted, name in zip(self.early, child_ops)]
        )

    def accepts_closely(self, alike: bool, kind: str, above: Sequence[Sequence[str] | None]) -> bool:
        """Whether a node may fit that `accepts` lets through.

        Arguments:
            alike: whether its first and last inputs are the same tensor.
            kind: that of the dtype of its last input.
            above: for each input, the operators that make the inputs of its node; None for any.
        """
        if self._kinds and kind not in self._kinds:
            return False
        if self._repeated and not alike and len(above) == 2:
            return False
        for place, wanted in self._second:
            found = above[place]
            if found is not None and (
                len(found) != len(wanted)
                or not all([names is None or name in names for names, name in zip(wanted, found)])
            ):
                return False
        return True

    def match(self, node: Node, rewriter: Rewriter) -> Match | None:
        """The match of a node of `op`, or None."""
        for first, second in self._repeated:
            if node.inputs[first] is not node.inputs[second]:
                return None
        found = Match(node, rewriter)
        return found if _fits(node, self._operands, self._attrs, found) else None


def plans(pattern: Operation) -> list[Plan]:
    """The plans of a pattern; none while one of its operators does not exist."""
    if any(operation.op_name not in registry for operation, _ in pattern.operations()):
        return []
    return [Plan(arranged) for arranged in _arrangements(pattern)]


def _arrangements(pattern: Operation, names: Sequence[str] | None = None) -> list[Operation]:
    """The pattern with the operands of its commutative operators in every order that differs."""
    if names is None:
        every = [one for part, _ in pattern.operations() for one in part.operands]
        names = [one.name for one in every if isinstance(one, Variable)]
    parts = pattern.operands
    choices = [_arrangements(one, names) if isinstance(one, Operation) else [one] for one in parts]
    commutative = len(choices) == 2 and "commutative" in registry[pattern.op_name].traits
    arranged = []
    for operands in itertools.product(*choices):
        arranged.append(Operation(pattern.op_name, operands, pattern.attrs, pattern.label))
        if commutative and not all([_is_free(one, names) for one in operands]):
            arranged.append(Operation(pattern.op_name, operands[::-1], pattern.attrs, pattern.label))
    return arranged


def _is_free(part: Any, names: Sequence[str]) -> bool:
    """A variable without conditions that stands nowhere else: exchanging two such meets nothing new."""
    free = isinstance(part, Variable) and not part.kinds and not part.constant
    return free and names.count(part.name) == 1


def _early(pattern: Operation) -> Early:
    if ... in pattern.operands:
        return None
    return tuple([_possible_ops(operand) for operand in pattern.operands])


def _second(pattern: Operation) -> list[tuple[int, tuple[frozenset[str] | None, ...]]]:
    """For the operands that say what makes their inputs: their place, and these operators."""
    if ... in pattern.operands:
        return []
    nested = [(place, part) for place, part in enumerate(pattern.operands) if isinstance(part, Operation)]
    found = [(place, _early(part)) for place, part in nested]
    return [(place, ops) for place, ops in found if ops is not None and any(ops)]


def _repeated(pattern: Operation) -> list[tuple[int, int]]:
    """Pairs of inputs that must be the same tensor, which is asked before anything is set up."""
    places: dict[str, int] = {}
    pairs = []
    for place, operand in enumerate(pattern.operands):
        if isinstance(operand, Variable) and places.setdefault(operand.name, place) != place:
            pairs.append((places[operand.name], place))
    return pairs


def _possible_ops(operand: Any) -> frozenset[str] | None:
    """Names of the operators that can make an operand; None for any."""
    if isinstance(operand, Operation):
        return frozenset({operand.op_name})
    if isinstance(operand, Variable):
        return frozenset({"constant"}) if operand.constant else None
    return CONSTANT_LIKE


def _fits(
    node: Node, operands: Sequence[Check] | None, attrs: Sequence[Callable[[Node, Match], bool]], match: Match
) -> bool:
    if operands is not None:
        inputs = node.inputs
        if len(inputs) != len(operands):
            return False
        for check, tensor in zip(operands, inputs):
            if not check(tensor, match):
                return False
    return not attrs or all([attr_check(node, match) for attr_check in attrs])


def _operand_checks(pattern: Operation) -> list[Check] | None:
    if ... in pattern.operands:
        return None
    return [_operand_check(operand) for operand in pattern.operands]


def _operand_check(operand: Any) -> Check:
    if isinstance(operand, Variable):
        return _variable_check(operand)
    if isinstance(operand, Operation):
        return _operation_check(operand)
    return _literal_check(operand)


def _variable_check(variable: Variable) -> Check:
    name, kinds, constant = variable.name, variable.kinds, variable.constant

    def check(tensor: Tensor, match: Match) -> bool:
        if kinds and tensor.type.dtype.kind not in kinds:
            return False
        if constant and tensor.node.op.name != "constant":
            return False
        return match._values.setdefault(name, tensor) is tensor

    return check


def _operation_check(pattern: Operation) -> Check:
    op: OpDef = registry[pattern.op_name]
    operands, attrs, label = _operand_checks(pattern), _attr_checks(pattern), pattern.label

    def check(tensor: Tensor, match: Match) -> bool:
        node = tensor.node
        if node.op is not op or tensor.index:
            return False
        match.nodes.append(node)
        if label:
            match._labels[label] = tensor
        return _fits(node, operands, attrs, match)

    return check


def _literal_check(literal: bool | int | float) -> Check:
    negative = math.copysign(1.0, literal) < 0

    def check(tensor: Tensor, match: Match) -> bool:
        kind = tensor.type.dtype.kind
        if kind == "complex" or (kind == "bool") != isinstance(literal, bool):
            return False
        value = match.rewriter.splat(tensor)
        if value is None or value != literal:
            return False
        return (math.copysign(1.0, float(value)) < 0) == negative

    return check


def _attr_checks(pattern: Operation) -> list[Callable[[Node, Match], bool]]:
    return [_attr_check(name, wanted) for name, wanted in pattern.attrs.items()]


def _attr_check(name: str, wanted: Any) -> Callable[[Node, Match], bool]:
    if not isinstance(wanted, Variable):
        key = value_key(wanted)
        return lambda node, match: value_key(node.attrs[name]) == key
    variable = wanted.name

    def check(node: Node, match: Match) -> bool:
        value = node.attrs[name]
        known = match._values.setdefault(variable, value)
        return known is value or value_key(known) == value_key(value)

    return check
