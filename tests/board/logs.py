"""A small log directory with one of everything, and some that is hostile."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import graphflow as gf

HOSTILE = "<img src=x onerror=alert(1)>"


def write_run(folder: Path, rate: float, steps: int = 40) -> None:
    """A run that logs all kinds."""
    random = np.random.default_rng(0)
    with gf.train.SummaryWriter(folder) as writer:
        writer.hparams({"rate": rate, "method": "adam"}, metrics=["loss/train"])
        writer.text("notes", f"# Title\n\n**bold** {HOSTILE} [link](javascript:alert(1)) `code`", 0)
        for step in range(steps):
            writer.scalar("loss/train", 1 / (1 + rate * step), step)
            writer.scalar("loss/test", float("nan") if step == 5 else 1.5 / (1 + rate * step), step)
            writer.scalar("accuracy", step / steps, step)
            if step % 10 == 0:
                writer.histogram("weights/kernel", random.normal(0, 1 + step, 200), step)
                writer.image("digit", random.random((8, 8)), step)
                writer.pr_curve("digit 3", random.random(50) > 0.5, random.random(50), step)


def write_logs(folder: Path) -> Path:
    """Two runs and one with hostile names; where they are."""
    for name, rate in (("first", 0.1), ("second", 0.5)):
        write_run(folder / name, rate)
    with gf.train.SummaryWriter(folder / "odd") as writer:
        writer.scalar(HOSTILE, 1.0, 0)
        writer.scalar("=1+1", 2.0, 0)
        writer.pr_curve("of this run alone", [0, 1], [0.2, 0.9], 0)
    return folder
