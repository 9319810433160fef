"""A region as one step: its elementwise nodes run block by block, so that what is between stays in the cache.

The nodes that only feed the loop (a matmul, what is broadcast) run first, as steps of their own. Then each
block of the loop goes through all elementwise nodes before the next one is begun. A reduction at the end is
done block by block where a block holds whole rows; it is never split, since NumPy adds in pairs and the sum
of parts would round differently. Results have the bits that node-by-node execution gives.

A loop that is too small to gain, or whose operands lie in an order of their own, runs node by node. So does
one in which anything fails, so that the error is that of the node, over whole arrays.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphflow.errors import BackendError
from graphflow.ir.data import as_result
from graphflow.ir.dims import Dim
from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.analysis.regions import Region, class_of
from graphflow.runtime.numpy.blocks import Cut, Layout, cut
from graphflow.runtime.numpy.kernels import Kernel, kernel_of
from graphflow.runtime.numpy.steps import Step, blame, remember_sizes
from graphflow.runtime.numpy.workspace import lines, scratch, typed

BLOCK_BYTES = 256 * 1024
"""About as much memory as a block of one operand takes; a loop has a few of them at a time."""

_MOST_CUTS = 16
_LARGEST_ROWS = 4  # rows of more than so many blocks are reduced after the loop
_ROW_BY_ROW = frozenset({"sum", "mean", "max", "min", "prod", "any", "all"})
# What would give other bits in parts, or a view that is no row of its own.
_NOT_IN_BLOCKS = frozenset({"random_gamma_slope", "real", "imag", "bitcast", "astype_float8"})


Shape = tuple[int, ...]
Memory = np.ndarray | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a loop puts its result, and its blocks; `over` says that it writes over an operand."""

    result: np.ndarray
    memory: np.ndarray
    over: bool


@dataclass(frozen=True, slots=True)
class Operation:
    """An elementwise node in a loop.

    Attributes:
        reference, kernel: what computes it; the kernel, if there is one, writes where it is told.
        reads, write: cells, which are the operands of the loop, then the results of its operations.
        buffer: takes the result, unless that is the result of the loop.
    """

    reference: Callable[..., Any]
    kernel: Kernel | None
    reads: tuple[int, ...]
    write: int
    buffer: int
    dtype: np.dtype

    @property
    def run(self) -> Kernel:
        """A function (*inputs, out) that computes a block."""
        return self.kernel if self.kernel is not None else self._refer

    def _refer(self, *inputs_and_out: np.ndarray) -> None:
        *inputs, out = inputs_and_out
        made = as_result(self.reference(*inputs))
        if made.dtype != self.dtype:
            raise BackendError(f"the reference gave {made.dtype} for {self.dtype}")
        out[...] = made


@dataclass(frozen=True, slots=True)
class Rows:
    """A reduction of whole rows: its reference, the dtype of results, and how many axes are a row."""

    reference: Callable[..., Any]
    dtype: np.dtype
    axes: int


