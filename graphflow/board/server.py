"""The board's server: routes of all parts, the page itself, and how it is started and stopped."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import socket
import threading
import webbrowser
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from graphflow.board.answers import error_answer
from graphflow.board.security import Guard, own_hosts
from graphflow.board.store import LogDirectory
from graphflow.errors import FileFormatError, GraphFlowError

STATIC = Path(__file__).resolve().parent / "static"

_PATIENCE = 1
"""Seconds that a server that stops gives its answers."""

MODULES = ("api_runs", "api_scalars", "api_values", "api_hparams", "api_graph", "api_chip")
"""What has `ROUTES` below /api/, and perhaps `extra_info(log)`; of those that are there."""

DEFAULT_PORT = 6060
TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}


class _StaticFiles(StaticFiles):
    """Files of the page, with types that do not depend on the machine, to be asked for again each time."""

    def file_response(self, full_path: Any, *args: Any, **options: Any) -> Response:
        answer = super().file_response(full_path, *args, **options)
        kind = TYPES.get(Path(full_path).suffix)
        if kind is not None and answer.status_code == 200:
            answer.headers["content-type"] = f"{kind}; charset=utf-8"
        answer.headers["cache-control"] = "no-cache"
        return answer


def _modules() -> list[ModuleType]:
    here = Path(__file__).resolve().parent
    return [
        importlib.import_module(f"graphflow.board.{name}")
        for name in MODULES
        if (here / f"{name}.py").is_file()
    ]


def _index(request: Request) -> Response:
    return FileResponse(STATIC / "index.html", media_type="text/html; charset=utf-8")


def _failed(request: Request, error: Exception) -> Response:
    return error_answer(error)


def _not_there(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    return JSONResponse({"error": "there is nothing of that kind", "hint": "open /"}, status)


def application(
    log: LogDirectory, hosts: Iterable[str], token: str | None = None, cookie: str = "graphflow_board"
) -> Guard:
    """The board of a log directory as an ASGI application, guarded.

    Arguments:
        log: what it shows.
        hosts: the exact Host headers that it answers to.
        token: what opens it; a random one by default, see `Guard.token`.
        cookie: the name of its cookie.
    """
    modules = _modules()
    routes: list[BaseRoute] = [Route("/", _index)]
    for module in modules:
        routes += module.ROUTES
    routes.append(Mount("/static", _StaticFiles(directory=STATIC)))
    app = Starlette(
        routes=routes,
        exception_handlers={
            GraphFlowError: _failed, HTTPException: _not_there, OSError: _failed, Exception: _failed,
        },
    )  # fmt: skip
    app.state.log = log
    app.state.extras = [module.extra_info for module in modules if hasattr(module, "extra_info")]
    app.state.pages = sorted(place.stem for place in (STATIC / "pages").glob("*.js"))
    return Guard(app, hosts, token, cookie)


@dataclass
class Board:
    """A board that is being served.

    Attributes:
        address: what to open, with the token.
        port: where it listens.
        log: what it shows.
        serve: answers requests until `stop`; Ctrl-C ends it too.
        stop: makes `serve` return.
    """

    address: str
    port: int
    log: LogDirectory
    serve: Callable[[], None]
    stop: Callable[[], None]


def _listening(host: str, port: int | None) -> socket.socket:
    """A socket that listens; any free port if none is asked for and the usual one is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    wanted = (DEFAULT_PORT, 0) if port is None else (port,)
    for place, number in enumerate(wanted):
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            made.bind((host, number))
            made.listen(128)
        except (OSError, OverflowError) as error:
            made.close()
            if place + 1 < len(wanted):
                continue
            reason = getattr(error, "strerror", None) or error
            raise FileFormatError(
                f"the board cannot listen at {host} port {number}: {reason}",
                hint="leave --port out to have a free one chosen",
            ) from error
        return made
    raise AssertionError("unreachable")


class _Server(uvicorn.Server):
    """Uvicorn's server, which in the end closes the connections of those that do not read their answers."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End, after a second in which answers may be read; what is left of them ends a second later."""
        patience = asyncio.get_running_loop().call_later(_PATIENCE, self._abort)
        await super().shutdown(sockets)
        patience.cancel()
        self._abort()
        await asyncio.sleep(0)  # in which the loop closes what was aborted

    def _abort(self) -> None:
        for connection in list(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()


@contextlib.contextmanager
def board(
    log: LogDirectory,
    host: str = "127.0.0.1",
    port: int | None = None,
    allowed_hosts: Iterable[str] = (),
) -> Iterator[Board]:
    """A board of a log directory that listens, and answers once its `serve` is called.

    Arguments:
        log: what it shows; closing it is up to the caller.
        host: the address to listen at. Others than loopback let other machines ask, if they have the token.
        port: 0 for any free one; None for 6060, or a free one if that is taken.
        allowed_hosts: further Host headers to answer to, such as those of a proxy.

    Raises:
        FileFormatError: if it cannot listen there.
    """
    listening = _listening(host, port)
    number: int = listening.getsockname()[1]
    guard = application(
        log, [*own_hosts(host, number), *allowed_hosts], cookie=f"graphflow_board_{number}"
    )  # fmt: skip
    server = _Server(
        uvicorn.Config(
            guard, log_level="warning", access_log=False, server_header=False, lifespan="off",
            timeout_graceful_shutdown=2 * _PATIENCE, proxy_headers=False, loop="asyncio", http="h11",
            ws="none",
        )
    )  # fmt: skip
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host

    def stop() -> None:
        server.should_exit = True

    try:
        yield Board(
            f"http://{shown}:{number}/?token={guard.token}",
            number,
            log,
            lambda: server.run(sockets=[listening]),
            stop,
        )
    finally:
        listening.close()


@contextlib.contextmanager
def running(log: LogDirectory, port: int = 0) -> Iterator[Board]:
    """A board that is served by a thread of its own, at loopback."""
    with board(log, port=port) as made:
        thread = threading.Thread(target=made.serve, name="graphflow-board", daemon=True)
        thread.start()
        try:
            yield made
        finally:
            made.stop()
            thread.join(10)


def open_browser(address: str) -> None:
    """Open the address in the user's browser, beside what goes on."""
    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
