"""The cache of a running service: many workers, one Redis, and what happens when that is gone."""

import asyncio
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import httpx2
import pytest

from tests.conftest import Render
from tests.harness.load import Connection
from tests.harness.servers import PROGRAMS, Server, find, missing, redis, url_of
from tests.harness.support import Environment, free_port, production_command, started
from tests.harness.workers import PATIENCE, wait_until
from tests.test_metrics import workers_of

WORKERS = 2

# Planted beside the example: who answers, and a slow route that notes each of its executions.
ROUTES = """

@router.get("/worker")
async def worker() -> int:
    import os
    return os.getpid()


@router.get("/slow/{number}")
async def slow(number: int) -> int:
    import asyncio, os
    with open("executions", "a") as file:
        file.write(f"{number}\\n")
    await asyncio.sleep(0.5)
    return os.getpid()
"""
POLICIES = "POLICIES: Policies = {\n"

# An answer is made of what was read a moment ago, which gives writes time to come between.
READ = "    item = await queries.get(reads, item_id)\n"
LATER = READ + "    import asyncio\n    await asyncio.sleep(0.003)\n"

# Here a Redis that is slow because the machine is busy would be one that cannot be reached.
PATIENT = {"CACHE_TIMEOUT": 5, "CACHE_FILL_SECONDS": 60}

# A Redis that failed is left alone until the test moves this clock on, so the attempts can be
# counted on any machine.
CLOCK = """from time import monotonic as _monotonic


def monotonic() -> float:
    from pathlib import Path
    return _monotonic() + 10_000 * int(Path("../hours").read_text())

"""


@dataclass
class Service:
    """A running project."""

    port: int
    process: subprocess.Popen[bytes]
    folder: Path

    @property
    def log(self) -> str:
        """What its processes have printed."""
        return (self.folder.parent / f"server-{self.port}.log").read_text()

    @asynccontextmanager
    async def connected(self, each: int) -> AsyncIterator[list[list[Connection]]]:
        """Give so many kept connections to each worker, which stays the same for each."""
        found: dict[int, list[Connection]] = {}
        spare: list[Connection] = []
        try:
            async with asyncio.timeout(PATIENCE):
                while len(found) < WORKERS or any(len(some) < each for some in found.values()):
                    connection = await Connection.open(self.port)
                    _, pid = await connection.get("/worker")
                    some = found.setdefault(pid, [])
                    (some if len(some) < each else spare).append(connection)
            yield list(found.values())
        finally:
            for connection in [*spare, *(one for some in found.values() for one in some)]:
                connection.close()

    def outcomes(self, route: str = "") -> Counter[str]:
        """Return what /metrics says of requests to cached routes, or to one of them."""
        found: Counter[str] = Counter()
        for labels, value in self._samples("cache_requests_total"):
            if f'route="{route}' in labels:
                found[labels.partition('outcome="')[2].partition('"')[0]] += int(float(value))
        return found

    def errors(self) -> float:
        """Return how often Redis could not be reached, as /metrics has it."""
        return sum(float(value) for _, value in self._samples("cache_errors_total"))

    def _samples(self, name: str) -> list[tuple[str, str]]:
        # A connection of its own: any worker may take it.
        text = httpx2.get(f"http://127.0.0.1:{self.port}/metrics", timeout=PATIENCE).text
        return re.findall(rf"^{name}(\S*) (\S+)$", text, re.MULTILINE)


@contextmanager
def serving(
    project: Path, environment: Environment, *options: str, **settings: object
) -> Iterator[Service]:
    """Migrate and serve a project."""
    variables = environment.variables(**settings)
    if (project / "app/caching/redis.py").exists():  # the others are asked for nothing
        environment.run("alembic", "upgrade", "head", cwd=project, env=variables)
    port = free_port()
    words = production_command(project, port, *options)
    with started(words, project, port, env=variables) as (process, _):
        yield Service(port, process, project)


