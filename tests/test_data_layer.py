"""The data layer when it is hit hard: restarts, saturation, pgbouncer, a million rows."""

import asyncio
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx2
import pytest

from tests.conftest import ROOT, Render
from tests.harness.proxy import Proxy, proxy
from tests.harness.servers import Server, execute, mariadb, missing, pgbouncer, postgresql, url_of
from tests.harness.support import Environment, clean_environment, free_port, serving

KINDS = ("postgresql", "mysql")
RUN = {"postgresql": postgresql, "mysql": mariadb}

# A route that holds a write session while it reads, planted beside the example.
BOTH_ROADS = '''

@router.post("/both")
async def use_both(session: WriteSession, reads: Reads) -> OwnerRead:
    """Write, then read."""
    owner = Owner(name="both")
    session.add(owner)
    await session.flush()
    await queries.owners(reads, 1, 0)
    return OwnerRead.model_validate(owner)
'''


@dataclass
class Service:
    """A running project."""

    port: int
    pid: int
    log: Path

    def rss(self) -> float:
        """Return its memory in MiB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024

    @asynccontextmanager
    async def clients(self, count: int) -> AsyncIterator[httpx2.AsyncClient]:
        """Give a client with that many connections."""
        limits = httpx2.Limits(max_connections=count, max_keepalive_connections=count)
        url = f"http://127.0.0.1:{self.port}"
        async with httpx2.AsyncClient(base_url=url, limits=limits, timeout=30) as client:
            yield client


@pytest.fixture
def project(rendered: Render, tmp_path: Path) -> Callable[[str], Path]:
    """Make a project on a kind of database, with a route that uses both roads."""

    def make(kind: str) -> Path:
        # No cache: it would answer while the database does not.
        without = rendered(preset="standard", database=kind, cache="none")
        copy = shutil.copytree(without, tmp_path / "shop")
        with (copy / "app/items/routes.py").open("a") as routes:
            routes.write(BOTH_ROADS)
        return copy

    return make


@pytest.fixture
def own_server() -> Iterator[Callable[..., Server]]:
    """Start a server that only this test uses, and stops."""
    from contextlib import ExitStack  # noqa: PLC0415

    with ExitStack() as stack:

        def start(kind: str, **settings: object) -> Server:
            if absent := missing("postgres" if kind == "postgresql" else "mariadbd"):
                pytest.skip(f"{absent[0]} is not installed: run scripts/servers.sh as root")
            server = stack.enter_context(RUN[kind](**settings))
            execute(server, "CREATE DATABASE shop")
            return server

        yield start


@contextmanager
def running(
    project: Path, environment: Environment, url: str, *, migrate: bool = True, **settings: object
) -> Iterator[Service]:
    """Migrate and serve a project."""
    env = {"DATABASE_URL": url, **{name: str(value) for name, value in settings.items()}}
    if migrate:
        environment.run("alembic", "upgrade", "head", cwd=project, env={"DATABASE_URL": url})
    port = free_port()
    words: list[str | Path] = [environment.folder / "bin/uvicorn", "app.main:app"]
    words += ["--port", str(port)]
    with serving(words, project, port, env={**clean_environment(), **env}):
        command = f"{environment.folder}/bin/uvicorn\0app.main:app\0--port\0{port}\0"
        (pid,) = [
            int(entry.name)
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and command in _command(entry)
        ]
        yield Service(port, pid, project.parent / f"server-{port}.log")


def _command(process: Path) -> str:
    try:
        return (process / "cmdline").read_text()
    except OSError:
        return ""


async def fill(client: httpx2.AsyncClient) -> None:
    """Make an owner with an item."""
    owner = (await client.post("/owners", json={"name": "Ann"})).json()
    item = {"name": "tea", "owner_id": owner["id"], "tags": ["hot"]}
    assert (await client.post("/items", json=item)).status_code == 201


CALLS = [
    ("GET", "/items/1", None),
    ("GET", "/items?limit=5", None),
    ("GET", "/item-stats", None),
    ("POST", "/items", {"name": "milk", "tags": ["cold"]}),
    ("PATCH", "/items/1", {"quantity": 3}),
    ("POST", "/both", None),
]

Answer = tuple[float, int, float]  # when it came, its status, the seconds it took


async def ask(client: httpx2.AsyncClient, until: Callable[[], bool], count: int) -> list[Answer]:
    """Have `count` clients ask everything in turn until it is time to stop."""
    answers: list[Answer] = []

    async def one(number: int) -> None:
        while not until():
            method, path, body = CALLS[number % len(CALLS)]
            number += 1
            started = perf_counter()
            response = await client.request(method, path, json=body)
            answers.append((perf_counter(), response.status_code, perf_counter() - started))
            if response.status_code == 503:
                # Of a commit that broke off nobody knows: to ask again may do it twice.
                known = "outcome is unknown" not in response.text
                assert response.headers.get("retry-after") == ("1" if known else None)
                await asyncio.sleep(0.02)

    await asyncio.gather(*(one(number) for number in range(count)))
    return answers


@pytest.mark.parametrize("kind", KINDS)
def test_a_restarted_database_costs_quick_503s_and_no_more(
    project: Callable[[str], Path],
    environment: Environment,
    own_server: Callable[..., Server],
    kind: str,
) -> None:
    server = own_server(kind)

    async def load(service: Service) -> tuple[list[Answer], float, float, float]:
        async with service.clients(32) as client:
            await fill(client)
            stop = asyncio.Event()
            asking = asyncio.create_task(ask(client, stop.is_set, 32))
            await asyncio.sleep(1.5)
            await asyncio.to_thread(server.stop)
            gone = perf_counter()
            await asyncio.sleep(1.5)
            returning = perf_counter()  # from now on it may answer
            await asyncio.to_thread(server.start)
            back = perf_counter()
            await asyncio.sleep(6)
            stop.set()
            return await asking, gone, returning, back

    with running(project(kind), environment, url_of(server, "shop")) as service:
        answers, gone, returning, back = asyncio.run(load(service))
        assert Path(f"/proc/{service.pid}").exists()  # the same process all the time
        log = service.log.read_text()

    statuses = Counter(status for _, status, _ in answers)
    # An answer that was made just before may arrive just after.
    during = [answer for answer in answers if gone + 0.3 < answer[0] < returning]
    late = [answer for answer in answers if answer[0] > back + 5]
    print(kind, statuses, f"slowest 503 {max(a[2] for a in answers if a[1] == 503):.2f} s")
    last = max(answer[0] for answer in answers if answer[1] == 503) - back
    print(f"the last 503 came {last:.2f} s after the server's return")
    assert statuses.keys() <= {200, 201, 503}
    assert {status for _, status, _ in during} == {503}
    assert all(took < 1 for _, status, took in answers if status == 503)
    assert late
    assert {status for _, status, _ in late} <= {200, 201}
    assert "unhandled error" not in log


async def commits_that_wait(server: Server, expected: int) -> None:
    """Return once so many commits wait for a standby."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    for _ in range(200):
        found = int(execute(server, waiting))
        if found == expected:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{found} commits wait")


