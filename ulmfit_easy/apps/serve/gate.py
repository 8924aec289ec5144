"""Check each request before the app sees it: the token, the size and the time of its body. Count it."""

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable
from typing import Any

from ulmfit_easy.errors import ArgumentError, TrainingError, UlmfitError

OPEN = ("/", "/health", "/docs", "/openapi.json")  # tell nothing about a model, so need no token
CLOSED = ("/predict", "/explain", "/models", "/metrics")
App = Callable[[dict, Callable, Callable], Awaitable[None]]  # of ASGI


class Refused(Exception):
    """A request that is answered by an error, with an HTTP status."""

    def __init__(self, status: int, error: UlmfitError):
        super().__init__(str(error))
        self.status, self.error = status, error

    @property
    def body(self) -> dict[str, Any]:
        """The error as JSON."""
        e = self.error
        return {"error": {"code": e.code, "received": e.received, "expected": e.expected, "fix": e.fix}}

    @property
    def headers(self) -> dict[str, str]:
        """The headers that the status asks for."""
        return {401: {"WWW-Authenticate": "Bearer"}, 429: {"Retry-After": "1"},
                503: {"Retry-After": "5"}}.get(self.status, {})


def late(seconds: float) -> Refused:
    """Return the refusal of a request that took too long."""
    return Refused(503, TrainingError("E511", received=f"a request that was not answered within {seconds:g} seconds",
                                      expected="an answer within that time: less text, or a server with less to do",
                                      fix="ask again later, or with fewer and shorter texts"))


class Gate:
    """A layer around an ASGI app.

    Args:
        app: gets each request that passes, its body whole.
        refuse: from a `Refused` to an ASGI app that answers with it.
        on_request: gets path, status and seconds of each request.
        token: None lets everybody ask.
        max_bytes: of a body.
        seconds: that a body may take.
    """

    def __init__(self, app: App, refuse: Callable[[Refused], App], on_request: Callable[[str, int, float], None], *,
                 token: str | None, max_bytes: int, seconds: float):
        self.app, self.refuse, self.on_request, self.token = app, refuse, on_request, token
        self.max_bytes, self.seconds = max_bytes, seconds

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        start, status = time.perf_counter(), 500

        async def sent(message: dict) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            try:
                self._check_token(scope)
                first = await self._body(scope, receive)
                if first["type"] == "http.disconnect":
                    status = 499  # the client is gone: nobody gets this, and the counters have no error of the server
                    return
                messages = iter([first])

                async def replayed() -> dict:
                    return next(messages, None) or await receive()

                await self.app(scope, replayed, sent)
            except Refused as e:
                await self.refuse(e)(scope, receive, sent)
        finally:
            path = scope["path"] if scope["path"] in OPEN + CLOSED else "other"
            self.on_request(path, status, time.perf_counter() - start)

    def _check_token(self, scope: dict) -> None:
        given = dict(scope["headers"]).get(b"authorization", b"")
        if self.token is None or scope["path"] in OPEN:
            return
        if not hmac.compare_digest(given, f"Bearer {self.token}".encode()):
            raise Refused(401, ArgumentError("E602",
                                             received="a request without the token of the server, or with another "
                                                      "token", expected="the token that the server was started with",
                                             fix="send the header Authorization: Bearer TOKEN"))

    async def _body(self, scope: dict, receive: Callable) -> dict:
        """Return the message with the whole body."""
        length = dict(scope["headers"]).get(b"content-length", b"0")
        size, body = int(length) if length.isdigit() and len(length) < 20 else 0, bytearray()
        try:
            async with asyncio.timeout(self.seconds):
                while size <= self.max_bytes:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return message
                    body += message.get("body", b"")
                    size = len(body)
                    if not message.get("more_body"):
                        break
        except TimeoutError:
            raise late(self.seconds) from None
        if size > self.max_bytes:
            raise Refused(413, ArgumentError("E602", received=f"a body of more than {self.max_bytes:,} bytes",
                                             expected="a body of at most that size",
                                             fix="send shorter texts, or fewer in one request"))
        return {"type": "http.request", "body": bytes(body), "more_body": False}
