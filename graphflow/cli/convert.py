"""`graphflow convert`: a model in another format: ONNX, a saved model, or StableHLO for JAX."""

from __future__ import annotations

import argparse
from typing import Any

from graphflow.cli.options import add_model, add_sizes, command, listed, load_model, read_sizes, whole
from graphflow.errors import AttributeValueError
from graphflow.files import atomic_write

FORMATS = ("onnx", "saved-model", "stablehlo")

_OF_STABLEHLO = ("size", "platforms", "gradient", "weights")


def add_parser(commands: Any) -> None:
    """Add the command."""
    made = command(
        commands,
        "convert",
        "write a model in another format: ONNX, a saved model, or StableHLO",
        """
        graphflow convert demo_out/model --to onnx -o net.onnx
        graphflow convert demo_out/model --to onnx --opset 18 -o net.onnx
        graphflow convert resnet50.onnx --to saved-model -o resnet50
        graphflow convert net.onnx --to stablehlo -o net.stablehlo --platforms cpu,cuda
        graphflow convert demo_out/model --to stablehlo -o net.stablehlo --gradient --weights net.safetensors
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

    add_sizes(made)
    made.add_argument(
        "--platforms", metavar="LIST", help="of StableHLO, with commas: cpu, cuda, rocm and tpu (cpu)"
    )
    made.add_argument("--gradient", action="store_true", help="with StableHLO, let it be differentiated")
    made.add_argument(
        "--weights",
        metavar="FILE",
        help="with StableHLO, write the weights to a .safetensors file and let them be arguments",
    )


def _act(options: argparse.Namespace) -> None:
    from graphflow.io import saved_model

    if options.opset is not None and options.to != "onnx":
        raise AttributeValueError("--opset is for ONNX", hint="leave it out, or write --to onnx")
    given = [name for name in _OF_STABLEHLO if getattr(options, name)]
    if given and options.to != "stablehlo":
        raise AttributeValueError(
            f"--{given[0]} is for StableHLO", hint="leave it out, or write --to stablehlo"
        )
    model = load_model(options.model)
    if options.to == "onnx":
        from graphflow.io import onnx

        onnx.save(model, options.output, 22 if options.opset is None else options.opset)
    elif options.to == "stablehlo":
        _write_stablehlo(model, options)
    else:
        saved_model.save(options.output, model)
    print("wrote", options.output)


def _write_stablehlo(model: Any, options: argparse.Namespace) -> None:
    from graphflow.io import saved_model
    from graphflow.session.array_file import pack_arrays

    content = saved_model.stablehlo(
        model,
        read_sizes(options.size),
        platforms=listed(options.platforms or "cpu"),
        gradient=options.gradient,
        inside=options.weights is None,
    )
    with atomic_write(options.output) as file:
        file.write(content)
    if options.weights is not None:
        with atomic_write(options.weights) as file:
            for piece in pack_arrays(model.weights):
                file.write(piece)
        print("wrote", options.weights)
