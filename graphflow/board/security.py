"""Who may ask the board: known hosts, holders of the token, and pages of the board itself.

Log directories hold what is nobody else's business, and any web page that a browser shows may send requests
to a port of this machine. Hence, in this order, for each request:

1. the Host header has to be one of the board's own names (against DNS rebinding),
2. requests that a page of another site caused are refused (`Sec-Fetch-Site`, and `Origin` for writes),
3. all but the static files needs a cookie, which is given for the token in the printed address.

Every answer, also a refusal, carries a strict content security policy.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)

HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}

READS = ("GET", "HEAD")
MOST_BODY = 64 << 10
MOST_TARGET = 32 << 10

_REFUSED = "Open the address that `graphflow board` printed; it ends in ?token=..."


class Guard:
    """What lets a request through, or answers it with a refusal.

    Arguments:
        app: what is guarded.
        hosts: the exact values that the Host header may have, such as "127.0.0.1:6060".
        token: what the printed address holds; a random one by default.
        cookie: the name of the cookie.
    """

    def __init__(
        self, app: ASGIApp, hosts: Iterable[str], token: str | None = None, cookie: str = "graphflow_board"
    ) -> None:
        self.app = app
        self.hosts = frozenset(host.lower() for host in hosts)
        self.token = secrets.token_urlsafe(32) if token is None else token
        self.cookie = cookie
        # Another secret than the token, which may remain in a terminal's scrollback or a shell history.
        self._pass = secrets.token_urlsafe(32)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # websockets: there are none
            return

        answer = self.refusal(scope)
        # The page itself, not a redirection to it: a browser that follows a link of another site (a notebook)
        # would not send the cookie along.
        is_welcome = answer is None and _brings_token(scope)

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
                if is_welcome:
                    headers.append(
                        "set-cookie", f"{self.cookie}={self._pass}; HttpOnly; SameSite=Strict; Path=/"
                    )
            await send(message)

        await (self.app if answer is None else answer)(scope, receive, sealed)

    def refusal(self, scope: Scope) -> Response | None:
        """What a request is answered with instead of what it asks for, or None if it may pass."""
        headers = Headers(scope=scope)
        named = headers.getlist("host")
        if len(named) != 1 or named[0].lower() not in self.hosts:
            return PlainTextResponse("This board does not answer to that Host name.\n", 400)
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MOST_TARGET:
            return PlainTextResponse("The address is too long.\n", 414)
        if not self._is_own(scope["method"], headers):
            return PlainTextResponse("Requests from other sites are not answered.\n", 403)
        if scope["path"].startswith("/static/"):
            return None
        if _brings_token(scope):
            given = QueryParams(scope["query_string"]).get("token", "")
            if hmac.compare_digest(given.encode(), self.token.encode()):
                return None
            return PlainTextResponse(f"This is no token of this board. {_REFUSED}\n", 401)
        if not self._has_pass(headers):
            return PlainTextResponse(f"{_REFUSED}\n", 401)
        return self._body_refusal(scope["method"], headers)

    def _is_own(self, method: str, headers: Headers) -> bool:
        """Whether a page of the board, or nobody's page, asks."""
        # A link on another site may open the page itself (a navigation), which shows nothing to that site.
        is_navigation = method == "GET" and headers.get("sec-fetch-mode") == "navigate"
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and not is_navigation:
            return False
        if method in READS:
            return True
        origin = headers.get("origin", "")
        scheme, _, host = origin.partition("://")
        return scheme in ("http", "https") and host.lower() == headers["host"].lower()

    def _has_pass(self, headers: Headers) -> bool:
        jar: SimpleCookie = SimpleCookie()
        try:
            jar.load("; ".join(headers.getlist("cookie"))[:16_384])
        except CookieError:
            return False
        found = jar[self.cookie].value if self.cookie in jar else ""
        return hmac.compare_digest(found.encode(), self._pass.encode())

    def _body_refusal(self, method: str, headers: Headers) -> Response | None:
        if method in READS:
            return None
        length = headers.get("content-length", "")
        if not length.isdecimal() or len(length) > 9 or int(length) > MOST_BODY:
            return PlainTextResponse("The request has no length, or is too long.\n", 413)
        if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return PlainTextResponse("The request is no JSON.\n", 415)
        return None


def _brings_token(scope: Scope) -> bool:
    return scope["method"] in READS and scope["path"] == "/" and b"token=" in scope["query_string"]


def is_loopback(host: str) -> bool:
    """Whether a host is this machine only.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def own_hosts(host: str, port: int) -> list[str]:
    """The names by which a board bound to a host may be called.

    >>> own_hosts("127.0.0.1", 6060)
    ['127.0.0.1:6060', 'localhost:6060', '[::1]:6060']
    """
    names = ["127.0.0.1", "localhost", "[::1]", f"[{host}]" if ":" in host else host]
    if host in ("0.0.0.0", "::"):
        names += [socket.gethostname(), socket.getfqdn(), *_addresses()]
    return [f"{name}:{port}" for name in dict.fromkeys(names)]


def _addresses() -> list[str]:
    """The addresses that this machine's own name has."""
    try:
        found = socket.getaddrinfo(socket.gethostname(), None)
    except OSError:
        return []
    addresses = dict.fromkeys(str(entry[4][0]) for entry in found)
    return [f"[{address}]" if ":" in address else address for address in addresses]