@dataclass(frozen=True, slots=True)
class Loop:
    """Operations over blocks of operands.

    Attributes:
        operations: in order; the last one gives the result, or what is reduced.
        buffers: how many blocks of memory they need besides.
        rows: the reduction at the end, where that may be done row by row.
        elements: how many a block has.
    """

    operations: tuple[Operation, ...]
    buffers: int
    rows: Rows | None
    elements: int

    def cut(self, shape: tuple[int, ...], layouts: Sequence[Layout]) -> tuple[Cut | None, bool]:
        """The blocks for operands of these layouts, and whether the reduction is part of the loop."""
        if self.rows is not None:
            row = math.prod(shape[len(shape) - self.rows.axes :])
            if row <= _LARGEST_ROWS * self.elements:
                blocks = cut(shape, layouts, self.elements, self.rows.axes)
                if blocks is not None:
                    return blocks, True
        gains = len(self.operations) > 1 or self.operations[0].kernel is None
        return (cut(shape, layouts, self.elements) if gains else None), False

    def scratch_bytes(self, blocks: Cut) -> int:
        """The memory that the blocks need besides operands and result."""
        return self.buffers * lines(self._block_bytes(blocks))

    def _block_bytes(self, blocks: Cut) -> int:
        elements = blocks.step * math.prod(blocks.inner)
        return elements * max(one.dtype.itemsize for one in self.operations)

    def store(self, made: np.ndarray, arrays: Sequence[np.ndarray], blocks: Cut, memory: Memory) -> None:
        """Fill `made`, which lies in row-major order, with the result of the last operation."""
        for _ in self._blocks(arrays, blocks, made.reshape(blocks.sizes), memory):
            pass

    def reduce(self, made: np.ndarray, shape: Shape, arrays: Any, blocks: Cut, memory: Memory) -> None:
        """Fill `made`, which lies in row-major order, with the reduction of the result's rows."""
        assert self.rows is not None
        border = len(shape) - self.rows.axes
        flat, done, axes = made.reshape(-1), 0, tuple(range(1, self.rows.axes + 1))
        for block in self._blocks(arrays, blocks, None, memory):
            part = self.rows.reference(block.reshape(-1, *shape[border:]), axis=axes)
            if part.dtype != self.rows.dtype:
                raise BackendError(f"the reference gave {part.dtype} for {self.rows.dtype}")
            flat[done : done + part.size] = part
            done += part.size

    def _blocks(
        self, arrays: Sequence[np.ndarray], blocks: Cut, result: np.ndarray | None, memory: Memory
    ) -> Iterator[np.ndarray]:
        """Run the operations on each block; what the last one gives there, in `result` if there is one."""
        views, count = blocks.views(arrays), len(arrays)
        shape = (blocks.step, *blocks.inner)
        pieces = scratch(self.buffers, self._block_bytes(blocks), memory)
        outs = [typed(pieces[one.buffer], one.dtype, shape) for one in self.operations]
        cells: list[Any] = [None] * (count + len(self.operations))
        plan = [(one.run, one.reads, one.write, full) for one, full in zip(self.operations, outs)]
        final = self.operations[-1].write if result is not None else -1
        for outer, start, stop in blocks:
            place: Any = (*outer, slice(start, stop))
            partial = stop - start != blocks.step
            chosen = blocks.selectors(arrays, outer, slice(start, stop))
            cells[:count] = [view[index] if index else view for view, index in zip(views, chosen)]
            for run, reads, write, full in plan:
                if result is not None and write == final:
                    out = result[place]
                else:
                    out = full[: stop - start] if partial else full
                if len(reads) == 2:
                    run(cells[reads[0]], cells[reads[1]], out)
                else:
                    run(*[cells[cell] for cell in reads], out)
                cells[write] = out
            yield out


