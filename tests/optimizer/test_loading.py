"""Rules and passes from a user's file."""

from __future__ import annotations

from pathlib import Path

import pytest

import graphflow as gf
from graphflow.errors import AttributeValueError, FileFormatError

PASS = '''
from dataclasses import dataclass
from typing import ClassVar
from graphflow.optimizer.pass_manager import Pass, PassContext, PassResult

@dataclass(frozen=True)
class Count(Pass):
    """Count the nodes."""
    name: ClassVar[str] = "count"
    least: int = 1
    def run(self, program, context):
        return PassResult(False, f"{context.size} nodes, at least {self.least}")
'''


def model() -> gf.Model:
    with gf.Graph():
        x = gf.placeholder("x", (3,))
        return gf.Model(inputs=[x], outputs={"y": gf.exp(x) * 1.0})


def test_a_pass_of_a_file_runs_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PASS)
    passes = gf.prove.load_passes(tmp_path / "mine.py")
    made = gf.optimize(model(), pipeline="canonicalize,count{least=2}", passes=passes)
    assert made.report.journal.passes[-1].note == "2 nodes, at least 2"
    assert len(made.report.replay()) == 2
    assert gf.optimize(model(), passes=passes, include=["count"]).report.journal.passes[-1].name == "count"
    with gf.Session(model().graph, backend="numpy", pipeline="count", passes=passes) as sess:
        assert sess.explain("multiply").journal.passes[0].name == "count"


def test_files_without_passes_and_other_things_are_refused(tmp_path: Path) -> None:
    (tmp_path / "none.py").write_text("x = 1\n")
    with pytest.raises(FileFormatError, match="has no passes"):
        gf.prove.load_passes(tmp_path / "none.py")
    with pytest.raises(FileFormatError, match="has no rules"):
        gf.prove.load_rules(tmp_path / "none.py")
    (tmp_path / "bad.py").write_text("1 / 0\n")
    with pytest.raises(FileFormatError, match="ZeroDivisionError"):
        gf.prove.load_passes(tmp_path / "bad.py")
    with pytest.raises(AttributeValueError, match="is no pass"):
        gf.optimize(model(), passes=[3])


def test_a_pass_may_not_take_the_name_of_another(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PASS.replace('"count"', '"eliminate"'))
    passes = gf.prove.load_passes(tmp_path / "mine.py")
    with pytest.raises(AttributeValueError, match="there is a pass 'eliminate' already"):
        gf.optimize(model(), passes=passes)
    with pytest.raises(AttributeValueError, match="listed twice"):
        gf.optimize(model(), passes=[*passes, *passes])