@pytest.fixture
def project(rendered: Render, tmp_path: Path) -> Callable[..., Path]:
    """Make a project with the planted routes."""

    def make(**answers: str) -> Path:
        copy = shutil.copytree(rendered(preset="standard", **answers), tmp_path / "shop")
        with (copy / "app/items/routes.py").open("a") as routes:
            routes.write(ROUTES)
        replace(
            copy / "app/items/cache.py",
            POLICIES,
            POLICIES + '"/slow/{number}": Cached(seconds=60),',
        )
        return copy

    return make


def replace(file: Path, old: str, new: str) -> None:
    """Edit a file."""
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


def plant_clock(project: Path) -> Callable[[], None]:
    """Plant a clock, and return the function that moves it on."""
    hours = project.parent / "hours"
    hours.write_text("0")
    module = project / "app/caching/connection.py"
    replace(module, "from time import monotonic\n", CLOCK)
    replace(module, "\nPAUSE = 1.0 ", "\nPAUSE = 3600.0 ")
    replace(project / "app/caching/redis.py", "\nTELL_AGAIN = 1.0 ", "\nTELL_AGAIN = 3600.0 ")
    passed = iter(range(1, 100))

    def let_pass() -> None:
        new = hours.with_suffix(".new")
        new.write_text(str(next(passed)))
        new.replace(hours)

    return let_pass


def keep_leases(project: Path) -> Path:
    """Make leases so long that no busy machine ends one."""
    replace(project / "app/caching/redis.py", "\nLEASE = 0.5 ", "\nLEASE = 60.0 ")
    return project


async def fill(port: int, items: int) -> None:
    """Make some items."""
    connection = await Connection.open(port)
    for number in range(items):
        status, _ = await connection.send("POST", "/items", {"name": f"item {number}"})
        assert status == 201
    connection.close()


# --- One execution, however many ask -------------------------------------------------------------


def test_what_two_workers_miss_at_once_runs_once(
    project: Callable[..., Path], environment: Environment, redis_url: Callable[[], str]
) -> None:
    rounds, each = 5, 50

    async def ask(service: Service) -> list[Counter[tuple[int, int]]]:
        async with service.connected(each) as (ones, others):
            return [
                Counter(
                    await asyncio.gather(*(one.get(f"/slow/{number}") for one in ones + others))
                )
                for number in range(rounds)
            ]

    settings = {"WEB_CONCURRENCY": WORKERS, "REDIS_URL": redis_url(), **PATIENT}
    with serving(keep_leases(project(cache="redis")), environment, **settings) as service:
        answers = asyncio.run(ask(service))
        wait_until(lambda: service.outcomes("/slow/").total() == rounds * WORKERS * each)
        outcomes, errors = service.outcomes("/slow/"), service.errors()

    executions = (service.folder / "executions").read_text().split()
    print(answers, outcomes, executions)
    assert executions == [str(number) for number in range(rounds)]
    # Each round had one answer, which the worker that executed it gave to all.
    assert [[*counts.values()] for counts in answers] == [[WORKERS * each]] * rounds
    assert all(status == 200 for counts in answers for status, _ in counts)
    assert outcomes["miss"] == rounds
    assert not errors


# --- A Redis that is gone ------------------------------------------------------------------------

GONE, BACK = "Redis cannot be reached", "Redis can be reached again"  # said by each worker


@dataclass
class Clients:
    """Clients that ask without a pause, and what became of their requests."""

    over: bool = False
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    broken: list[Exception] = field(default_factory=list)

    async def client(self, number: int, connection: Connection) -> None:
        """Ask on one connection until it is over."""
        random = Random(number)  # noqa: S311
        while not self.over:
            method, path, body = "GET", random.choice(["/items", "/items/1"]), None
            if random.random() < 0.02:
                method, path, body = "PATCH", "/items/1", {"quantity": random.randrange(1000)}
            try:
                status, _ = await connection.send(method, path, body)
            except Exception as error:
                self.broken.append(error)
                return
            self.statuses[method, status] += 1

    async def more(self, number: int) -> None:
        """Wait until so many more requests were answered."""
        wanted = self.statuses.total() + number
        while self.statuses.total() < wanted:
            assert not self.broken
            await asyncio.sleep(0.05)


