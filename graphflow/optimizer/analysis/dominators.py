"""Post-dominators: the nearest node through which everything that a node gives has to pass.

Node p post-dominates u if every way from u to an output of the program leads through p. The nearest one is
where all the users of u meet: the lowest common ancestor of these users in the tree of post-dominators,
which grows from the outputs backwards. Each node of the tree has, beside its parent, a *jump* to an
ancestor further on; jumps double in length as far as depth allows, so an ancestor is found in a
logarithmic number of steps (E. W. Myers, "An applicative random-access stack", 1983).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from graphflow.ir.node import Node, Tensor


class PostDominators:
    """The tree of post-dominators of nodes in an order in which they can run.

    Arguments:
        order: the nodes, each after everything it reads.
        outputs: the tensors that are returned.

    Attributes:
        users: for each position in `order`, the positions of the nodes that read it, each once, in order.
        returned: for each position, whether a tensor of it is an output.
        parent: for each position, that of the nearest post-dominator; `len(order)` stands for the end.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", (2,))
    >>> y = gf.exp(x) + gf.sin(x)
    >>> tree = PostDominators([x.node, *(t.node for t in y.node.inputs), y.node], [y])
    >>> tree.users[0], tree.parent
    ([1, 2], [3, 3, 3, 4])
    """

    __slots__ = ("_depth", "_jump", "parent", "returned", "users")

    def __init__(self, order: Sequence[Node], outputs: Iterable[Tensor]) -> None:
        position = {node: index for index, node in enumerate(order)}
        count = len(order)
        self.users: list[list[int]] = [[] for _ in order]
        for index, node in enumerate(order):
            for source in {tensor.node: None for tensor in node.inputs}:
                self.users[position[source]].append(index)
        self.returned = bytearray(count)
        for tensor in outputs:
            self.returned[position[tensor.node]] = 1
        self.parent = [count] * count
        self._depth = [0] * (count + 1)
        self._jump = [count] * (count + 1)
        for index in range(count - 1, -1, -1):
            self._attach(index)

    def _attach(self, index: int) -> None:
        users, end = self.users[index], len(self.parent)
        if not users or self.returned[index]:
            meet = end
        else:
            meet = users[0]
            for user in users[1:]:
                meet = self._common(meet, user)
        self.parent[index] = meet
        depth, jump = self._depth, self._jump
        depth[index] = depth[meet] + 1
        further = jump[meet]
        # Two jumps of the same length are joined to one of twice that length, and one more step.
        jump[index] = (
            jump[further] if depth[meet] - depth[further] == depth[further] - depth[jump[further]] else meet
        )

    def _common(self, first: int, second: int) -> int:
        """The lowest common ancestor of two nodes of the tree."""
        depth, jump, parent = self._depth, self._jump, self.parent
        if depth[first] < depth[second]:
            first, second = second, first
        while depth[first] > depth[second]:
            first = jump[first] if depth[jump[first]] >= depth[second] else parent[first]
        while first != second:
            if jump[first] != jump[second]:
                first, second = jump[first], jump[second]
            else:
                first, second = parent[first], parent[second]
        return first
