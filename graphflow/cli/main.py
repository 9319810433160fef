"""The parser of the command line, and how errors reach the terminal: as sentences, never as traces."""

from __future__ import annotations

import argparse
import difflib
import os
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from graphflow.cli import (
    bench,
    bisect,
    board,
    check,
    compile,
    convert,
    demo,
    diff,
    disassemble,
    explain,
    fuzz,
    optimize,
    plan,
    run,
    show,
    simulate,
)
from graphflow.errors import GraphFlowError

COMMANDS = (
    demo,
    board,
    show,
    run,
    convert,
    explain,
    optimize,
    plan,
    bench,
    compile,
    simulate,
    check,
    bisect,
    diff,
    fuzz,
    disassemble,
)

DONE, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130
"""The exit statuses; argparse exits with MISUSED by itself where the command line makes no sense."""

EPILOG = """\
examples:
  graphflow demo --out demo_out              train, explain, draw, save and reload a digits classifier
  graphflow board logs                       curves, graphs and profiles of a log directory in the browser
  graphflow show demo_out/model -o net.svg   draw a saved model
  graphflow run demo_out/model --feed image=demo_out/held_out.npy
  graphflow convert demo_out/model --to onnx -o net.onnx
  graphflow explain demo_out/model           what the optimizer does to it, and why
  graphflow optimize demo_out/model -o net.gfm
  graphflow plan demo_out/model --size batch=32
  graphflow bench demo_out/model --batch 32 --against onnxruntime
  graphflow compile demo_out/model --size batch=1 -o digits.bmodel
  graphflow simulate digits.bmodel --feed image=image.npy
  graphflow check demo_out/model             whether every level and backend computes the same
  graphflow bisect demo_out/model --input inputs.npz
  graphflow diff old/model demo_out/model    what differs, node by node
  graphflow disassemble net.bmodel           the commands of a program for the BM1684
  graphflow fuzz --seconds 120               hunt for graphs that are optimised wrongly

`graphflow COMMAND --help` shows the options of one command, with examples.
The exit status is 0 if all went well, 1 for an error or where check, bisect, diff or fuzz found something,
2 for a wrong command line, where compile or simulate refuses a model, and where diff cannot compare;
130 for Ctrl-C.
"""


class _Parser(argparse.ArgumentParser):
    """A parser that offers the nearest command for one that there is not."""

    def error(self, message: str) -> NoReturn:
        wrong = re.match(r"argument COMMAND: invalid choice: '(.*?)'", message)
        if wrong:
            names = [module.__name__.rpartition(".")[2] for module in COMMANDS]
            close = difflib.get_close_matches(wrong[1], names, 1)
            meant = f"did you mean {close[0]!r}? " if close else ""
            message = f"there is no command {wrong[1]!r}; {meant}there are {', '.join(names)}"
        super().error(message)


def parser() -> argparse.ArgumentParser:
    """The parser with all commands."""
    from graphflow import __version__

    top = _Parser(
        prog="graphflow",
        description="Build, explain, plan, draw and run static graphs.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"graphflow {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    for module in COMMANDS:
        module.add_parser(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status.

    >>> main(["explain", "no/such/folder"])
    1
    """
    top = parser()
    options = top.parse_args(arguments)
    if options.command is None:
        top.print_help(sys.stderr)
        return MISUSED
    try:
        with _plain_warnings():
            status = options.act(options)
            sys.stdout.flush()
        return DONE if status is None else int(status)
    except GraphFlowError as error:
        return _failed(error.at_no_line())
    except BrokenPipeError:
        # The reader (head, less) has seen enough.
        _silence_output()
        return FAILED
    except OSError as error:
        _silence_output()
        return _failed(f"error: {f'{error.filename!r}: ' if error.filename else ''}{error.strerror or error}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


def _failed(reason: object) -> int:
    print(reason, file=sys.stderr)
    return FAILED


def _silence_output() -> None:
    """Let nothing that is still buffered raise again when the interpreter exits."""
    try:
        sys.stdout.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Show a warning as one sentence, without the line of code that Python adds."""

    def show(message: Warning | str, category: type[Warning], *place: Any, **options: Any) -> None:
        print(f"warning: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
