"""Running Graphviz: `dot` or the package pygraphviz, in a process of its own with a time limit."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

from graphflow.errors import BackendError
from graphflow.viz.dot import dot_of
from graphflow.viz.picture import Picture

INSTALL = (
    "install Graphviz (apt-get install graphviz, brew install graphviz, or conda install graphviz), "
    "or pip install pygraphviz, which brings it along; .svg and .dot need neither"
)

# pygraphviz lays out inside its process and cannot be interrupted there, so it gets one of its own.
_PYGRAPHVIZ = (
    "import sys, pygraphviz\n"
    "graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode('utf-8'))\n"
    "sys.stdout.buffer.write(graph.draw(format=sys.argv[1], prog='dot'))\n"
)


class TooSlow(Exception):
    """A renderer that did not finish in time."""


def renderer(kind: str) -> list[str] | None:
    """The command that turns DOT source into a format, or None if there is no Graphviz of any kind."""
    if importlib.util.find_spec("graphviz") is None:
        return None
    program = shutil.which("dot")
    if program is not None:
        return [program, f"-T{kind}"]
    if importlib.util.find_spec("pygraphviz") is not None:
        return [sys.executable, "-c", _PYGRAPHVIZ, kind]
    return None


def run_graphviz(command: list[str], drawing: Picture, timeout: float) -> bytes:
    """What Graphviz makes of a picture.

    Raises:
        TooSlow: if it does not finish in `timeout` seconds.
        BackendError: if it fails, with its words.
    """
    source = dot_of(drawing).source.encode("utf-8")
    try:
        done = subprocess.run(command, input=source, capture_output=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise TooSlow from None
    except OSError as error:
        raise BackendError(f"{command[0]} cannot be started: {error}", hint=INSTALL) from error
    if done.returncode or not done.stdout:
        reason = done.stderr.decode("utf-8", "replace").strip().splitlines()[:3]
        raise BackendError(
            f"{Path(command[0]).name} failed: {' '.join(reason) or f'exit status {done.returncode}'}",
            hint="write a .dot file to see its input",
        )
    return done.stdout
