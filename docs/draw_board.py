"""Makes the screenshots of docs/board.md in docs/images/: `PYTHONPATH=. python docs/draw_board.py`.

It trains the digits classifier with three settings, logs all that the board shows, and takes pictures of the
pages in headless Chromium through Playwright. `python docs/draw_board.py LOGDIR` only writes the logs.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import graphflow as gf
from graphflow.board.server import Board, running
from graphflow.board.store import LogDirectory
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.program import extract, specialize
from graphflow.runtime.bm1684 import bmodel
from graphflow.runtime.bm1684.backend import Bm1684Backend
from graphflow.runtime.bm1684.compiler.driver import compile_program

FOLDER = Path(__file__).resolve().parent / "images"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
BATCH = 32
MOST_BYTES = 200_000

RUNS: dict[str, dict[str, Any]] = {
    "adam/fast": {"method": "adam", "rate": 3e-3, "dropout": 0.25, "filters": 16},
    "adam/slow": {"method": "adam", "rate": 5e-4, "dropout": 0.25, "filters": 16},
    "momentum": {"method": "momentum", "rate": 2e-2, "dropout": 0.1, "filters": 8},
}

PICTURES: dict[str, tuple[str, str, int]] = {
    "overview": ("#/overview", "light", 640),
    "scalars": ("#/scalars?tags=loss|accuracy|norm", "light", 900),
    "scalars-dark": ("#/scalars?tags=loss|accuracy|norm", "dark", 900),
    "histograms": ("#/histograms?only=adam%252Ffast", "light", 900),
    "images": ("#/images?only=adam%252Ffast", "light", 560),
    "settings": ("#/hparams", "light", 640),
    "pr-curves": ("#/pr_curves?tags=digit.[0-5]", "light", 900),
    "graph": ("#/graph?node=features%2Fconv_1%2Fconv", "light", 900),
    "optimizer": ("#/graph?view=optimizer&pass=5", "light", 900),
    "memory": ("#/memory", "light", 900),
    "profile": ("#/profile?by=scope", "light", 900),
    "chip": ("#/chip", "dark", 900),
}


class _Classifier:
    """A small convolutional network for 8 x 8 digits, and how it is trained."""

    def __init__(self, method: str, rate: float, dropout: float, filters: int) -> None:
        with gf.Graph("digits") as self.graph:
            self.image = gf.placeholder("image", ("batch", 1, 8, 8))
            self.label = gf.placeholder("label", ("batch",), dtype=gf.int32)
            with gf.name_scope("features"):
                hidden = gf.layers.conv(self.image, filters=filters, kernel_size=3, activation=gf.nn.relu)
                hidden = gf.layers.conv(hidden, filters=2 * filters, kernel_size=3, activation=gf.nn.relu)
            with gf.name_scope("classifier"):
                hidden = gf.layers.dropout(gf.flatten(gf.nn.max_pool(hidden, 2)), dropout)
                hidden = gf.layers.dense(hidden, 64, activation=gf.nn.relu)
                self.logits = gf.layers.dense(hidden, 10)
            self.loss = gf.nn.cross_entropy(self.logits, self.label)
            self.accuracy = gf.nn.metrics.accuracy(self.logits, self.label)
            self.scores = gf.nn.softmax(self.logits)
            optimizer = gf.train.Adam(rate) if method == "adam" else gf.train.SGD(rate, momentum=0.9)
            self.train = optimizer.minimize(self.loss)
            self.watch = gf.train.watch(self.loss, every=20)
        self.session = gf.Session(self.graph, backend="numpy", seed=0)


def write_run(folder: Path, settings: dict[str, Any], epochs: int) -> None:
    """Train one classifier and log it."""
    net = _Classifier(**settings)
    digits = gf.data.digits()
    held_out = {net.image: digits.test_images, net.label: digits.test_labels}
    with gf.train.SummaryWriter(folder) as writer:
        writer.hparams(settings, metrics=["accuracy/held out", "loss/held out"])
        writer.text("notes", _NOTES.format(**settings), 0)
        writer.graph(net.graph)
        for step, feeds in enumerate(_batches(net, digits, epochs)):
            fetched = [net.train, net.loss, net.accuracy, net.watch.fetches(step)]
            _, loss, accuracy, seen = net.session.run(fetched, feeds)
            writer.scalar("loss/train", loss, step)
            writer.scalar("accuracy/train", accuracy, step)
            net.watch.write(writer, seen, step)
            if step % 20 == 0:
                _write_held_out(writer, net, digits, held_out, step)
        step_fetches = [net.train, net.loss]
        writer.explain(net.session.explain(step_fetches))
        report = net.session.memory(step_fetches, sizes={"batch": BATCH})
        writer.memory(report, report.fit(int(0.75 * report.arena_bytes)))
        feeds = {net.image: digits.train_images[:BATCH], net.label: digits.train_labels[:BATCH]}
        writer.profile(net.session.profile(step_fetches, feeds))
    _write_model(net, folder / "digits.bmodel")


def _write_model(net: _Classifier, place: Path) -> None:
    """Compile what was trained for the BM1684."""
    values = {name: net.session.run(one) for name, one in net.graph.variables.items()}
    program = extract([net.logits], feeds=[net.image], training=False)
    backend = Bm1684Backend()
    program = optimize(
        specialize(program, {"batch": 4}, values), pipeline=backend.pipeline("O2"), refusal=backend.refusal
    )
    stage = compile_program(program).stage
    bmodel.save(bmodel.BModel((bmodel.Net("digits", (stage,)),)), place)


_NOTES = """# Digits, {method}

