"""One pure ASGI middleware for all that is said of every request.

`@app.middleware("http")` would start a task and pass the answer through a stream for it:
nine times the cost (docs/performance.md).
"""

import logging
import re
from collections.abc import Awaitable, Callable, Iterator
from itertools import count
from random import SystemRandom
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import ProblemResponse
from app.observability.context import RequestContext, current_request
from app.observability.logs import RequestRecord

logger = logging.getLogger("app.request")

# Anything else could forge log lines.
_ACCEPTED_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")

GONE = 499  # the status of a request whose client left before there was an answer

# Called with a request that was answered, the status, and the seconds it took in all.
Observer = Callable[[RequestContext, int, float], None]
observers: list[Observer] = []


class Instruments:
    """Gives each request an id, times it, logs it, and answers 500 when nothing else did.

    Adds `X-Request-ID` (the client's own, if it sent a plain one), `X-Process-Time`
    (seconds until the answer began) and `Server-Timing`, the same in milliseconds and in
    shares: `db` while a statement was running, `app` the rest. Tells the `observers`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.ids = _new_ids()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            self.ids = _new_ids()  # this worker's own, should it be a fork of another process
            await self.app(scope, receive, send)
            return

        request = RequestContext(_given_id(scope) or next(self.ids), scope)
        token = current_request.set(request)
        status = GONE

        # Not `async`: it hands on what `send` returns, and spares a coroutine for each message.
        def send_with_headers(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                took = perf_counter() - request.started
                database = request.database_seconds
                shares = ((took - database) * 1000, database * 1000)
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-request-id", request.id.encode()),
                    (b"x-process-time", b"%.6f" % took),
                    (b"server-timing", b"app;dur=%.3f, db;dur=%.3f" % shares),
                ]
            return send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except Exception:
            logger.exception("unhandled error")
            if status != GONE:
                raise  # too late for an answer: the server has to cut the connection
            await ProblemResponse(500)(scope, receive, send_with_headers)
        finally:
            took = perf_counter() - request.started
            for observe in observers:
                observe(request, status, took)
            if logger.isEnabledFor(logging.INFO):
                fields = {
                    "method": scope["method"],
                    "path": scope["path"],  # without the query, which may hold secrets
                    "route": request.route,
                    "status": status,
                    "duration_ms": round(took * 1000, 3),
                    "database_ms": round(request.database_seconds * 1000, 3),
                }
                logger.handle(RequestRecord(logger.name, "request", fields))
            current_request.reset(token)


def _given_id(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            given: str = value.decode("latin-1")
            return given if _ACCEPTED_ID.fullmatch(given) else None
    return None


def _new_ids() -> Iterator[str]:
    """Count from a random start: a random number for each request costs seven times as much."""
    start = f"{SystemRandom().getrandbits(80):020x}"
    return (f"{start}{number:012x}" for number in count())
