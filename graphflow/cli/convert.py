"""`graphflow convert`: a model in another format."""

from __future__ import annotations

import argparse
from typing import Any

from graphflow.cli.options import add_model, command, load_model, whole
from graphflow.errors import AttributeValueError

FORMATS = ("onnx", "saved-model")


def add_parser(commands: Any) -> None:
    """Add the command."""
    made = command(
        commands,
        "convert",
        "write a model in another format: ONNX, or a saved model",
        """
        graphflow convert demo_out/model --to onnx -o net.onnx
        graphflow convert demo_out/model --to onnx --opset 18 -o net.onnx
        graphflow convert resnet50.onnx --to saved-model -o resnet50
        """,
        _act,
    )
    add_model(made)
    made.add_argument("--to", choices=FORMATS, required=True, help="the format")
    made.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        required=True,
        help="the file, or the folder (or .gfm file) of a saved model",
    )
    made.add_argument(
        "--opset", type=whole(17, 28), metavar="N", help="the version of ONNX's operators, 17 to 28 (22)"
    )


def _act(options: argparse.Namespace) -> None:
    from graphflow.io import saved_model

    if options.opset is not None and options.to != "onnx":
        raise AttributeValueError("--opset is for ONNX", hint="leave it out, or write --to onnx")
    model = load_model(options.model)
    if options.to == "onnx":
        from graphflow.io import onnx

        onnx.save(model, options.output, 22 if options.opset is None else options.opset)
    else:
        saved_model.save(options.output, model)
    print("wrote", options.output)
