"""One pure ASGI middleware for all that is said of every request.

`@app.middleware("http")` would start a task and pass the answer through a stream for it:
nine times the cost (docs/performance.md).
"""

import logging
import re
from random import getrandbits
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import ProblemResponse
from app.observability.logs import RequestRecord, request_id

logger = logging.getLogger("app.request")

# Anything else could forge log lines.
_ACCEPTED_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class Instruments:
    """Gives each request an id, times it, logs it, and answers 500 when nothing else did.

    Adds `X-Request-ID` (the client's own, if it sent a plain one) and `X-Process-Time`
    (seconds until the response began).
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        started = perf_counter()
        current = _id_of(scope)
        token = request_id.set(current)
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-request-id", current.encode()),
                    (b"x-process-time", b"%.6f" % (perf_counter() - started)),
                ]
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except Exception:
            logger.exception("unhandled error")
            if status:
                raise  # too late for an answer: the server has to cut the connection
            await ProblemResponse(500)(scope, receive, send_with_headers)
        finally:
            if logger.isEnabledFor(logging.INFO):
                fields = {
                    "method": scope["method"],
                    "path": scope["path"],  # without the query, which may hold secrets
                    "status": status,
                    "duration_ms": round((perf_counter() - started) * 1000, 3),
                }
                logger.handle(RequestRecord(logger.name, "request", fields))
            request_id.reset(token)


def _id_of(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            given: str = value.decode("latin-1")
            if _ACCEPTED_ID.fullmatch(given):
                return given
    return f"{getrandbits(128):032x}"
