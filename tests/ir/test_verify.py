"""The verifier: a sound graph passes, and each broken invariant is found and named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphflow.errors import GraphError, VerifyError
from graphflow.ir import dims
from graphflow.ir.attrs import Attrs
from graphflow.ir.builder import Builder
from graphflow.ir.dims import Dim
from graphflow.ir.dtypes import float32, float64
from graphflow.ir.graph import Graph
from graphflow.ir.node import Tensor
from graphflow.ir.opdef import OpDef, registry
from graphflow.ir.provenance import Origin
from graphflow.ir.types import TensorType
from graphflow.ir.verify import verify
from graphflow.ops.declare import assign, placeholder, training, variable
from graphflow.optimizer.program import extract

add, total = registry["add"], registry["sum"]


@pytest.fixture
def graph() -> Graph:
    with Graph("g") as g:
        x = placeholder("x", ("n", 3))
        w = variable("w", (3,))
        y = add(x, w, name="y")
        z = total(y, axis=-1, name="z")
        update = assign(w, total(y, axis=0))
        g.statistics.append((y, update.assigns[0]))
        g.outputs = [z]
        training()
    return g


def _node(graph: Graph, name: str):
    found = graph.find(name)
    assert found is not None
    return found


def _set_attr(graph: Graph, name: str, **changes: object) -> None:
    node = _node(graph, name)
    node.attrs = Attrs({**node.attrs, **changes})


def _set_type(graph: Graph, name: str, kind: TensorType) -> None:
    _node(graph, name).outputs[0].type = kind


def _without(graph: Graph, name: str, attribute: str) -> None:
    node = _node(graph, name)
    node.attrs = Attrs({key: value for key, value in node.attrs.items() if key != attribute})


def _foreign() -> Tensor:
    with Graph("other"):
        return placeholder("foreign", ("n", 3))


def _unregistered() -> OpDef:
    return OpDef(
        lambda x, /: x, family="test", name="add", infer=lambda types, attrs: types,
        traits=frozenset(), promotion=None, normalize=None, version=1,
    )  # fmt: skip


def _cycle(g: Graph) -> None:
    y, z = _node(g, "y"), _node(g, "z")
    z.outputs[0].type = TensorType(float32, (Dim("n"), 3))
    _node(g, "y").inputs = (z.outputs[0], y.inputs[1])
    _set_attr(g, "z", axis=())


BREAKAGES: dict[str, tuple[Callable[[Graph], object], str]] = {
    "name taken": (lambda g: setattr(_node(g, "y"), "name", "x"), "another node has"),
    "no name": (lambda g: setattr(_node(g, "y"), "name", ""), "cannot name a node"),
    "colon in a name": (lambda g: setattr(_node(g, "y"), "name", "y:0"), "'y:0' cannot name a node"),
    "operator": (lambda g: setattr(_node(g, "y"), "op", _unregistered()), "not registered"),
    "arity": (lambda g: setattr(_node(g, "y"), "inputs", _node(g, "y").inputs[:1]), "1 inputs"),
    "foreign input": (
        lambda g: setattr(_node(g, "y"), "inputs", (_foreign(), _node(g, "w").outputs[0])),
        "'foreign:0', which is not part of the graph",
    ),
    "foreign node": (lambda g: g.nodes.append(_foreign().node), "belongs to the graph 'other'"),
    "loose tensor": (
        lambda g: setattr(
            _node(g, "z"), "inputs", (Tensor(_node(g, "y"), 0, _node(g, "y").outputs[0].type),)
        ),
        "which its node does not make",
    ),
    "output index": (lambda g: setattr(_node(g, "y").outputs[0], "index", 1), "says it is 'y:1'"),
    "cycle": (_cycle, "cycle"),
    "missing attribute": (lambda g: _without(g, "z", "axis"), "lacks axis"),
    "unknown attribute": (lambda g: _set_attr(g, "z", colour=1), "unknown colour"),
    "no Attrs": (lambda g: setattr(_node(g, "z"), "attrs", dict(_node(g, "z").attrs)), "not Attrs"),
    "not canonical": (lambda g: _set_attr(g, "z", axis=(-1,)), "canonical form, which is axis = (1,)"),
    "wrong attribute": (lambda g: _set_attr(g, "z", axis=(7,)), "axis 7"),
    "nonsense attribute": (lambda g: _set_attr(g, "z", axis="one"), "axis"),
    "wrong initializer": (lambda g: _set_attr(g, "w", initializer=None), "starts from an initializer"),
    "wrong dtype": (
        lambda g: _set_type(g, "y", TensorType(float64, (Dim("n"), 3))),
        "recorded as float64[n, 3]",
    ),
    "wrong size": (lambda g: _set_type(g, "z", TensorType(float32, (4,))), "inference gives float32[n]"),
    "wrong rank": (lambda g: _set_type(g, "z", TensorType(float32, ())), "recorded as float32[]"),
    "mixed dtypes": (lambda g: _set_type(g, "w", TensorType(float64, (3,))), "float64"),
    "other bounds": (lambda g: g.nodes.append(_bounded(g)), "between 1 and 5, but elsewhere"),
    "placeholder not listed": (lambda g: g.placeholders.clear(), "not in the graph's table of placeholders"),
    "variable not listed": (lambda g: g.variables.clear(), "not in the graph's table of variables"),
    "listed wrongly": (
        lambda g: g.variables.update(x=_node(g, "x").outputs[0]),
        "listed as the variable 'x'",
    ),
    "listed under another name": (
        lambda g: g.variables.update(v=_node(g, "w").outputs[0]),
        "listed as the variable 'v'",
    ),
    "built-in": (lambda g: g.builtins.update(session_key=_node(g, "x").outputs[0]), "built-in 'session_key'"),
    "foreign output": (lambda g: g.outputs.append(_foreign()), "'foreign:0' as an output"),
    "output no tensor": (lambda g: g.outputs.append(3), "lists 3 as an output"),
    "foreign statistic": (
        lambda g: g.statistics.append((_foreign(), _node(g, "assign_w"))),
        "use of a statistic",
    ),
    "statistic no assignment": (
        lambda g: g.statistics.append((_node(g, "y").outputs[0], _node(g, "y"))),
        "statistic's assignment",
    ),
    "constraint": (
        lambda g: g.constraints.append((1, "n", _node(g, "y"))),
        "constraint on 'n', which is no size",
    ),
}


def _bounded(g: Graph):
    node = g.add(
        registry["placeholder"], (), Attrs(dtype=float32, shape=(Dim("n", 1, 5),)),
        (TensorType(float32, (Dim("n", 1, 5),)),), "bounded", None,
    )  # fmt: skip
    g.placeholders["bounded"] = node.outputs[0]
    return g.nodes.pop()


def test_a_sound_graph_passes(graph: Graph) -> None:
    verify(graph)
    verify(Graph())


@pytest.mark.parametrize("case", BREAKAGES)
def test_each_breakage_is_found(graph: Graph, case: str) -> None:
    breakage, reason = BREAKAGES[case]
    breakage(graph)
    with pytest.raises(VerifyError) as caught:
        verify(graph)
    assert reason in caught.value.message


def test_the_error_names_node_and_line(graph: Graph) -> None:
    _node(graph, "y").inputs = ()
    with pytest.raises(VerifyError, match=r"node 'y' \(add\)") as caught:
        verify(graph)
    assert caught.value.origin.file == __file__


def test_sizes_may_differ_where_a_constraint_says_that_they_do_not(graph: Graph) -> None:
    _set_type(graph, "z", TensorType(float32, (Dim("m"),)))
    with pytest.raises(VerifyError, match="recorded as"):
        verify(graph)
    graph.constraints.append((Dim("m"), Dim("n"), _node(graph, "z")))
    verify(graph)


def test_programs_need_no_order(graph: Graph) -> None:
    program = extract(graph.outputs, feeds=[graph.placeholders["x"]])
    program.nodes.reverse()
    verify(program)
    program.outputs[0].node.inputs = program.outputs
    with pytest.raises(VerifyError):
        verify(program)


def test_verifying_leaves_no_assumptions_behind() -> None:
    with Graph() as g:
        add(placeholder("a", ("n",)), placeholder("b", ("m",)))
    verify(g)
    assert dims.take_assumptions() is None
    assert len(g.constraints) == 1


def test_a_long_chain_and_a_long_cycle() -> None:
    """Each node is checked once, without recursion."""
    with Graph() as g:
        x = placeholder("x", (2,))
        b = Builder(g, origin=Origin("f.py", 1))
        for _ in range(20_000):
            x = b.add(x, x)
    verify(g)
    g.nodes[1].inputs = (x, x)
    with pytest.raises(VerifyError, match="cycle"):
        verify(g)


def test_inference_is_called_once_a_node(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = add.infer
    monkeypatch.setattr(add, "infer", lambda types, attrs: calls.append(1) or real(types, attrs))
    verify(graph)
    assert len(calls) == 1


def test_fed_arrays_are_not_needed(graph: Graph) -> None:
    """Constants are checked by their type alone."""
    with graph:
        add(graph.placeholders["x"], np.ones((1, 3), np.float32))
    verify(graph)


@pytest.mark.parametrize("value", [np.int64(1), None, Graph, "graph"])
def test_what_is_no_graph_is_refused(value: Any) -> None:
    with pytest.raises(GraphError, match="is no graph"):
        verify(value)
