"""`graphflow compile`: a model as a .bmodel file for the BM1684, or the report before it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from graphflow.cli.options import add_level, add_model, add_sizes, command, load_model, read_sizes
from graphflow.errors import AttributeValueError, BackendError
from graphflow.files import atomic_write

if TYPE_CHECKING:
    from graphflow.deploy import Preflight

REFUSED = 2
"""The exit status for a model, or for a file or inputs of one, that the chip cannot run."""


def add_parser(commands: Any) -> None:
    """Add the command."""
    made = command(
        commands,
        "compile",
        "write a model as a .bmodel file for the BM1684",
        """
        graphflow compile demo_out/model --target bm1684 --size batch=1 -o digits.bmodel
        graphflow compile net.onnx --dry-run
        graphflow compile net.onnx -o net.bmodel --timeline net.svg
        graphflow compile net.onnx --size batch=1 --also batch=4 -o net.bmodel
        """,
        _act,
    )
    add_model(made)
    made.add_argument("--target", choices=("bm1684",), default="bm1684", help="the chip (bm1684)")
    made.add_argument("-o", "--output", metavar="FILE", help="the .bmodel file")
    made.add_argument(
        "--dry-run", action="store_true", help="print what each node becomes and costs, and write no file"
    )
    add_sizes(made)
    made.add_argument(
        "--also",
        action="append",
        default=[],
        metavar="NAME=N,...",
        help="sizes of a further stage; may be repeated",
    )
    add_level(made)
    made.add_argument("--signature", metavar="NAME", help="which function of a model that has several")
    made.add_argument("--json", metavar="FILE", help="write the report as JSON")
    made.add_argument("--timeline", metavar="FILE", help="draw what both engines do (.svg)")


def _act(options: argparse.Namespace) -> int:
    from graphflow import deploy

    if options.output is None and not options.dry_run:
        raise AttributeValueError(
            "there is no file to write", hint="give -o net.bmodel, or --dry-run for the report alone"
        )
    model = load_model(options.model)
    sizes = [read_sizes(options.size), *[read_sizes(one.split(",")) for one in options.also]]
    chosen = {"target": options.target, "level": options.level, "signature": options.signature}
    try:
        made = deploy.compile(model, sizes=sizes, **chosen)
    except BackendError:
        reports = [deploy.preflight(model, sizes=one, **chosen) for one in sizes]
        refused = [report for report in reports if not report.supported]
        if not refused:
            raise
        _tell(refused[0], options.json)
        return REFUSED
    _tell(made.report, options.json)
    print(made.memory)
    if options.timeline is not None:
        from graphflow.runtime.bm1684.cycles import draw_timeline

        draw_timeline(made.cycles, options.timeline)
    if options.output is not None and not options.dry_run:
        made.save(options.output)
        print("wrote", options.output)
    return 0


def _tell(report: Preflight, path: str | None) -> None:
    """Print a report, and write it as JSON if a file for that is named."""
    print(report)
    if path is not None:
        with atomic_write(path) as file:
            file.write(report.to_json().encode())