async def hits(service: Service) -> int:
    """Return how many there were."""
    return (await asyncio.to_thread(service.outcomes))["hit"]


async def hits_return(service: Service, before: int, backs: int) -> None:
    """Wait until there are hits again, and workers were back so often."""
    while await hits(service) <= before or service.log.count(BACK) < backs:  # noqa: ASYNC110
        await asyncio.sleep(0.1)


def test_a_redis_that_is_gone_is_tried_once_and_costs_no_answer(
    project: Callable[..., Path], environment: Environment, database_url: Callable[[object], str]
) -> None:
    if absent := missing(*PROGRAMS["redis"]):
        pytest.skip(f"{absent[0]} is not installed: run scripts/servers.sh as root")

    async def load(service: Service) -> Clients:
        clients = Clients()
        await fill(service.port, 20)
        async with service.connected(8) as pools, asyncio.TaskGroup() as asking:
            for number, connection in enumerate(one for some in pools for one in some):
                asking.create_task(clients.client(number, connection))
            async with asyncio.timeout(5 * PATIENCE):
                await leave_and_return(service, clients)
            clients.over = True
        return clients

    async def leave_and_return(service: Service, clients: Clients) -> None:
        await hits_return(service, 0, 0)
        for times, leave, come_back in (
            (1, server.stop, server.start),
            (2, server.pause, server.resume),
        ):
            await asyncio.to_thread(leave)
            while service.log.count(GONE) < times * WORKERS:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            # Answered while it is away, and without a further try.
            await clients.more(400)
            errors = await asyncio.to_thread(service.errors)
            assert errors == times * WORKERS

            before = await hits(service)
            await asyncio.to_thread(come_back)
            let_pass()
            await hits_return(service, before, times * WORKERS)

    folder = project(cache="redis", database="postgresql")
    let_pass = plant_clock(folder)
    url = database_url("postgresql")
    with redis() as server:
        settings = {"WEB_CONCURRENCY": WORKERS, "DATABASE_URL": url, "LOG_LEVEL": "INFO", **PATIENT}
        settings["REDIS_URL"] = url_of(server, "0")
        with serving(folder, environment, **settings) as service:
            workers = workers_of(service.process.pid)
            clients = asyncio.run(load(service))
            assert workers_of(service.process.pid) == workers

    print(clients.statuses)
    assert not clients.broken
    assert clients.statuses.keys() == {("GET", 200), ("PATCH", 200)}
    assert service.log.count(GONE) == 2 * WORKERS  # both saw it go, twice


# --- A Redis that refuses ------------------------------------------------------------------------


def test_a_redis_that_is_full_is_not_asked_again_and_again(
    project: Callable[..., Path], environment: Environment
) -> None:
    """What is in it is served, what is written becomes stale everywhere, and the log says why."""
    if absent := missing(*PROGRAMS["redis"]):
        pytest.skip(f"{absent[0]} is not installed: run scripts/servers.sh as root")
    requests = 400

    async def ask(service: Service, server: Server) -> None:
        def told(*words: str) -> str:
            program = [str(find("redis-cli")), "-p", str(server.port), *words]
            done = subprocess.run(program, check=True, capture_output=True, text=True)
            return str(done.stdout)

        await fill(service.port, 2)
        async with service.connected(1) as ((one,), (other,)):
            for number in (1, 2):
                for connection in (one, other):
                    await connection.get(f"/items/{number}")
            told("config", "set", "maxmemory", "1", "maxmemory-policy", "noeviction")

            for quantity in range(5):
                await one.send("PATCH", "/items/1", {"quantity": quantity})
                for connection in (one, other):
                    _, item = await connection.get("/items/1")
                    assert item["quantity"] == quantity
            for _ in range(requests):
                await other.get("/items/2")
                await other.get("/items/1")
            refused = told("info", "errorstats").partition("errorstat_OOM:count=")[2]
            # Each worker asks it once, for as many tags as a write has.
            assert 0 < int(refused.split()[0]) <= WORKERS * 8

            told("config", "set", "maxmemory", "0")
            let_pass()
            before = await hits(service)
            async with asyncio.timeout(PATIENCE):
                while "Redis takes SET again" not in service.log or await hits(service) <= before:
                    await one.get("/items/1")

    folder = project(cache="redis")
    let_pass = plant_clock(folder)
    with redis() as server:
        settings = {"WEB_CONCURRENCY": WORKERS, "LOG_LEVEL": "INFO", **PATIENT}
        settings["REDIS_URL"] = url_of(server, "0")
        with serving(folder, environment, **settings) as service:
            asyncio.run(ask(service, server))
            log = service.log

    assert "Redis refuses SET: OOM command not allowed" in log
    assert log.count("Redis takes SET again") <= log.count("Redis refuses SET") <= WORKERS


