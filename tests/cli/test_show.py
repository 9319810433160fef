"""`graphflow show`: what it prints, what it draws, and what it refuses to draw."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from graphflow.ir.parse import parse_graph
from tests.cli.conftest import Answer

Call = Callable[..., Answer]


def test_it_prints_inputs_outputs_and_size(call: Call, model: Path) -> None:
    status, out, err = call("show", model)
    assert (status, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert ["in", "x", "float32[batch,", "3]"] in lines
    assert ["out", "head/y", "float32[batch,", "2]"] in lines
    assert "1 variables, 6 weights, 24 bytes" in out or "1 variable, 6 weights, 24 bytes" in out


def test_its_text_can_be_parsed(call: Call, model: Path) -> None:
    status, out, _ = call("show", model, "--text")
    assert status == 0
    graph = parse_graph(out)
    assert [node.op.name for node in graph][:2] == ["placeholder", "variable"]
    assert "head/y" in {node.name for node in graph}


def test_it_draws(call: Call, model: Path, tmp_path: Path) -> None:
    target = tmp_path / "net.svg"
    status, out, _ = call("show", model, "-o", target)
    assert status == 0 and out.endswith(f"wrote {target}\n")
    assert ElementTree.parse(target).getroot().tag.endswith("svg")
    assert list(tmp_path.iterdir()) == [target]


def test_the_budget_collapses_scopes(call: Call, model: Path, tmp_path: Path) -> None:
    texts = {}
    for budget in (1, 100):
        assert call("show", model, "-o", tmp_path / f"{budget}.dot", "--budget", budget).status == 0
        texts[budget] = (tmp_path / f"{budget}.dot").read_text("utf-8")
    assert "matmul" in texts[100] and len(texts[1]) < len(texts[100])


@pytest.mark.parametrize(
    ("name", "said"), [("net.gif", "does not end in a format"), ("file/net.svg", "cannot be written")]
)
def test_a_picture_that_cannot_be_written_is_an_error(
    call: Call, model: Path, tmp_path: Path, name: str, said: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    status, _, err = call("show", model, "-o", tmp_path / name)
    assert status == 1 and said in err and "try: " in err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_layers_and_the_tree(call: Call, model: Path) -> None:
    status, out, err = call("show", model, "--summary", "--size", "batch=4")
    assert (status, err) == (0, "")
    assert out.startswith("layer") and "counted with batch = 4" in out and "model" not in out.splitlines()[0]
    status, out, _ = call("show", model, "--tree", "--depth", 1)
    assert status == 0 and "head/y" in out.splitlines()[0] and len(out.splitlines()) <= 4


@pytest.mark.parametrize("name", ["dot", "mermaid", "svg", "model-explorer"])
def test_text_formats_are_printed_without_a_file(call: Call, model: Path, name: str) -> None:
    status, out, _ = call("show", model, "--format", name, "--title", "mine")
    starts = {"dot": "digraph", "mermaid": "---", "svg": "<?xml", "model-explorer": '{"label": "mine"'}
    assert status == 0 and out.startswith(starts[name])


def test_times_are_measured_on_random_inputs(call: Call, model: Path, tmp_path: Path) -> None:
    target = tmp_path / "time.svg"
    given = ("show", model, "--out", target, "--color", "time", "--backend", "numpy")
    assert call(*given, "--size", "batch=4").status == 0
    assert "time on numpy, " in target.read_text("utf-8")
    status, _, err = call(*given)
    assert status == 1 and "running time depends on its size batch" in err and "--size batch=32" in err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--format", "png"), "cannot be printed"),
        (("--format", "gif"), "cannot be printed"),
        (("--format", "svg", "--color", "mood"), "cannot be coloured"),
        (("--format", "svg", "--engine", "neato"), "no engine"),
        (("--format", "svg", "--color", "target:toaster"), "no backend"),
    ],
)
def test_what_cannot_be_drawn_is_said(call: Call, model: Path, options: tuple[str, ...], said: str) -> None:
    status, out, err = call("show", model, *options)
    assert status == 1 and out == "" and said in err and "try: " in err


def test_help_has_examples(call: Call) -> None:
    status, out, _ = call("show", "--help")
    assert status == 0 and "--color time --size batch=32" in out