@pytest.mark.parametrize("frozen", [False, True], ids=["waits", "frozen"])
def test_a_commit_that_is_never_answered_is_told_and_given_up(
    project: Callable[[str], Path],
    environment: Environment,
    own_server: Callable[..., Server],
    *,
    frozen: bool,
) -> None:
    """The server waits for a standby that is not there, or its connections are dead as well."""
    server = own_server("postgresql")
    standby = "ALTER SYSTEM SET synchronous_standby_names = {};\nSELECT pg_reload_conf();\n"

    async def load(service: Service, link: Proxy) -> tuple[list[httpx2.Response], dict[str, str]]:
        async with service.clients(8) as client:
            await fill(client)
            execute(server, standby.format("'nobody'"))
            item = {"name": "milk"}
            posts = [asyncio.create_task(client.post("/items", json=item)) for _ in range(2)]
            await commits_that_wait(server, 2)
            if frozen:
                link.freeze()
            answers = await asyncio.gather(*posts)
            ready = await client.get("/health/ready")
            execute(server, standby.format("''"))
            await commits_that_wait(server, 0)
            assert (await client.post("/items", json=item)).status_code == 201
            assert (await client.get("/health/ready")).json() == {"status": "ok"}
            return answers, ready.json()

    with proxy(server.port) as link:
        url = url_of(server, "shop").replace(str(server.port), str(link.port))
        settings: dict[str, Any] = {"DATABASE_WRITE_POOL": 2}
        with running(project("postgresql"), environment, url, **settings) as service:
            answers, ready = asyncio.run(load(service, link))
            log = service.log.read_text()

    for answer in answers:
        assert answer.status_code == 503
        assert "outcome is unknown" in answer.json()["detail"]
        assert "retry-after" not in answer.headers
    assert ready == {"status": "ok", "writes": "refused"}
    assert log.count("the outcome of a commit is unknown") == 2


