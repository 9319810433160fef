"""`graphflow optimize`: a model that computes the same with less work, as a file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from graphflow.cli.options import add_model, add_optimizer, command, load_model, optimizer_options


def add_parser(commands: Any) -> None:
    """Add the command."""
    made = command(
        commands,
        "optimize",
        "write a model as the optimizer leaves it",
        """
        graphflow optimize net.onnx -o smaller.onnx
        graphflow optimize demo_out/model -o demo_out/optimised --level O3
        graphflow optimize net.tflite -o net.gfm --exclude stabilize
        """,
        _act,
    )
    add_model(made)
    add_optimizer(made)
    made.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        required=True,
        help="an .onnx file, or else a saved model: a folder, or a .gfm file",
    )


def _act(options: argparse.Namespace) -> None:
    from graphflow.model import optimize

    source = load_model(options.model)
    made = optimize(source, **optimizer_options(options))
    if Path(options.output).suffix == ".onnx":
        from graphflow.io import onnx

        onnx.save(made, options.output)
    else:
        from graphflow.io import saved_model

        saved_model.save(options.output, made)
    print(f"{len(source.graph.nodes)} nodes before, {len(made.graph.nodes)} after")
    print("wrote", options.output)
