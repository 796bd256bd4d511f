"""Calls of other services: one client, few connections, short waits, plain errors.

The client lives as long as the service does: to make one takes the event loop tens of
milliseconds, and each would open connections of its own (docs/outbound.md).
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Iterable, Mapping
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from time import perf_counter
from typing import Annotated, Any, TypeVar

import stamina
from fastapi import Depends
from httpx2 import (
    AsyncClient,
    ConnectTimeout,
    HTTPError,
    HTTPStatusError,
    Limits,
    NetworkError,
    RemoteProtocolError,
    Response,
    Timeout,
    TimeoutException,
)
from pydantic import BaseModel, Field, HttpUrl, ValidationError, field_validator
from pydantic_settings import SettingsConfigDict
from stamina.instrumentation import LoggingOnRetryHook, set_on_retry_hooks
from starlette.requests import HTTPConnection

from app.database import Database
from app.database.gate import Gate
from app.errors import ProblemError
from app.observability.context import current_request
from app.observability.counts import Count
from app.settings import ServiceSettings

A = TypeVar("A")
T = TypeVar("T")
Model = TypeVar("Model", bound=BaseModel)

logger = logging.getLogger(__name__)

ERRORS = Count("upstream_errors", "Calls of other services that failed.", ["upstream"])

# Of the hooks that stamina looks for by default some are imported in the middle of a call.
set_on_retry_hooks([LoggingOnRetryHook])

# To do these twice is to do them once: https://www.rfc-editor.org/rfc/rfc9110#name-idempotent-methods
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})

# Said of bytes that have been unpacked.
OF_TRANSPORT = frozenset({"content-encoding", "content-length", "transfer-encoding"})


class OutboundSettings(ServiceSettings):
    """Where other services are, and how much is asked of them."""

    model_config = SettingsConfigDict(env_prefix="OUTBOUND_")

    # Their addresses by the names that errors and metrics have, as JSON.
    upstreams: dict[str, HttpUrl] = Field(default={})
    # Of each worker to each of them, so that one that hangs takes none from the others.
    connections: int = Field(default=20, ge=1)
    queue: int = Field(default=500, ge=0)  # calls that may wait for one
    # Seconds: to wait for a connection, to open one, and for a whole call with its retries.
    pool_timeout: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    connect_timeout: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    timeout: float = Field(default=5.0, gt=0, allow_inf_nan=False)
    attempts: int = Field(default=3, ge=1)  # for calls that may be repeated
    max_bytes: int = Field(default=10_485_760, ge=0)  # of an answer, unpacked

    @field_validator("upstreams")
    @classmethod
    def _can_be_added_to(cls, upstreams: dict[str, HttpUrl]) -> dict[str, HttpUrl]:
        for name, url in upstreams.items():
            if url.query is not None or url.fragment is not None:
                raise ValueError(f"has a ? or # in the address of {name!r}: paths are added to it")
        return upstreams


class UpstreamError(ProblemError):
    """Another service has failed (502) or took too long (504)."""


class _TooLargeError(Exception):
    """An answer is larger than any should be."""


class _BusyUpstreamError(Exception):
    """Another service has done nothing and asks to come back: a 503."""


# What is worth another attempt. Not what took too long: it would only be asked for more.
_PASSING = (NetworkError, ConnectTimeout, RemoteProtocolError, _BusyUpstreamError)


class Upstream:
    """A service that this one calls.

    Args:
        name: for errors and metrics.
        url: what its paths are added to.
        client: makes the calls.
        settings: their limits.
    """

    def __init__(
        self, name: str, url: HttpUrl, client: AsyncClient, settings: OutboundSettings
    ) -> None:
        self.name = name
        self.gate = Gate(settings.connections, queue=settings.queue, timeout=settings.pool_timeout)
        self._url = str(url).rstrip("/")
        self._client = client
        self._seconds = settings.timeout
        self._attempts = settings.attempts
        self._max_bytes = settings.max_bytes

    async def get(self, path: str, model: type[Model], **more: Any) -> Model | None:
        """Return what is at a path, None when there is nothing (404).

        Raises:
            UpstreamError: as `send` does, and 502 for an answer that `model` does not take.
        """
        response = await self.send("GET", path, accept=(404,), **more)
        if response.status_code == 404:
            return None
        try:
            return model.model_validate_json(response.content)
        except ValidationError as error:
            places = ", ".join(str(entry["loc"]) for entry in error.errors())
            raise self._failed(502, "gave a bad answer", f"not valid: {places}") from None

    async def send(
        self, method: str, path: str, *, accept: Container[int] = (), **more: Any
    ) -> Response:
        """Send a request, again when that does no harm, and return the whole answer.

        Args:
            method: in capitals.
            path: begins with a slash; what comes from a client must be quoted in it.
            accept: statuses that are an answer, besides those of success.
            more: what `httpx2.AsyncClient.request` takes: `params`, `json`, `headers`.

        Raises:
            UpstreamError: 502 when there is no such answer, 504 when it takes too long.
            BusyError: 503 when too many calls wait for a connection.
        """
        started = perf_counter()
        try:
            async with self.gate, asyncio.timeout(self._seconds):
                response = await self._send(method, path, more)
                if response.status_code not in accept:
                    response.raise_for_status()
                return response
        except (TimeoutError, TimeoutException) as error:
            raise self._failed(504, "took too long", type(error).__name__) from None
        except HTTPError as error:
            # Not in the error's own words, which have the whole URL.
            reason = type(error).__name__
            if isinstance(error, HTTPStatusError):
                reason = f"status {error.response.status_code}"
            raise self._failed(502, "failed", reason) from None
        except _TooLargeError:
            reason = f"over {self._max_bytes} bytes"
            raise self._failed(502, "gave too large an answer", reason) from None
        finally:
            request = current_request.get()
            if request is not None:
                request.add_span("upstream", started, perf_counter())

    async def _send(self, method: str, path: str, more: dict[str, Any]) -> Response:
        attempts = self._attempts if method in IDEMPOTENT else 1
        async for attempt in stamina.retry_context(
            on=_PASSING,
            attempts=attempts,
            timeout=None,  # the caller's is for all attempts
            wait_initial=0.05,
            wait_max=0.5,
            wait_jitter=0.1,
        ):
            with attempt:
                response = await self._request(method, path, more)
                if response.status_code == 503 and attempt.num < attempts:
                    raise _BusyUpstreamError  # stamina logs it: no error that has the URL
        return response

    async def _request(self, method: str, path: str, more: dict[str, Any]) -> Response:
        body = bytearray()
        async with self._client.stream(method, self._url + path, **more) as response:
            async for part in response.aiter_bytes():
                body += part
                if len(body) > self._max_bytes:
                    raise _TooLargeError
        told = response.headers.multi_items()
        if method != "HEAD":
            told = [pair for pair in told if pair[0] not in OF_TRANSPORT]
        return Response(
            response.status_code, headers=told, content=bytes(body), request=response.request
        )

    def _failed(self, status: int, what: str, reason: str) -> UpstreamError:
        ERRORS.add(self.name)
        logger.warning("%s %s: %s", self.name, what, reason)
        return UpstreamError(status, f"The service {self.name} {what}.")


class Outbound:
    """The services that this one calls, while it runs.

    Args:
        settings: where they are, and their limits.
    """

    def __init__(self, settings: OutboundSettings) -> None:
        self.settings = settings
        self.upstreams: Mapping[str, Upstream] = {}

    @asynccontextmanager
    async def opened(self, _: Database) -> AsyncIterator[None]:
        """Open the client, and close its connections at the end."""
        for name in ("httpx2", "httpcore2"):  # they log whole URLs, and headers
            logging.getLogger(name).setLevel(logging.WARNING)
        async with AsyncClient(
            # The gates before it limit its connections.
            limits=Limits(max_connections=None, max_keepalive_connections=None),
            timeout=Timeout(self.settings.timeout, connect=self.settings.connect_timeout),
            follow_redirects=False,
            # A cookie that was set for one request must not go with the next.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        ) as client:
            self.upstreams = {
                name: Upstream(name, url, client, self.settings)
                for name, url in self.settings.upstreams.items()
            }
            yield


async def get_upstreams(connection: HTTPConnection) -> Mapping[str, Upstream]:
    """Give the other services by their names."""
    outbound: Outbound = connection.app.state.outbound
    return outbound.upstreams


Upstreams = Annotated[Mapping[str, Upstream], Depends(get_upstreams)]


async def for_each(
    arguments: Iterable[A], call: Callable[[A], Awaitable[T]], *, at_once: int = 10
) -> list[T]:
    """Await `call` of every argument, several at once, and return what they gave, in order.

    When one fails, or who waits for them leaves, the others are cancelled.

    Raises:
        Exception: the first that a call raised.
    """
    places = asyncio.Semaphore(at_once)

    async def one(argument: A) -> T:
        async with places:
            return await call(argument)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(argument)) for argument in arguments]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]
