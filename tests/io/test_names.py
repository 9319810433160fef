"""Names from model files on nodes: in their scopes, in none, and as origins."""

from __future__ import annotations

import graphflow as gf
from graphflow.io.names import in_scope_of, out_of_scopes, safe_name, sourced


def test_names_that_nodes_cannot_have() -> None:
    assert safe_name("/a b/c:0/") == "a.b/c.0"
    assert safe_name("//") == "unnamed"


def test_scopes() -> None:
    with gf.Graph() as graph:
        with in_scope_of("/layer 1//conv/Conv"):
            gf.constant(1.0, name="inside")
            with out_of_scopes():
                gf.constant(2.0, name="outside")
            gf.constant(3.0, name="again")
        with in_scope_of("plain"):
            gf.constant(4.0, name="free")
    assert [node.name for node in graph] == ["layer.1/conv/inside", "outside", "layer.1/conv/again", "free"]


def test_the_inner_name_is_the_origin() -> None:
    with gf.Graph() as graph, sourced("outer"):
        gf.constant(1.0)
        with sourced("inner"):
            gf.constant(2.0)
        gf.constant(3.0)
    assert [node.origin.source_name for node in graph] == ["outer", "inner", "outer"]
