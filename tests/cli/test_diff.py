"""`graphflow diff`: saved models and texts, the exit status, HTML and JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import graphflow as gf
from tests.cli.conftest import Answer

Call = Callable[..., Answer]


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A model with other weights, and sin for exp."""
    with gf.Graph("small") as graph:
        x = gf.placeholder("x", ("batch", 3))
        w = gf.variable("w", initializer=np.ones((3, 2), np.float32))
        with gf.name_scope("head"):
            y = gf.multiply(gf.sin(gf.matmul(x, w)), 1.0, name="y")
    with gf.Session(graph, backend="numpy") as sess:
        return gf.saved_model.save(tmp_path / "other", sess, inputs=[x], outputs=[y])


def test_a_model_is_the_same_as_itself(call: Call, model: Path) -> None:
    status, out, err = call("diff", model, model)
    assert (status, err) == (0, "") and out.splitlines()[-1] == "6 same"


def test_what_differs_is_listed(call: Call, model: Path, other: Path) -> None:
    status, out, err = call("diff", model, other)
    assert (status, err) == (1, "")
    lines = out.splitlines()
    assert lines[:2] == [f"--- {model} (6 nodes)", f"+++ {other} (6 nodes)"]
    assert any(line.startswith("~ initializer: 6 of 6 elements, by at most 1:") for line in lines)
    assert "- head/exp = exp(" in out and "+ head/sin = sin(" in out


def test_the_optimizer_can_be_looked_at(call: Call, model: Path) -> None:
    status, out, _ = call("diff", model, model, "--optimized", "O2")
    assert status == 1 and f"+++ {model} after O2" in out and "- head/y = multiply(" in out


def test_html_and_json(call: Call, model: Path, other: Path, tmp_path: Path) -> None:
    page = tmp_path / "d.html"
    assert call("diff", model, other, "--html", page).out.endswith(f"wrote {page}\n")
    assert page.read_text("utf-8").startswith("<!DOCTYPE html>")
    told = json.loads(call("diff", model, other, "--json", "--html", page).out)
    assert told["same"] is False and told["counts"]["removed"] >= 1


def test_texts_are_compared_without_their_large_arrays(call: Call, tmp_path: Path) -> None:
    def write(name: str, value: float) -> Path:
        with gf.Graph("g") as graph:
            gf.exp(gf.constant(np.full((9, 9), 2.0, np.float32)) * value)
        path = tmp_path / name
        path.write_text(str(graph), "utf-8")
        return path

    first, same, second = write("a.gf", 1.0), write("b.gf", 1.0), write("c.gf", 3.0)
    assert call("diff", first, same).status == 0
    status, out, _ = call("diff", first, second)
    assert status == 1 and "~ value 1.0 -> 3.0" in out


def test_what_cannot_be_read_is_told(call: Call, model: Path, tmp_path: Path) -> None:
    (tmp_path / "junk.gf").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "wrong.gf").write_text(
        'graphflow-text 1\ngraph "g" {\n  %x: floot[99999999999999999999]@weights["x"]\n}\n'
    )
    for name in ("junk.gf", "wrong.gf", "none"):
        status, out, err = call("diff", tmp_path / name, model)
        assert (status, out) == (2, "") and "try:" in err
    (tmp_path / "g.gf").write_text('graphflow-text 1\ngraph "g" {\n}\n')
    assert "is not optimised" in call("diff", model, tmp_path / "g.gf", "--optimized", "O2").err


def test_onnx_models_are_compared(call: Call, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    assert call("convert", model, "--to", "onnx", "-o", path).status == 0
    assert call("diff", path, path).status == 0
    status, out, err = call("diff", model, path)
    assert (status, err) == (1, "") and f"+++ {path}" in out
