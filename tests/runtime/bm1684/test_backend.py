"""`gf.Session(backend="bm1684")`: what it runs, what it says of what it cannot, and how a check uses it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import graphflow as gf
from graphflow.cli import main
from graphflow.errors import BackendError
from graphflow.ir.node import Node
from graphflow.optimizer.program import extract, specialize
from graphflow.prove import check
from graphflow.runtime.backend import CompileOptions, availability, get_backend
from graphflow.runtime.bm1684.compiler.legalize.context import LEGAL, Legalizer


def small() -> tuple[gf.Graph, gf.Tensor, gf.Tensor, gf.Tensor]:
    """A graph of a dense layer, a ReLU and a softmax: with its input, what is hidden, and its output."""
    with gf.Graph("net") as graph:
        x = gf.placeholder("x", ("batch", 3))
        w = gf.variable("w", initializer=np.arange(6, dtype=np.float32).reshape(3, 2) / 5 - 0.5)
        hidden = gf.nn.relu(gf.exp(gf.matmul(x, w)) - 1.0, name="hidden")
        y = gf.nn.softmax(gf.multiply(hidden, 2.0, name="scaled"))
    return graph, x, hidden, y


@pytest.mark.parametrize("batch", [1, 4])
def test_a_session_gives_what_numpy_gives(batch: int) -> None:
    graph, x, hidden, y = small()
    value = np.random.default_rng(batch).normal(size=(batch, 3)).astype(np.float32)
    made = [gf.Session(graph, backend=name).run([y, hidden, y], {x: value}) for name in ("bm1684", "numpy")]
    for ours, wanted in zip(*made):
        np.testing.assert_allclose(ours, wanted, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(made[0][0], made[0][2])


def test_new_weights_are_compiled_again() -> None:
    _, x, hidden, _ = small()
    backend = get_backend("bm1684")
    run = backend.compile(specialize(extract([hidden], feeds=[x]), {"batch": 2}), CompileOptions())
    assert run.kept == ("w",) and run.updated == () and run.memory() == {}
    feeds = [np.ones((2, 3), np.float32)]
    for scale in (1.0, 0.5, 0.5):
        weights = np.full((3, 2), scale, np.float32)
        (made,), updates = run((), [weights], feeds, None)
        np.testing.assert_allclose(made, np.full((2, 2), np.exp(3 * scale) - 1), rtol=1e-6)
        assert updates == []
    assert run.memory()["coefficients"] > 0 and run.memory()["context"] > 0


def test_what_it_cannot_run_is_said() -> None:
    graph, x, _, y = small()
    value = np.ones((1, 3), np.float32)
    with graph:
        ordered = gf.sort(x)
        step = gf.train.SGD(0.1).minimize(gf.mean(y))
    with gf.Session(graph, backend="bm1684") as chip:
        with pytest.raises(BackendError, match=r"sort \(sort\)"):
            chip.run(ordered, {x: value})
        with pytest.raises(BackendError, match="cannot update the variables w"):
            chip.run(step, {x: value})


def test_it_is_used_by_name_alone() -> None:
    assert availability()["bm1684"] == "it simulates a chip; name it to have it used"
    assert get_backend("bm1684").name == "bm1684" and availability()["numpy"] is None


def test_a_check_of_backends_passes() -> None:
    _, _, _, y = small()
    made = check(y, levels=["O2"], backends=["numpy", "bm1684"], seeds=1)
    assert made.passed, str(made)
    assert {row.backend for row in made.rows} == {"numpy", "bm1684"}


def test_a_check_names_the_first_layer_that_differs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A ReLU that does nothing on the chip is found, and not what comes after it."""

    def forgotten(legalizer: Legalizer, node: Node) -> None:
        legalizer.same(node.output, legalizer.value(node.inputs[0]))

    monkeypatch.setitem(LEGAL, "relu", forgotten)
    graph, x, _, y = small()
    with gf.Session(graph, backend="numpy") as sess:
        path = gf.saved_model.save(tmp_path / "model", sess, inputs=[x], outputs=[y])
    assert main(["check", str(path), "--backends", "numpy,bm1684", "--levels", "O2"]) == 1
    said = capsys.readouterr().out
    assert "hidden = relu" in said and "is the first to part" in said
    assert "cosine" in said and "relative" in said
    parted = [line.split()[:2] for line in said.splitlines() if line.endswith("PARTED")]
    assert parted == [["bm1684", "O0"]]
