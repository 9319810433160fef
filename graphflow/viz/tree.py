"""`debug_print`: what a tensor is computed from, as a tree with costs; shared parts are printed once."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from graphflow.errors import AttributeValueError
from graphflow.ir.node import Node
from graphflow.ir.traversal import topological_order
from graphflow.ops.inference import whole_number
from graphflow.optimizer.analysis.cost import counted_at, node_bytes, node_flops
from graphflow.optimizer.memory.units import show_bytes
from graphflow.optimizer.report_text import count_text, table
from graphflow.session.profile import Profile
from graphflow.viz.boxes import clean, tail
from graphflow.viz.collapse import is_scalar_constant
from graphflow.viz.select import select

LINES = 200
_WIDEST = 92
_FOLD = 24  # how deep lines are indented before the tree goes on at the left again


def debug_print(
    source: Any,
    depth: int | None = None,
    lines: int = LINES,
    sizes: Mapping[str, int] | None = None,
    profile: Profile | None = None,
    file: TextIO | None = None,
) -> None:
    """Print what tensors are computed from: a tree with types, operations, bytes, and the user's lines.

    Arguments:
        source: a tensor, or tensors and Updates in any nest, a Program or a Model.
        depth: how many levels below each tensor; all by default.
        lines: at most; how much is left out is said.
        sizes: what symbolic sizes count as; 1 by default.
        profile: of `sess.profile`; its times are a column of their own.
        file: where to; standard output by default.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", (2, 3))
    >>> e = gf.exp(x)
    >>> debug_print(gf.add(e, gf.sqrt(e)))  # doctest: +SKIP
    add : float32[2, 3]                6 FLOP  72 B
    ├─ exp #1 : float32[2, 3]          6 FLOP  48 B
    │  └─ x = placeholder : float32[2, 3]
    └─ sqrt : float32[2, 3]            6 FLOP  48 B
       └─ exp #1, see above
    """
    if file is not None and not hasattr(file, "write"):
        raise AttributeValueError(f"{file!r:.80} is no file", hint="pass an open text file, or nothing")
    print(tree(source, depth, lines, sizes, profile), file=sys.stdout if file is None else file)


def tree(
    source: Any,
    depth: int | None = None,
    lines: int = LINES,
    sizes: Mapping[str, int] | None = None,
    profile: Profile | None = None,
) -> str:
    """The text that `debug_print` prints.

    >>> import graphflow as gf
    >>> e = gf.exp(gf.placeholder("x", (2, 3)))
    >>> for line in tree(gf.add(e, gf.sqrt(e))).splitlines():
    ...     print(line[:37].rstrip())
    add : float32[2, 3]
    ├─ exp #1 : float32[2, 3]
    │  └─ x = placeholder : float32[2, 3]
    └─ sqrt : float32[2, 3]
       └─ exp #1, see above
    """
    _check(depth, lines, sizes, profile)
    walk = _Walk(_roots(source), depth, lines)
    seconds = None if profile is None else {row.name: row.seconds for row in profile.rows}
    with counted_at(sizes):
        rows = [_cells(line, seconds) for line in walk.lines()]
    text = table(rows, right=range(1, 3 + (seconds is not None))) if rows else "nothing"
    rest = walk.count - len(walk.seen)
    return f"{text}\n… and {rest:,} more nodes" if rest > 0 else text


def _check(depth: Any, lines: Any, sizes: Any, profile: Any) -> None:
    """Raises AttributeValueError for an argument of another kind."""
    if depth is not None:
        whole_number(depth, "the depth", 0)
    whole_number(lines, "the number of lines", 1)
    if sizes is not None and not isinstance(sizes, Mapping):
        raise AttributeValueError(f"the sizes are {sizes!r:.80}", hint="pass a dict such as {'batch': 32}")
    if profile is not None and not isinstance(profile, Profile):
        raise AttributeValueError(f"{profile!r:.80} is no profile", hint="pass what sess.profile gave")


def _roots(source: Any) -> list[Node]:
    """The nodes of tensors that are fetched; those that nothing reads if none is."""
    selection = select(source)
    fetched = [tensor.node for tensor in selection.badges]
    read = {tensor.node for node in selection.nodes for tensor in node.inputs}
    ends = [node for node in selection.nodes if node not in read]
    return list(dict.fromkeys([*fetched, *ends]))


@dataclass(frozen=True, slots=True)
class _Line:
    """One line: its indentation, the node, its number if it is shared, and whether it was printed before."""

    indent: str
    node: Node
    number: int
    again: bool


class _Walk:
    """A depth-first walk over what roots read, which visits each node once; no recursion.

    Attributes:
        count: how many nodes there are, scalar constants left out.
        seen: the nodes that have a line.
    """

    def __init__(self, roots: Sequence[Node], depth: int | None, most: int) -> None:
        self.roots = roots
        self.depth = depth
        self.most = most
        order = topological_order([tensor for root in roots for tensor in (*root.inputs, *root.outputs)])
        nodes = dict.fromkeys([*order, *roots])
        self.count = sum(not is_scalar_constant(node) for node in nodes)
        readers: dict[Node, int] = {}
        for node in nodes:
            for source in dict.fromkeys(tensor.node for tensor in node.inputs):
                readers[source] = readers.get(source, 0) + 1
        self.shared = {node for node, number in readers.items() if number > 1 and node.inputs}
        self.seen: dict[Node, int] = {}

    def lines(self) -> list[_Line]:
        """The lines of the tree."""
        found: list[_Line] = []
        stack = [(root, "", "", 0) for root in reversed(self.roots)]
        numbers: dict[Node, int] = {}
        while stack and len(found) < self.most:
            node, indent, below, level = stack.pop()
            again = node in self.seen and bool(node.inputs)
            if node in self.shared and node not in numbers:
                numbers[node] = len(numbers) + 1
            found.append(_Line(indent, node, numbers.get(node, 0), again))
            self.seen[node] = level
            if again or (self.depth is not None and level >= self.depth):
                continue
            inner = [tensor.node for tensor in node.inputs if not is_scalar_constant(tensor.node)]
            if len(below) > 3 * _FOLD:
                below = "… "
            for position, source in reversed(list(enumerate(inner))):
                last = position == len(inner) - 1
                stack.append(
                    (
                        source,
                        below + ("└─ " if last else "├─ "),
                        below + ("   " if last else "│  "),
                        level + 1,
                    )
                )
        return found


def _cells(line: _Line, seconds: Mapping[str, float] | None) -> list[str]:
    node = line.node
    number = f" #{line.number}" if line.number else ""
    if line.again:
        return [f"{line.indent}{_called(node)}{number}, see above", *[""] * (3 + (seconds is not None))]
    types = ", ".join([str(tensor.type) for tensor in node.outputs]) or "nothing"
    told = clean(f"{line.indent}{_called(node)}{number} : {types}", _WIDEST)
    if not node.inputs:
        costs = ["", ""]
    else:
        costs = [f"{count_text(int(node_flops(node)))}FLOP", show_bytes(int(node_bytes(node)))]
    if seconds is not None:
        costs.append(f"{seconds[node.name] * 1e6:.1f} us" if node.name in seconds else "")
    return [told, *costs, "" if node.origin is None else str(node.origin)]


def _called(node: Node) -> str:
    """The operator with its scalar operands, after the name unless that says the same."""
    operands = [_scalar(tensor.node) for tensor in node.inputs]
    operation = node.op.name if set(operands) <= {"·"} else f"{node.op.name}({', '.join(operands)})"
    return operation if node.name == node.op.name else f"{tail(node.name, 32)} = {operation}"


def _scalar(node: Node) -> str:
    """The value of a scalar constant that is a number, else a dot."""
    value = node.attrs["value"].item() if is_scalar_constant(node) else None
    return f"{value:.4g}" if isinstance(value, (int, float)) else "·"
