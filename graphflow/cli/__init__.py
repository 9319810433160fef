"""The command line: `graphflow COMMAND ...`, one module a command."""

from graphflow.cli.main import main

__all__ = ["main"]
