"""The parser of the command line, and how errors reach the terminal: as sentences, never as traces."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from graphflow.cli import demo, explain, plan, run, show
from graphflow.errors import GraphFlowError

COMMANDS = (demo, show, run, explain, plan)

EPILOG = """\
examples:
  graphflow demo --out demo_out              train, explain, draw, save and reload a digits classifier
  graphflow show demo_out/model -o net.svg   draw a saved model
  graphflow explain demo_out/model           what the optimizer does to it, and why
  graphflow plan demo_out/model --size batch=32

`graphflow COMMAND --help` shows the options of one command.
"""


def parser() -> argparse.ArgumentParser:
    """The parser with all commands."""
    from graphflow import __version__

    top = argparse.ArgumentParser(
        prog="graphflow",
        description="Build, explain, plan, draw and run static graphs.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"graphflow {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in COMMANDS:
        module.add_parser(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status: 0 done, 1 a reported error, 130 interrupted."""
    options = parser().parse_args(arguments)
    try:
        options.act(options)
        sys.stdout.flush()
        return 0
    except GraphFlowError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader (head, less) has gone; what is still buffered must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