@dataclass(slots=True)
class FusedStep:
    """A region to run.

    Attributes:
        first: steps that feed the loop.
        looped: steps of the loop, for when it runs node by node.
        last: the reduction at its end, or None.
        operands, tensors: the slots that the loop reads, and what is in them.
        loop: what runs in blocks; None if nothing does.
        cuts: what was found for the layouts of operands seen so far.
    """

    first: list[Step]
    looped: list[Step]
    last: Step | None
    operands: tuple[int, ...]
    tensors: tuple[Tensor, ...]
    loop: Loop | None
    cuts: dict[tuple[Layout, ...], tuple[Cut | None, bool]] = field(default_factory=dict)

    def run(self, values: list[Any], found: dict[str, int]) -> None:
        """Compute the region's result from the values of its inputs.

        Raises:
            BackendError: if an operator fails, naming the node and the user's line.
        """
        for step in self.first:
            step.run(values, found)
        self.run_loop(values, found)

    def run_loop(
        self, values: list[Any], found: dict[str, int], place: Place | None = None, to_end: bool = True
    ) -> None:
        """Compute the result once `first` has run.

        Arguments:
            place: where the result and the blocks lie; where the loop runs node by node it is left alone.
            to_end: whether the reduction behind the loop is done too.
        """
        loop, failed = self.loop, False
        if loop is not None:
            try:
                if self._run_blocks(loop, values, found, place, to_end):
                    return
            except Exception as error:
                if place is not None and place.over:
                    # Operands are spoilt by now, so that a run node by node would not tell the truth.
                    blame(self.looped[-1].node, [values[slot] for slot in self.operands], error)
                # The run node by node raises it again and blames the node; else blocks are to blame.
                failed = True
        for step in self.looped:
            step.run(values, found)
        if self.last is not None and to_end:
            self.last.run(values, found)
        if failed:
            self.loop = None

    def cut_for(self, shape: Shape, layouts: tuple[Layout, ...]) -> tuple[Cut | None, bool]:
        """The blocks for operands of these layouts, and whether the reduction is part of the loop."""
        loop = self.loop
        if loop is None:
            return None, False
        known = self.cuts.get(layouts)
        if known is None:
            known = self.cuts[layouts] = loop.cut(shape, layouts)
            if len(self.cuts) > _MOST_CUTS:
                self.cuts.pop(next(iter(self.cuts)), None)
        return known

    def _run_blocks(
        self, loop: Loop, values: list[Any], found: dict[str, int], place: Place | None, to_end: bool
    ) -> bool:
        """Run the loop in blocks; False, with nothing done, if it has to run node by node."""
        arrays = [values[slot] for slot in self.operands]
        shape = np.broadcast_shapes(*[array.shape for array in arrays])
        blocks, rows = self.cut_for(shape, tuple([(array.shape, array.strides) for array in arrays]))
        if blocks is None:
            return False
        done, result = self.looped, shape
        if rows and self.last is not None:
            done = [*self.looped, self.last]
            border = len(shape) - loop.rows.axes if loop.rows is not None else 0
            result = shape[:border]
            if self.last.node.attrs["keepdims"]:
                result += (1,) * (len(shape) - border)
        declared = done[-1].node.output.type
        if declared.is_static and result != declared.shape:
            return False
        made = place.result if place is not None else np.empty(result, declared.dtype.numpy)
        if made.shape != result:
            return False
        memory = place.memory if place is not None else None
        if rows:
            loop.reduce(made, shape, arrays, blocks, memory)
        else:
            loop.store(made, arrays, blocks, memory)
        remember_sizes(declared.shape, made.shape, found)
        for step in done:
            for slot in step.frees:
                values[slot] = None
        values[done[-1].writes[0]] = made
        if self.last is not None and not rows and to_end:
            self.last.run(values, found)
        return True


def in_regions(nodes: Sequence[Node], regions: Sequence[Region]) -> tuple[list[Node], dict[Node, Region]]:
    """The nodes with those of a region moved to its last one, and the region of each last one."""
    place = {node: position for position, node in enumerate(nodes)}
    whole = [region for region in regions if all([node in place for node in region.nodes])]
    home = {node: region for region in whole for node in region.nodes}
    order: list[Node] = []
    for node in nodes:
        region = home.get(node)
        if region is None:
            order.append(node)
        elif node is region.nodes[-1]:
            order += sorted(region.nodes, key=lambda one: (_is_looped(one, region), place[one]))
    return order, {region.nodes[-1]: region for region in whole}


def _is_looped(node: Node, region: Region) -> bool:
    kind = class_of(node)
    return kind == "reduction" or (kind == "elementwise" and node.output.shape == region.domain)