@pytest.mark.parametrize("kind", KINDS)
def test_idle_connections_that_died_without_a_word_cost_nothing_but_a_moment(
    project: Callable[[str], Path],
    environment: Environment,
    own_server: Callable[..., Server],
    kind: str,
) -> None:
    server = own_server(kind)

    async def load(service: Service, link: Proxy) -> list[int]:
        async with service.clients(16) as client:
            await fill(client)
            left = iter(range(300))
            await ask(client, lambda: next(left, None) is None, 16)  # opens all connections
            await asyncio.sleep(1.5)
            assert link.freeze() > 5
            paths = ["/health/ready"] * 5 + ["/items/1"] * 5
            answers = [(await client.get(path)).status_code for path in paths]
            posts = [(await client.post("/items", json={"name": "milk"})) for _ in range(5)]
            return answers + [post.status_code for post in posts]

    with proxy(server.port) as link:
        url = url_of(server, "shop").replace(str(server.port), str(link.port))
        with running(project(kind), environment, url) as service:
            statuses = asyncio.run(load(service, link))

    assert statuses == [200] * 10 + [201] * 5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pool", [1, 2])
def test_small_pools_answer_everybody_within_the_bound(  # noqa: PLR0917  (fixtures)
    project: Callable[[str], Path],
    environment: Environment,
    servers: Callable[[str], Server],
    database_url: Callable[[object], str],
    kind: str,
    pool: int,
) -> None:
    wait = 0.5  # seconds, at each gate
    settings: dict[str, Any] = {"DATABASE_WRITE_POOL": pool, "DATABASE_READ_POOL": pool}
    settings["DATABASE_TIMEOUT"] = wait

    async def load(service: Service) -> list[Answer]:
        async with service.clients(64) as client:
            await fill(client)
            end = perf_counter() + 4
            return await ask(client, lambda: perf_counter() > end, 64)

    with running(project(kind), environment, database_url(kind), **settings) as service:
        answers = asyncio.run(load(service))

    statuses = Counter(status for _, status, _ in answers)
    print(kind, pool, statuses, f"slowest {max(took for _, _, took in answers):.2f} s")
    assert statuses.keys() <= {200, 201, 503}
    assert statuses[200] > 100
    # Two gates, two statements on the read road, and the time of the work itself.
    assert max(took for _, _, took in answers) < 3 * wait + 1


def test_a_saturated_read_road_is_fair(
    project: Callable[[str], Path],
    environment: Environment,
    database_url: Callable[[object], str],
) -> None:
    folder = project("postgresql")
    env = {"DATABASE_URL": database_url("postgresql")}
    environment.run("alembic", "upgrade", "head", cwd=folder, env=env)

    done = environment.run("python", ROOT / "tests/proofs/saturation.py", cwd=folder, env=env)

    result = json.loads(done.stdout)
    print(json.dumps(result))
    assert result["p99"] <= 0.4, result
    assert result["throughput"] >= 1, result


# A short transaction on a row of its own, planted beside the example.
TOUCH = """

@router.post("/touch/{item_id}")
async def touch(item_id: ItemId, session: WriteSession) -> None:
    from sqlalchemy import update

    statement = update(Item).where(Item.id == item_id).values(quantity=Item.quantity + 1)
    await session.execute(statement)
"""

# Asks for one of 5,000 rows at random, and prints p99 in microseconds, the count of answers,
# the microseconds they took in all, and the count of errors.
WRK = """
request = function() return wrk.format("POST", "/touch/" .. math.random(1, 5000)) end
done = function(summary, latency)
  local bad = summary.errors
  io.write(string.format("\\n%d %d %d %d", latency:percentile(99), summary.requests,
    summary.duration, bad.status + bad.timeout + bad.read + bad.write + bad.connect))
end
"""


