"""`graphflow show`: a model as a picture, a table of layers, a tree, or its nodes as text."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from graphflow.cli.chip import add_timeline, refuse_timeline, show_commands
from graphflow.cli.options import add_model, add_sizes, check_sizes, command, load_model, read_sizes, whole
from graphflow.errors import AttributeValueError, FileFormatError
from graphflow.ir import dims

if TYPE_CHECKING:
    from graphflow.model import Model

_PRINTED = ("svg", "dot", "mermaid", "model-explorer")


def add_parser(commands: Any) -> None:
    """Add the command."""
    made = command(
        commands,
        "show",
        "print a model's inputs, outputs and size, or draw it; or print what a .bmodel holds",
        """
        graphflow show demo_out/model
        graphflow show demo_out/model --summary --size batch=32
        graphflow show demo_out/model --tree
        graphflow show demo_out/model --text
        graphflow show demo_out/model --out net.svg --budget 40
        graphflow show demo_out/model --out net.svg --color time --size batch=32 --backend numpy
        graphflow show resnet50.onnx --out net.pdf --depth 1 --color target:jax
        graphflow show resnet50.onnx --format mermaid --budget 30
        graphflow show net.bmodel
        graphflow show net.bmodel --timeline net.svg --from 100 --to 250
        graphflow show net.bmodel --timeline net.json --local-memory lanes.svg
        """,
        _act,
    )
    add_model(made)
    made.add_argument(
        "-o",
        "--out",
        "--output",
        dest="output",
        metavar="FILE",
        help="draw into FILE: .svg, .png, .pdf, .dot, .mmd (Mermaid) or .json (Model Explorer)",
    )
    made.add_argument(
        "--format",
        metavar="NAME",
        default="",
        help="svg, png, pdf, dot, mermaid or model-explorer, whatever FILE ends in; "
        "without --out, one that is text is printed",
    )
    _add_picture_options(made)
    add_sizes(made)
    made.add_argument(
        "--feed",
        "--input",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="an input for --color time, from a .npy or .npz file",
    )
    made.add_argument(
        "--backend", default="jax", metavar="NAME", help="which backend --color time measures (jax)"
    )
    made.add_argument("--summary", action="store_true", help="print the layers in a table")
    made.add_argument(
        "--tree", action="store_true", help="print what the outputs are computed from, as a tree"
    )
    made.add_argument("--text", action="store_true", help="print the graph in text form")
    add_timeline(made)


def _add_picture_options(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--budget",
        type=whole(1),
        default=150,
        metavar="N",
        help="boxes at most; scopes are collapsed to keep to it (150)",
    )
    made.add_argument(
        "--depth", type=whole(0), metavar="N", help="levels of scopes that are opened at most (all)"
    )
    made.add_argument(
        "--color",
        default="family",
        metavar="WHAT",
        help="what the colours tell: family, dtype, bytes, flops, time (runs each node by itself, on random "
        "inputs or --feed) or target:NAME (what that backend can run) (family)",
    )
    made.add_argument("--no-repeats", action="store_true", help="draw repeated blocks one by one")
    made.add_argument("--no-weights", action="store_true", help="draw every weight as a box of its own")
    made.add_argument("--engine", default="auto", metavar="NAME", help="own or graphviz (auto: own for .svg)")
    made.add_argument("--title", metavar="TEXT", help="the heading of the picture")


def _act(options: argparse.Namespace) -> None:
    from graphflow.ir.text import print_graph
    from graphflow.runtime.bm1684 import bmodel

    draws = options.output is not None or bool(options.format)
    if bmodel.is_bmodel(options.model):
        if options.text or options.summary or options.tree or draws:
            raise FileFormatError(
                f"{options.model!r} holds commands, not a graph",
                hint=f"graphflow disassemble {options.model}",
            )
        show_commands(options)
        return
    refuse_timeline(options)
    model = load_model(options.model)
    sizes = read_sizes(options.size)
    if options.text:
        print(print_graph(model.graph))
    if options.summary:
        print(model.summary(options.depth, sizes))
    if options.tree:
        from graphflow.viz.tree import tree

        print(tree(model, options.depth, sizes=sizes))
    if draws:
        _draw(model, options, sizes)
    elif not (options.text or options.summary or options.tree):
        print(model)


def _draw(model: Model, options: argparse.Namespace, sizes: Mapping[str, int]) -> None:
    from graphflow import viz

    asked = {
        "budget": options.budget,
        "title": options.title,
        "color": options.color if options.color != "time" else _profile(model, options, sizes),
        "depth": options.depth,
        "repeats": not options.no_repeats,
        "weights": not options.no_weights,
        "format": options.format,
        "engine": options.engine,
    }
    if options.output is not None:
        if not (options.text or options.summary or options.tree):
            print(model)
        print("wrote", viz.render(model, options.output, **asked))
        return
    if options.format not in _PRINTED:
        raise FileFormatError(
            f"{options.format!r:.40} cannot be printed",
            hint="add --out FILE, or use --format " + ", ".join(_PRINTED),
        )
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        print(viz.render(model, Path(folder) / "picture.txt", **asked).read_text("utf-8"), end="")


def _profile(model: Model, options: argparse.Namespace, sizes: Mapping[str, int]) -> Any:
    """The time of each node, as the model is drawn: without the optimizer, on what is fed or random."""
    from graphflow.cli.run import read_feeds
    from graphflow.session.session import Session

    given = read_feeds(options.feed)
    unknown = [name for name in given if name not in model.inputs]
    if unknown:
        raise AttributeValueError(
            f"the model has no input {unknown[0]!r}", hint="it takes " + ", ".join(model.inputs)
        )
    if len(given) < len(model.inputs):
        check_sizes(model, sizes, "running time")
    rng = np.random.default_rng(0)
    feeds = {
        tensor: given[name] if name in given else _chance(tensor, sizes, rng)
        for name, tensor in model.inputs.items()
    }
    with Session(model.graph, backend=options.backend, level="O0") as session:
        return session.profile(list(model.outputs.values()), feeds)


def _chance(tensor: Any, sizes: Mapping[str, int], rng: np.random.Generator) -> np.ndarray:
    """Numbers from a standard normal for an input of floats, and zeros, which any table has, for others."""
    shape = [dims.substitute(size, sizes) if isinstance(size, dims.Dim) else size for size in tensor.shape]
    if tensor.dtype.kind == "float":
        return rng.standard_normal(shape).astype(tensor.dtype.numpy)
    return np.zeros(shape, tensor.dtype.numpy)
