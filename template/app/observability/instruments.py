"""One pure ASGI middleware for all that is said of every request.

`@app.middleware("http")` would start a task and pass the answer through a stream for it:
nine times the cost (docs/performance.md).
"""

import logging
import re
from time import perf_counter
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import ProblemResponse
from app.observability.logs import request_id

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
        given = Headers(scope=scope).get("x-request-id", "")
        current = given if _ACCEPTED_ID.fullmatch(given) else uuid4().hex
        token = request_id.set(current)
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = current
                headers["x-process-time"] = f"{perf_counter() - started:.6f}"
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except Exception:
            logger.exception("unhandled error")
            if status:
                raise  # too late for an answer: the server has to cut the connection
            await ProblemResponse(500)(scope, receive, send_with_headers)
        finally:
            logger.info(
                "request",
                extra={
                    "method": scope["method"],
                    "path": scope["path"],  # without the query, which may hold secrets
                    "status": status,
                    "duration_ms": round((perf_counter() - started) * 1000, 3),
                },
            )
            request_id.reset(token)
