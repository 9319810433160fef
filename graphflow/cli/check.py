"""`graphflow check`: whether a model computes the same at each level, on each backend, tensor by tensor."""

from __future__ import annotations

import argparse
import json
from typing import Any

from graphflow.cli.options import add_model, add_rules, command, listed, load_model, read_rules
from graphflow.cli.run import read_feeds


def add_parser(commands: Any) -> None:
    """Add the command."""
    made = command(
        commands,
        "check",
        "compare a model as built with what each level makes of it, on each backend",
        """
        graphflow check demo_out/model
        graphflow check demo_out/model --inputs inputs.npz --levels O2,O3 --backends numpy
        graphflow check demo_out/model --nan-guard --json > check.json
        """,
        _act,
    )
    add_model(made)
    made.add_argument(
        "--inputs",
        "--input",
        "--feed",
        action="append",
        default=[],
        metavar="FILE",
        help="a .npz with the inputs, or NAME=FILE.npy; may be repeated; otherwise inputs are made up",
    )
    made.add_argument("--levels", default="O1,O2,O3", metavar="LIST", help="levels, with commas (O1,O2,O3)")
    made.add_argument("--backends", metavar="LIST", help="backends, with commas (all that are available)")
    add_rules(made)
    made.add_argument("--exact", action="store_true", help="on numpy let no bit differ, whatever the rule")
    made.add_argument(
        "--nan-guard", action="store_true", help="name the first node that makes NaN or infinity"
    )
    made.add_argument("--json", action="store_true", help="print everything as JSON")


def _act(options: argparse.Namespace) -> int:
    from graphflow.prove import check

    found = check(
        load_model(options.model),
        read_feeds(options.inputs, "--inputs") if options.inputs else None,
        listed(options.levels),
        None if options.backends is None else listed(options.backends),
        rules=read_rules(options.rules),
        exact=options.exact,
        nan_guard=options.nan_guard,
    )
    print(json.dumps(found.to_dict(), indent=1) if options.json else found)
    return 0 if found.passed else 1
