"""Walking graphs without recursion: what a set of tensors needs, in an order in which it can run.

Every walk visits a node once and keeps its own stack, so a chain of a million nodes is no deeper
than a chain of two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from graphflow.ir.node import Node, Tensor


def ancestors(tensors: Iterable[Tensor], stop: Callable[[Tensor], bool] | None = None) -> set[Node]:
    """The nodes that the tensors depend on, their own included.

    Arguments:
        tensors: where to start.
        stop: tensors for which it holds are taken as given; what is above them is not visited.
    """
    found: set[Node] = set()
    pending = [tensor.node for tensor in tensors if stop is None or not stop(tensor)]
    while pending:
        node = pending.pop()
        if node in found:
            continue
        found.add(node)
        for tensor in node.inputs:
            if tensor.node not in found and (stop is None or not stop(tensor)):
                pending.append(tensor.node)
    return found


def topological_order(tensors: Iterable[Tensor], stop: Callable[[Tensor], bool] | None = None) -> list[Node]:
    """The ancestors of the tensors, each after everything it reads; deterministic, iterative.

    >>> import graphflow as gf
    >>> x = gf.constant(1.0)
    >>> [node.op.name for node in topological_order([gf.exp(x) + x])]
    ['constant', 'exp', 'add']
    """
    done: set[Node] = set()
    order: list[Node] = []
    roots = [tensor.node for tensor in tensors if stop is None or not stop(tensor)]
    stack: list[tuple[Node, bool]] = [(node, False) for node in reversed(roots)]
    while stack:
        node, ready = stack.pop()
        if ready:
            order.append(node)
            continue
        if node in done:
            continue
        done.add(node)
        stack.append((node, True))
        for tensor in reversed(node.inputs):
            if tensor.node not in done and (stop is None or not stop(tensor)):
                stack.append((tensor.node, False))
    return order


def creation_order(nodes: Iterable[Node]) -> list[Node]:
    """Nodes of an append-only graph in the order in which they were made, which is topological."""
    return sorted(nodes, key=lambda node: node.id)
