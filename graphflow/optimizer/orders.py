"""Orders in which a program can run: that of its list of nodes where it will do, else a sorted one."""

from __future__ import annotations

from graphflow.ir.node import Node
from graphflow.optimizer.program import Program


def running_order(program: Program) -> list[Node]:
    """The program's nodes as they are listed if that is an order in which they can run, else sorted."""
    for node in program.nodes:
        for tensor in node.inputs:
            if tensor.node.id >= node.id:
                return sorted_nodes(program)
    return program.nodes


def sorted_nodes(program: Program) -> list[Node]:
    """The feeds, and then the nodes that outputs need, each after everything it reads."""
    feeds = [tensor.node for tensor in program.feeds]
    first = set(feeds)
    return feeds + [node for node in program.order() if node not in first]
