"""One pure ASGI middleware for all that is said of every request.

`@app.middleware("http")` would start a task and pass the answer through a stream for it:
nine times the cost (docs/performance.md).
"""

import logging
import re
from collections.abc import Awaitable, Sequence
from itertools import count
from random import SystemRandom
from time import perf_counter, time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.draining import stopping
from app.errors import ProblemResponse
from app.guard import NO_CONTENT, NO_SNIFFING
from app.observability.context import (
    GONE,
    FinishedRequest,
    RequestContext,
    Span,
    current_request,
    shares,
)
from app.observability.finished import finished_requests
from app.observability.logs import RequestRecord

logger = logging.getLogger("app.request")

# Anything else could forge log lines.
_ACCEPTED_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class Instruments:
    """Gives each request an id, times it, logs it, and answers 500 when nothing else did.

    Adds `X-Request-ID` (the client's own, if it sent a plain one), `X-Process-Time`
    (seconds until the answer began) and `Server-Timing`, the same in milliseconds and in
    shares: `db` while a statement was running, others by their names, `app` the rest.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.ids = _Ids()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            self.ids = _Ids()  # this worker's own, should it be a fork of another process
            await self.app(scope, receive, send)
            return

        request = RequestContext(_given_id(scope) or self.ids.next(), scope)
        token = current_request.set(request)

        # Not `async`: it hands on what `send` returns, and spares a coroutine for each message.
        def send_with_headers(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                request.status = message["status"]
                took = perf_counter() - request.started
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-request-id", request.id.encode()),
                    (b"x-process-time", b"%.6f" % took),
                    (b"server-timing", server_timing(took, request.spans)),
                ]
                if stopping.is_set() and scope["http_version"] == "1.1":
                    # A client that goes on with this connection would find it cut.
                    message["headers"].append((b"connection", b"close"))
            return send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except Exception:
            logger.exception("unhandled error")
            if request.status != GONE:
                request.status = 500  # though another was sent
                raise  # too late for an answer: the server has to cut the connection
            response = ProblemResponse(500)
            response.raw_headers += [NO_SNIFFING, NO_CONTENT]  # the guard has been left
            await response(scope, receive, send_with_headers)
        finally:
            finished_requests.add(request.finished())
            current_request.reset(token)


def _given_id(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            given: str = value.decode("latin-1")
            return given if _ACCEPTED_ID.fullmatch(given) else None
    return None


def server_timing(took: float, spans: Sequence[Span]) -> bytes:
    """Return the header's value for a request that took so many seconds until its answer began."""
    by_name, total = shares(spans)
    value = b"app;dur=%.3f" % ((took - total) * 1000)
    for name, seconds in by_name.items():
        value += b", %b;dur=%.3f" % (name.encode(), seconds * 1000)
    return value


_ENDS = [f"{number:02x}" for number in range(256)]


class _Ids:
    """Counts from a random start, many ids at a time: each costs a tenth of a random number."""

    def __init__(self) -> None:
        self._start = f"{SystemRandom().getrandbits(80):020x}"
        self._numbers = count()
        self._ready: list[str] = []

    def next(self) -> str:
        if not self._ready:
            start = f"{self._start}{next(self._numbers):010x}"
            self._ready = [start + end for end in _ENDS]
        return self._ready.pop()


def log_requests(requests: Sequence[FinishedRequest]) -> None:
    """Write a line for each request."""
    if not logger.isEnabledFor(logging.INFO):
        return
    now = time()
    for request in requests:
        fields: dict[str, object] = {
            "method": request.method,
            "path": request.path,
            "route": request.route,
            "status": request.status,
            # To a thousandth; round(x, 3) takes five times as long.
            "duration_ms": round(request.seconds * 1_000_000) / 1000,
            "database_ms": round(request.database_seconds * 1_000_000) / 1000,
        }
        logger.handle(RequestRecord(logger.name, "request", request.id, fields, now))
    for handler in logging.getLogger().handlers:
        handler.flush()


finished_requests.listeners.append(log_requests)
