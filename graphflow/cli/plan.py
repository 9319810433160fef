"""`graphflow plan`: the memory a model needs, beside its lower bound."""

from __future__ import annotations

import argparse
import json
from typing import Any

from graphflow.cli.options import (
    add_level,
    add_model,
    add_sizes,
    check_sizes,
    command,
    load_model,
    read_sizes,
)


def add_parser(commands: Any) -> None:
    """Add the command."""
    made = command(
        commands,
        "plan",
        "plan a model's memory and compare it with the lower bound",
        """
        graphflow plan demo_out/model --size batch=32
        graphflow plan demo_out/model --size batch=32 --json > memory.json
        """,
        _act,
    )
    add_model(made)
    add_level(made)
    add_sizes(made)
    made.add_argument("--json", action="store_true", help="print everything as JSON")


def _act(options: argparse.Namespace) -> None:
    from graphflow.model import memory_report

    sizes = read_sizes(options.size)
    model = load_model(options.model)
    check_sizes(model, sizes)
    report = memory_report(model, sizes, level=options.level)
    print(json.dumps(report.to_dict(), indent=1) if options.json else report)
