"""What a connection may hold, and for how long, as uvicorn serves it."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.server import Server

from app import connection
from app.connection import CLOSED, MAX_HEADER_BYTES, MAX_HEADERS, WRITE_BYTES, Connection
from tests.waiting import HANG

GET = b"GET / HTTP/1.1\r\nHost: test\r\n"
LARGE = 20_000_000  # bytes: more than the kernel keeps for a client

Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Coroutine[Any, Any, Client]]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the path's length, or with as many bytes as the query says."""
    size = int(scope["query_string"] or 2)
    headers = [(b"content-length", b"%d" % size)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"a" * size})


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "limit", 4)
    monkeypatch.setattr(Connection, "logged", -connection.LOG_SECONDS)
    CLOSED.take_new()


@pytest.fixture
def keep_alive() -> int:
    """For how many seconds an idle connection stays."""
    return 3600


@pytest.fixture
async def connect(keep_alive: int) -> AsyncIterator[Connect]:
    """What opens a connection to a server."""
    config = Config(
        app,
        port=0,
        http=Connection,
        lifespan="off",
        log_config=None,
        timeout_keep_alive=keep_alive,
    )
    config.load()
    server = Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    port = server.servers[0].sockets[0].getsockname()[1]
    writers: list[asyncio.StreamWriter] = []

    async def open_connection() -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writers.append(writer)
        return reader, writer

    yield open_connection
    for writer in writers:
        writer.transport.abort()
    await server.shutdown()


def closed() -> dict[str, int]:
    return {reason: number for (reason,), number in CLOSED.take_new().items()}


async def answer(client: Client, request: bytes) -> bytes:
    """Send a request, and return the answer's first line."""
    reader, writer = client
    writer.write(request)
    async with asyncio.timeout(HANG):
        return (await reader.readline()).strip()


async def ended(client: Client) -> None:
    """Wait until the server has closed the connection."""
    async with asyncio.timeout(HANG):
        with suppress(ConnectionError):
            await client[0].read()


async def send_headers(client: Client) -> None:
    """Send headers as long as the server takes them."""
    for _ in range(10_000):
        client[1].write(b"a: " + b"b" * 1000 + b"\r\n")
        await client[1].drain()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([b"a: b"] * (MAX_HEADERS - 1), b"200 OK"),
        ([b"a: b"] * MAX_HEADERS, b"431 Request Header Fields Too Large"),
        ([b"a: " + b"b" * (MAX_HEADER_BYTES - 100)], b"200 OK"),
        ([b"a: " + b"b" * MAX_HEADER_BYTES], b"431 Request Header Fields Too Large"),
        ([b"a: " + b"b" * 1000] * 17, b"431 Request Header Fields Too Large"),
    ],
)
async def test_headers_are_limited(connect: Connect, headers: list[bytes], status: bytes) -> None:
    client = await connect()

    assert await answer(client, GET + b"\r\n".join(headers) + b"\r\n\r\n") == b"HTTP/1.1 " + status


@pytest.mark.parametrize(
    ("request_", "status"), [(b"no HTTP\r\n\r\n", 400), (GET + b"a: b\r\n" * 101 + b"\r\n", 431)]
)
async def test_its_own_answers_are_data_to_a_browser(
    connect: Connect, request_: bytes, status: int
) -> None:
    client = await connect()
    assert b" %d " % status in await answer(client, request_)

    head, _, body = (await client[0].read()).partition(b"\r\n\r\n")
    headers = head.split(b"\r\n")
    assert b"x-content-type-options: nosniff" in headers
    assert b"content-security-policy: default-src 'none'; frame-ancestors 'none'" in headers
    assert b"content-type: application/problem+json" in headers
    assert json.loads(body)["status"] == status


