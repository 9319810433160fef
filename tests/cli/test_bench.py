"""`graphflow bench`: figures of a model in processes of its own, beside those of others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import graphflow as gf
from graphflow.cli.bench_sides import Side, Task, largest_difference
from tests.cli.conftest import Answer

Call = Callable[..., Answer]
FEW = ("--turns", 2, "--backend", "numpy")


def test_a_saved_model_against_onnxruntime(call: Call, model: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    figures = tmp_path / "figures.json"
    answer = call("bench", model, "--batch", 4, "--against", "onnxruntime", *FEW, "--json", figures)
    assert answer.status == 0, answer.err
    assert "x float32[4, 3]" in answer.out and "times the throughput of onnxruntime" in answer.out
    for row in ("latency, median", "99 % below", "throughput", "first run", "peak memory"):
        assert row in answer.out
    found = json.loads(figures.read_text())
    assert found["batch"] == 4 and list(found["sides"]) == ["numpy O2", "onnxruntime"]
    for side in found["sides"].values():
        assert len(side["seconds"]) >= 2 and min(side["seconds"]) > 0 and side["load"] > 0
        assert side["peak_bytes"] >= side["bytes_before_loading"] > 1 << 20
        assert side["difference"] < 1e-6


def test_an_onnx_file(call: Call, tmp_path: Path) -> None:
    with gf.Graph():
        x = gf.placeholder("x", (2, 3))
        gf.onnx.save(gf.Model(inputs=[x], outputs={"y": gf.exp(x)}), tmp_path / "net.onnx")
    answer = call("bench", tmp_path / "net.onnx", *FEW)
    assert answer.status == 0 and "x float32[2, 3]" in answer.out and "1 core" not in answer.out
    status, _, err = call("bench", tmp_path / "net.onnx", "--batch", 8, *FEW)
    assert status == 1 and "--batch has no effect" in err


def test_sizes_are_asked_for(call: Call, model: Path) -> None:
    status, _, err = call("bench", model, *FEW)
    assert status == 1 and "depend on the sizes batch" in err and "add --batch 1" in err
    status, _, err = call("bench", model, "--size", "batch=2", "--size", "time=2", *FEW)
    assert status == 1 and "has no size 'time'" in err
    status, _, err = call("bench", model, "--batch", 1, "--signature", "train", *FEW)
    assert status == 1 and "no signature 'train'" in err


def test_the_reason_of_a_failure_comes_from_the_other_process(call: Call, tmp_path: Path) -> None:
    with gf.Graph():
        words = gf.placeholder("n", ("batch",), gf.int64)
        model = gf.Model(inputs=[words], outputs={"y": gf.unique(words)[0]})
    gf.saved_model.save(tmp_path / "model", model)
    status, out, err = call("bench", tmp_path / "model", "--batch", 3, "--backend", "jax", "--turns", 1)
    assert status == 1 and not out and "jax O2: " in err and "unique" in err


def test_differences_of_outputs(tmp_path: Path) -> None:
    one, other = Side("one", "numpy", ""), Side("other", "numpy", "")
    task = Task("serve", "O2", 1, {}, tmp_path)

    def given(*pairs: tuple[list[float], list[float]]) -> None:
        for side, place in (("one", 0), ("other", 1)):
            (tmp_path / side).mkdir(exist_ok=True)
            for index, pair in enumerate(pairs):
                np.array(pair[place]).tofile(tmp_path / side / str(index))

    given(([1.0, np.nan, np.inf], [1.0, np.nan, np.inf]), ([], []))
    assert largest_difference(one, other, task) == 0
    given(([1.0, 4.5], [1.0, 4.0]), ([2.0], [2.0]))
    assert largest_difference(one, other, task) == 0.125
    given(([1.0, np.nan], [1.0, 4.0]), ([2.0], [2.0]))
    assert largest_difference(one, other, task) == np.inf
    given(([1.0], [1.0, 4.0]), ([2.0], [2.0]))
    with pytest.raises(gf.GraphFlowError, match="gives 1 numbers as output 0, other 2"):
        largest_difference(one, other, task)


def test_percentiles() -> None:
    side = Side("one", "numpy", "", seconds=[float(number) for number in range(1, 102)])
    assert [side.percentile(part) for part in (0, 50, 90)] == [1, 51, 91]


def test_help_has_examples(call: Call) -> None:
    status, out, _ = call("bench", "--help")
    assert status == 0 and "graphflow bench resnet50.onnx --against onnxruntime" in out
