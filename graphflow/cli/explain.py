"""`graphflow explain`: what the optimizer does to a model, by which rule, and what it declined."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from graphflow.cli.options import add_model, add_optimizer, command, load_model, optimizer_options

if TYPE_CHECKING:
    from graphflow.model import Model


def add_parser(commands: Any) -> None:
    """Add the command."""
    made = command(
        commands,
        "explain",
        "tell what the optimizer does to a model, and why",
        """
        graphflow explain demo_out/model
        graphflow explain demo_out/model --tensor head/probabilities
        graphflow explain demo_out/model --level O3 --json edits.json
        graphflow explain demo_out/model --missed canonicalize
        graphflow explain demo_out/model -p "canonicalize{max-seconds=1},fold-constants" --exclude stabilize
        """,
        _act,
    )
    add_model(made)
    add_optimizer(made)
    form = made.add_mutually_exclusive_group()
    form.add_argument(
        "--tensor", metavar="NAME", help="tell the story of one tensor of the model, or of an output of it"
    )
    form.add_argument(
        "--missed",
        nargs="?",
        const="",
        metavar="NAME",
        help="list where a pass, a rule or a tag declined, or any, and why",
    )
    form.add_argument(
        "--why-not", nargs=2, metavar=("RULE", "NODE"), help="tell why a rule did not fire at a node"
    )
    form.add_argument("--diff", metavar="PASS", help="tell what one pass changed, node by node")
    form.add_argument(
        "--json", nargs="?", const="-", metavar="FILE", help="write everything as JSON, every edit included"
    )


def _act(options: argparse.Namespace) -> None:
    from graphflow.files import atomic_write
    from graphflow.model import optimize

    model = load_model(options.model)
    report = optimize(model, **optimizer_options(options)).report
    if options.tensor is not None:
        print(report.of(_tensor_name(model, options.tensor)))
    elif options.missed is not None:
        found = report.missed(options.missed)
        for remark in found:
            print(f"{remark.rule} at {remark.node} ({remark.origin}): {remark.reason}")
        if not found:
            print(f"{options.missed} declined nowhere" if options.missed else "nothing declined")
    elif options.why_not is not None:
        print(report.why_not(*options.why_not))
    elif options.diff is not None:
        print(report.diff(options.diff))
    elif options.json is None:
        print(report.measured())
    elif options.json == "-":
        print(report.measured().to_json())
    else:
        with atomic_write(options.json) as file:
            file.write(report.measured().to_json().encode())
        print(f"wrote {options.json}")


def _tensor_name(model: Model, name: str) -> str:
    """The name of a tensor; the model may call one of its outputs by another that no node has."""
    output = model.outputs.get(name)
    nodes = {node.name for node in model.graph.nodes}
    return name if output is None or name in nodes else output.name