async def test_headers_that_never_end_are_cut(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """In parts too, of which none is large."""
    client = await connect()
    client[1].write(GET)
    with pytest.raises(ConnectionError):
        await send_headers(client)

    assert closed() == {"large headers": 1}
    assert "large headers" in caplog.text


async def test_a_url_counts(connect: Connect) -> None:
    request = b"GET /" + b"a" * MAX_HEADER_BYTES + b" HTTP/1.1\r\n\r\n"

    assert (await answer(await connect(), request)).startswith(b"HTTP/1.1 431")


async def test_headers_after_a_body_are_limited(connect: Connect) -> None:
    client = await connect()
    client[1].write(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n")
    with pytest.raises(ConnectionError):
        await send_headers(client)


async def test_a_body_is_no_header(connect: Connect) -> None:
    client = await connect()
    body = b"a" * 10 * MAX_HEADER_BYTES
    head = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body)

    assert await answer(client, head + body) == b"HTTP/1.1 200 OK"
    await client[0].readuntil(b"\r\n\r\naa")
    assert await answer(client, GET + b"\r\n") == b"HTTP/1.1 200 OK"


async def test_requests_that_wait_for_an_answer_are_limited(connect: Connect) -> None:
    client = await connect()
    client[1].write((GET + b"\r\n") * 1000)
    await ended(client)

    assert closed() == {"too many requests at once": 1}


@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize("sent", [b"", b"\r\n", b"GET / HT", GET])
async def test_a_request_that_does_not_end_is_cut(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, before: int, sent: bytes
) -> None:
    if not before:
        monkeypatch.setattr(connection, "HEADER_SECONDS", 0.1)
    client = await connect()
    if before:
        assert await answer(client, GET + b"\r\n") == b"HTTP/1.1 200 OK"
        await client[0].readuntil(b"\r\n\r\naa")
        monkeypatch.setattr(connection, "HEADER_SECONDS", 0.1)
    client[1].write(sent or b"\r\n" * before)
    await ended(client)

    assert closed() == {"slow request": 1}


async def test_a_connection_that_waits_for_its_next_request_stays(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, timers = asyncio.get_running_loop(), []
    call_later: Any = loop.call_later

    def note(seconds: float, callback: Callable[..., object], *args: Any, **more: Any) -> Any:
        timer = call_later(seconds, callback, *args, **more)
        if args == ("slow request",):
            timers.append(timer)
        return timer

    monkeypatch.setattr(loop, "call_later", note)
    client = await connect()
    for _ in range(2):
        assert await answer(client, GET + b"\r\n") == b"HTTP/1.1 200 OK"
        await client[0].readuntil(b"\r\n\r\naa")
        assert timers
        assert all(timer.cancelled() for timer in timers)

    assert not closed()


async def test_a_client_that_does_not_read_is_cut(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "WRITE_SECONDS", 0.1)
    client = await connect()
    told = asyncio.Event()
    monkeypatch.setattr(connection.logger, "warning", lambda *_: told.set())
    client[1].write(b"GET /?%d HTTP/1.1\r\n\r\n" % LARGE)
    async with asyncio.timeout(HANG):
        await told.wait()

    assert closed() == {"slow reader": 1}


@pytest.mark.parametrize("keep_alive", [0])
async def test_an_idle_client_that_leaves_its_answer_unread_is_a_slow_reader(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = asyncio.Event()
    monkeypatch.setattr(connection.logger, "warning", lambda *_: told.set())
    monkeypatch.setattr(connection, "WRITE_SECONDS", 3600)
    client = await connect()
    client[1].write(b"GET /?%d HTTP/1.1\r\n\r\n" % LARGE)
    async with asyncio.timeout(HANG):
        await told.wait()

    assert closed() == {"slow reader": 1}


@pytest.mark.parametrize(("read", "told"), [(WRITE_BYTES, "watched"), (WRITE_BYTES - 1, "ended")])
def test_a_client_that_reads_slowly_is_watched_on(read: int, told: str) -> None:
    calls: list[str] = []
    slow: Any = SimpleNamespace(
        transport=SimpleNamespace(get_write_buffer_size=lambda: LARGE - read),
        _watch=lambda: calls.append("watched"),
        _end=lambda _: calls.append("ended"),
    )

    Connection._check(slow, LARGE)

    assert calls == [told]


async def test_a_new_connection_takes_the_place_of_one_that_waits(connect: Connect) -> None:
    used = await connect()
    assert await answer(used, GET + b"\r\n") == b"HTTP/1.1 200 OK"
    waiting = [await connect() for _ in range(10)]

    for client in waiting[-3:]:  # those that came last
        assert await answer(client, GET + b"\r\n") == b"HTTP/1.1 200 OK"
    assert await answer(used, GET + b"\r\n") != b""  # one that was used before stays
    assert closed() == {"too many": 7}


def test_the_limit_is_below_that_of_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (256, 256))
    monkeypatch.setenv("MAX_CONNECTIONS", "1000")

    assert connection.connections_limit() == 256 - connection.OTHER_FILES


def test_the_log_is_told_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        Connection._tell(object(), "slow request")  # type: ignore[arg-type]

    assert len([one for one in caplog.records if one.levelno == logging.WARNING]) == 1
    assert closed() == {"slow request": 3}
