"""Graphs: names, scopes, which graph is the current one, freezing, and tensors that are no values."""

from __future__ import annotations

import contextvars
import threading

import numpy as np
import pytest

from graphflow.errors import GraphError, ShapeError
from graphflow.ir.dims import Dim
from graphflow.ir.graph import Graph, default_graph, name_scope, peek_default_graph, reset_default_graph
from graphflow.ir.opdef import registry
from graphflow.ops.declare import constant, placeholder, variable

add, exp = registry["add"], registry["exp"]


def test_names_are_unique() -> None:
    with Graph() as g:
        x = placeholder("x", (2,))
        names = [exp(x).node.name for _ in range(3)] + [
            exp(x, name="exp_1").node.name,
            exp(x, name="x").node.name,
        ]
        with name_scope("a"), name_scope("b/c"):
            names += [exp(x).node.name, exp(x).node.name]
            assert exp(x).node.scope == "a/b/c"
        names.append(exp(x).node.name)
    assert names == ["exp", "exp_1", "exp_2", "exp_1_1", "x_1", "a/b/c/exp", "a/b/c/exp_1", "exp_3"]
    assert len({node.name for node in g.nodes}) == len(g.nodes)
    assert x.node.scope == "" and x.name == "x:0"


def test_explicit_names_cannot_be_repeated() -> None:
    placeholder("x", (2,))
    with pytest.raises(GraphError, match="'x' of the new variable is taken") as caught:
        variable("x", (2,))
    assert caught.value.operands[0][:3] == ("x", "float32[2]", "placeholder")
    with name_scope("inner"):
        placeholder("x", (2,))


def test_a_declaration_that_fails_takes_no_name() -> None:
    with pytest.raises(ShapeError):
        placeholder("x", (-1,))
    with pytest.raises(ShapeError):
        variable("w", ("n",))
    assert placeholder("x", (1,)).name == "x:0" and variable("w", (1,)).name == "w:0"


@pytest.mark.parametrize("name", ["", "/a", "a/", "a b", "a:b", "\n", "a\ud800"])
def test_scopes_that_cannot_be(name: str) -> None:
    with pytest.raises(GraphError, match="cannot name a scope"), name_scope(name):
        pass
    assert default_graph().scope == ""


def test_a_scope_ends_when_its_block_fails() -> None:
    with pytest.raises(RuntimeError), name_scope("a"):
        raise RuntimeError
    assert default_graph().scope == ""


def test_finding_tensors() -> None:
    with Graph("g") as g:
        x = placeholder("image", (2,))
        first, second = registry["split"](x, (1, 1))
    assert g.tensor("image") is g.tensor("image:0") is x and g.find("image") is x.node and g.find("y") is None
    assert (g.tensor("split:1"), g.tensor("split:0")) == (second, first)
    for name, hint in (
        ("imge", "did you mean 'image'?"),
        ("zzz", "lists"),
        ("image:1", "image"),
        ("image:x", "image"),
    ):
        with pytest.raises(GraphError, match="has no tensor") as caught:
            g.tensor(name)
        assert hint in caught.value.hint


def test_the_current_graph() -> None:
    assert peek_default_graph() is None
    outer = default_graph()
    with Graph() as g:
        assert default_graph() is g
        with Graph() as inner:
            assert default_graph() is inner
        with g:
            assert default_graph() is g
        assert default_graph() is g
        with pytest.raises(GraphError, match="inside a `with graph:` block"):
            reset_default_graph()
    assert default_graph() is outer
    reset_default_graph()
    assert default_graph() is not outer


def test_each_thread_has_its_own_current_graph() -> None:
    found = []
    with Graph() as g:
        thread = threading.Thread(target=lambda: found.append((peek_default_graph(), default_graph())))
        thread.start()
        thread.join()
        assert contextvars.copy_context().run(default_graph) is g
    assert found[0][0] is None and found[0][1] is not g


def test_a_frozen_graph_does_not_grow() -> None:
    with Graph("done") as g:
        x = placeholder("x", (2,))
        g.freeze()
        with pytest.raises(GraphError, match="graph 'done' is frozen, so exp cannot be added") as caught:
            exp(x)
    assert g.frozen and len(g.nodes) == 1
    assert "test_graph.py" in caught.value.hint and caught.value.origin.file == __file__


def test_tensors_are_no_values() -> None:
    x = placeholder("x", (2,))
    with pytest.raises(GraphError, match="no truth value"):
        bool(x)
    with pytest.raises(GraphError, match="has no value while"):
        np.asarray(x)
    with pytest.raises(GraphError, match=r"np\.exp computes with arrays, and x:0 has no value") as caught:
        np.exp(x)
    assert "use gf.exp instead" in (caught.value.hint or "") and "test_graph.py" in str(caught.value)
    assert (x == x) is True and (x == 3) is False and len({x, x}) == 1


def test_representations() -> None:
    with Graph("g") as g:
        x = placeholder("x", ("n",))
        y = add(x, x)
    assert repr(g) == "<graph 'g': 2 nodes, 1 placeholders, 0 variables>"
    assert (
        repr(y) == "<tensor add:0 float32[n] by add>"
        and repr(y.node) == "<node add = add(x, x) -> float32[n]>"
    )
    assert str(g).startswith("graphflow-text 1\n") and list(g) == g.nodes and len(g) == 2
    assert (x.shape, x.ndim, x.size, x.dtype.name, x.graph) == ((Dim("n"),), 1, Dim("n"), "float32", g)


def test_bounds_of_a_size_belong_to_the_graph() -> None:
    """A name alone means the size that was declared with bounds; two pairs of bounds are an error."""
    with Graph() as g:
        x = placeholder("x", (Dim("n", 1, 8),))
        y = placeholder("y", ("n", 2 * Dim("n")))
        wide = registry["broadcast_to"](constant(1.0), shape=("n",))
        with pytest.raises(ShapeError, match="gets the bounds 1 and 9"):
            placeholder("z", (Dim("n", 1, 9),))
    for tensor in (x, y, wide):
        assert all(bound == ("n", 1, 8) for size in tensor.shape for bound in size.limits)
    assert add(x, wide).type is x.type and g.constraints == []
    with Graph():
        placeholder("x", ("n",))
        with pytest.raises(ShapeError, match="others are in use already") as caught:
            placeholder("y", (Dim("n", 1, 9),))
        assert caught.value.origin.file == __file__


def test_unknown_sizes_get_names_of_their_own() -> None:
    assert placeholder("1/a-b", (None, 2, None)).shape == (Dim("_1_a_b_0"), 2, Dim("_1_a_b_2"))
