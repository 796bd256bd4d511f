"""What hostile clients can make one worker hold, under each server as its README starts it.

The worker's memory stays below 1.3 times what it has when idle, and it answers others meanwhile.
How long it holds its event loop is measured in CPU time: other work on the machine does not count.
"""

import asyncio
import json
import os
import shutil
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

import httpx2
import pytest

from tests.conftest import Render
from tests.harness.support import (
    SERVERS,
    Environment,
    free_port,
    production_command,
    sampled,
    started,
)

MEGABYTE = 1_048_576
GROWTH = 0.3  # of the idle memory, and a body
HELD = 0.5  # seconds of CPU before the event loop turns: liveness takes two turns, within 1 s
HANG = 120  # seconds
CUT = (ConnectionError, asyncio.IncompleteReadError, TimeoutError)

Attack = Callable[[int], Coroutine[None, None, None]]


class Client:
    """A connection that sends what no HTTP client would."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> "Client":
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=65_536))

    async def send(self, *parts: bytes) -> None:
        with suppress(*CUT):
            for part in parts:
                self.writer.write(part)
                await self.writer.drain()

    async def answer(self, seconds: float = HANG) -> bytes:
        """Return what comes until the connection is closed or nothing comes any more."""
        found = b""
        with suppress(*CUT):
            while part := await asyncio.wait_for(self.reader.read(65_536), seconds):
                found += part
        return found

    async def status(self) -> int:
        """Return the status of the answer, 0 when there is none."""
        try:
            line = await asyncio.wait_for(self.reader.readline(), HANG)
        except CUT:
            return 0
        return int(line.split(b" ")[1]) if line else 0

    def close(self) -> None:
        self.writer.transport.abort()


def post(body: bytes, length: int | None = None) -> bytes:
    return (
        b"POST /items HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % (len(body) if length is None else length)
    ) + body


async def at_once(port: int, number: int, attack: Callable[[Client], Awaitable[int]]) -> list[int]:
    """Have so many clients attack, and return the statuses they get."""

    async def one() -> int:
        try:
            client = await Client.open(port)
        except OSError:
            return 0
        try:
            return await attack(client)
        finally:
            client.close()

    return await asyncio.gather(*[one() for _ in range(number)])


async def bodies(port: int, body: bytes) -> None:
    async def send(client: Client) -> int:
        await client.send(post(body))
        return await client.status()

    for _ in range(3):
        assert set(await at_once(port, 8, send)) <= {413, 422, 503}


async def unknown_keys(port: int) -> None:
    await bodies(port, json.dumps({str(number): 1 for number in range(70_000)}).encode())


async def as_many_keys_as_allowed(port: int) -> None:
    await bodies(port, json.dumps({f"{number:090}": 1 for number in range(9_900)}).encode())


async def headers_without_end(port: int) -> None:
    async def send(client: Client) -> int:
        line = b"a: " + b"b" * 8000 + b"\r\n"
        await client.send(b"GET /items HTTP/1.1\r\n", *[line] * 25_000)
        return await client.status()

    assert set(await at_once(port, 4, send)) <= {0, 400, 431}


async def long_encodings(port: int) -> None:
    for number in range(130):
        header = b"Accept-Encoding: %d%b" % (number, b"a" * 8 * MEGABYTE)
        client = await Client.open(port)
        await client.send(b"GET /items HTTP/1.1\r\nHost: a\r\n", header, b"\r\n\r\n")
        client.close()


async def unfinished_headers(port: int) -> None:
    async def send(client: Client) -> int:
        await client.send(b"GET /items HTTP/1.1\r\na: ", b"b" * 15_000)
        await asyncio.sleep(3)
        return 0

    await at_once(port, 1500, send)


async def bodies_that_stop(port: int) -> None:
    async def send(client: Client) -> int:
        await client.send(post(b"a" * 1_000_000, MEGABYTE))
        await asyncio.sleep(3)
        return 0

    await at_once(port, 200, send)


async def readers_that_stop(port: int) -> None:
    async def send(client: Client) -> int:
        await client.send(b"GET /items.jsonl HTTP/1.1\r\nHost: test\r\n\r\n")
        await asyncio.sleep(5)
        return 0

    await at_once(port, 80, send)


async def pipelines(port: int) -> None:
    async def send(client: Client) -> int:
        await client.send(b"GET /items HTTP/1.1\r\nHost: a\r\n\r\n" * 100_000)
        await asyncio.sleep(1)
        return 0

    await at_once(port, 20, send)


ATTACKS = [
    unknown_keys,
    as_many_keys_as_allowed,
    headers_without_end,
    long_encodings,
    unfinished_headers,
    bodies_that_stop,
    readers_that_stop,
    pipelines,
]


def memory(group: int, field: str) -> int:
    """Return the memory of the largest process of a group, in bytes."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.getpgid(int(folder.name)) == group:
                lines = (folder / "status").read_text().splitlines()
                found.append(next(int(one.split()[1]) for one in lines if one.startswith(field)))
    return max(found) * 1024


