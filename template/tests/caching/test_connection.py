"""One connection to Redis for all that a process asks of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from time import monotonic

import pytest
from redis.asyncio import Connection, Redis

from app.caching import connection as connection_module
from app.caching.connection import DRIVER, RedisConnection, UnreachableError
from tests.redis_setup import PREFIX
from tests.waiting import HANG, until

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

CUP = f"{PREFIX}:cup"


@pytest.fixture
async def connection(redis_url: str) -> AsyncIterator[RedisConnection]:
    connection = RedisConnection(redis_url, timeout=HANG)
    yield connection
    connection.close()


@asynccontextmanager
async def server(answer: Answer) -> AsyncIterator[str]:
    """Serve something that is no Redis, and give its URL."""
    running: list[asyncio.Future[None]] = []

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running.append(asyncio.ensure_future(answer(reader, writer)))
        with suppress(ConnectionResetError):
            await running[-1]
        writer.close()

    server = await asyncio.start_server(run, "127.0.0.1", 0)
    yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    server.close()
    await asyncio.gather(*running, return_exceptions=True)  # they notice that their client left
    await asyncio.sleep(0)


def polite(heard: list[bytes]) -> Answer:
    """Serve OK for each command, and note what came at once."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(10_000):
            heard.append(data)
            writer.write(b"+OK\r\n" * data.count(b"*"))

    return answer


async def test_answers_find_who_has_asked(connection: RedisConnection) -> None:
    async def own(number: int) -> None:
        for turn in range(5):
            value = b"%d %d\r\n\x00\xff" % (number, turn) * number * 100
            await connection.call("SET", f"{PREFIX}:{number}", value)
            assert await connection.call("GET", f"{PREFIX}:{number}") == value

    await asyncio.gather(*map(own, range(50)))


async def test_what_is_asked_at_once_is_sent_at_once() -> None:
    heard: list[bytes] = []

    async with server(polite(heard)) as url:
        connection = RedisConnection(url, timeout=HANG)
        await connection.call("PING")
        heard.clear()
        await asyncio.gather(*(connection.call("MGET", f"key:{n % 10}") for n in range(100)))
        connection.close()

    assert len(heard) == 1
    assert heard[0].count(b"MGET") == 10


async def test_who_leaves_takes_nobodys_answer(connection: RedisConnection) -> None:
    await connection.call("SET", CUP, b"tea")
    first, second = connection.call("GET", CUP), connection.call("GET", CUP)
    other = connection.call("ECHO", b"milk")
    first.cancel()

    async with asyncio.timeout(HANG):
        assert await second == b"tea"
        assert await other == b"milk"


async def test_what_is_refused_is_that_call_alone(connection: RedisConnection) -> None:
    wrong, right = connection.call("NONSENSE"), connection.call("ECHO", b"tea")

    assert await right == b"tea"
    with pytest.raises(UnreachableError):
        await wrong
    assert await connection.call("ECHO", b"milk") == b"milk"


async def test_a_connection_that_was_closed_is_opened_again(
    connection: RedisConnection, redis_url: str
) -> None:
    number = await connection.call("CLIENT", "ID")
    async with Redis.from_url(redis_url, driver_info=DRIVER) as client:
        await client.client_kill_filter(_id=number)
    await until(lambda: connection._link is None)  # the end of the connection arrives

    async with asyncio.timeout(HANG):
        assert await connection.call("CLIENT", "ID") > number


async def test_its_name_and_password_are_those_of_the_url() -> None:
    heard: list[bytes] = []

    async with server(polite(heard)) as url:
        connection = RedisConnection(url.replace("redis://", "redis://cook:hunter2@"), timeout=HANG)
        await connection.call("PING")
        connection.close()

    assert b"AUTH\r\n$4\r\ncook\r\n$7\r\nhunter2\r\n" in b"".join(heard)


async def test_one_that_falls_silent_is_not_waited_for_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_module, "PAUSE", 60)
    silent = 0

    async def polite_at_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal silent
        while data := await reader.read(1000):
            if b"GET" in data:
                silent += 1
                await reader.read()
            writer.write(b"+OK\r\n" * data.count(b"*"))
        writer.close()

    async with server(polite_at_first) as url:
        connection = RedisConnection(url, timeout=1)
        assert await connection.call("SET", CUP, b"tea") == b"OK"
        async with asyncio.timeout(HANG):
            answers = await asyncio.gather(
                *(connection.call("GET", f"{n}") for n in range(20)), return_exceptions=True
            )
        assert {*map(type, answers)} == {UnreachableError}
        with pytest.raises(UnreachableError):  # and is left alone
            await connection.call("GET", "more")
        connection.close()

    assert silent == 1


