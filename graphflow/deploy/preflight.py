"""What becomes of every node of a model on the chip, before anything is written: the pre-flight report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from graphflow.deploy.program import check_target, listed_sizes, prepare

if TYPE_CHECKING:
    from graphflow.ir.node import Node
    from graphflow.model import Model
    from graphflow.optimizer.program import Program
    from graphflow.runtime.bm1684.compiler.package import Compiled as Stage

_LANE_BYTES = 512 * 1024
_HEAD = ("node", "operator", "layer", "group", "slices", "local", "DDR bytes", "tiu us", "gdma us", "bound")
_FREE = ("constant", "placeholder", "variable")


@dataclass(frozen=True, slots=True)
class Row:
    """A node of the optimised graph on the chip.

    Attributes:
        name, op: of the node.
        source: the user's line that made it.
        supported: whether the chip can run it.
        layer: what it became, "" if nothing (a reshape) or not supported; several nodes may share a layer.
        group: the number of the group of layers it runs in, which stay in local memory together; -1 for none.
        slices: into how many parts the group is cut.
        local_bytes: what its step needs of every lane's 524,288 bytes at most, with its neighbours' tiles.
        ddr_bytes: what is moved for it from and to DDR.
        microseconds: for how long the tensor unit works on it, and the data mover.
        bound: "compute" or "transfer", whichever takes longer.
        reason, hint: why it is not supported, or what would make it faster.
    """

    name: str
    op: str
    source: str = ""
    supported: bool = True
    precision: str = "float32"
    layer: str = ""
    group: int = -1
    slices: int = 1
    local_bytes: int = 0
    ddr_bytes: int = 0
    microseconds: tuple[float, float] = (0.0, 0.0)
    bound: str = ""
    reason: str = ""
    hint: str = ""


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
        table = [_HEAD, *[_cells(row, self.supported) for row in self.rows]]
        widths = [max([len(row[column]) for row in table]) for column in range(len(_HEAD))]
        for row in table:
            left = [cell.ljust(wide) for cell, wide in zip(row[:3], widths)]
            lines.append("  ".join([*left, *[cell.rjust(wide) for cell, wide in zip(row[3:], widths[3:])]]))
        lines.append(
            f"{1e3 * self.seconds:.3f} ms by the cycle formulas, in fp32"
            if self.supported
            else "not compiled"
        )
        return "\n".join(lines)

    def _complaints(self) -> list[str]:
        said = [f"the chip cannot run this model: {self.problem}"] if self.problem else []
        for row in self.refused:
            said.append(f"{row.name} ({row.op}){f' at {row.source}' if row.source else ''}: {row.reason}")
            said.append(f"    try: {row.hint}")
        return [*said, ""]


def _cells(row: Row, compiled: bool) -> tuple[str, ...]:
    name = row.name if len(row.name) <= 36 else f"…{row.name[-35:]}"
    if not row.supported:
        return name, row.op, "NOT SUPPORTED", "", "", "", "", "", "", ""
    if not row.layer:
        return name, row.op, "(no command)" if compiled else "", "", "", "", "", "", "", ""
    local = f"{100 * row.local_bytes / _LANE_BYTES:.0f} %" if row.local_bytes else ""
    tiu, gdma = row.microseconds
    numbers = (str(row.group), str(row.slices), local, f"{row.ddr_bytes:,}", f"{tiu:.1f}", f"{gdma:.1f}")
    return name, row.op, row.layer, *numbers, row.bound


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
    from graphflow.runtime.bm1684.compiler.schedule import demand
    from graphflow.runtime.bm1684.cycles import timeline

    groups = {layer: number for number, group in enumerate(made.plan.groups) for layer in group.layers}
    slices = [len(group.slices) or 1 for group in made.plan.groups]
    needed: dict[str, int] = {}
    for step, size in zip(made.plan.steps, demand(made.plan.steps)):
        needed[step.layer.label] = max(needed.get(step.layer.label, 0), int(size))
    run = timeline(made.streams)
    costs = {layer.label: layer for layer in run.by_layer().layers}
    of_node = {name: layer for layer in groups for name in layer.nodes}
    rows = []
    for node in _nodes(program):
        layer = of_node.get(node.name)
        if layer is None:
            rows.append(_row(node, {}))
            continue
        cost, last = costs.get(layer.label), layer.nodes[-1] == node.name
        took = (1e6 * cost.tiu_seconds, 1e6 * cost.gdma_seconds) if cost and last else (0.0, 0.0)
        rows.append(
            Row(
                node.name,
                node.op.name,
                _source(node),
                layer=layer.kind if last else f"in {layer.label}",
                group=groups[layer],
                slices=slices[groups[layer]],
                local_bytes=needed.get(layer.label, 0) if last else 0,
                ddr_bytes=cost.ddr_bytes if cost and last else 0,
                microseconds=took,
                bound=cost.bound if cost and last else "",
            )
        )
    return Preflight(tuple(rows), run.seconds)


def _nodes(program: Program) -> list[Node]:
    return [node for node in program.order() if node.op.name not in _FREE]


def _row(node: Node, told: Mapping[str, tuple[str, str]]) -> Row:
    """A node without a layer: not supported, or nothing to do."""
    reason, hint = told.get(node.name, ("", ""))
    return Row(node.name, node.op.name, _source(node), node.name not in told, reason=reason, hint=hint)


def _source(node: Node) -> str:
    return str(node.origin) if node.origin is not None else ""
