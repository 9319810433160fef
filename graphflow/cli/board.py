"""`graphflow board`: show a log directory in the browser."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from typing import Any

from graphflow.cli.options import command, whole
from graphflow.errors import BackendError


def add_parser(commands: Any) -> None:
    """Add the command."""
    made = command(
        commands,
        "board",
        "show curves, graphs, memory plans and profiles of a log directory in the browser",
        """
        graphflow board logs
        graphflow board logs --port 7007 --no-browser
        graphflow board logs --host 0.0.0.0 --allow-host board.example.org
        """,
        _act,
    )
    made.add_argument("logdir", metavar="LOGDIR", help="the folder that SummaryWriter writes to")
    made.add_argument(
        "--port", type=whole(0), metavar="N", help="where to listen; 0 for any (6060, or a free one)"
    )
    made.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="the address to listen at (127.0.0.1: this machine only)",
    )
    made.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME[:PORT]",
        help="a further name that browsers may call it by, for proxies and forwarded ports",
    )
    made.add_argument("--no-browser", action="store_true", help="only print the address")
    made.add_argument(
        "--no-index", action="store_true", help="keep no index in the cache folder for the next start"
    )


def _act(options: argparse.Namespace) -> None:
    missing = [name for name in ("starlette", "uvicorn") if importlib.util.find_spec(name) is None]
    if missing:
        raise BackendError(
            f"the board needs {' and '.join(missing)}", hint="pip install 'graphflow-compiler[viewer]'"
        )
    from graphflow.board.security import is_loopback
    from graphflow.board.server import board, open_browser
    from graphflow.board.store import LogDirectory

    if not is_loopback(options.host):
        print(
            f"warning: the board listens at {options.host}, so other machines reach it; "
            "whoever has the address below can read the logs, and it is sent without encryption",
            file=sys.stderr,
        )
    with (
        LogDirectory(options.logdir, index=None if options.no_index else "cache") as log,
        board(log, options.host, options.port, options.allow_host) as made,
    ):
        print(f"The board of {log.root} is at\n\n    {made.address}\n\nCtrl-C ends it.", flush=True)
        if not options.no_browser:
            open_browser(made.address)
        try:
            made.serve()
        except KeyboardInterrupt:
            # How a board is usually ended.
            print("ended", file=sys.stderr)
