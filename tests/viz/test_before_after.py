"""Before and after: each node has its fate, from the journal, with the rule that sealed it."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

import graphflow as gf
from graphflow.errors import FileFormatError, GraphFlowError
from graphflow.optimizer.explain import Report
from graphflow.viz import before_after, draw_pass
from tests.viz.test_geometry import check

SVG = "{http://www.w3.org/2000/svg}"


def report() -> Report:
    x = gf.placeholder("x", (3,))
    one = gf.exp(x, name="one") + gf.exp(x, name="two")
    folded = gf.sqrt(gf.constant([4.0, 9.0, 16.0], name="squares"), name="root")
    return gf.Session(backend="numpy").explain(gf.log(gf.nn.softmax(one * folded, name="soft"), name="last"))


def said(path: Path) -> list[dict[str, list[str]]]:
    """For each side the lines of text of each box, by its title and name."""
    sides = []
    for side in ElementTree.parse(path).getroot().findall(f"{SVG}svg"):
        boxes = [group for group in side.iter(f"{SVG}g") if group.get("class", "").startswith("box")]
        lines = [[text.text or "" for text in group.iter(f"{SVG}text")] for group in boxes]
        sides.append({line[0] + (f" {line[1]}" if len(line) > 1 else ""): line for line in lines})
        check(ElementTree.tostring(side, "unicode"))
    return sides


def test_all_passes(tmp_path: Path) -> None:
    before, after = said(draw_pass(report(), tmp_path / "all.svg"))
    assert before["log last"][-1] == "output 0" and "by log_of_softmax" in before["log last"]
    assert "by log_of_softmax" in before["softmax soft"]
    assert before["exp two"][-1] == "merged with one"
    assert before["sqrt root"][-1] == "folded into a constant"
    assert any("log_softmax" in name and "by log_of_softmax" in lines for name, lines in after.items())
    assert "exp one" in after and len(after["exp one"]) <= 3


def test_one_pass(tmp_path: Path) -> None:
    before, _ = said(draw_pass(report(), tmp_path / "one.svg", "canonicalize"))
    assert any("log_of_softmax" in line for lines in before.values() for line in lines)
    text = (tmp_path / "one.svg").read_text("utf-8")
    assert "before: canonicalize" in text and "rewritten" in text and "new" in text
    unchanged = said(draw_pass(report_of_nothing(), tmp_path / "same.svg"))
    assert unchanged[0].keys() == unchanged[1].keys()
    assert "nothing changed" in (tmp_path / "same.svg").read_text("utf-8")


def report_of_nothing() -> Report:
    with gf.Graph():
        y = gf.exp(gf.placeholder("x", (3,)))
    return gf.Session(y.graph, backend="numpy").explain(y)


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(GraphFlowError, match="no pass 'canonise' ran"):
        draw_pass(report_of_nothing(), tmp_path / "x.svg", "canonise")
    with pytest.raises(FileFormatError, match=r"no \.svg"):
        draw_pass(report_of_nothing(), tmp_path / "x.png")
    assert list(tmp_path.iterdir()) == []


def test_two_graphs(tmp_path: Path) -> None:
    x = gf.placeholder("x", (2,))
    path = before_after(gf.tanh(gf.exp(x)), gf.sin(gf.exp(x)), tmp_path / "both.svg")
    text = path.read_text("utf-8")
    assert "removed" in text and "new" in text and "unchanged" in text
    said(path)
