"""Whole networks with paths that branch and join run on the chip's simulator as on the reference."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from benchmarks import networks


def largest_error(graph, outputs, feeds):
    """The largest error of an output, beside its largest element."""
    made = []
    for backend in ("numpy", "bm1684"):
        with gf.Session(graph, backend=backend) as session:
            made.append(session.run(outputs, feeds))
    return max(float(np.abs(ours - wanted).max() / np.abs(wanted).max()) for wanted, ours in zip(*made))


def test_unet():
    net = networks.unet(image=16, width=4, depth=2, weights="constant")
    assert largest_error(net.graph, list(net.outputs), net.feeds()) < 1e-4


@pytest.mark.parametrize("batch", (1, 3))
def test_an_encoder_of_which_the_rows_of_the_table_are_fed(batch):
    net = networks.bert(batch, length=8, vocabulary=32, features=16, heads=2, layers=2, weights="constant")
    (rows,) = [tensor for node in net.graph.nodes if node.op.name == "take" for tensor in node.outputs]
    x = np.random.default_rng(0).standard_normal((batch, 8, 16), np.float32)
    assert largest_error(net.graph, list(net.outputs), {rows: x}) < 1e-4


def test_a_recurrent_network_is_written_out():
    rng = np.random.default_rng(0)
    w, r, b = (rng.normal(0, 0.3, shape).astype(np.float32) for shape in ((32, 6), (32, 8), (32,)))
    for kind, rows in ((gf.nn.lstm, 32), (gf.nn.gru, 24)):
        with gf.Graph() as graph:
            x = gf.placeholder("x", (2, 4, 6))
            y, _ = kind(x, w[:rows], r[:rows], b[:rows], batch_first=True)
        assert largest_error(graph, [y], {x: rng.standard_normal((2, 4, 6), np.float32)}) < 1e-4
