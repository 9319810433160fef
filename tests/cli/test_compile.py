"""`graphflow compile`: a file, the report before it, and the exit status for what cannot be compiled."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import graphflow as gf
from graphflow.runtime.bm1684 import bmodel
from tests.cli.conftest import Answer

Call = Callable[..., Answer]


def saved(folder: Path, function: Callable[[gf.Tensor], gf.Tensor], *shape: object) -> Path:
    """A saved model of a function of one input x."""
    with gf.Graph("net") as graph:
        x = gf.placeholder("x", shape)
        y = gf.identity(function(x), name="y")
    with gf.Session(graph, backend="numpy") as sess:
        return gf.saved_model.save(folder / "model", sess, inputs=[x], outputs=[y])


def test_a_file_is_written_and_simulated(call: Call, model: Path, tmp_path: Path) -> None:
    path, answers = tmp_path / "net.bmodel", tmp_path / "answers.npz"
    made = call("compile", model, "--size", "batch=2", "-o", path)
    assert made.status == 0 and made.err == ""
    assert "ms by the cycle formulas" in made.out and made.out.endswith(f"wrote {path}\n")
    x = np.arange(6, dtype=np.float32).reshape(2, 3) / 7
    np.save(tmp_path / "x.npy", x)
    ran = call("simulate", path, "--feed", f"x={tmp_path / 'x.npy'}", "-o", answers)
    assert ran.status == 0, ran.err
    with np.load(answers) as arrays:
        (name,) = arrays.files
        wanted = np.exp(x @ (np.arange(6, dtype=np.float32).reshape(3, 2) / 10))
        np.testing.assert_allclose(arrays[name], wanted, rtol=2e-6)
    assert "stage 0" in call("show", path).out
    assert "tiu 1" in call("disassemble", path).out


def test_several_stages(call: Call, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "net.bmodel"
    assert call("compile", model, "--size", "batch=1", "--also", "batch=4", "-o", path).status == 0
    stages = bmodel.load(path).nets[0].stages
    assert [stage.inputs[0].shape for stage in stages] == [(1, 3), (4, 3)]
    twice = call("compile", model, "--size", "batch=1", "--also", "batch=1", "-o", path)
    assert twice.status == 1 and "given twice" in twice.err


def test_a_dry_run_writes_no_file(
    call: Call, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = call(
        "compile", model, "--size", "batch=2", "--dry-run", "-o", "net.bmodel", "--json", "report.json"
    )
    assert made.status == 0 and "wrote" not in made.out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.json"]
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["supported"] is True and report["seconds"] > 0
    assert any(row["op"] == "matmul" for row in report["rows"])


def test_the_timeline_is_drawn(call: Call, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "net.svg"
    assert call("compile", model, "--size", "batch=2", "--dry-run", "--timeline", path).status == 0
    drawn = path.read_text("utf-8")
    assert "<svg" in drawn and "matmul" in drawn


def test_a_model_that_the_chip_cannot_run_ends_with_2(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "net.bmodel"
    refused = call("compile", saved(tmp_path, gf.sort, 2, 3), "-o", path, "--json", tmp_path / "report.json")
    assert refused.status == 2 and refused.err == "" and not path.exists()
    assert "sort (sort) at " in refused.out and "try: " in refused.out and "not compiled" in refused.out
    assert json.loads((tmp_path / "report.json").read_text())["supported"] is False


def test_a_model_that_is_too_large_ends_with_2(call: Call, tmp_path: Path) -> None:
    def pooled(x: gf.Tensor) -> gf.Tensor:
        return gf.nn.max_pool(x, (1, 140_000), strides=1)

    refused = call("compile", saved(tmp_path, pooled, 1, 1, 2, 140_001), "--dry-run")
    assert refused.status == 2 and refused.err == ""
    assert "the chip cannot run this model: " in refused.out and "of every lane at once" in refused.out


def test_a_further_stage_that_cannot_run_ends_with_2(call: Call, tmp_path: Path) -> None:
    path = saved(tmp_path, gf.nn.softmax, 2, "width")
    assert call("compile", path, "--size", "width=9", "--dry-run").status == 0
    file = tmp_path / "net.bmodel"
    refused = call("compile", path, "--size", "width=9", "--also", "width=200000", "-o", file)
    assert refused.status == 2 and "200000 elements together" in refused.out and not file.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "there is no file to write"),
        (["--dry-run"], "the sizes batch are not known"),
        (["--dry-run", "--size", "batch=0"], "batch"),
        (["--dry-run", "--size", "batch=x"], "batch"),
        (["--dry-run", "--size", "time=1"], "the sizes batch are not known"),
        (["--dry-run", "--size", "batch=1", "--size", "time=1"], "no size 'time'"),
        (["--dry-run", "--size", "batch=1", "--signature", "other"], "no signature 'other'"),
        (["--size", "batch=1", "-o", "none/net.bmodel"], "cannot be written"),
    ],
)
def test_strange_arguments(
    call: Call, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = call("compile", model, *arguments)
    assert answer.status == 1 and said in answer.err and "Traceback" not in answer.err


def test_there_is_one_target(call: Call, model: Path) -> None:
    answer = call("compile", model, "--target", "bm1684x", "--dry-run")
    assert answer.status == 2 and "bm1684x" in answer.err


def test_what_is_no_model(call: Call, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("hello")
    for path in (tmp_path / "text.txt", tmp_path / "missing"):
        answer = call("compile", path, "--dry-run")
        assert answer.status == 1 and path.name in answer.err
