"""`graphflow explain`: what the optimizer does to a model, by which rule, and what it declined."""

from __future__ import annotations

import argparse
import json
from typing import Any

from graphflow.cli.options import add_level, add_model, command, load_model


def add_parser(commands: Any) -> None:
    """Add the command."""
    made = command(
        commands,
        "explain",
        "tell what the optimizer does to a model, and why",
        """
        graphflow explain demo_out/model
        graphflow explain demo_out/model --tensor head/probabilities
        graphflow explain demo_out/model --level O3 --json > edits.json
        """,
        _act,
    )
    add_model(made)
    add_level(made)
    form = made.add_mutually_exclusive_group()
    form.add_argument("--tensor", metavar="NAME", help="tell the story of one tensor of the model")
    form.add_argument("--json", action="store_true", help="print everything as JSON, every edit included")


def _act(options: argparse.Namespace) -> None:
    from graphflow.model import optimize

    report = optimize(load_model(options.model), level=options.level).report
    if options.json:
        print(json.dumps(report.to_dict(), indent=1))
    elif options.tensor is not None:
        print(report.of(options.tensor))
    else:
        print(report)
