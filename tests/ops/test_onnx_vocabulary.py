"""Every operator of ONNX's default domain can be said, and what is said exists."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator

import onnx.defs
import pytest

import graphflow as gf
from graphflow.ops.onnx_vocabulary import NOTES, SPELLINGS

OPSET = 28


def _schemas() -> dict[str, onnx.defs.OpSchema]:
    """The operators of the default domain that stand in the opset and are not deprecated, by name."""
    newest: dict[str, onnx.defs.OpSchema] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        known = newest.get(schema.name)
        if schema.domain or schema.since_version > OPSET:
            continue
        if known is None or known.since_version < schema.since_version:
            newest[schema.name] = schema
    return {name: schema for name, schema in newest.items() if not schema.deprecated}


def _dotted(tree: ast.AST) -> Iterator[str]:
    """The dotted names under gf in an expression, the longest of each."""
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and id(node) not in inner:
            text = ast.unparse(node)
            if text.startswith("gf."):
                yield text


def _resolved(name: str) -> object:
    found: object = gf
    for part in name.split(".")[1:]:
        assert hasattr(found, part), f"{name} does not exist"
        found = getattr(found, part)
    return found


def test_no_operator_is_left_out() -> None:
    known = set(_schemas())
    assert len(known) >= 200
    assert sorted(known ^ set(SPELLINGS)) == []
    assert sorted(set(NOTES) - set(SPELLINGS)) == []


@pytest.mark.parametrize("operator", SPELLINGS)
def test_every_spelled_name_exists(operator: str) -> None:
    names = list(_dotted(ast.parse(SPELLINGS[operator], mode="eval")))
    assert names, f"{operator} names nothing of GraphFlow"
    for name in names:
        assert _resolved(name) is not None


@pytest.mark.parametrize("operator", SPELLINGS)
def test_every_spelled_call_fits_the_signature(operator: str) -> None:
    calls = [node for node in ast.walk(ast.parse(SPELLINGS[operator])) if isinstance(node, ast.Call)]
    for call in calls:
        name = ast.unparse(call.func)
        if name.startswith("gf.") and not any(isinstance(one, ast.Starred) for one in call.args):
            signature = inspect.signature(getattr(_resolved(name), "reference", _resolved(name)))
            signature.bind(*call.args, **{word.arg: word.value for word in call.keywords if word.arg})


def test_the_longest_dotted_names_are_found() -> None:
    tree = ast.parse("gf.nn.relu(gf.sum(x.y)) + functools.reduce(gf.add, xs)", mode="eval")
    assert sorted(_dotted(tree)) == ["gf.add", "gf.nn.relu", "gf.sum"]
