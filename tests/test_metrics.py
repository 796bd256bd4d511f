"""Prometheus' view of a service with several workers, whichever of them answers."""

import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.conftest import Render
from tests.harness.support import SERVERS, Environment, free_port, production_command, started

# 100 routes, planted beside the example.
ROUTES = """

for number in range(100):

    @router.get(f"/planted{number}/{{word}}")
    async def planted(word: str) -> str:
        return word
"""


PREFIX = "service-metrics-"  # of the folder, as in the project's app/metrics/files.py

Ask = Callable[[str], str]


@contextmanager
def running(
    rendered: Render, environment: Environment, folder: Path, server: str
) -> Iterator[tuple[Ask, int]]:
    """Serve a project by two workers; give a client and the id of their parent."""
    project = shutil.copytree(
        rendered(preset="standard", server=server, cache="none"), folder / "shop"
    )
    with (project / "app/items/routes.py").open("a") as routes:
        routes.write(ROUTES)
    environment.run("alembic", "upgrade", "head", cwd=project)
    port = free_port()
    words = production_command(project, port)
    env = environment.variables(WEB_CONCURRENCY=2, LOG_LEVEL="WARNING")

    def ask(path: str) -> str:
        # A connection of its own: any worker may take it.
        answer = httpx2.get(f"http://127.0.0.1:{port}{path}", timeout=10)
        assert answer.status_code == 200
        return answer.text

    with started(words, project, port, env=env) as (process, _):
        yield ask, process.pid


def workers_of(pid: int) -> set[int]:
    """Return the processes that a server has started, but for Python's own helper."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {
        int(child)
        for child in children
        if "resource_tracker" not in Path(f"/proc/{child}/cmdline").read_text()
    }


COUNTED = 0.3  # seconds after which every worker has counted its requests: they do it in batches


def counted(exposition: str) -> float:
    """Return how many requests to the list of items were counted."""
    line = r'^http_request_duration_seconds_count\{.*route="/items",.*\} (\S+)$'
    found = re.findall(line, exposition, re.MULTILINE)
    return sum(map(float, found))


@pytest.mark.parametrize("server", SERVERS)
def test_every_scrape_tells_of_all_workers_and_of_the_dead(
    rendered: Render, environment: Environment, tmp_path: Path, server: str
) -> None:
    with running(rendered, environment, tmp_path, server) as (ask, parent):
        workers = workers_of(parent)
        assert len(workers) == 2
        for _ in range(40):
            ask("/items")
        time.sleep(COUNTED)
        assert [counted(ask("/metrics")) for _ in range(40)] == [40] * 40

        killed = workers.pop()
        os.kill(killed, signal.SIGKILL)
        deadline = time.monotonic() + 20
        while len(workers_of(parent) - {killed}) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        time.sleep(2)  # the new one has to import the service

        for _ in range(10):
            ask("/items")
        time.sleep(COUNTED)
        said = [counted(ask("/metrics")) for _ in range(40)]
        limit = r'^database_connections_limit\{.*road="read".*\} (\S+)'
        limits = re.findall(limit, ask("/metrics"), re.MULTILINE)
    memory = Path("/dev/shm")  # noqa: S108
    assert not list(memory.glob(f"{PREFIX}*-{parent}-*"))  # it has gone with them
    assert said == [50] * 40
    assert limits == ["8.0"]  # of two workers with four connections each, not of the dead one


def test_a_scrape_of_100_routes_is_quick(
    rendered: Render, environment: Environment, tmp_path: Path
) -> None:
    with running(rendered, environment, tmp_path, "uvicorn") as (ask, _):
        for number in range(100):
            for _ in range(6):  # both workers get some
                ask(f"/planted{number}/word")
        took = []
        for _ in range(10):
            started = time.perf_counter()
            text = ask("/metrics")
            took.append(time.perf_counter() - started)
    print(f"{len(text.splitlines())} lines in {min(took) * 1000:.0f} ms")
    assert text.count('route="/planted') == 100 * 17
    assert min(took) < 0.5
