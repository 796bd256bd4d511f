"""Limits of a connection that uvicorn has no options for: `--http app.connection:Connection`.

A client that sends headers without end, sends none, or reads nothing holds memory and a place among
the open files. All times and sizes are of one connection; a proxy in front should have shorter ones.
"""

import asyncio
import logging
import resource
from operator import attrgetter
from time import monotonic
from typing import cast

from pydantic import Field
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.errors import ProblemResponse
from app.guard import NO_CONTENT, NO_SNIFFING
from app.observability.counts import Count
from app.settings import ServiceSettings

logger = logging.getLogger(__name__)

MAX_HEADERS = 100
MAX_HEADER_BYTES = 16_384  # with the URL
MAX_PIPELINED = 16  # requests that were sent before the answer to an earlier one
HEADER_SECONDS = 10.0  # for the headers, and for the rest of a body that was refused
WRITE_SECONDS = 10.0  # in which a client has to read this much:
WRITE_BYTES = 16_384

OTHER_FILES = 64  # that the process has open: of the database, of logs
LOG_SECONDS = 10.0  # between two lines: there may be thousands of these connections

CLOSED = Count("connections_closed", "Connections closed at a limit.", ["reason"])


class ConnectionSettings(ServiceSettings):
    """Limits of all connections of a process."""

    max_connections: int = Field(default=1000, ge=1)


def connections_limit() -> int:
    """Return how many connections the process may have, by the settings and its open files."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = ConnectionSettings().max_connections
    return limit if files == resource.RLIM_INFINITY else max(1, min(limit, files - OTHER_FILES))


class _TooLargeError(Exception):
    """The headers are over the limit."""


class Connection(HttpToolsProtocol):
    """One client's connection.

    It adds two comparisons to a request, and a timer only where a request comes in parts.
    """

    limit = 0  # of connections of this process, once the first one is made
    logged = -LOG_SECONDS  # when one was, by `monotonic`

    since = 0.0  # the loop's time when it was made
    _received = 0  # bytes since the last headers or part of a body was complete
    _timer: asyncio.TimerHandle | None = None
    _stall: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a place, from a connection that waits for its next request where there is none."""
        super().connection_made(cast("asyncio.Transport", transport))
        self.since = self.loop.time()
        self._timer = self.loop.call_later(HEADER_SECONDS, self._end, "slow request")
        cls = type(self)
        if not cls.limit:
            cls.limit = connections_limit()
        if len(self.connections) > cls.limit:
            victim = self._victim()
            victim._end("too many")
            self.connections.discard(victim)  # now: more may be accepted before it is gone

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        for timer in (self._timer, self._stall):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read a part of a request."""
        self._received += len(data)
        super().data_received(data)
        if self._received > MAX_HEADER_BYTES and not self.transport.is_closing():
            self.send_400_response("")
        if self._timer is None and (self.cycle is None or self.cycle.response_complete):
            self._timer = self.loop.call_later(HEADER_SECONDS, self._end, "slow request")

    def on_headers_complete(self) -> None:
        """Start the request, unless its headers are too large or too many wait already."""
        if self._received > MAX_HEADER_BYTES or len(self.headers) > MAX_HEADERS:
            size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
            if size > MAX_HEADER_BYTES or len(self.headers) > MAX_HEADERS:
                self._received = MAX_HEADER_BYTES + 1
                raise _TooLargeError
        if len(self.pipeline) >= MAX_PIPELINED:
            self._end("too many requests at once")
            raise _TooLargeError
        self._received = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body; the guard limits these."""
        self._received = 0
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        """Answer a request that cannot be read, with a 431 where its headers are too large."""
        if self._received <= MAX_HEADER_BYTES:
            self.transport.write(_INVALID)
            self.transport.close()
            return
        self._tell("large headers")
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(_TOO_LARGE)
        self.transport.close()

    def pause_writing(self) -> None:
        """Begin to watch that the client reads."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """Stop watching."""
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, one whose client has not read its answer too."""
        if self.transport.get_write_buffer_size():
            self._end("slow reader")
        super().timeout_keep_alive_handler()

    def _victim(self) -> "Connection":
        """Return the one that has waited longest for its first request, else an idle one."""
        others = [
            one for one in self.connections if isinstance(one, Connection) and one is not self
        ]
        waiting = [one for one in others if one.cycle is None]
        if waiting:
            return min(waiting, key=attrgetter("since"))
        return next((one for one in others if one.cycle and one.cycle.response_complete), self)

    def _watch(self) -> None:
        unread = self.transport.get_write_buffer_size()
        self._stall = self.loop.call_later(WRITE_SECONDS, self._check, unread)

    def _check(self, unread: int) -> None:
        if unread - self.transport.get_write_buffer_size() < WRITE_BYTES:
            self._end("slow reader")
        else:
            self._watch()

    def _end(self, reason: str) -> None:
        self._tell(reason)
        self.transport.abort()  # `close` would wait for a client that reads nothing

    def _tell(self, reason: str) -> None:
        CLOSED.add(reason)
        if monotonic() - Connection.logged > LOG_SECONDS:
            Connection.logged = monotonic()
            logger.warning("closed a connection, and perhaps more: %s", reason)


def _answer(response: ProblemResponse) -> bytes:
    more = (NO_SNIFFING, NO_CONTENT, (b"connection", b"close"))  # no other layer adds them
    lines = [b": ".join(header) for header in (*response.raw_headers, *more)]
    return b"\r\n".join(
        [STATUS_LINE[response.status_code].strip(), *lines, b"", bytes(response.body)]
    )


_INVALID = _answer(ProblemResponse(400, "The request is not valid HTTP."))
_TOO_LARGE = _answer(
    ProblemResponse(431, f"Headers have at most {MAX_HEADER_BYTES} bytes and {MAX_HEADERS} lines.")
)