def test_a_saturated_write_road_is_fair(
    project: Callable[[str], Path],
    environment: Environment,
    own_server: Callable[..., Server],
    tmp_path: Path,
) -> None:
    if missing("wrk"):
        pytest.skip("wrk is not installed: run scripts/servers.sh as root")
    server = own_server("postgresql")
    (tmp_path / "touch.lua").write_text(WRK)
    folder = project("postgresql")
    with (folder / "app/items/routes.py").open("a") as routes:
        routes.write(TOUCH)
    # The same service with SQLAlchemy's pool alone.
    ungated = shutil.copytree(folder, tmp_path / "ungated" / "shop")
    road = ungated / "app/database/writes.py"
    assert "async with self.gate, " in road.read_text()
    road.write_text(road.read_text().replace("async with self.gate, ", "async with "))

    def load(service: Service, seconds: float) -> tuple[float, float]:
        words = ["wrk", "-t1", "-c64", f"-d{seconds}s", "--timeout", "20s", "--latency", "-s"]
        words += [str(tmp_path / "touch.lua"), f"http://127.0.0.1:{service.port}"]
        out = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        p99, count, duration, errors = map(int, out.splitlines()[-1].split())
        assert not errors, out
        return p99 / 1000, count / duration * 1e6

    settings: dict[str, Any] = {"DATABASE_WRITE_POOL": 10, "DATABASE_TIMEOUT": 20}
    settings["LOG_LEVEL"] = "WARNING"
    url = url_of(server, "shop")
    with (
        running(folder, environment, url, **settings) as ours,
        running(ungated, environment, url, **settings) as pool_alone,
    ):
        execute(server, ROWS, "shop")
        rounds = [(load(ours, 2), load(pool_alone, 2)) for _ in range(6)][1:]

    p99 = statistics.median(a[0] / b[0] for a, b in rounds)
    throughput = statistics.median(a[1] / b[1] for a, b in rounds)
    print(f"p99 x {p99:.2f}, throughput x {throughput:.2f}", rounds)
    assert p99 <= 0.4, rounds
    # 1.0 on a quiet machine; the room is for one that does other things meanwhile.
    assert throughput >= 0.9, rounds


ROWS = """
    INSERT INTO items (name, quantity, created_at)
    SELECT 'item ' || n, 0, now() FROM generate_series(1, 5000) n;
    ANALYZE;
"""


def test_pgbouncer_in_transaction_mode(
    project: Callable[[str], Path], environment: Environment, own_server: Callable[..., Server]
) -> None:
    if missing("pgbouncer"):
        pytest.skip("pgbouncer is not installed: run scripts/servers.sh as root")
    server = own_server("postgresql")

    async def load(service: Service) -> Counter[int]:
        async with service.clients(32) as client:
            await fill(client)
            left = iter(range(6000))
            answers = await ask(client, lambda: next(left, None) is None, 32)
            return Counter(status for _, status, _ in answers)

    folder = project("postgresql")
    # One more than the write pool: a request that writes may read too.
    with pgbouncer(server, default_pool_size=6) as bouncer:
        environment.run(
            *("alembic", "upgrade", "head"),
            cwd=folder,
            env={"DATABASE_URL": url_of(server, "shop")},
        )
        with running(
            folder, environment, url_of(bouncer, "shop"), migrate=False, DATABASE_PGBOUNCER="true"
        ) as service:
            statuses = asyncio.run(load(service))
            left = {
                execute(
                    bouncer, "SELECT count(*) FROM pg_prepared_statements WHERE name <> ''", "shop"
                )
                for _ in range(20)
            }
        assert statuses.keys() == {200, 201}
        assert sum(statuses.values()) == 6000
        assert left == {"0\n"}  # on whichever of the server's connections one comes

        # Without the setting it does not even start, so the test above can fail.
        with (
            pytest.raises(AssertionError),
            running(folder, environment, url_of(bouncer, "shop"), migrate=False) as service,
        ):
            assert httpx2.get(f"http://127.0.0.1:{service.port}/items").status_code == 200


