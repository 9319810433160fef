"""`graphflow explain`: what the optimizer does to a model, by which rule, and what it declined."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from graphflow.cli.options import (
    add_model,
    add_optimizer,
    add_sizes,
    check_sizes,
    command,
    load_model,
    optimizer_options,
    read_sizes,
)
from graphflow.errors import AttributeValueError

if TYPE_CHECKING:
    from graphflow.model import Model
    from graphflow.optimizer.explain import Report


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
        graphflow explain demo_out/model --backend jax --size batch=32
        graphflow explain demo_out/model --backend jax --tensor dense/matmul
        graphflow explain demo_out/model --diff canonicalize -o canonicalize.svg
        graphflow explain demo_out/model -p "canonicalize{max-seconds=1},fold-constants" --exclude stabilize
        """,
        _act,
    )
    add_model(made)
    add_optimizer(made)
    add_sizes(made)
    made.add_argument(
        "--backend",
        metavar="NAME",
        help="explain what is done before NAME (jax or numpy) runs it: with its passes, loops and kernels",
    )
    made.add_argument(
        "-o", "--output", metavar="FILE", help="with --diff: draw both sides (.svg), or list them (.html)"
    )
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

    if options.output is not None and options.diff is None:
        raise AttributeValueError("-o is for --diff", hint="add --diff canonicalize, say, or leave -o out")
    model, sizes = load_model(options.model), read_sizes(options.size)
    if sizes:
        check_sizes(model, sizes, "report")
    report = _report(model, options, sizes)
    if options.tensor is not None:
        print(report.of(_tensor_name(model, options.tensor)))
    elif options.missed is not None:
        print("\n".join(map(str, report.missed(options.missed))) or _none_declined(options.missed))
    elif options.why_not is not None:
        print(report.why_not(*options.why_not))
    elif options.diff is not None:
        _show_difference(report, options.diff, options.output)
    elif options.json is None:
        print(_measured(report, sizes))
    elif options.json == "-":
        print(_measured(report, sizes).to_json())
    else:
        with atomic_write(options.json) as file:
            file.write(_measured(report, sizes).to_json().encode())
        print(f"wrote {options.json}")


def _report(model: Model, options: argparse.Namespace, sizes: dict[str, int]) -> Report:
    """What is done to a model by itself, or for a backend."""
    chosen = optimizer_options(options)
    if options.backend is None:
        from graphflow.model import optimize

        return optimize(model, **chosen).report
    from graphflow.session.session import Session

    with Session(model.graph, backend=options.backend, **chosen) as session:
        feeds = [*model.inputs.values()]
        return session.explain([*model.outputs.values()], feeds, training=False, sizes=sizes or None)


def _measured(report: Report, sizes: dict[str, int]) -> Report:
    """The report with what was measured; one of a session has that already."""
    return report if report.meter is not None else report.measured(sizes)


def _none_declined(name: str) -> str:
    return f"{name} declined nowhere" if name else "nothing declined"


def _show_difference(report: Report, pass_name: str, path: str | None) -> None:
    """Print what a pass changed, or draw or list it in a file."""
    if path is None:
        print(report.diff(pass_name))
    elif path.lower().endswith(".html"):
        print("wrote", report.diff(pass_name).save_html(path))
    else:
        from graphflow.viz import draw_pass

        print("wrote", draw_pass(report, path, pass_name))


def _tensor_name(model: Model, name: str) -> str:
    """The name of a tensor; the model may call one of its outputs by another that no node has."""
    output = model.outputs.get(name)
    nodes = {node.name for node in model.graph.nodes}
    return name if output is None or name in nodes else output.name
