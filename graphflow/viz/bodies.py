"""The bodies of a node as pictures name them: the part each plays, and what it is given and gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphflow.ir.body import Body, bodies_of
from graphflow.ir.dtypes import bool_
from graphflow.ir.node import Node


@dataclass(frozen=True, slots=True)
class Part:
    """One body of a node.

    Attributes:
        role: what the node does with it, as "step" or "branch 0".
        body: what it runs.
        parameters, results: what the body's parameters and results are, in order.
    """

    role: str
    body: Body
    parameters: tuple[str, ...]
    results: tuple[str, ...]

    @property
    def title(self) -> str:
        """The role, and the name if its function had one."""
        name = self.body.name
        unnamed = name in ("", "true_fn", "false_fn", self.role) or name.startswith("the_")
        return self.role if unnamed else f"{self.role}: {name}"

    @property
    def size(self) -> int:
        """The nodes it runs, parameters left out."""
        return len(self.body.order()) - len(self.body.parameters)


def parts_of(node: Node) -> list[Part]:
    """The bodies of a node with their parts; none for most nodes.

    >>> import graphflow as gf
    >>> y = gf.cond(True, gf.sin, gf.cos, gf.placeholder("x", ()))
    >>> [part.title for part in parts_of(y.node)]
    ['if false: cos', 'if true: sin']
    """
    make = _MAKERS.get(node.op.name, _plain)
    return make(node)


def _scan(node: Node) -> list[Part]:
    attrs = node.attrs
    carries, sequences, body = attrs["carries"], attrs["sequences"], attrs["body"]
    rest = len(node.inputs) - carries - sequences
    given = [*_numbered("carry", carries), *_numbered("slice", sequences), *["captured"] * rest]
    made = [*_numbered("carry", carries), *_numbered("row", len(body.outputs) - carries)]
    return [Part("step", body, tuple(given), tuple(made))]


def _while(node: Node) -> list[Part]:
    attrs = node.attrs
    carries = attrs["carries"]
    given = (*_numbered("carry", carries), *["captured"] * (len(node.inputs) - carries))
    return [
        Part("condition", attrs["condition"], given, ("go on?",)),
        Part("step", attrs["body"], given, tuple(_numbered("carry", carries))),
    ]


def _switch(node: Node) -> list[Part]:
    branches: Sequence[Body] = node.attrs["branches"]
    roles = [f"branch {number}" for number in range(len(branches))]
    if node.inputs[0].dtype is bool_:
        roles = ["if false", "if true"]
    return [_part(role, branch) for role, branch in zip(roles, branches)]


def _static(node: Node) -> list[Part]:
    choices = [", ".join(map(str, choice)) for choice in node.attrs["choices"]]
    return [_part(f"if {choice}", branch) for choice, branch in zip(choices, node.attrs["branches"])]


def _plain(node: Node) -> list[Part]:
    return [_part("body", body) for body in bodies_of(node)]


def _part(role: str, body: Body) -> Part:
    results = _numbered("result", len(body.outputs))
    return Part(role, body, ("",) * len(body.parameters), tuple(results))


def _numbered(what: str, count: int) -> list[str]:
    return [what] if count == 1 else [f"{what} {number}" for number in range(count)]


_MAKERS = {"scan": _scan, "while_loop": _while, "switch_case": _switch, "static_case": _static}
