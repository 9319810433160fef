"""Draws the pictures of the manual into docs/images/: `PYTHONPATH=. python docs/draw_images.py`."""

from __future__ import annotations

from pathlib import Path

import graphflow as gf
from benchmarks import networks
from graphflow.runtime.bm1684.cycles import draw_local_memory, draw_timeline

FOLDER = Path(__file__).resolve().parent / "images"


def draw(folder: Path = FOLDER) -> list[Path]:
    """Draw them all; where they are."""
    transformer = networks.bert(length=128, vocabulary=1000, features=64, heads=4)
    resnet = networks.resnet50()
    digits = networks.digits_cnn()
    training = networks.digits_cnn(train=True)
    report = gf.Session(digits.graph, backend="numpy").explain(digits.outputs)
    memory = gf.Session(training.graph, backend="numpy").memory([training.train, training.loss])
    return [
        gf.viz.render(transformer.graph, folder / "transformer.svg", title="a transformer of 12 layers"),
        gf.viz.render(resnet.graph, folder / "resnet50.svg", 40, "ResNet-50", color="flops"),
        gf.viz.render(
            [training.train, training.loss], folder / "training.svg", 60, "the training step of a digits CNN"
        ),
        gf.viz.draw_pass(report, folder / "optimizer.svg"),
        memory.picture(folder / "memory.svg", "the training step of a digits CNN"),
        *draw_chip(folder),
    ]


def draw_chip(folder: Path) -> list[Path]:
    """Draw ResNet-50 on the BM1684: the first part of what both engines do, and the local memory."""
    net = networks.resnet50(weights="constant")
    compiled = gf.compile(gf.Model(inputs=net.inputs, outputs=net.outputs))
    places = [folder / "bm1684-timeline.svg", folder / "bm1684-memory.svg"]
    draw_timeline(compiled.cycles, places[0], title="the first part of ResNet-50", end=5e-4)
    draw_local_memory(compiled.cycles, places[1])
    return places


if __name__ == "__main__":
    for path in draw():
        print(f"{path.stat().st_size:>8,}  {path}")
