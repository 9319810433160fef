"""`graphflow diff`: what differs between two models, or two graphs in text form."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from graphflow.cli.options import command, is_model, load_model
from graphflow.errors import DTypeError, FileFormatError, GraphFlowError
from graphflow.ir.dtypes import as_dtype
from graphflow.ir.graph import Graph

_TROUBLE = 2
_APART = re.compile(r'(\w+)\[([\d, ]*)\]@weights\[("(?:[^"\\]|\\.)*")\]')


def add_parser(commands: Any) -> None:
    """Add the command."""
    made = command(
        commands,
        "diff",
        "compare two models, graphs in text form, or .bmodel files; the exit status is 0 if they are the "
        "same but for names, 1 if they differ, 2 if they cannot be compared",
        """
        graphflow diff old/model demo_out/model
        graphflow diff old.onnx new.onnx
        graphflow diff before.gf after.gf --html changes.html
        graphflow diff demo_out/model demo_out/model --optimized O2
        graphflow diff old.bmodel new.bmodel
        """,
        _act,
    )
    made.add_argument(
        "left",
        metavar="A",
        help="a saved model (a folder or .gfm), an .onnx or .tflite file, a graph in text form, or a .bmodel",
    )
    made.add_argument("right", metavar="B", help="likewise")
    made.add_argument(
        "--optimized", choices=("O1", "O2", "O3"), metavar="LEVEL", help="what the optimizer makes of B"
    )
    made.add_argument("--html", metavar="FILE", help="write both beside each other as one HTML file")
    made.add_argument("--json", action="store_true", help="print everything as JSON")


def _act(options: argparse.Namespace) -> int:
    """Compare; like other tools that compare, with a status of its own for what cannot be compared."""
    try:
        return _compared(options)
    except GraphFlowError as error:
        print(error.at_no_line(), file=sys.stderr)
        return _TROUBLE


def _compared(options: argparse.Namespace) -> int:
    from graphflow.model import Model, optimize
    from graphflow.prove import diff
    from graphflow.runtime.bm1684 import bmodel

    if bmodel.is_bmodel(options.left) and bmodel.is_bmodel(options.right):
        return _act_on_commands(options)
    left, right = _read(options.left), _read(options.right)
    name = options.right
    if options.optimized is not None:
        if not isinstance(right, Model):
            raise FileFormatError(
                f"{options.right!r} is a text, which is not optimised",
                hint="give a model",
            )
        right, name = optimize(right, options.optimized), f"{name} after {options.optimized}"
    found = diff(left, right, (options.left, name))
    print(json.dumps(found.to_dict(), indent=1) if options.json else found)
    if options.html is not None:
        path = found.save_html(options.html)
        if not options.json:
            print("wrote", path)
    return 0 if found.same else 1


def _act_on_commands(options: argparse.Namespace) -> int:
    """Compare two .bmodel files, command by command."""
    from graphflow.runtime.bm1684 import bmodel

    if options.optimized is not None or options.html is not None:
        raise FileFormatError(
            "--optimized and --html are for graphs", hint=f"graphflow diff {options.left} {options.right}"
        )
    found = bmodel.difference(bmodel.load(options.left), bmodel.load(options.right))
    if options.json:
        print(json.dumps({"same": not found, "differences": found}, indent=1))
    else:
        print("\n".join(found) if found else "the files hold the same")
    return 1 if found else 0


def _read(path: str) -> Any:
    """A model in any format, or a graph in text form."""
    return load_model(path) if is_model(path) or not Path(path).is_file() else read_text(path)


def read_text(path: str) -> Graph:
    """The graph in a text file; arrays that the text does not hold are compared by type alone.

    Raises:
        FileFormatError: if it cannot be read; ParseError: if it is no graph.
    """
    from graphflow.ir.parse import parse_graph

    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is no text"
        raise FileFormatError(
            f"{path!r} cannot be read: {said}", hint="`graphflow show MODEL --text`"
        ) from None
    return parse_graph(text, _empty_arrays(text))


def _empty_arrays(text: str) -> Mapping[str, np.ndarray]:
    """Arrays of zeros, which take no memory, for those that the text refers to."""
    arrays = {}
    for name, sizes, key in _APART.findall(text):
        shape = tuple([int(size) for size in sizes.split(",") if size.strip()])
        try:
            arrays[json.loads(key)] = np.broadcast_to(np.zeros((), as_dtype(name).numpy), shape)
        except (DTypeError, ValueError):
            continue  # the parser says what is wrong with it, and where
    return arrays
