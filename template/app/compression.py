"""Compression of complete answers with gzip; streams pass through as they come.

Where a proxy in front compresses already, set `COMPRESSION_LEVEL=0`.
"""

import gzip
from functools import partial

from anyio import to_thread
from pydantic import Field
from pydantic_settings import SettingsConfigDict
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.settings import ServiceSettings

# Compressing this many bytes takes under a millisecond: more would hold up other requests.
LARGE = 64 * 1024

TEXT = ("text/", "application/json", "application/problem+json", "application/xml", "image/svg+xml")


class CompressionSettings(ServiceSettings):
    """What is worth compressing, and how hard to try."""

    model_config = SettingsConfigDict(env_prefix="COMPRESSION_")

    level: int = Field(default=4, ge=0, le=9)  # 0 is off
    minimum_size: int = Field(default=1024, ge=1)  # bytes; below, a packet is a packet


class Compression:
    """Compresses an answer when the client takes gzip, it is text, complete, and large enough."""

    def __init__(self, app: ASGIApp, settings: CompressionSettings) -> None:
        self.app = app
        self.settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self.settings.level:
            await self.app(scope, receive, send)
            return

        start: Message | None = None

        async def send_compressed(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and message["status"] == 304:
                # It repeats what a 200 says here (RFC 9110, section 15.4.5).
                MutableHeaders(scope=message).add_vary_header("Accept-Encoding")
            if message["type"] == "http.response.start" and self._is_worth_it(message, scope):
                start = message  # held back until the body comes: its headers depend on it
                return
            if start is not None:
                held, start = start, None
                if message["type"] == "http.response.body" and not message.get("more_body"):
                    headers = MutableHeaders(scope=held)
                    headers.add_vary_header("Accept-Encoding")
                    accepted = Headers(scope=scope).getlist("accept-encoding")
                    if self.encodes(", ".join(accepted)):
                        body = await self._compress(message["body"], headers)
                        message = {**message, "body": body}
                await send(held)
            await send(message)

        await self.app(scope, receive, send_compressed)

    def _is_worth_it(self, start: Message, scope: Scope) -> bool:
        # A stream does not know its length, and its headers must not wait for its body.
        length = next((value for name, value in start["headers"] if name == b"content-length"), 0)
        if int(length) < self.settings.minimum_size:
            return False
        headers = Headers(scope=start)
        return (
            scope["method"] != "HEAD"
            and start["status"] not in (206, 304)
            and "content-encoding" not in headers
            and "no-transform" not in headers.get("cache-control", "")
            and headers.get("content-type", "").startswith(TEXT)
        )

    async def _compress(self, body: bytes, headers: MutableHeaders) -> bytes:
        compress = partial(gzip.compress, body, self.settings.level, mtime=0)
        compressed = compress() if len(body) < LARGE else await to_thread.run_sync(compress)
        headers["content-encoding"] = "gzip"
        headers["content-length"] = str(len(compressed))
        if (etag := headers.get("etag")) and not etag.startswith("W/"):
            headers["etag"] = f"W/{etag}"  # the bytes are no longer those it was made for
        return compressed

    @staticmethod
    def encodes(header: str) -> bool:
        """Tell whether an `Accept-Encoding` header allows gzip (RFC 9110, section 12.5.3)."""
        weights = {}
        for entry in header.lower().split(","):
            coding, _, parameter = entry.partition(";")
            name, _, weight = parameter.strip().partition("=")
            try:
                weights[coding.strip()] = float(weight) if name.strip() == "q" else 1.0
            except ValueError:
                weights[coding.strip()] = 0.0
        return weights.get("gzip", weights.get("*", 0.0)) > 0
