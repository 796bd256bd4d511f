"""Each server that is offered, as its README starts it: stopping, dying and blocked workers."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
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
HANG = 120  # seconds: no test depends on how fast a machine is

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
        async with asyncio.timeout(HANG):
            while True:
                asked = [get(self.port, "/worker?wait=0.02") for _ in range(4 * WORKERS)]
                answers = await asyncio.gather(*asked, return_exceptions=True)
                found = {answer[1] for answer in answers if isinstance(answer, tuple)}
                if wanted(found):
                    return found

    async def stopped(self) -> int:
        """Return its exit code."""
        return await asyncio.to_thread(self.process.wait, HANG)


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
        async with asyncio.timeout(HANG):
            await asyncio.gather(*clients)


BUSY = ["/items?limit=5"] * CLIENTS + ["/worker?wait=1"] * 2


@pytest.mark.parametrize("server", SERVERS)
def test_a_stop_under_load_fails_no_request(
    project: Callable[[str], Path], environment: Environment, server: str
) -> None:
    async def stop(running: Service) -> Load:
        await running.workers(lambda pids: len(pids) == WORKERS)
        async with under(Load(running.port), *BUSY) as load:
            await load.answers(20 * CLIENTS)  # meanwhile slow ones are under way
            load.stopping = True
            running.process.send_signal(signal.SIGTERM)
            assert await running.stopped() == 0
        return load

    with service(project(server), environment) as running:
        load = asyncio.run(stop(running))

    print(server, load)
    assert load.statuses.keys() == {200}
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

    async def stop(running: Service) -> None:
        await running.workers(lambda pids: len(pids) == WORKERS)
        running.process.send_signal(signal.SIGINT)
        await running.stopped()

    with service(project(server), environment) as running:
        asyncio.run(stop(running))

    assert running.log.count("the lifespan is closed") == WORKERS


def test_a_reload_keeps_old_workers_until_new_ones_serve(
    project: Callable[[str], Path], environment: Environment
) -> None:
    """As `kill -HUP` asks for one, of gunicorn alone."""
    shop = project("gunicorn")
    main = shop / "app/main.py"
    main.write_text(
        re.sub(
            r"( +)(yield \{)",
            r'\1_ = print("the lifespan begins", flush=True)\n\1\2',
            main.read_text(),
        )
    )

    async def reload(running: Service) -> Load:
        old = await running.workers(lambda pids: len(pids) == WORKERS)
        async with under(Load(running.port, keep=False), *BUSY[:4]) as load:
            running.process.send_signal(signal.SIGHUP)
            await running.workers(lambda pids: len(pids) == WORKERS and not pids & old)
        running.process.send_signal(signal.SIGTERM)
        assert await running.stopped() == 0
        return load

    with service(shop, environment) as running:
        load = asyncio.run(reload(running))

    events = re.findall("the lifespan (begins|is closed)", running.log)
    assert events == ["begins"] * 2 * WORKERS + ["is closed"] * 2 * WORKERS
    assert load.statuses.keys() == {200}


def test_a_hasty_stop_is_noticed(project: Callable[[str], Path], environment: Environment) -> None:
    """The check above can fail."""

    async def stop(running: Service) -> Load:
        async with under(Load(running.port), *BUSY) as load:
            await load.answers(20 * CLIENTS)
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
    paths = ("/health/ready", "/health/live", "/items")
    seen: list[list[int]] = []

    async def ready(running: Service) -> set[int]:
        # So many that all workers are among those that answer.
        return {(await get(running.port, "/health/ready"))[0] for _ in range(5 * WORKERS)}

    async def stop(running: Service) -> Load:
        await running.workers(lambda pids: len(pids) == WORKERS)
        async with under(Load(running.port, keep=False), *BUSY[:4]) as load:
            running.process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(HANG):
                while await ready(running) != {503}:
                    pass
            for _ in range(3):
                seen.append([(await get(running.port, path))[0] for path in paths])
            load.over = True  # whoever asks /health/ready has turned elsewhere by now
            assert running.process.poll() is None
            assert await running.stopped() == 0
            return load

    with service(project(server), environment, DRAIN_SECONDS=5) as running:
        load = asyncio.run(stop(running))

    print(server, load)
    assert seen == [[503, 200, 200]] * 3
    assert load.statuses.keys() == {200}
    assert not +load.broken
    assert running.log.count("the lifespan is closed") == WORKERS
    assert "Traceback" not in running.log
    assert "WARNING" not in running.log


@pytest.mark.parametrize("server", SERVERS)
def test_a_killed_worker_is_replaced(
    project: Callable[[str], Path], environment: Environment, server: str
) -> None:
    async def kill(running: Service) -> Load:
        before = await running.workers(lambda pids: len(pids) == WORKERS)
        async with under(Load(running.port, keep=False), *["/worker"] * CLIENTS) as load:
            await load.answers(CLIENTS)
            os.kill(victim := min(before), signal.SIGKILL)
            await load.answers(CLIENTS)  # the other one goes on
            await running.workers(lambda pids: len(pids) == WORKERS and victim not in pids)
            await load.answers(CLIENTS)
        return load

    with service(project(server), environment) as running:
        load = asyncio.run(kill(running))

    print(server, load)
    assert load.statuses.keys() == {200}
    # What the one that died was answering, or had in its own queue.
    assert sum(load.broken.values()) <= 2 * CLIENTS


def test_a_blocked_worker_is_replaced(
    project: Callable[[str], Path], environment: Environment
) -> None:
    async def block(running: Service) -> None:
        before = await running.workers(lambda pids: len(pids) == WORKERS)
        blocked = await Connection.open(running.port)
        async with asyncio.timeout(HANG):
            with pytest.raises(ClosedError):
                await blocked.get("/worker?block=600")
        after = await running.workers(lambda pids: len(pids) == WORKERS)
        assert len(after & before) == WORKERS - 1

    with service(project("gunicorn"), environment, "--timeout", "2") as running:
        asyncio.run(block(running))

    assert "WORKER TIMEOUT" in running.log


@pytest.mark.parametrize("server", SERVERS)
def test_draining_takes_leave_of_kept_connections(
    project: Callable[[str], Path], environment: Environment, server: str
) -> None:
    """No request is on its way on a connection that the server closes."""

    async def stop(running: Service) -> Load:
        await running.workers(lambda pids: len(pids) == WORKERS)
        async with under(Load(running.port), *BUSY[:CLIENTS]) as load:
            await load.answers(10 * CLIENTS)
            load.stopping = True
            running.process.send_signal(signal.SIGTERM)
            assert await running.stopped() == 0
        return load

    with service(project(server), environment, DRAIN_SECONDS=2) as running:
        load = asyncio.run(stop(running))

    print(server, load)
    assert load.statuses.keys() == {200}
    assert load.retried == 0
