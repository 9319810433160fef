"""`to_model_explorer`: a graph in the JSON that Google's Model Explorer opens, with nothing collapsed.

Scopes are its namespaces, bodies of loops and branches are graphs of their own that their nodes lead to, and
each node says its user line, operations, bytes, and the time of a profile if one is given.
Source: the data classes of github.com/google-ai-edge/model-explorer, `graph_builder.py`, version 0.1.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from graphflow.ir.body import Body
from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.analysis.cost import node_bytes, node_flops
from graphflow.optimizer.journal import describe
from graphflow.session.profile import Profile
from graphflow.viz import colors
from graphflow.viz.bodies import parts_of
from graphflow.viz.select import Selection, of_part, select

_LONGEST = 200


def to_model_explorer(
    source: Any, title: str | None = None, profile: Profile | None = None
) -> dict[str, Any]:
    """A graph as a collection of Model Explorer graphs, in types that JSON has.

    Arguments:
        source: a Graph, Program or Model, or tensors and Updates in any nest.
        title: its label; the graph's name by default.
        profile: of `sess.profile`; nodes then have the attribute "time".

    >>> import graphflow as gf
    >>> made = to_model_explorer(gf.exp(gf.placeholder("x", (2,))), "exp")
    >>> [node["label"] for node in made["graphs"][0]["nodes"]]
    ['placeholder', 'exp']
    """
    selection = select(source)
    label = title or selection.name or "graph"
    seconds = {} if profile is None else {row.name: row.seconds for row in profile.rows}
    graphs: list[dict[str, Any]] = []
    known: dict[object, str] = {}
    pending: list[tuple[str, Selection]] = [(label, selection)]
    while pending:
        name, one = pending.pop(0)
        graphs.append(_graph(name, one, seconds, known, pending))
    return {"label": label, "graphs": graphs, "graphSorting": "node_count_desc"}


def model_explorer_text(source: Any, title: str | None = None, profile: Profile | None = None) -> str:
    """`to_model_explorer` as JSON text."""
    return json.dumps(to_model_explorer(source, title, profile), ensure_ascii=False, allow_nan=False)


def _graph(
    name: str,
    selection: Selection,
    seconds: Mapping[str, float],
    known: dict[object, str],
    pending: list[tuple[str, Selection]],
) -> dict[str, Any]:
    """One graph; bodies that are met for the first time join `pending`."""
    ids = {node: str(index) for index, node in enumerate(selection.nodes)}
    nodes = []
    for node in selection.nodes:
        bodies = []
        for part in parts_of(node):
            bodies.append(_body_id(part.body, f"{node.name}: {part.title}", known))
            if known[part.body.attribute_key()] not in {one for one, _ in pending} and bodies[-1][1]:
                pending.append((bodies[-1][0], of_part(part)))
        nodes.append(_node(node, ids, selection, seconds, [one for one, _ in bodies]))
    variables = [node for node in selection.nodes if node.op.name == "variable"]
    facts = {"nodes": f"{len(nodes):,}", "variables": f"{len(variables):,}"}
    return {"id": name, "nodes": nodes, "groupNodeAttributes": {"": facts}}


def _body_id(body: Body, name: str, known: dict[object, str]) -> tuple[str, bool]:
    """The id of a body's graph, and whether it is new."""
    key = body.attribute_key()
    is_new = key not in known
    return known.setdefault(key, f"{name} ({len(known)})" if is_new else ""), is_new


def _node(
    node: Node,
    ids: Mapping[Node, str],
    selection: Selection,
    seconds: Mapping[str, float],
    bodies: Sequence[str],
) -> dict[str, Any]:
    paint = colors.paint_of(node)
    made: dict[str, Any] = {
        "id": ids[node],
        "label": node.op.name,
        "namespace": node.scope.strip("/"),
        "attrs": [{"key": key, "value": value} for key, value in _facts(node, selection, seconds)],
        "incomingEdges": [
            {
                "sourceNodeId": ids[tensor.node],
                "sourceNodeOutputId": str(tensor.index),
                "targetNodeInputId": str(position),
            }
            for position, tensor in enumerate(node.inputs)
            if tensor.node in ids
        ],
        "inputsMetadata": [_metadata(position, tensor) for position, tensor in enumerate(node.inputs)],
        "outputsMetadata": [_metadata(tensor.index, tensor) for tensor in node.outputs],
        "style": {"backgroundColor": paint.fill, "borderColor": paint.line},
    }
    return {**made, "subgraphIds": list(bodies)} if bodies else made


def _metadata(position: int, tensor: Tensor) -> dict[str, Any]:
    facts = {"__tensor_tag": tensor.name, "tensor_shape": str(tensor.type)}
    return {"id": str(position), "attrs": [{"key": key, "value": value} for key, value in facts.items()]}


def _facts(node: Node, selection: Selection, seconds: Mapping[str, float]) -> list[tuple[str, str]]:
    facts = [("name", node.name), ("text", describe(node))]
    facts += [(name, " ".join(str(value).split())) for name, value in node.attrs.items()]
    facts += [("line", str(node.origin))] if node.origin is not None else []
    if node.lineage is not None:
        facts.append(("made by", f"{node.lineage[0]} of {', '.join(node.lineage[1])}"))
    facts += [("operations", f"{int(node_flops(node)):,}"), ("bytes", f"{int(node_bytes(node)):,}")]
    if node.name in seconds:
        facts.append(("time", f"{seconds[node.name] * 1e6:.1f} us"))
    badges = [badge for tensor in node.outputs for badge in selection.badges.get(tensor, ())]
    role = selection.roles.get(node, "")
    facts += [("role", ", ".join([*badges, *([role] if role else [])]))] if badges or role else []
    return [(key, value if len(value) <= _LONGEST else value[: _LONGEST - 1] + "…") for key, value in facts]
