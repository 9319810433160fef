"""Rendering to files: every format or a reason, whole files or none, and a way on when dot hangs."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

import graphflow as gf
from graphflow.errors import AttributeValueError, BackendError, FileFormatError
from graphflow.ir.node import Tensor
from graphflow.viz import before_after, render
from tests.viz.graphs import training

# By its name, since the package's `render` is the function.
module = importlib.import_module("graphflow.viz.render")
running = importlib.import_module("graphflow.viz.run_graphviz")
converting = importlib.import_module("graphflow.viz.convert")


def small() -> Tensor:
    with gf.Graph("small"):
        return gf.tanh(gf.exp(gf.placeholder("x", (2,))))


def test_svg_by_whatever_there_is(tmp_path: Path) -> None:
    path = render(training(3), tmp_path / "new" / "g.svg", budget=30)
    assert path == tmp_path / "new" / "g.svg"
    root = ElementTree.parse(path).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "layer_0" in path.read_text("utf-8")
    assert [one.name for one in path.parent.iterdir()] == ["g.svg"]


def test_svg_without_graphviz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "renderer", lambda kind: None)
    text = render(small(), str(tmp_path / "g.svg"), title="mine").read_text("utf-8")
    assert "mine" in text and "tanh" in text and 'class="box node"' in text


@pytest.mark.parametrize("kind", ["png", "pdf"])
def test_other_formats_without_graphviz_say_what_to_install(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "renderer", lambda kind: None)
    monkeypatch.setattr(module, "converter", lambda kind: None)
    with pytest.raises(BackendError, match=r"needs Graphviz") as caught:
        render(small(), tmp_path / f"g.{kind}")
    assert "apt-get install graphviz" in str(caught.value) and "pip install pygraphviz" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_which_renderer_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    present = {"graphviz", "pygraphviz"}
    programs = {"dot": "/usr/bin/dot"}
    monkeypatch.setattr(running.importlib.util, "find_spec", lambda name: name if name in present else None)
    monkeypatch.setattr(running.shutil, "which", programs.get)
    assert running.renderer("svg") == ["/usr/bin/dot", "-Tsvg"]
    programs.clear()
    assert running.renderer("png")[0] == sys.executable
    present.discard("pygraphviz")
    assert running.renderer("svg") is None
    programs["dot"] = "/usr/bin/dot"
    present.clear()
    assert running.renderer("svg") is None


@pytest.mark.skipif(shutil.which("dot") is None, reason="needs the program dot")
@pytest.mark.parametrize(("kind", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_formats_of_dot(kind: str, start: bytes, tmp_path: Path) -> None:
    assert render(small(), tmp_path / f"g.{kind.upper()}", engine="graphviz").read_bytes().startswith(start)


def test_formats_of_pygraphviz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pygraphviz")
    monkeypatch.setattr(running.shutil, "which", lambda name: None)
    path = render(small(), tmp_path / "g.png", engine="graphviz")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_dot_source(tmp_path: Path) -> None:
    assert render(small(), tmp_path / "g.dot").read_text("utf-8").startswith("digraph graphflow {")


def test_when_dot_hangs_the_picture_is_collapsed_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    budgets = []
    drawn = module.picture

    def watched(source: object, budget: int, *rest: object, **options: object) -> object:
        budgets.append(budget)
        return drawn(source, budget, *rest, **options)

    monkeypatch.setattr(module, "picture", watched)
    monkeypatch.setattr(
        module, "renderer", lambda kind: [sys.executable, "-c", "import time; time.sleep(60)"]
    )
    fetches = training(3)
    with pytest.warns(UserWarning, match="collapsed further, since dot did not finish"):
        path = render(fetches, tmp_path / "g.svg", budget=32, timeout=0.2, engine="graphviz", repeats=False)
    assert budgets[0] == 32 and budgets == sorted(budgets, reverse=True) and len(set(budgets)) == 4
    assert "collapsed further" in path.read_text("utf-8")
    with pytest.warns(UserWarning), pytest.raises(BackendError, match="did not finish"):
        render(fetches, tmp_path / "g.png", timeout=0.2, engine="graphviz")


def test_when_dot_fails_its_words_are_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    complaint = "import sys; sys.exit('no fonts anywhere')"
    monkeypatch.setattr(module, "renderer", lambda kind: [sys.executable, "-c", complaint])
    with pytest.raises(BackendError, match="no fonts anywhere"):
        render(small(), tmp_path / "g.png", engine="graphviz")


@pytest.mark.parametrize("name", ["g", "g.jpeg", "g.svg.txt", "svg"])
def test_an_unknown_ending_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="does not end in a format"):
        render(small(), tmp_path / name)


def test_a_place_that_cannot_be_written_is_refused_and_left_alone(tmp_path: Path) -> None:
    y = small()
    (tmp_path / "file").write_text("here")
    with pytest.raises(FileFormatError, match="cannot be written"):
        render(y, tmp_path / "file" / "g.dot")
    (tmp_path / "g.dot").mkdir()
    with pytest.raises(FileFormatError, match="cannot be written"):
        render(y, tmp_path / "g.dot")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "g.dot"]


def test_before_and_after(tmp_path: Path) -> None:
    x = gf.placeholder("x", (2,))
    path = before_after(gf.tanh(gf.exp(x)), gf.sin(gf.exp(x)), tmp_path / "both.svg")
    root = ElementTree.parse(path).getroot()
    left, right = root.findall("{http://www.w3.org/2000/svg}svg")
    text = path.read_text("utf-8")
    assert text.count("before: ") >= 1 and text.count("after: ") >= 1
    assert float(right.get("x", "0")) >= float(left.get("width", "0"))
    assert float(root.get("width", "0")) >= float(right.get("x", "0")) + float(right.get("width", "0"))
    with pytest.raises(FileFormatError, match=r"no \.svg"):
        before_after(x, x, tmp_path / "both.png")


@pytest.mark.parametrize(("kind", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_our_own_layout_as_pixels(kind: str, start: bytes, tmp_path: Path) -> None:
    if converting.converter(kind) is None:
        pytest.skip("needs cairosvg or rsvg-convert")
    assert render(small(), tmp_path / f"g.{kind}", engine="own").read_bytes().startswith(start)


def test_a_picture_that_is_too_wide_for_an_image_is_drawn_smaller(tmp_path: Path) -> None:
    if converting.converter("png") is None:
        pytest.skip("needs cairosvg or rsvg-convert")
    with gf.Graph("wide") as graph:
        for number in range(150):
            gf.placeholder(f"x{number}{'x' * 40}", (2, 3))
    with Image.open(render(graph, tmp_path / "wide.png")) as made:
        assert converting.MOST_PIXELS - 10 <= made.width <= converting.MOST_PIXELS


def test_the_scale_of_images() -> None:
    for width, height, wanted in (
        (90, 10, 2.0),
        (64_000, 10, 0.5),
        (10, 64_000, 0.5),
        (20_000, 20_000, 0.5**0.5),
    ):
        document = f'<svg xmlns="s" width="{width}" height="{height}">'
        assert converting.fitting(document, 2) == pytest.approx(wanted)


def test_a_converter_that_is_missing_or_fails_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "converter", lambda kind: None)
    with pytest.raises(BackendError, match="converts SVG"):
        render(small(), tmp_path / "g.png", engine="own")
    monkeypatch.setattr(
        module, "converter", lambda kind: [sys.executable, "-c", "import sys; sys.exit('no')"]
    )
    with pytest.raises(BackendError, match="failed: no"):
        render(small(), tmp_path / "g.png", engine="own")
    assert list(tmp_path.iterdir()) == []


def test_the_format_can_be_said(tmp_path: Path) -> None:
    assert render(small(), tmp_path / "g.txt", format="mermaid").read_text("utf-8").startswith("---\n")
    with pytest.raises(FileFormatError, match="there is no format 'jpeg'"):
        render(small(), tmp_path / "g.svg", format="jpeg")
    with pytest.raises(AttributeValueError, match="no engine"):
        render(small(), tmp_path / "g.svg", engine="neato")


def test_text_formats_by_their_endings(tmp_path: Path) -> None:
    assert "flowchart TB" in render(small(), tmp_path / "g.mmd").read_text("utf-8")
    graphs = json.loads(render(small(), tmp_path / "g.json").read_text("utf-8"))["graphs"]
    assert [node["label"] for node in graphs[0]["nodes"]] == ["placeholder", "exp", "tanh"]
