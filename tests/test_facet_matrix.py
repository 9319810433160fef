"""Every operator has every facet, or says why not; and the manual shows the matrix as it is."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from graphflow.ir.opdef import OpDef, op, registry
from graphflow.ops.inference import same_type
from graphflow.ops.matrix import Column, Matrix, meaning, table_column

DOCS = Path(__file__).resolve().parent.parent / "docs"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    """docs/generate.py, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_cell_is_empty_without_a_reason(generator: ModuleType) -> None:
    matrix = generator.matrix()
    print(matrix)
    assert matrix.unexplained() == []


def test_no_reason_is_given_in_vain(generator: ModuleType) -> None:
    assert generator.matrix().idle_excuses() == []


def test_the_manual_is_up_to_date(generator: ModuleType) -> None:
    for name, text in generator.pages().items():
        assert (DOCS / name).read_text("utf-8") == text, "run: python docs/generate.py"


def test_the_families_are_the_promised_ones() -> None:
    families = {
        "elementwise", "comparison", "activation", "reduction", "shape", "indexing",
        "linalg", "conv", "pooling", "normalization", "random", "state",
    }  # fmt: skip
    assert families <= {op.family for op in registry}
    assert len(registry) >= 90


@pytest.fixture
def bare_op(monkeypatch: pytest.MonkeyPatch) -> OpDef:
    """An operator without gradient or documentation, registered for the length of a test."""
    monkeypatch.setattr(registry, "_ops", dict(registry._ops))
    monkeypatch.setattr(registry, "listeners", [])

    @op("elementwise", infer=same_type)
    def bare(x, /):
        return np.asarray(x)

    return bare


def test_a_missing_facet_is_found(bare_op: OpDef) -> None:
    assert Matrix().unexplained() == ["bare: gradient", "bare: meaning"]
    bare_op.not_differentiable("it | is a test", zero=True)
    bare_op.__doc__ = "What a test needs: y = x."
    target = Matrix(
        [table_column("chip", {"relu"}, {op.name: "later" for op in registry if op is not bare_op})]
    )
    assert target.unexplained() == ["bare: chip"]
    assert "chip" in str(target).splitlines()[0] and "MISSING" in str(target)
    assert "zero: it \\| is a test" in target.markdown()


def test_an_expansion_fills_a_cell(bare_op: OpDef) -> None:
    bare_op.decomposition(lambda b, node: [b.identity(node.inputs[0])])
    assert Matrix([table_column("chip", (), {}, decomposes=True)]).cell("bare", "chip") == "expanded"
    assert Matrix([table_column("chip", (), {})]).cell("bare", "chip") == ""


def test_idle_excuses_are_found() -> None:
    column = Column(
        "chip", lambda op: "yes" if op.name == "relu" else "", {"relu": "no", "gone": "no", "exp": "ok"}
    )
    assert Matrix([column]).idle_excuses() == ["relu: chip", "gone: chip"]


def test_meaning_is_one_line_of_prose() -> None:
    for operator in registry:
        assert "\n" not in meaning(operator) and ">>>" not in meaning(operator)