# --- What one worker writes, the other one has --------------------------------------------------


@dataclass
class Item:
    """An item that is written again and again: its quantity counts the writes."""

    number: int
    written: int = 0  # as its writer knows it
    over: bool = False
    reads: int = 0
    raced: int = 0

    async def write(self, workers: Sequence[Connection], rounds: int) -> None:
        """Write through one worker, then read through the other one."""
        for count in range(1, rounds + 1):
            one, other = workers if count % 2 else reversed(workers)
            change = {"quantity": count}
            status, _ = await one.send("PATCH", f"/items/{self.number}", change)
            assert status == 200
            self.written = count
            await self.read(other)
        self.over = True

    async def keep_reading(self, connection: Connection) -> None:
        """Read, so that there is always an answer, or one in the making."""
        while not self.over:
            await self.read(connection)
            await asyncio.sleep(0.001)

    async def read(self, connection: Connection) -> None:
        """Require an answer that is not older than what was written before the question."""
        written = self.written
        status, item = await connection.get(f"/items/{self.number}")
        assert status == 200
        assert item["quantity"] >= written, f"item {self.number}"
        self.reads += 1
        self.raced += item["quantity"] < self.written  # the write was answered meanwhile

    async def keep_listing(self, connection: Connection, all_items: Sequence["Item"]) -> None:
        """The same for the list that it is in."""
        while not self.over:
            written = {item.number: item.written for item in all_items}
            status, page = await connection.get("/items")
            assert status == 200
            for item in page["results"]:
                assert item["quantity"] >= written[item["id"]], "in the list"
            await asyncio.sleep(0.01)


def test_nobody_gets_what_was_there_before_a_write(
    project: Callable[..., Path],
    environment: Environment,
    database_url: Callable[[object], str],
    redis_url: Callable[[], str],
) -> None:
    rounds, items = 125, [Item(number) for number in range(1, 9)]

    async def race(service: Service) -> None:
        await fill(service.port, len(items))
        async with service.connected(3 * len(items)) as pools, asyncio.TaskGroup() as tasks:
            for item in items:
                pair = [some.pop() for some in pools]
                tasks.create_task(item.write(pair, rounds))
                for some in pools:
                    tasks.create_task(item.keep_reading(some.pop()))
            for some in pools:
                tasks.create_task(items[0].keep_listing(some.pop(), items))

    folder = project(cache="redis", database="postgresql")
    replace(folder / "app/items/routes.py", READ, LATER)
    settings = {"WEB_CONCURRENCY": WORKERS, "LOG_LEVEL": "WARNING", **PATIENT}
    urls = {"DATABASE_URL": database_url("postgresql"), "REDIS_URL": redis_url()}
    with serving(folder, environment, **settings, **urls) as service:
        asyncio.run(race(service))
        wait_until(lambda: service.outcomes()["stale"] > 100)
        outcomes, errors = service.outcomes(), service.errors()

    writes, raced = sum(item.written for item in items), sum(item.raced for item in items)
    print(f"{writes} rounds, {sum(item.reads for item in items)} reads, {outcomes}")
    print(f"{raced} answers had been read from the database when a write came between")
    assert writes == rounds * len(items) == 1000
    assert raced > 10
    assert outcomes["hit"] > 100
    assert not errors


