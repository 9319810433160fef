"""`graphflow bisect`: the one edit of the optimizer that changes a model's answer, as a ready test."""

from __future__ import annotations

import argparse
import json
from typing import Any

from graphflow.cli.options import add_level, add_model, add_rules, command, load_model, read_rules
from graphflow.cli.run import read_feeds


def add_parser(commands: Any) -> None:
    """Add the command."""
    made = command(
        commands,
        "bisect",
        "find the edit of the optimizer that changes a model's answer",
        """
        graphflow bisect demo_out/model --input inputs.npz
        graphflow bisect demo_out/model --input inputs.npz --level O3 --rules my_rules.py -o found
        """,
        _act,
    )
    add_model(made)
    made.add_argument(
        "--input",
        "--feed",
        action="append",
        required=True,
        metavar="FILE",
        help="a .npz with the inputs, or NAME=FILE.npy; may be repeated",
    )
    add_level(made)
    made.add_argument("--backend", default="numpy", metavar="NAME", help="where the programs run (numpy)")
    add_rules(made)
    made.add_argument(
        "--tolerance", type=_positive, metavar="X", help="the largest difference, relative to the output"
    )
    made.add_argument("--exact", action="store_true", help="let no bit differ")
    made.add_argument("-o", "--output", metavar="DIR", help="write a ready test with the smallest graph")
    made.add_argument("--json", action="store_true", help="print everything as JSON")


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of at least 0")
    return value


def _act(options: argparse.Namespace) -> int:
    from graphflow.prove import bisect

    found = bisect(
        load_model(options.model),
        read_feeds(options.input, "--input"),
        options.level,
        options.backend,
        rules=read_rules(options.rules),
        tolerance=options.tolerance,
        exact=options.exact,
        folder=options.output,
    )
    print(json.dumps(found.to_dict(), indent=1) if options.json else found)
    return 1 if found.found else 0