Two convolutions of {filters} and twice as many filters, dropout **{dropout}**, rate `{rate}`.

| part | held out |
|---|---|
| images | 360 |
| classes | 10 |

- trained on 1,437 images of 8 x 8 pixels
- batches of 32
"""


def _batches(net: _Classifier, digits: Any, epochs: int) -> Iterator[dict[Any, Any]]:
    source = gf.data.Batches(
        [digits.train_images, digits.train_labels], size=BATCH, drop_last=True, seed=0
    )  # fmt: skip
    for _ in range(epochs):
        for images, labels in source:
            yield {net.image: images, net.label: labels}


def _write_held_out(writer: Any, net: _Classifier, digits: Any, held_out: Any, step: int) -> None:
    loss, accuracy, scores = net.session.run([net.loss, net.accuracy, net.scores], held_out)
    writer.scalar("loss/held out", loss, step)
    writer.scalar("accuracy/held out", accuracy, step)
    for digit in range(6):
        writer.pr_curve(f"digit {digit}", digits.test_labels == digit, np.clip(scores[:, digit], 0, 1), step)
    # What it is least sure of, and the filters of the first layer.
    unsure = np.argsort(scores.max(axis=1))[:12]
    writer.image("least sure", _grid(digits.test_images[unsure, 0]), step)
    kernel = next(
        net.session.run(variable)
        for variable in net.graph.variables.values()
        if len(variable.shape) == 4 and variable.shape[1] == 1
    )
    span = float(np.abs(kernel).max()) or 1.0
    writer.image("filters", _grid(kernel[:, 0] / (2 * span) + 0.5, columns=8), step)


def _grid(tiles: Any, columns: int = 4) -> Any:
    """Pictures side by side with a border, each of its own brightness scaled to [0, 1]."""
    low, high = float(np.min(tiles)), float(np.max(tiles))
    shown = np.pad(
        (np.asarray(tiles) - low) / (high - low or 1.0), ((0, 0), (0, 1), (0, 1)), constant_values=0.5
    )
    rows = -(-len(shown) // columns)
    canvas = np.full((rows * shown.shape[1], columns * shown.shape[2]), 0.5, np.float32)
    for place, tile in enumerate(shown):
        top, left = place // columns * tile.shape[0], place % columns * tile.shape[1]
        canvas[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return canvas


def write_logs(folder: Path, epochs: int = 6) -> None:
    """Train with all settings; each run gets a folder."""
    for name, settings in RUNS.items():
        write_run(folder / name, settings, epochs)


def take_pictures(board: Board, folder: Path) -> list[Path]:
    """Screenshots of all pages that are there; where they are."""
    from playwright.sync_api import sync_playwright

    browser_path = next(found for name in CHROMIUM if (found := shutil.which(name)))
    made = []
    with sync_playwright() as driver:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = driver.chromium.launch(executable_path=browser_path, args=arguments)
        for name, (place, theme, height) in PICTURES.items():
            page = browser.new_page(viewport={"width": 1360, "height": height}, color_scheme=theme)
            page.goto(board.address + place)
            page.wait_for_selector(".main .page > *")
            page.wait_for_load_state("networkidle")
            page.wait_for_timeout(500)
            target = folder / f"board-{name}.png"
            page.screenshot(path=target)
            page.close()
            _shrink(target)
            made.append(target)
        browser.close()
    return made


def _shrink(path: Path) -> None:
    """Rewrite a picture with a palette, which screens of few colours need no more of."""
    from PIL import Image

    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    small.save(path, optimize=True)
    if path.stat().st_size > MOST_BYTES:
        raise SystemExit(f"{path} has {path.stat().st_size} bytes")


def main() -> None:
    """Write the logs, and the pictures unless only the logs are wanted."""
    if len(sys.argv) > 1:
        write_logs(Path(sys.argv[1]))
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "digits"
        write_logs(folder)
        with LogDirectory(folder, index=None) as log:
            log.wait()
            with running(log) as board:
                for path in take_pictures(board, FOLDER):
                    print(f"{path.stat().st_size:>8,}  {path}")


if __name__ == "__main__":
    main()
