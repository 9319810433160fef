"""The cheapest order of a chain of matrix products, found by dynamic programming over its spans.

    (A B) v  costs n k m + n m multiply-adds,   A (B v)  only k m + n k

A chain is what single-use products make of their operands: its leaves A_1 .. A_n. The cheapest order of
the span i .. j is the cheapest split into i .. k and k + 1 .. j (Godbole, "On efficient computation of
matrix chain products", 1973; Cormen et al., section 14.2). Leading axes broadcast and count as they do in
each product; a span of constants is computed when compiling, so it costs nothing if its result is small.

Integers wrap around, so any order gives the same bits, and the pass is exact for them. Floats round
differently, and may overflow in one order only: they wait for the class "rounding".

With symbolic sizes an order is taken if it never costs more than the written one, whatever the sizes are
(from 1 on): the difference of the two costs, as a polynomial of the sizes less 1, has no negative term.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from graphflow.errors import AttributeValueError
from graphflow.ir import dims
from graphflow.ir.dims import Dim, Size
from graphflow.ir.node import Node, Tensor
from graphflow.ops.inference import broadcast_shapes
from graphflow.ops.linalg import matmul
from graphflow.optimizer.analysis.cost import type_bytes
from graphflow.optimizer.pass_manager import Pass, PassContext, PassResult
from graphflow.optimizer.passes.edits import is_excluded, replaced
from graphflow.optimizer.passes.fold_constants import DEFAULT_MAX_BYTES
from graphflow.optimizer.program import Program
from graphflow.optimizer.rewriter import Rewriter
from graphflow.optimizer.rule import SAFETY, admits
from graphflow.optimizer.rules.whole_forms import MATMUL_CHAIN

LONGEST = 16
"""Leaves of a chain; a longer one is ordered in pieces, so that the work stays linear in its length."""

_GAIN = 0.9  # floats are reordered for at least a tenth of the work
_SAMPLES = (1, 64, 4096)  # for symbolic sizes, orders are looked for at these

Order = dict[tuple[int, int], int]
"""Where each span (first, last) is split: after which leaf."""


@dataclass(frozen=True)
class MatmulChain(Pass):
    """Order chains of matrix products by their cost.

    Attributes:
        safety: the last safety class admitted; floats are reordered from "rounding" on.
    """

    name: ClassVar[str] = "matmul-chain"
    safety: str = "rounding"

    def __post_init__(self) -> None:
        if self.safety not in SAFETY:
            raise AttributeValueError(
                f"there is no safety class {self.safety!r}", hint="use " + ", ".join(SAFETY)
            )

    def run(self, program: Program, context: PassContext) -> PassResult:
        """Rewrite each chain whose written order is not the cheapest."""
        if is_excluded(context, MATMUL_CHAIN):
            return PassResult(False)
        rewriter, journal = context.rewriter, context.journal
        products = [node for node in rewriter.order() if node.op is matmul]
        inside: set[Node] = set()
        changed = 0
        for node in reversed(products):
            if node in inside or not rewriter.is_alive(node) or journal.is_full:
                continue
            chain = Chain.of(node, rewriter)
            inside.update(chain.products)
            if len(chain.leaves) > 2:
                changed += self._reorder(chain, context)
        return PassResult(changed > 0, f"{changed} chains reordered" if changed else "")

    def _reorder(self, chain: Chain, context: PassContext) -> bool:
        found = chain.better_order()
        if found is None:
            return False
        order, reason = found
        if order is None:
            context.journal.decline(MATMUL_CHAIN.name, chain.root, reason)
            return False
        whole = chain.root.output.dtype.is_integer
        if not whole and not admits(self.safety, "rounding"):
            said = f"{reason}, but floats would round differently"
            context.journal.decline(MATMUL_CHAIN.name, chain.root, said)
            return False
        rewriter = context.rewriter
        builder = rewriter.builder.standing_for(chain.products, MATMUL_CHAIN.name)
        made = chain.build(builder, order)
        if made.type is not chain.root.output.type:
            rewriter.discard_made()
            return False
        return replaced(context, chain.root, [made], MATMUL_CHAIN, reason)


@dataclass(frozen=True)
class Leaf:
    """An operand of a chain: its matrices are [rows, columns], 1 for the axis a vector lacks."""

    tensor: Tensor
    batch: tuple[Size, ...]
    rows: Size
    columns: Size

    @property
    def constant(self) -> bool:
        """Whether its value is known."""
        return self.tensor.node.op.name == "constant"


class Chain:
    """A product of several matrices.

    Attributes:
        root: the last product.
        products: all products, the root first.
        leaves: the operands, from left to right.
    """

    def __init__(self, root: Node, products: list[Node], operands: list[Tensor]) -> None:
        self.root, self.products = root, products
        last = len(operands) - 1
        self.leaves = [_leaf(tensor, place == last) for place, tensor in enumerate(operands)]

    @classmethod
    def of(cls, root: Node, rewriter: Rewriter) -> Chain:
        """The chain that ends in a product; a vector among stacks of matrices ends it at once."""
        operands, products = list(root.inputs), [root]
        place = 0
        while place < len(operands) and len(operands) < LONGEST:
            inner = operands[place].node
            if (
                _extends(inner, place == 0, place == len(operands) - 1)
                and rewriter.use_count(inner.output) == 1
            ):
                operands[place : place + 1] = inner.inputs
                products.append(inner)
            else:
                place += 1
        if min([one.ndim for one in operands]) == 1 and max([one.ndim for one in operands]) > 2:
            return cls(root, [root], list(root.inputs))
        return cls(root, products, operands)

    def better_order(self) -> tuple[Order | None, str] | None:
        """A cheaper order and by how much it is; None and a reason if that depends; None if there is none."""
        written = self._written_cost()
        names = dims.symbols(written) if isinstance(written, Dim) else {}
        depends = ""
        for sample in _SAMPLES if names else _SAMPLES[:1]:
            values = dict.fromkeys(names, sample)
            before = int(dims.substitute(written, values))
            cost, order = self._cheapest(values)
            least = 1.0 if self.root.output.dtype.is_integer else _GAIN
            if not cost < before or cost > least * before:
                continue
            total = self._cost_of(order)
            if _never_more(total, written):
                return order, f"{2 * total} FLOP instead of {2 * written}"
            depends = f"whether {2 * total} FLOP are less than {2 * written} depends on {', '.join(names)}"
        return (None, depends) if depends else None

    def build(self, b: Any, order: Order) -> Tensor:
        """The products in an order."""
        made: dict[tuple[int, int], Tensor] = {}
        pending = [(0, len(self.leaves) - 1)]
        while pending:
            first, last = span = pending[-1]
            if first == last:
                made[span] = self.leaves[first].tensor
            else:
                halves = (first, order[span]), (order[span] + 1, last)
                missing = [half for half in halves if half not in made]
                if missing:
                    pending += missing
                    continue
                made[span] = b.matmul(made[halves[0]], made[halves[1]])
            pending.pop()
        return made[0, len(self.leaves) - 1]

    # Costs, in multiply-adds

    def _written_cost(self) -> Size:
        total: Size = 0
        for node in self.products:
            total = total + dims.product(node.output.shape) * node.inputs[0].shape[-1]
        return total

    def _cost_of(self, order: Order) -> Size:
        total: Size = 0
        pending = [(0, len(self.leaves) - 1)]
        while pending:
            first, last = pending.pop()
            if first == last or self._is_free(first, last):
                continue
            middle = order[first, last]
            total = total + self._product_cost(first, middle, last, {})
            pending += [(first, middle), (middle + 1, last)]
        return total

    def _product_cost(self, first: int, middle: int, last: int, values: dict[str, int]) -> Size:
        leaves = self.leaves
        batch = broadcast_shapes(*[leaf.batch for leaf in leaves[first : last + 1]])
        sizes = (*batch, leaves[first].rows, leaves[middle].columns, leaves[last].columns)
        return dims.product([dims.substitute(size, values) for size in sizes])

    def _is_free(self, first: int, last: int) -> bool:
        """Whether a span is folded: constants with a result that is stored."""
        leaves = self.leaves[first : last + 1]
        if first == last or not all([leaf.constant and not leaf.batch for leaf in leaves]):
            return False
        itemsize = leaves[0].tensor.dtype.itemsize
        made = int(dims.product((leaves[0].rows, leaves[-1].columns))) * itemsize
        return made <= DEFAULT_MAX_BYTES and made <= 2 * type_bytes(leaves[0].tensor.type)

    def _cheapest(self, values: dict[str, int]) -> tuple[int, Order]:
        """The cheapest order where symbols have these values, and its cost."""
        count = len(self.leaves)
        best: dict[tuple[int, int], Any] = {(place, place): 0 for place in range(count)}
        order: Order = {}
        for length in range(2, count + 1):
            for first in range(count - length + 1):
                last = first + length - 1
                costs = [
                    (
                        best[first, middle]
                        + best[middle + 1, last]
                        + self._product_cost(first, middle, last, values),
                        middle,
                    )
                    for middle in range(first, last)
                ]
                best[first, last], order[first, last] = min(costs)
                if self._is_free(first, last):
                    best[first, last] = 0
        return best[0, count - 1], order


def _leaf(tensor: Tensor, is_last: bool) -> Leaf:
    shape = tensor.shape
    if len(shape) == 1:
        return Leaf(tensor, (), shape[0], 1) if is_last else Leaf(tensor, (), 1, shape[0])
    return Leaf(tensor, shape[:-2], shape[-2], shape[-1])


def _extends(node: Node, is_first: bool, is_last: bool) -> bool:
    """Whether a product can be a part of the chain: vectors only at its ends."""
    if node.op is not matmul:
        return False
    ranks = tuple([tensor.ndim for tensor in node.inputs])
    if min(ranks) >= 2:
        return True
    return (ranks == (1, 2) and is_first) or (ranks == (2, 1) and is_last)


def _never_more(cost: Size, written: Size) -> bool:
    """Whether a cost is at most another, for all sizes from 1 on."""
    difference = written - cost
    if not isinstance(difference, Dim):
        return difference >= 0
    shifted = dims.substitute(difference, {name: Dim(name) + 1 for name in dims.symbols(difference)})
    if not isinstance(shifted, Dim):
        return shifted >= 0
    return all([factor >= 0 for _, factor in shifted.terms])
