"""GraphFlow's own files of a run, beside its event file: what TensorBoard's format has no place for.

They lie in the folder `graphflow` of the run, are JSON of one format each, and are replaced as a whole. The
first two keys say which format it is:

    graph.json    graphflow.graph 1    name; nodes
    journal.json  graphflow.explain 1  what `optimizer/report_json.py` says, and nodes (before any edit);
                                       steps: pass_name, nodes (new, or reading other things than before),
                                       removed (names), entries (number of the first edit, and past the last);
                                       gone: text and line of each node that was removed, by name
    memory.json   graphflow.memory 1   what `MemoryReport.to_dict` says, and order (names of nodes), lines
                                       (of the user, one a node), values: name, node, tensors, offset, bytes,
                                       first, last (positions in `order`: live in [first, last)), kind,
                                       made_at, last_read_at; fit: what `Fit.to_dict` says, or null
    profile.json  graphflow.profile 1  a Chrome trace (traceEvents, ...) of which each event's name is a node;
                                       rows: name, op, type, line, seconds, bytes, flops

A node has name, op, scope, inputs (`name` or `name:output`), outputs (dtype, shape: numbers, or text for
symbolic sizes), line (the user's), attrs (text by name), flops, bytes, and, where it was made by a rule,
lineage (the rule, names). A node of a body has also key, its name in the journal. All files name nodes
alike, so that the name joins them, and the tags of `graphflow.train.watch`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from graphflow.errors import DTypeError, FileFormatError
from graphflow.files import atomic_write, unwritable
from graphflow.ir import provenance
from graphflow.ir.graph import Graph
from graphflow.ir.node import Node
from graphflow.optimizer.analysis.cost import counted_at, node_bytes, node_flops
from graphflow.optimizer.explain import Report
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.memory.report import MemoryReport
from graphflow.optimizer.pass_manager import Pass, PassContext, PassResult
from graphflow.optimizer.pipelines import optimize, parse_pipeline
from graphflow.optimizer.program import Program
from graphflow.optimizer.replay import duplicate
from graphflow.session.profile import Profile
from graphflow.train.event_graph import placed_nodes, shown

if TYPE_CHECKING:
    from graphflow.optimizer.fit import Fit

FOLDER = "graphflow"
KINDS = ("graph", "journal", "memory", "profile")
VERSION = 1


def write(logdir: str, kind: str, content: Mapping[str, Any]) -> None:
    """Replace the file of a kind in the folder of a run.

    Raises:
        FileFormatError: if it cannot be written; the one that was there is untouched.
    """
    place = Path(logdir) / FOLDER / f"{kind}.json"
    try:
        os.makedirs(place.parent, exist_ok=True)
    except OSError as error:
        raise unwritable(place, error) from error
    text = json.dumps(content, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    # one line a node or edit: a text that can be looked at, and compared
    with atomic_write(place) as file:
        file.write(text.replace('},{"', '},\n{"').encode("utf-8", "replace"))


def graph_content(graph: Graph) -> dict[str, Any]:
    """What graph.json says."""
    return {**_head("graph"), "name": graph.name, "nodes": node_records(graph.nodes)}


def memory_content(report: MemoryReport, fit: Fit | None = None) -> dict[str, Any]:
    """What memory.json says."""
    _require(report, MemoryReport, "sess.memory(fetches)")
    plan = report.plan
    values = []
    for name, (storage, offset) in plan.placed().items():
        reader = storage.last_reader
        values.append(
            {
                "name": name,
                "node": storage.maker.name,
                "tensors": [tensor.name for tensor in storage.tensors],
                "offset": offset,
                "bytes": storage.size,
                "first": storage.first,
                "last": storage.last,
                "kind": storage.kind,
                "made_at": _line(storage.maker),
                "last_read_at": "" if reader is None else _line(reader),
            }
        )
    return {
        **_head("memory"),
        **report.to_dict(),
        "peak_position": plan.peak,
        "order": [node.name for node in plan.order],
        "lines": [_line(node) for node in plan.order],
        "values": values,
        "fit": None if fit is None else fit.to_dict(),
    }


def profile_content(profile: Profile) -> dict[str, Any]:
    """What profile.json says."""
    _require(profile, Profile, "sess.profile(fetches, feeds)")
    rows = [asdict(row) for row in profile.rows]
    return {**_head("profile"), **profile.trace(), "backend": profile.backend, "rows": rows}


def journal_content(report: Report) -> dict[str, Any]:
    """What journal.json says; the optimizer runs once more, on a copy."""
    _require(report, Report, "sess.explain(fetches)")
    with counted_at(report.journal.sizes):
        steps = _steps(report)
        start = node_records(report.original.order())
    gone = {name: {"text": one.text, "line": one.origin} for name, one in report.journal.gone.items()}
    return {**report.to_dict(), "nodes": start, "steps": steps, "gone": gone}


# Nodes


def node_records(nodes: Sequence[Node]) -> list[dict[str, Any]]:
    """The nodes and those of the bodies in them, as the module docstring says."""
    return [_record(one.node, one.name, one.reads, one.key) for one in placed_nodes(nodes)]


def _record(node: Node, name: str, reads: Sequence[str], key: str) -> dict[str, Any]:
    outputs = [
        {
            "dtype": tensor.dtype.name,
            "shape": [size if isinstance(size, int) else str(size) for size in tensor.shape],
        }
        for tensor in node.outputs
    ]
    found = {
        "name": name,
        "op": node.op.name,
        "scope": name.rpartition("/")[0],
        "inputs": list(reads),
        "outputs": outputs,
        "line": _line(node),
        "attrs": {key: shown(value) for key, value in node.attrs.items()},
        "flops": int(node_flops(node)),
        "bytes": int(node_bytes(node)),
    }
    if node.lineage is not None:
        found["lineage"] = [node.lineage[0], list(node.lineage[1])]
    if key != name:
        found["key"] = key
    return found


def _line(node: Node) -> str:
    return "" if node.origin is None else str(node.origin)


# How the program looked after each pass


@dataclass(frozen=True)
class _Look(Pass):
    """A pass that changes nothing and remembers how the program looks."""

    name = "look"
    budgeted: ClassVar[bool] = False
    seen: ClassVar[list[tuple[int, list[dict[str, Any]]]]] = []

    def run(self, program: Program, context: PassContext) -> PassResult:
        """Remember the nodes, and how many edits there were."""
        if not context.journal.path:
            context.settle()
            self.seen.append((context.journal.edits, node_records(context.program.order())))
        return PassResult(False)


def _steps(report: Report) -> list[dict[str, Any]]:
    """For each pass that changed something: the nodes that are new or read other things, and those gone."""
    recipe = report.journal.recipe
    if recipe is None or report.journal.limit is not None:
        return []
    seen: list[tuple[int, list[dict[str, Any]]]] = []
    look = type("Look", (_Look,), {"seen": seen})
    names = [step.name for step in parse_pipeline(recipe.pipeline, recipe.passes)]
    spread = ",".join(f"{step},look" for step in parse_pipeline(recipe.pipeline, recipe.passes))
    journal = Journal("counts", sizes=report.journal.sizes)
    journal.expected = frozenset(report.journal.failures)
    journal.expected_stops = dict(report.journal.stops)
    optimize(
        duplicate(report.original), "O2", spread, journal,
        refusal=recipe.refusal, rules=recipe.rules, passes=(*recipe.passes, look),
    )  # fmt: skip
    return list(_differences(names, node_records(report.original.order()), seen))


def _differences(names: Sequence[str], start: list[dict[str, Any]], seen: Sequence[Any]) -> Any:
    before, first = {record["name"]: record for record in start}, 0
    for name, (edits, records) in zip(names, seen):
        after = {record["name"]: record for record in records}
        changed = [record for record in records if before.get(record["name"]) != record]
        removed = [gone for gone in before if gone not in after]
        if changed or removed or edits != first:
            yield {"pass_name": name, "entries": [first, edits], "removed": removed, "nodes": changed}
        before, first = after, edits


def _head(kind: str) -> dict[str, Any]:
    return {"schema": f"graphflow.{kind}", "version": VERSION}


def _require(value: Any, kind: type, source: str) -> None:
    if not isinstance(value, kind):
        raise DTypeError(
            f"a {type(value).__name__} is no {kind.__name__}",
            hint=f"pass what {source} gave",
            origin=provenance.capture(),
        )


__all__ = [
    "FOLDER", "KINDS", "FileFormatError", "graph_content", "journal_content", "memory_content",
    "node_records", "profile_content", "write",
]  # fmt: skip