MILLION = {
    "postgresql": """
        INSERT INTO owners (name) SELECT 'Owner ' || n FROM generate_series(1, 100) n;
        INSERT INTO items (name, quantity, owner_id, created_at)
        SELECT 'item ' || n, n % 100, 1 + n % 100, timestamptz '2026-01-01Z' + n * interval '1 second'
          FROM generate_series(1, 1000000) n;
        INSERT INTO tags (item_id, name) SELECT id, 'hot' FROM items;
        ANALYZE;
    """,
    "mysql": """
        INSERT INTO owners (name) SELECT concat('Owner ', seq) FROM seq_1_to_100;
        INSERT INTO items (name, quantity, owner_id, created_at)
        SELECT concat('item ', seq), seq % 100, 1 + seq % 100,
               '2026-01-01 00:00:00' + INTERVAL seq SECOND FROM seq_1_to_1000000;
        INSERT INTO tags (item_id, name) SELECT id, 'hot' FROM items;
        ANALYZE TABLE items, owners, tags;
    """,
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_million_rows(
    project: Callable[[str], Path],
    environment: Environment,
    own_server: Callable[..., Server],
    kind: str,
) -> None:
    server = own_server(kind)
    with running(
        project(kind), environment, url_of(server, "shop"), DATABASE_READ_POOL=1
    ) as service:
        execute(server, MILLION[kind], "shop")
        client = httpx2.Client(base_url=f"http://127.0.0.1:{service.port}", timeout=60)

        # A cursor far down the list, made by hand: walking there takes a minute.
        from base64 import urlsafe_b64encode  # noqa: PLC0415

        far = urlsafe_b64encode(b'["2026-01-02T00:00:00Z",86400]').decode().rstrip("=")
        assert len(client.get("/items", params={"cursor": far}).json()["results"]) == 20
        times: dict[str, list[float]] = {"first": [], "far": []}
        for _ in range(60):
            for name, params in (("first", {}), ("far", {"cursor": far})):
                started = perf_counter()
                client.get("/items", params=params).raise_for_status()
                times[name].append(perf_counter() - started)
        first, last = (statistics.median(times[name]) for name in ("first", "far"))
        print(f"{kind}: first page {first * 1000:.1f} ms, page at row 913,600 {last * 1000:.1f} ms")
        assert last < 1.5 * first

        # A client that reads a little and stops, holding its connection to the service.
        with client.stream("GET", "/items.jsonl") as stalled:
            next(stalled.iter_bytes())
            time.sleep(0.5)
            for _ in range(20):  # the read road has one connection, and it is free
                assert client.get("/items/1").status_code == 200
        # It has gone now.
        assert client.get("/items/1").status_code == 200

        before = service.rss()
        lines, most = 0, before
        started = perf_counter()
        with client.stream("GET", "/items.jsonl") as response:
            for number, chunk in enumerate(response.iter_bytes(65536)):
                lines += chunk.count(b"\n")
                if number % 50 == 0:
                    most = max(most, service.rss())
        print(
            f"{kind}: {lines} rows in {perf_counter() - started:.1f} s,"
            f" memory {before:.0f} MiB and at most {most:.0f} MiB"
        )
        assert lines == 1_000_000
        assert most - before < 50
        client.close()


@pytest.mark.parametrize("kind", KINDS)
def test_two_workers_over_the_budget_are_refused(
    project: Callable[[str], Path],
    environment: Environment,
    own_server: Callable[..., Server],
    kind: str,
) -> None:
    server = own_server(kind, max_connections=25)
    folder = project(kind)
    env = {**clean_environment(), "DATABASE_URL": url_of(server, "shop"), "WEB_CONCURRENCY": "2"}
    uvicorn = environment.folder / "bin/uvicorn"
    started = subprocess.Popen(
        [uvicorn, "app.main:app", "--port", str(free_port())],
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = started.communicate(timeout=15)
    except subprocess.TimeoutExpired:
        os.killpg(started.pid, signal.SIGTERM)
        output, _ = started.communicate()
    limit = 22 if kind == "postgresql" else 25
    assert f"may open more connections than the {limit} that the database allows" in output
    assert (
        "REPLICAS 1 x WEB_CONCURRENCY 2 x (DATABASE_WRITE_POOL 5 + DATABASE_READ_POOL 10)"
        " + DATABASE_HEADROOM 5 = 35" in output
    )
    assert "Application startup complete" not in output