# --- In the memory of each worker ----------------------------------------------------------------

STALE = "this worker may give answers that another has made stale"


@pytest.mark.parametrize(
    ("server", "options", "settings", "workers", "warned"),
    [
        ("gunicorn", [], {}, 1, 0),  # though there are more cores
        ("gunicorn", [], {"WEB_CONCURRENCY": 2}, 2, 2),
        ("uvicorn", [], {}, 1, 0),
        ("uvicorn", [], {"WEB_CONCURRENCY": 2}, 2, 2),
        ("uvicorn", ["--workers", "2"], {}, 2, 2),
    ],
)
def test_workers_that_keep_answers_to_themselves_say_so(  # noqa: PLR0917  (fixtures)
    project: Callable[..., Path],
    environment: Environment,
    database_url: Callable[[object], str],
    server: str,
    options: list[str],
    settings: dict[str, object],
    workers: int,
    warned: int,
) -> None:
    # Not on SQLite, which has one worker for reasons of its own.
    folder = project(cache="memory", database="postgresql", server=server)
    url = database_url("postgresql")
    with serving(folder, environment, *options, DATABASE_URL=url, **settings) as service:
        started = "Application startup complete"
        wait_until(lambda: service.log.count(started) >= workers, lambda: service.log)
        children = workers_of(service.process.pid)

    assert (len(children) or 1) == workers
    assert service.log.count(STALE) == warned


# --- What the metrics say ------------------------------------------------------------------------


def test_the_metrics_of_all_workers_add_up(
    project: Callable[..., Path], environment: Environment, redis_url: Callable[[], str]
) -> None:
    each = 4

    async def ask(service: Service) -> Counter[str]:
        asked: Counter[str] = Counter()

        async def one(connection: Connection, paths: list[str]) -> None:
            for path in paths:
                await connection.get(path)
                asked[re.sub(r"\d+$", "{item_id}", path).partition("?")[0]] += 1

        async with service.connected(each) as (ones, others):
            await fill(service.port, 3)
            for connections in (ones, others):  # first the one, then the other finds it all
                paths = [
                    "/items",
                    "/items?limit=2",
                    *(f"/items/{number}" for number in (1, 2, 3, 9)),
                ]
                await asyncio.gather(*(one(connection, paths * 3) for connection in connections))
            await ones[0].send("PATCH", "/items/1", {"quantity": 7})
            await asyncio.gather(*(one(connection, ["/items/1"]) for connection in ones + others))
        return asked

    settings = {"WEB_CONCURRENCY": WORKERS, "REDIS_URL": redis_url(), **PATIENT}
    with serving(keep_leases(project(cache="redis")), environment, **settings) as service:
        asked = asyncio.run(ask(service))
        routes = ("/items", "/items/{item_id}")

        def outcomes() -> dict[str, Counter[str]]:
            return {route: service.outcomes(f'{route}"') for route in routes}

        wait_until(lambda: {route: counts.total() for route, counts in outcomes().items()} == asked)
        said = [outcomes() for _ in range(20)]  # whichever worker answers

    print(asked, said[0])
    assert all(one == said[0] for one in said)
    # Who looks just before an answer is kept, and then asks for the right to make it, makes it again.
    assert 2 <= said[0]["/items"]["miss"] <= 4
    assert said[0]["/items"]["hit"] + said[0]["/items"]["wait"] >= asked["/items"] - 4
    assert said[0]["/items"]["hit"]
    assert 1 <= said[0]["/items/{item_id}"]["stale"] <= WORKERS * each
