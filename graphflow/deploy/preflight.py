"""What becomes of every node of a model on the chip, before anything is written: the pre-flight report."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from graphflow.deploy.advice import advice
from graphflow.deploy.program import check_target, listed_sizes, prepare
from graphflow.optimizer.memory.units import show_bytes
from graphflow.runtime.bm1684.chip import LANE_BYTES

if TYPE_CHECKING:
    from graphflow.ir.node import Node
    from graphflow.model import Model
    from graphflow.optimizer.program import Program
    from graphflow.runtime.bm1684.compiler.layers.layer import Coefficient, Layer
    from graphflow.runtime.bm1684.compiler.package import Compiled as Stage
    from graphflow.runtime.bm1684.compiler.steps import Step
    from graphflow.runtime.bm1684.compiler.tensors import Value
    from graphflow.runtime.bm1684.cycles import Layer as Cost

_HEAD = ("node", "operator", "becomes", "group", "tile", "local", "DDR", "tiu", "gdma", "us", "bound")
_HEAD_REFUSED = ("node", "operator", "on the chip")
_LEFT = 3
_LEGEND = "local: of 512 KiB a lane; tiu, gdma: cycles of each engine; us: of the busier one"
_FREE = ("constant", "placeholder", "variable")
_NAME, _KIND = 26, 20
_TOLD = 8
"""Advice that is printed at most; `Row.hint` has all."""


@dataclass(frozen=True, slots=True)
class Row:
    """A node of the optimised graph on the chip.

    Attributes:
        name, op: of the node.
        source: the user's line that made it.
        supported: whether the chip can run it.
        layer: what it became, "" if nothing (a reshape) or not supported; several nodes may share a layer.
        group: the number of the group of layers it runs in, which stay in local memory together; -1 for none.
        slices: into how many parts the group is cut; printed behind the number of the group if it is.
        tile: (n, c, h, w) of its output that lie in local memory at once; () for what moves within DDR.
        local_bytes: what its step needs of every lane's 524,288 bytes at most, with its neighbours' tiles.
        ddr_bytes: what is moved for it from and to DDR.
        cycles: of the tensor unit, and of the data mover.
        microseconds: for how long the tensor unit works on it, and the data mover.
        bound: "compute" or "transfer", whichever takes longer.
        reason: why it is not supported.
        hint: what to change: so that it is supported, or so that it takes less time.
        saves: microseconds by which it could be faster then, at most.
    """

    name: str
    op: str
    source: str = ""
    supported: bool = True
    precision: str = "float32"
    layer: str = ""
    group: int = -1
    slices: int = 1
    tile: tuple[int, ...] = ()
    local_bytes: int = 0
    ddr_bytes: int = 0
    cycles: tuple[int, int] = (0, 0)
    microseconds: tuple[float, float] = (0.0, 0.0)
    bound: str = ""
    reason: str = ""
    hint: str = ""
    saves: float = 0.0


@dataclass(frozen=True, slots=True)
class Preflight:
    """The rows of all nodes, and the time of the whole.

    Attributes:
        rows: in an order in which the nodes run.
        seconds: of one run by the cycle formulas; 0 if it cannot be compiled.
        problem: why it cannot, where no single node is to blame.
    """

    rows: tuple[Row, ...]
    seconds: float = 0.0
    problem: str = ""

    @property
    def supported(self) -> bool:
        """Whether the model can be compiled."""
        return not self.problem and all([row.supported for row in self.rows])

    @property
    def refused(self) -> tuple[Row, ...]:
        """The rows of nodes that cannot run."""
        return tuple([row for row in self.rows if not row.supported])

    def to_json(self) -> str:
        """The report as JSON: a list of rows, the time and the verdict."""
        content = {"supported": self.supported, "seconds": self.seconds, "problem": self.problem}
        return json.dumps(content | {"rows": [asdict(row) for row in self.rows]}, indent=1)

    def __str__(self) -> str:
        lines = [] if self.supported else self._complaints()
        head = _HEAD if self.supported else _HEAD_REFUSED
        table = [head, *[_cells(row) if self.supported else _verdict(row) for row in self.rows]]
        widths = [max([len(row[column]) for row in table]) for column in range(len(head))]
        for row in table:
            left = [cell.ljust(wide) for cell, wide in zip(row[:_LEFT], widths)]
            right = [cell.rjust(wide) for cell, wide in zip(row[_LEFT:], widths[_LEFT:])]
            lines.append("  ".join([*left, *right]).rstrip())
        if not self.supported:
            return "\n".join([*lines, "not compiled"])
        total = f"{1e3 * self.seconds:.3f} ms by the cycle formulas, in fp32"
        return "\n".join([*lines, _LEGEND, total, *self._advice()])

    def _advice(self) -> list[str]:
        """What to change, the most worthwhile first."""
        told = sorted([row for row in self.rows if row.saves], key=lambda row: -row.saves)
        lines = [f"  {_short(row.name)} ({row.saves:.1f} us at most): {row.hint}" for row in told[:_TOLD]]
        more = [f"  and {len(told) - _TOLD} more, in the JSON"] if len(told) > _TOLD else []
        return ["what to change for less time:", *lines, *more] if told else []

    def _complaints(self) -> list[str]:
        said = [f"the chip cannot run this model: {self.problem}"] if self.problem else []
        for row in self.refused:
            said.append(f"{row.name} ({row.op}){f' at {row.source}' if row.source else ''}: {row.reason}")
            said.append(f"    try: {row.hint}")
        return [*said, ""]


def _verdict(row: Row) -> tuple[str, ...]:
    return _short(row.name), row.op, "supported" if row.supported else "NOT SUPPORTED"


def _cells(row: Row) -> tuple[str, ...]:
    none = ("",) * (len(_HEAD) - _LEFT)
    named = _short(row.name), row.op
    if not row.layer:
        return *named, "(no command)", *none
    if not row.bound:
        return *named, f"in {_short(row.layer.removeprefix('in '), _KIND - 3)}", *none
    group = f"{row.group}/{row.slices}" if row.slices > 1 else str(row.group)
    tile = "x".join([str(size) for size in (row.tile[1:] if row.tile[:1] == (1,) else row.tile)])
    local = f"{100 * row.local_bytes / LANE_BYTES:.0f} %" if row.local_bytes else ""
    moved = show_bytes(row.ddr_bytes) if row.ddr_bytes else ""
    cycles = [f"{count:,}" if count else "" for count in row.cycles]
    return (
        *named,
        _short(row.layer, _KIND),
        group,
        tile,
        local,
        moved,
        *cycles,
        f"{max(row.microseconds):.1f}",
        row.bound,
    )


def _short(name: str, most: int = _NAME) -> str:
    """The end of a name, which tells more than its start."""
    return name if len(name) <= most else f"…{name[1 - most :]}"


def preflight(
    model: Model,
    target: str = "bm1684",
    *,
    sizes: Mapping[str, int] | None = None,
    level: str = "O2",
    signature: str | None = None,
) -> Preflight:
    """What becomes of every node on the chip; a model that cannot run gets a report that says why.

    Arguments:
        model, target, sizes, level, signature: as for `gf.compile`.

    Raises:
        AttributeValueError: if a size is missing or strange, or there is no such target.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", (1, 3, 8, 8))
    >>> report = preflight(gf.Model(inputs=[x], outputs={"y": gf.sort(x)}))
    >>> report.supported, report.refused[0].op
    (False, 'sort')
    """
    from graphflow.runtime.bm1684.compiler.driver import Unsupported, compile_program
    from graphflow.runtime.bm1684.compiler.errors import TooLarge

    prepared = prepare(model, listed_sizes(sizes)[0], level, signature, check_target(target))
    try:
        made = compile_program(prepared.program, prepared.inputs, prepared.outputs)
    except Unsupported as error:
        told = {one.node.name: (one.reason, one.hint) for one in error.refusals}
        return Preflight(tuple([_row(node, told) for node in _nodes(prepared.program)]))
    except TooLarge as error:
        rows = tuple([_row(node, {}) for node in _nodes(prepared.program)])
        return Preflight(rows, problem=f"{error.message}; {error.hint}")
    return report_of(prepared.program, made)


def report_of(program: Program, made: Stage) -> Preflight:
    """The report of a program that was compiled."""
    from graphflow.runtime.bm1684.cycles import Layer as Cost
    from graphflow.runtime.bm1684.cycles import timeline

    groups = {layer: number for number, group in enumerate(made.plan.groups) for layer in group.layers}
    slices = [len(group.slices) or 1 for group in made.plan.groups]
    held = _held(made.plan.steps)
    run = timeline(made.streams)
    costs = {layer.label: layer for layer in run.by_layer().layers}
    of_node = {name: layer for layer in groups for name in layer.nodes}
    rows = []
    for node in _nodes(program):
        layer = of_node.get(node.name)
        if layer is None:
            rows.append(_row(node, {}))
            continue
        row = Row(node.name, node.op.name, _source(node), layer=f"in {layer.label}", group=groups[layer])
        row = replace(row, slices=slices[groups[layer]])
        if layer.nodes[-1] == node.name:
            cost = costs.get(layer.label, Cost(layer.label))
            row = _costed(row, layer, held.get(layer.label, _Held()), cost, run.seconds)
        rows.append(row)
    return Preflight(tuple(rows), run.seconds)


@dataclass(slots=True)
class _Held:
    """What a layer has in local memory: bytes at most, those of its weights, and its largest tile."""

    bytes: int = 0
    weights: int = 0
    tile: tuple[int, ...] = ()


def _held(steps: Sequence[Step]) -> dict[str, _Held]:
    from graphflow.runtime.bm1684.compiler.schedule import demand

    found: dict[str, _Held] = {}
    counted = set()
    for step, size in zip(steps, demand(steps)):
        one = found.setdefault(step.layer.label, _Held())
        one.bytes = max(one.bytes, int(size))
        if step.output is not None:
            one.tile = max(one.tile, tuple(step.output[1].shape), key=math.prod)
        for buffer in step.coefficients:
            if buffer.load is not None and buffer not in counted:
                counted.add(buffer)
                one.weights += 4 * _elements(buffer.load.source)
    return found


def _elements(source: Coefficient | Value) -> int:
    return 0 if source.data is None else source.data.size


def _costed(row: Row, layer: Layer, held: _Held, cost: Cost, seconds: float) -> Row:
    """The row of the node by which a layer is known, with all that the layer takes."""
    told = advice(layer, cost, held.weights, seconds)
    return replace(
        row,
        layer=layer.kind,
        tile=held.tile,
        local_bytes=held.bytes,
        ddr_bytes=cost.ddr_bytes,
        cycles=(cost.tiu_cycles, cost.gdma_cycles),
        microseconds=(1e6 * cost.tiu_seconds, 1e6 * cost.gdma_seconds),
        bound=cost.bound,
        hint=told.text,
        saves=told.microseconds,
    )


def _nodes(program: Program) -> list[Node]:
    return [node for node in program.order() if node.op.name not in _FREE]


def _row(node: Node, told: Mapping[str, tuple[str, str]]) -> Row:
    """A node without a layer: not supported, or nothing to do."""
    reason, hint = told.get(node.name, ("", ""))
    return Row(node.name, node.op.name, _source(node), node.name not in told, reason=reason, hint=hint)


def _source(node: Node) -> str:
    return str(node.origin) if node.origin is not None else ""
