"""Prometheus' view of a service with several workers, whichever of them answers."""

import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.conftest import Render
from tests.harness.support import SERVERS, Environment, free_port, production_command, started
from tests.harness.workers import PATIENCE, wait_until

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

    # A connection for each request: any worker may take it.
    each = httpx2.Limits(max_keepalive_connections=0)
    url = f"http://127.0.0.1:{port}"
    with (
        started(words, project, port, env=env) as (process, _),
        httpx2.Client(base_url=url, limits=each, timeout=PATIENCE) as client,
    ):

        def ask(path: str) -> str:
            answer = client.get(path)
            assert answer.status_code == 200
            return answer.text

        yield ask, process.pid


def workers_of(pid: int) -> set[int]:
    """Return the processes that a server has started, but for Python's own helper."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {
        int(child)
        for child in children
        if "resource_tracker" not in Path(f"/proc/{child}/cmdline").read_text()
    }


def counted(exposition: str) -> float:
    """Return how many requests to the list of items were counted."""
    line = r'^http_request_duration_seconds_count\{.*route="/items",.*\} (\S+)$'
    found = re.findall(line, exposition, re.MULTILINE)
    return sum(map(float, found))


def limits(exposition: str) -> list[str]:
    """Return how many connections of the read road the service may open."""
    line = r'^database_connections_limit\{.*road="read".*\} (\S+)'
    return re.findall(line, exposition, re.MULTILINE)


@pytest.mark.parametrize("server", SERVERS)
def test_every_scrape_tells_of_all_workers_and_of_the_dead(
    rendered: Render, environment: Environment, tmp_path: Path, server: str
) -> None:
    with running(rendered, environment, tmp_path, server) as (ask, parent):
        workers = workers_of(parent)
        assert len(workers) == 2
        for _ in range(40):
            ask("/items")
        wait_until(lambda: counted(ask("/metrics")) == 40)  # each worker does it in batches
        assert [counted(ask("/metrics")) for _ in range(40)] == [40] * 40

        killed = workers.pop()
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: len(workers_of(parent) - {killed}) == 2)
        # The new one tells of its pool when it has imported the service.
        wait_until(lambda: limits(ask("/metrics")) == ["8.0"])
        for _ in range(10):
            ask("/items")
        wait_until(lambda: counted(ask("/metrics")) == 50)
        said = [counted(ask("/metrics")) for _ in range(40)]
        known = limits(ask("/metrics"))
    memory = Path("/dev/shm")  # noqa: S108
    assert not list(memory.glob(f"{PREFIX}*-{parent}-*"))  # it has gone with them
    assert said == [50] * 40
    assert known == ["8.0"]  # of two workers with four connections each, not of the dead one


def test_a_scrape_of_100_routes_has_a_sample_a_bucket_and_no_more(
    rendered: Render, environment: Environment, tmp_path: Path
) -> None:
    """Samples are not repeated for each worker. `make bench` measures the cost of a scrape."""
    with running(rendered, environment, tmp_path, "uvicorn") as (ask, _):
        for number in range(100):
            for _ in range(6):  # both workers get some
                ask(f"/planted{number}/word")
        wait_until(lambda: ask("/metrics").count('route="/planted') >= 100 * 17)
        text = ask("/metrics")
    assert text.count('route="/planted') == 100 * 17
