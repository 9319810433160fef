"""`graphflow demo`: the tour on real data, see `graphflow.demo`."""

from __future__ import annotations

import argparse
from typing import Any

from graphflow.cli.options import command


def add_parser(commands: Any) -> None:
    """Add the command."""
    made = command(
        commands,
        "demo",
        "train, explain, draw, save and reload a classifier of handwritten digits",
        "graphflow demo --out demo_out",
        _act,
    )
    made.add_argument("--out", default="demo_out", metavar="DIR", help="folder for the files (demo_out)")
    made.add_argument("--seed", type=int, default=0, help="of initial weights and dropout (0)")
    made.add_argument("--epochs", type=int, default=None, help="passes over the training images")


def _act(options: argparse.Namespace) -> None:
    from graphflow import demo

    demo.main(options.out, options.seed, options.epochs or demo.EPOCHS)