def forget_peaks(group: int) -> None:
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.getpgid(int(folder.name)) == group:
                (folder / "clear_refs").write_text("5")


# Planted beside the example: how long the event loop was held at most, in seconds of its CPU time.
PROBE = """

held = [0.0]


@router.post("/probe")
async def start_probe() -> None:
    import asyncio, time

    async def probe() -> None:
        while True:
            before = time.thread_time()
            await asyncio.sleep(0.001)
            held[0] = max(held[0], time.thread_time() - before)

    held.append(asyncio.create_task(probe()))


@router.get("/probe")
async def read_probe() -> float:
    return held[0]
"""


async def liveness(port: int, over: asyncio.Event) -> int:
    """Ask on a new connection again and again, and return how often it was answered."""
    answered = 0
    while not over.is_set():
        client = await Client.open(port)
        await client.send(b"GET /health/live HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        assert await client.status() == 200
        answered += 1
        client.close()
        await asyncio.sleep(0.05)
    return answered


def under(port: int, attack: Attack) -> int:
    """Return how often liveness was answered during an attack, which another process makes."""

    async def watch() -> int:
        over = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(liveness(port, over))
            await asyncio.to_thread(attacker.join)
            over.set()
        return asked.result()

    attacker = get_context("spawn").Process(target=_make, args=(attack, port))
    attacker.start()
    answered = asyncio.run(watch())
    assert attacker.exitcode == 0
    return answered


def _make(attack: Attack, port: int) -> None:
    asyncio.run(attack(port))


FILL = """
import asyncio
from sqlalchemy import insert
from app.database import DatabaseSettings, open_database
from app.items.models import Item

async def fill():
    async with open_database(DatabaseSettings()) as database:
        async with database.writes.session() as session:
            rows = [{"name": f"{n:05}" + "a" * 150, "quantity": n} for n in range(100_000)]
            await session.execute(insert(Item), rows)

asyncio.run(fill())
"""


@pytest.fixture(params=sampled(SERVERS))
def project(
    request: pytest.FixtureRequest, rendered: Render, environment: Environment, tmp_path: Path
) -> Path:
    answers = {"preset": "standard", "server": request.param}
    project = shutil.copytree(rendered(**answers), tmp_path / "shop")
    with (project / "app/items/routes.py").open("a") as routes:
        routes.write(PROBE)
    environment.run("alembic", "upgrade", "head", cwd=project)
    environment.run("python", "-c", FILL, cwd=project)
    return project


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda it: it.__name__)
def test_an_attack_takes_no_memory_and_no_time_of_others(
    project: Path, environment: Environment, attack: Attack
) -> None:
    port = free_port()
    words = production_command(project, port)
    variables = environment.variables(WEB_CONCURRENCY=1)
    with started(words, project, port, env=variables) as (server, client):
        for path in ("/items", "/items/1", "/item-stats", "/no-such-path"):
            client.get(path)
        client.get("/items.jsonl")
        client.post("/items", json={"name": 1})
        client.post("/probe").raise_for_status()
        idle = memory(server.pid, "VmRSS")
        forget_peaks(server.pid)
        answered = under(port, attack)
        most = memory(server.pid, "VmHWM")
        held = httpx2.get(f"http://127.0.0.1:{port}/probe", timeout=HANG).json()

    print(f"idle {idle / MEGABYTE:.0f} MB, most {most / MEGABYTE:.0f} MB")
    print(f"{answered} answers meanwhile, the event loop held for {held:.2f} s of CPU")
    assert most < idle * (1 + GROWTH) + MEGABYTE
    assert answered
    assert held < HELD


@pytest.mark.parametrize("project", ["uvicorn", "gunicorn"], indirect=True)
def test_more_connections_than_open_files_stop_nobody(
    project: Path, environment: Environment
) -> None:
    port = free_port()
    shell, option, command = production_command(project, port)
    words = [shell, option, f"ulimit -n 256; {command}"]
    variables = environment.variables(WEB_CONCURRENCY=1)
    with started(words, project, port, env=variables) as (_, client):
        client.post("/probe").raise_for_status()
        client.close()
        assert under(port, unfinished_headers)

    log = (project.parent / f"server-{port}.log").read_text()
    assert "closed a connection, and perhaps more: too many" in log
    assert "Too many open files" not in log