@pytest.mark.parametrize("words", [b"!what\r\n", b"+one\r\n+too many\r\n"])
async def test_what_does_not_speak_like_redis_is_unreachable(words: bytes) -> None:
    async def odd(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            writer.write(words if b"GET" in data else b"+OK\r\n" * data.count(b"*"))
        writer.close()

    async with server(odd) as url:
        connection = RedisConnection(url, timeout=0.1)
        await asyncio.wait([connection.call("GET", "cup")], timeout=HANG)
        with pytest.raises(UnreachableError):
            await connection.call("GET", "cup")
        connection.close()


async def test_whatever_goes_wrong_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(self: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(Connection, "connect", fail)
    connection = RedisConnection("redis://127.0.0.1:1/0", timeout=0.1)

    async with asyncio.timeout(HANG):
        with pytest.raises(UnreachableError):
            await connection.call("GET", "cup")


async def test_what_cannot_be_sent_takes_nobodys_answer(connection: RedisConnection) -> None:
    await connection.call("PING")
    first, wrong = connection.call("ECHO", b"tea"), connection.call("GET", "\ud800")
    last = connection.call("ECHO", b"milk")

    async with asyncio.timeout(HANG):
        assert [await first, await last] == [b"tea", b"milk"]
        with pytest.raises(UnreachableError):
            await wrong


@pytest.mark.parametrize("words", [b"READONLY You can't write", b"LOADING", b"MASTERDOWN Link"])
async def test_one_that_is_not_to_be_asked_now_is_left(
    words: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failover the address may lead to another."""
    monkeypatch.setattr(connection_module, "PAUSE", 0.05)
    links: list[bool] = []

    async def demoted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        links.append(True)
        with suppress(ConnectionResetError):
            while data := await reader.read(1000):
                refused = b"\r\nSET\r\n" in data and len(links) == 1  # not CLIENT SETINFO
                writer.write(b"-%b\r\n" % words if refused else b"+OK\r\n" * data.count(b"*"))
        writer.close()

    async with server(demoted) as url:
        connection = RedisConnection(url, timeout=HANG)
        with pytest.raises(UnreachableError):
            await connection.call("SET", CUP, b"tea")
        await until(connection.may_try)
        assert await connection.call("SET", CUP, b"tea") == b"OK"
        connection.close()

    assert len(links) == 2


async def test_who_asks_while_it_is_closed_does_not_wait(redis_url: str) -> None:
    connection = RedisConnection(redis_url, timeout=HANG)
    answer = connection.call("ECHO", b"tea")
    await asyncio.sleep(0)  # it is being opened
    connection.close()

    async with asyncio.timeout(HANG):
        with pytest.raises(UnreachableError):
            await answer
        assert await connection.call("ECHO", b"milk") == b"milk"  # and may be used again
    connection.close()


async def test_one_that_is_always_busy_is_not_cut_off(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = RedisConnection(redis_url, timeout=HANG)
    number = await connection.call("CLIENT", "ID")
    now, ahead = monotonic(), 0.9 * HANG
    monkeypatch.setattr(connection_module, "monotonic", lambda: now + ahead)
    last = connection.call("PING")
    connection._send()
    assert connection._link

    ahead = 1.1 * HANG  # the time of the first is over, but that has its answer
    connection._link._look()

    await last
    assert await connection.call("CLIENT", "ID") == number
    connection.close()


async def test_what_was_refused_is_left_alone_for_a_moment(
    connection: RedisConnection,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(connection_module, "PAUSE", HANG)
    with pytest.raises(UnreachableError):
        await connection.call("SET", "one-word-too-few")
    assert not connection.may_try("SET")
    sent = []
    monkeypatch.setattr(connection, "_send", lambda: sent.append(1))
    with pytest.raises(UnreachableError):
        await connection.call("SET", CUP, b"tea")
    assert not sent
    monkeypatch.undo()
    assert await connection.call("ECHO", b"milk") == b"milk"  # other commands go on

    connection._refused["SET"] = 0.0  # the moment is over
    assert await connection.call("SET", CUP, b"tea") == b"OK"
    assert connection.may_try("SET")
    assert [record.getMessage() for record in caplog.records] == [
        "Redis refuses SET: ERR wrong number of arguments for 'set' command",
        "Redis takes SET again",
    ]
