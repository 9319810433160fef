"""`graphflow show`: a model as a picture, or its nodes as text."""

from __future__ import annotations

import argparse
from typing import Any

from graphflow.cli.options import add_model, command, load_model, whole
from graphflow.errors import FileFormatError


def add_parser(commands: Any) -> None:
    """Add the command."""
    made = command(
        commands,
        "show",
        "print a model's inputs, outputs and size, or draw it; or print what a .bmodel holds",
        """
        graphflow show demo_out/model
        graphflow show demo_out/model --text
        graphflow show demo_out/model -o net.svg --budget 40
        graphflow show net.bmodel
        graphflow show resnet50.onnx
        """,
        _act,
    )
    add_model(made)
    made.add_argument("-o", "--output", metavar="FILE", help="draw into FILE (.svg, .png, .pdf or .dot)")
    made.add_argument(
        "--budget",
        type=whole(1),
        default=150,
        metavar="N",
        help="boxes at most; scopes are collapsed to keep to it (150)",
    )
    made.add_argument("--text", action="store_true", help="print the graph in text form")


def _act(options: argparse.Namespace) -> None:
    from graphflow import viz
    from graphflow.runtime.bm1684 import bmodel

    if bmodel.is_bmodel(options.model):
        if options.text or options.output is not None:
            raise FileFormatError(
                f"{options.model!r} holds commands, not a graph",
                hint=f"graphflow disassemble {options.model}",
            )
        print(bmodel.load(options.model))
        return
    model = load_model(options.model)
    print(model.graph if options.text else model)
    if options.output is not None:
        print("wrote", viz.render(model, options.output, budget=options.budget))