def fused_step(
    region: Region, steps: Sequence[Step], slots: Mapping[Tensor, int], block_bytes: int = BLOCK_BYTES
) -> FusedStep:
    """A region as one step.

    Arguments:
        steps: those of its nodes, in the order that `in_regions` gives.
        slots: where tensors are kept.
        block_bytes: see `BLOCK_BYTES`.
    """
    first = [step for step in steps if not _is_looped(step.node, region)]
    looped = list(steps[len(first) :])
    last = looped.pop() if class_of(looped[-1].node) == "reduction" else None
    inside = {step.node for step in looped}
    operands = dict.fromkeys(
        tensor for step in looped for tensor in step.node.inputs if tensor.node not in inside
    )
    able = all(_goes_in_blocks(step) for step in looped)
    nodes, read = [step.node for step in looped], tuple(operands)
    loop = _loop(nodes, read, last, region.domain, block_bytes) if able else None
    return FusedStep(first, looped, last, tuple([slots[tensor] for tensor in read]), read, loop)


def _goes_in_blocks(step: Step) -> bool:
    node = step.node
    sized = bool(step.needs) and any(isinstance(value, (Dim, tuple)) for value in node.attrs.values())
    return not sized and node.op.name not in _NOT_IN_BLOCKS and node.op.family != "random"


def _loop(
    nodes: Sequence[Node],
    operands: Sequence[Tensor],
    last: Step | None,
    domain: Sequence[Any],
    block_bytes: int,
) -> Loop:
    rows = None if last is None else _rows(last, len(domain))
    cells = {tensor: cell for cell, tensor in enumerate((*operands, *[node.output for node in nodes]))}
    last_read = {tensor: position for position, node in enumerate(nodes) for tensor in node.inputs}
    held: dict[Tensor, int] = {}
    free: list[int] = []
    operations, count = [], 0
    for position, node in enumerate(nodes):
        kernel, dtype = kernel_of(node), node.output.dtype.numpy
        over = {
            tensor: None
            for tensor in node.inputs
            if tensor in held
            and last_read[tensor] == position
            # A kernel reads and writes element by element, so these have to lie in the same places.
            and (kernel is None or tensor.dtype.numpy.itemsize == dtype.itemsize)
        }
        if over:
            buffer = held[next(iter(over))]
        elif free:
            buffer = free.pop()
        else:
            buffer, count = count, count + 1
        free += [
            held[tensor]
            for tensor in dict.fromkeys(node.inputs)
            if tensor in held and last_read[tensor] == position and held[tensor] != buffer
        ]
        held[node.output] = buffer
        reference = functools.partial(node.op.reference, **node.attrs) if node.attrs else node.op.reference
        reads = tuple([cells[tensor] for tensor in node.inputs])
        operations.append(Operation(reference, kernel, reads, cells[node.output], buffer, dtype))
    width = max(tensor.dtype.numpy.itemsize for tensor in cells)
    return Loop(tuple(operations), count, rows, max(1, block_bytes // width))


def _rows(last: Step, rank: int) -> Rows | None:
    """The reduction at the end of a region if it may be done row by row."""
    node = last.node
    axes = node.attrs["axis"]
    trailing = (
        isinstance(axes, tuple) and axes == tuple(range(rank - len(axes), rank)) and 0 < len(axes) < rank
    )
    if node.op.name not in _ROW_BY_ROW or not trailing:
        return None
    if node.op.name == "mean" and node.inputs[0].dtype.kind not in ("float", "complex"):
        return None  # NumPy converts integers on the way, by pieces that do not end with the rows
    return Rows(functools.partial(node.op.reference, keepdims=False), node.output.dtype.numpy, len(axes))


def alone(step: Step, block_bytes: int = BLOCK_BYTES) -> FusedStep | None:
    """A single elementwise node as a loop; None if that must not be cut into blocks."""
    if not _goes_in_blocks(step):
        return None
    operands = tuple(dict.fromkeys(step.node.inputs))
    slots = dict(zip(step.node.inputs, step.reads))
    loop = _loop([step.node], operands, None, (), block_bytes)
    return FusedStep([], [step], None, tuple([slots[tensor] for tensor in operands]), operands, loop)
