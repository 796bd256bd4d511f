"""What a request may ask for, and what browsers may do with the answer.

`Guard` is one pure ASGI layer, so that it holds for every kind of route.
"""

import asyncio
import re
from collections.abc import Awaitable

from pydantic import Field
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from app.body import Body, BodyLimits
from app.deadline import Deadline, current_deadline, tell_of_thread
from app.errors import ProblemResponse, methods_of
from app.names import Hosts, Origins
from app.settings import ServiceSettings

# Fit for an API, whose answers are data: https://cheatsheetseries.owasp.org, "REST Security".
# HTTPS, and the header that insists on it, are the business of the proxy that speaks it.
NO_SNIFFING = (b"x-content-type-options", b"nosniff")
POLICY = b"content-security-policy"
NO_CONTENT = (POLICY, b"default-src 'none'; frame-ancestors 'none'")
NO_FRAMES = (POLICY, b"frame-ancestors 'none'")
# FastAPI's documentation loads scripts and styles; nothing else does.
PAGES = frozenset({"/docs", "/docs/oauth2-redirect", "/redoc"})

# With a line feed at its end a path passes a proxy's rule, and matches a route.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Python refuses to convert a number of thousands of digits.
_LENGTH = re.compile(rb"[0-9]{1,19}")
_PORT = re.compile(r":\d*\Z")
_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")  # no part of it is empty

PROBES = "/health/"  # asked for by address, so under any host
BY_ADDRESS: set[str] = set()  # whole paths of other parts that are, too


def _add_headers(message: Message, path: str) -> None:
    headers = [*message.get("headers", ()), NO_SNIFFING]
    for name, _ in headers:
        if name == POLICY:  # the route's own; of two browsers enforce both
            break
    else:
        headers.append(NO_CONTENT if path not in PAGES else NO_FRAMES)
    message["headers"] = headers


class GuardSettings(ServiceSettings):
    """Limits; each is an environment variable of the same name."""

    # Names under which clients may reach the service; "*" is any, "*.example.com" its subdomains.
    allowed_hosts: Hosts = Field(default=["*"], min_length=1)
    # Whose pages may call it from a browser, "https://example.com"; none unless named here.
    cors_origins: Origins = Field(default=[])
    max_body_size: int = Field(default=1_048_576, ge=0)  # bytes
    max_body_values: int = Field(default=10_000, ge=1)  # in a JSON body, keys not counted
    # Seconds until the answer begins.
    request_deadline: float = Field(default=30.0, gt=0, allow_inf_nan=False)
    docs: bool = True  # serve /docs, /redoc and /openapi.json


class Guard:
    """Refuses foreign hosts (400) and large bodies (413), and ends what takes too long (408, 504).

    Tells browsers that answers are data, and answers HEAD wherever there is a GET.
    """

    def __init__(self, app: ASGIApp, settings: GuardSettings) -> None:
        self.app = app
        self.seconds = settings.request_deadline
        self.limits = BodyLimits(settings.max_body_size, settings.max_body_values)
        self.any_host = "*" in settings.allowed_hosts
        names = [name.lower() for name in settings.allowed_hosts]
        self.hosts = {name for name in names if not name.startswith("*.")}
        self.domains = tuple(name[1:] for name in names if name.startswith("*."))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return

        # Before routing: that adds the path of a mounted application to the root.
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        hosts, length, is_json = [], 0, False
        for name, value in scope["headers"]:
            if name == b"host":
                hosts.append(value)
            elif name == b"content-length":
                length = int(value) if _LENGTH.fullmatch(value) else -1
            elif name == b"content-type":
                is_json = b"json" in value.lower()
        refusal = self._refusal(path, hosts, length)
        if scope["type"] == "websocket":

            def send_to_socket(message: Message) -> Awaitable[None]:
                if message["type"] == "websocket.http.response.start":  # instead of a socket
                    _add_headers(message, path)
                return send(message)

            await (WebSocketClose() if refusal else self.app)(scope, receive, send_to_socket)
            return

        app = refusal or self.app
        if scope["method"] == "HEAD" and refusal is None:
            app = self._answer_head
        body = Body(receive, self.limits, is_json=is_json)
        deadline = Deadline(self.seconds)
        token = current_deadline.set(deadline)

        # Not `async`: it hands on what `send` returns, and spares a coroutine for each message.
        def send_with_headers(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                deadline.lift()
                _add_headers(message, path)
            return send(message)

        try:
            await app(scope, body.receive, send_with_headers)
        except asyncio.CancelledError:
            if not deadline.ended_it():
                raise
            tell_of_thread(scope)
            if body.is_late:
                late = f"The body did not arrive within {self.seconds:g} s."
                problem = ProblemResponse(408, late, headers={"Connection": "close"})
            else:
                problem = ProblemResponse(504, f"There was no answer within {self.seconds:g} s.")
            await problem(scope, receive, send_with_headers)
        finally:
            body.release()
            deadline.lift()
            current_deadline.reset(token)

    async def _answer_head(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as to a GET, without the body, unless a route takes HEAD itself."""
        if "HEAD" in methods_of(scope["app"], scope):
            await self.app(scope, receive, send)
            return
        ended = False

        async def send_head(message: Message) -> None:
            nonlocal ended
            if message["type"] == "http.response.start":
                await send(message)
            elif not ended:  # at the first part: a stream then sees that its client has gone
                ended = True
                await send({"type": "http.response.body", "body": b""})

        inner = {**scope, "method": "GET"}
        try:
            await self.app(inner, receive, send_head)
        finally:  # the log needs what routing leaves there
            scope.update({**inner, "method": "HEAD"})

    def _refusal(self, path: str, hosts: list[bytes], length: int) -> ProblemResponse | None:
        if not (
            self.any_host or path.startswith(PROBES) or path in BY_ADDRESS or self._knows(hosts)
        ):
            return ProblemResponse(400, "The host is unknown.")
        # The first half is cheaper, and refuses some that are no control characters.
        if not path.isprintable() and _CONTROL.search(path):
            return ProblemResponse(400, "The path has control characters.")
        if length < 0:
            return ProblemResponse(400, "The Content-Length is not valid.")
        if length > self.limits.size:
            return ProblemResponse(413, self.limits.too_large)
        return None

    def _knows(self, hosts: list[bytes]) -> bool:
        if len(hosts) != 1:  # with two, each reader would believe another
            return False
        name = _PORT.sub("", hosts[0].decode("latin-1")).lower()
        below = name.endswith(self.domains) and _NAME.fullmatch(name) is not None
        return below or name in self.hosts


class Sites(CORSMiddleware):
    """Lets other sites call the service. It answers preflights itself, before the guard."""

    def preflight_response(self, request_headers: Headers) -> Response:
        """Answer a preflight, with the headers of every answer."""
        response = super().preflight_response(request_headers)
        response.raw_headers += [NO_SNIFFING, NO_CONTENT]
        return response
