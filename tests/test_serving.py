"""Each server that is offered, as its README starts it: stopping, dying and blocked workers."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import Render
from tests.harness.load import ClosedError, Connection, Load, get
from tests.harness.support import SERVERS, Environment, free_port, production_command, started

WORKERS = 2
CLIENTS = 8

# Planted beside the example: who answers, after how many seconds of waiting or of blocking.
WORKER = """

@router.get("/worker")
async def worker(wait: float = 0, block: float = 0) -> int:
    import asyncio, os, time
    time.sleep(block)
    await asyncio.sleep(wait)
    return os.getpid()
"""


@dataclass
class Service:
    """A running project."""

    port: int
    process: subprocess.Popen[bytes]
    file: Path

    @property
    def log(self) -> str:
        return self.file.read_text()

    async def workers(self, wanted: Callable[[set[int]], bool]) -> set[int]:
        """Return the processes that answer, as soon as they are as wanted."""
        async with asyncio.timeout(20):
            while True:
                asked = [get(self.port, "/worker?wait=0.02") for _ in range(4 * WORKERS)]
                answers = await asyncio.gather(*asked, return_exceptions=True)
                found = {answer[1] for answer in answers if isinstance(answer, tuple)}
                if wanted(found):
                    return found

    async def stopped(self) -> int:
        """Return its exit code."""
        return await asyncio.to_thread(self.process.wait, 30)


@contextmanager
def service(
    project: Path, environment: Environment, *options: str, **settings: object
) -> Iterator[Service]:
    """Plant a route and a line at the end of the lifespan, and serve a project."""
    with (project / "app/items/routes.py").open("a") as routes:
        routes.write(WORKER)
    main = project / "app/main.py"
    closed = r'\1\2\1print("the lifespan is closed", flush=True)\n'
    text, count = re.subn(r"(            )(yield \{.*\}\n)", closed, main.read_text())
    assert count == 1
    main.write_text(text.replace("\n            print", "\n        print"))
    environment.run("alembic", "upgrade", "head", cwd=project)
    port = free_port()
    words = production_command(project, port, *options)
    variables = environment.variables(WEB_CONCURRENCY=WORKERS, **settings)
    with started(words, project, port, env=variables) as (process, _):
        yield Service(port, process, project.parent / f"server-{port}.log")


@pytest.fixture
def project(rendered: Render, tmp_path: Path) -> Callable[[str], Path]:
    return lambda server: shutil.copytree(
        rendered(preset="standard", server=server, cache="none"), tmp_path / "shop"
    )


@asynccontextmanager
async def under(load: Load, *paths: str) -> AsyncIterator[Load]:
    """Have clients ask meanwhile, and fail when one of them does."""
    clients = [asyncio.create_task(load.client(path)) for path in paths]
    try:
        yield load
    finally:
        load.over = True
        async with asyncio.timeout(10):
            await asyncio.gather(*clients)


BUSY = ["/items?limit=5"] * CLIENTS + ["/worker?wait=1"] * 2


@pytest.mark.parametrize("server", SERVERS)
def test_a_stop_under_load_fails_no_request(
    project: Callable[[str], Path], environment: Environment, server: str
) -> None:
    async def stop(running: Service) -> Load:
        await running.workers(lambda pids: len(pids) == WORKERS)
        async with under(Load(running.port), *BUSY) as load:
            await asyncio.sleep(1.5)  # the slow ones are half way
            load.stopping = True
            running.process.send_signal(signal.SIGTERM)
            assert await running.stopped() == 0
        return load

    with service(project(server), environment) as running:
        load = asyncio.run(stop(running))

    print(server, load)
    assert load.statuses.keys() == {200}
    assert load.statuses[200] > 20 * CLIENTS
    assert load.broken["unanswered"] == load.broken["cut"] == load.broken["refused"] == 0
    if server != "uvicorn":  # its parent holds the socket open until the last worker is gone
        assert load.broken["turned away"] <= WORKERS
    assert running.log.count("the lifespan is closed") == WORKERS
    assert "was sent SIG" not in running.log  # as gunicorn says of workers that a signal has ended


@pytest.mark.parametrize("server", SERVERS)
def test_sigint_for_the_parent_alone_stops_all(
    project: Callable[[str], Path], environment: Environment, server: str
) -> None:
    """As `kill -INT` sends it; Ctrl+C in a terminal goes to the workers too."""

    async def stop(running: Service) -> float:
        await running.workers(lambda pids: len(pids) == WORKERS)
        running.process.send_signal(signal.SIGINT)
        began = time.monotonic()
        await running.stopped()
        return time.monotonic() - began

    with service(project(server), environment) as running:
        seconds = asyncio.run(stop(running))

    assert seconds < 10
    assert running.log.count("the lifespan is closed") == WORKERS


def test_a_hasty_stop_is_noticed(project: Callable[[str], Path], environment: Environment) -> None:
    """The check above can fail."""

    async def stop(running: Service) -> Load:
        async with under(Load(running.port), *BUSY) as load:
            await asyncio.sleep(1.5)
            load.stopping = True
            for pid in await running.workers(lambda pids: len(pids) == WORKERS):
                os.kill(pid, signal.SIGKILL)
            running.process.send_signal(signal.SIGTERM)
            await running.stopped()
        return load

    with service(project("gunicorn"), environment) as running:
        load = asyncio.run(stop(running))

    assert load.retried + sum(load.broken.values()) >= 2
    assert running.log.count("the lifespan is closed") < WORKERS


@pytest.mark.parametrize("server", SERVERS)
def test_draining_fails_readiness_and_nothing_else(
    project: Callable[[str], Path], environment: Environment, server: str
) -> None:
    drain = 1.5
    paths = ("/health/ready", "/health/live", "/items")
    seen: list[list[int]] = []

    async def stop(running: Service) -> tuple[float, Load]:
        await running.workers(lambda pids: len(pids) == WORKERS)
        async with under(Load(running.port, keep=False), *BUSY[:4]) as load:
            running.process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            await asyncio.sleep(0.7)  # uvicorn's parent looks for signals twice a second
            while time.monotonic() - began < drain - 0.2:
                seen.append([(await get(running.port, path))[0] for path in paths])
                await asyncio.sleep(0.1)
            load.over = True  # whoever asks /health/ready has turned elsewhere by now
            assert await running.stopped() == 0
            return time.monotonic() - began, load

    with service(project(server), environment, DRAIN_SECONDS=drain) as running:
        seconds, load = asyncio.run(stop(running))

    print(server, seconds, load, len(seen))
    assert seen
    assert all(statuses == [503, 200, 200] for statuses in seen)
    assert drain <= seconds < drain + 3
    assert load.statuses.keys() == {200}
    assert not +load.broken
    assert running.log.count("the lifespan is closed") == WORKERS
    assert "Traceback" not in running.log
    assert "WARNING" not in running.log


@pytest.mark.parametrize("server", SERVERS)
def test_a_killed_worker_is_replaced(
    project: Callable[[str], Path], environment: Environment, server: str
) -> None:
    async def kill(running: Service) -> tuple[Load, int]:
        before = await running.workers(lambda pids: len(pids) == WORKERS)
        async with under(Load(running.port, keep=False), *["/worker"] * CLIENTS) as load:
            await asyncio.sleep(0.5)
            os.kill(victim := min(before), signal.SIGKILL)
            await asyncio.sleep(0.2)
            answered = load.statuses[200]
            await running.workers(lambda pids: len(pids) == WORKERS and victim not in pids)
            answered = load.statuses[200] - answered
            await asyncio.sleep(0.5)
        return load, answered

    with service(project(server), environment) as running:
        load, answered = asyncio.run(kill(running))

    print(server, load, answered)
    assert load.statuses.keys() == {200}
    assert answered > 0  # the other one went on
    # What the one that died was answering, or had in its own queue.
    assert sum(load.broken.values()) <= 2 * CLIENTS


def test_a_blocked_worker_is_replaced(
    project: Callable[[str], Path], environment: Environment
) -> None:
    async def block(running: Service) -> float:
        before = await running.workers(lambda pids: len(pids) == WORKERS)
        blocked = await Connection.open(running.port)
        began = time.monotonic()
        with pytest.raises(ClosedError):
            await blocked.get("/worker?block=30")
        seconds = time.monotonic() - began
        after = await running.workers(lambda pids: len(pids) == WORKERS)
        assert len(after & before) == WORKERS - 1
        return seconds

    with service(project("gunicorn"), environment, "--timeout", "2") as running:
        seconds = asyncio.run(block(running))

    print(seconds)
    assert 1 < seconds < 10
    assert "WORKER TIMEOUT" in running.log


@pytest.mark.parametrize("server", SERVERS)
def test_draining_takes_leave_of_kept_connections(
    project: Callable[[str], Path], environment: Environment, server: str
) -> None:
    """No request is on its way on a connection that the server closes."""

    async def stop(running: Service) -> Load:
        await running.workers(lambda pids: len(pids) == WORKERS)
        async with under(Load(running.port), *BUSY[:CLIENTS]) as load:
            await asyncio.sleep(1)
            load.stopping = True
            running.process.send_signal(signal.SIGTERM)
            assert await running.stopped() == 0
        return load

    with service(project(server), environment, DRAIN_SECONDS=2) as running:
        load = asyncio.run(stop(running))

    print(server, load)
    assert load.statuses.keys() == {200}
    assert load.retried == 0
