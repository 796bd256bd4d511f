"""Jobs on real brokers: workers, brokers and the service die, and every job is done once."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from time import perf_counter
from typing import Any

import httpx2
import pytest

from tests.conftest import ROOT, Render
from tests.harness.load import ClosedError, Connection
from tests.harness.proxy import proxy
from tests.harness.servers import PROGRAMS, Server, execute, missing, rabbitmq, redis, url_of
from tests.harness.support import Environment
from tests.harness.workers import PATIENCE, Celery, Stand, wait_until
from tests.test_metrics import workers_of

BROKERS = ("redis", "rabbitmq")
RUN = {"redis": redis, "rabbitmq": rabbitmq}

# Seconds, scaled down: those of a project are made for jobs of minutes.
SHORT = {
    "TASKS_LEASE": 3,
    "TASKS_SWEEP_EVERY": 1,
    "TASKS_SOFT_LIMIT": 10,
    "TASKS_HARD_LIMIT": 12,
    "TASKS_BACKOFF": 0.5,
}

# What the jobs of `planted_work.py` do is seen here: no constraint would keep one from doing it twice.
TABLES = """
    CREATE TABLE effects (key bigint NOT NULL, pid int NOT NULL);
    CREATE TABLE counter (value bigint NOT NULL);
    INSERT INTO counter VALUES (0);
"""

Stands = Callable[..., Stand]


@pytest.fixture(scope="session")
def stands(
    rendered: Render,
    environment: Environment,
    servers: Callable[[str], Server],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stands]:
    """Make a project with planted jobs, for a broker of a kind, on a database of its own."""
    made = 0

    def make(kind: str, broker_url: str, **settings: object) -> Stand:
        nonlocal made
        made += 1
        folder = tmp_path_factory.mktemp("stand") / "shop"
        answers = {"database": "postgresql", "cache": "none", "tasks": "celery", "broker": kind}
        shutil.copytree(rendered(preset="standard", **answers), folder)
        (folder / "app/planted").mkdir()
        (folder / "app/planted/__init__.py").touch()
        shutil.copy(ROOT / "tests/proofs/planted_work.py", folder / "app/planted/work.py")
        server, database = servers("postgresql"), f"jobs_{made}"
        execute(server, f"CREATE DATABASE {database}")
        urls = {"DATABASE_URL": url_of(server, database), "BROKER_URL": broker_url}
        stand = Stand(folder, environment, server, database, {**SHORT, **urls, **settings})
        stack.enter_context(stand.processes)
        stand.migrate()
        stand.sql(TABLES)
        return stand

    with ExitStack() as stack:
        yield make


@pytest.fixture(scope="session")
def brokers(servers: Callable[[str], Server]) -> Iterator[Callable[[str], Server]]:
    """Give a broker of a kind that keeps over a restart what it has, as one for jobs should."""
    with ExitStack() as stack:

        @cache
        def get(kind: str) -> Server:
            if kind == "redis" and not missing(*PROGRAMS[kind]):
                return stack.enter_context(redis(appendonly="yes"))
            return servers(kind)

        yield get


@dataclass
class Client:
    """Posts jobs, each with a key of its own, over connections that may be cut."""

    port: int
    kind: str
    arguments: dict[str, object] = field(default_factory=dict)
    accepted: list[int] = field(default_factory=list)  # keys
    unsure: list[int] = field(default_factory=list)  # no answer came: it may be there or not
    keys: int = 0

    async def post(self, connection: Connection) -> tuple[int, Any]:
        """Post one and return its key and the answer."""
        self.keys += 1
        key = self.keys
        job = {"kind": self.kind, "arguments": {"key": key, **self.arguments}}
        try:
            status, answer = await connection.send("POST", "/jobs", job)
        except (ClosedError, asyncio.IncompleteReadError):
            self.unsure.append(key)
            raise
        assert status == 202, answer
        self.accepted.append(key)
        return key, answer

    async def keep_posting(self, wanted: int, may: Callable[[], bool]) -> None:
        """Post until so many were accepted, whenever it may."""
        connection: Connection | None = None
        while len(self.accepted) < wanted:
            if not may():
                await asyncio.sleep(0.02)
                continue
            try:
                connection = connection or await Connection.open(self.port)
                await self.post(connection)
            except (ClosedError, OSError, asyncio.IncompleteReadError):
                connection = None
        if connection:
            connection.close()


# --- Exactly once, whoever dies ------------------------------------------------------------------

JOBS = 1000
AHEAD = 200  # jobs that wait at most, before more are posted
KILLS = 6
STALL = PATIENCE  # seconds without a job done while the broker is there


@dataclass
class Progress:
    """How many jobs are done, and the longest time in which none was, though the broker was there."""

    stand: Stand
    done: int = 0
    stalled: float = 0.0
    away: bool = False  # the broker is

    async def follow(self, over: Callable[[], bool]) -> None:
        """Look again and again until it is over."""
        last = perf_counter()
        while not over():
            found = await asyncio.to_thread(self.stand.number, DONE)
            now = perf_counter()
            last = now if self.away else last
            self.stalled = max(self.stalled, now - last)
            assert now - last < STALL, f"{found} done, and no more for {STALL:g} s"
            if found > self.done:
                self.done, last = found, now
            await asyncio.sleep(0.1)

    async def reach(self, number: int) -> float:
        """Wait until so many are done, and return how many seconds it took."""
        return await reached(lambda: self.done >= number)


async def reached(true: Callable[[], bool]) -> float:
    """Wait until something is true, and return how many seconds it took."""
    began = perf_counter()
    while not true():  # noqa: ASYNC110  (others would have to know who waits)
        await asyncio.sleep(0.02)
    return perf_counter() - began


DONE = "SELECT count(*) FROM jobs WHERE state = 'done'"
RUNNING = DONE.replace("done", "running")


@dataclass
class Chaos:
    """Kills and restarts, spread over the work."""

    stand: Stand
    parent: int  # of the service's workers
    server: Server
    progress: Progress
    client: Client
    workers: list[Celery]
    random: Random = field(default_factory=lambda: Random(1))  # noqa: S311
    returns: list[float] = field(default_factory=list)  # seconds from a restart to the next job
    wanted: int = 0  # jobs posted while the broker is away

    def may_post(self) -> bool:
        """Tell whether not too many wait, or some are wanted nevertheless."""
        return len(self.client.accepted) < max(self.progress.done + AHEAD, self.wanted)

    async def kill_workers(self) -> None:
        """Kill one of a worker's processes, its parent, or all at once; a new one is started."""
        for number in range(1, KILLS + 1):
            await self.progress.reach(number * JOBS // (KILLS + 1))
            index = number % len(self.workers)
            worker = self.workers[index]
            others = [one for one in self.workers if one is not worker]
            await reached(lambda: all(one.is_ready for one in others))  # noqa: B023
            how = ("child", "parent", "all")[number // 2 % 3]
            if how == "child" and (children := worker.children()):
                os.kill(self.random.choice(children), signal.SIGKILL)
                continue
            if how == "parent":
                worker.process.kill()
                worker.process.wait()
            else:
                worker.kill()
            self.workers[index] = self.stand.worker(ready=False)

    async def restart_broker(self) -> None:
        """Restart the broker, while jobs are posted, and once kill one of the service's workers."""
        for share, first in ((0.3, True), (0.65, False)):
            await self.progress.reach(int(JOBS * share))
            self.progress.away = True
            await asyncio.to_thread(self.server.stop)
            self.wanted = len(self.client.accepted) + 20
            await reached(lambda: len(self.client.accepted) >= self.wanted)
            if first:  # with what it has not handed over yet
                os.kill(min(workers_of(self.parent)), signal.SIGKILL)
            await asyncio.to_thread(self.server.start)
            self.progress.away = False
            self.returns.append(await self.progress.reach(self.progress.done + 1))


async def survive(chaos: Chaos) -> None:
    """Post all jobs meanwhile, and wait until they are done."""
    client, progress = chaos.client, chaos.progress
    async with asyncio.timeout(5 * PATIENCE), asyncio.TaskGroup() as tasks:
        posting = [tasks.create_task(client.keep_posting(JOBS, chaos.may_post)) for _ in range(4)]
        tasks.create_task(chaos.kill_workers())
        tasks.create_task(chaos.restart_broker())

        def over() -> bool:
            return all(task.done() for task in posting) and progress.done >= len(client.accepted)

        tasks.create_task(progress.follow(over))


@pytest.mark.parametrize("kind", BROKERS)
def test_every_job_is_done_once_whoever_dies(
    stands: Stands, brokers: Callable[[str], Server], kind: str
) -> None:
    stand = stands(kind, url_of(brokers(kind), "1"))
    beat = stand.beat()
    workers = [stand.worker(ready=False), stand.worker()]
    with stand.service(WEB_CONCURRENCY=2) as (process, port):
        client, progress = Client(port, "count", {"seconds": 0.03}), Progress(stand)
        chaos = Chaos(stand, process.pid, brokers(kind), progress, client, workers)
        began = perf_counter()
        asyncio.run(survive(chaos))
        took = perf_counter() - began
        assert len(workers_of(process.pid)) == 2
        # What still waits in the broker is behind us when a last one is done.
        asyncio.run(last_one(client))
        wait_until(lambda: stand.number(DONE) == stand.number("SELECT count(*) FROM jobs"))
    wait_until(lambda: all(worker.is_ready for worker in workers))
    codes = [worker.stop() for worker in workers] + [beat.stop()]

    rows = {int(key): state for key, state in stand.sql(KEYS)}
    effects = [int(key) for (key,) in stand.sql("SELECT key FROM effects")]
    attempts = stand.number("SELECT sum(attempts) FROM jobs")
    counter = stand.number("SELECT value FROM counter")
    print(
        f"{kind}: {len(rows)} jobs, {len(effects)} effects of {len(set(effects))} jobs,"
        f" counter {counter}, {attempts} attempts,"
        f" {len(client.unsure)} requests without an answer, {took:.1f} s; back after"
        f" {', '.join(f'{seconds:.1f}' for seconds in chaos.returns)} s,"
        f" none done for {progress.stalled:.1f} s at most"
    )
    assert {*rows.values()} == {"done"}
    assert {*client.accepted} <= rows.keys() <= {*client.accepted, *client.unsure}
    assert sorted(effects) == sorted(rows)
    assert counter == len(rows)
    assert attempts > len(rows)  # some were killed in the middle
    assert not any(codes)


KEYS = "SELECT arguments ->> 'key', state FROM jobs"


async def last_one(client: Client) -> None:
    """Post one more."""
    connection = await Connection.open(client.port)
    await client.post(connection)
    connection.close()


# --- A broker that is gone, or silent ------------------------------------------------------------

POSTS = 100


def replace(file: Path, old: str, new: str) -> None:
    """Edit a file."""
    text = file.read_text("utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), "utf-8")


async def post(client: Client, number: int) -> None:
    """Post so many, or a few more, over four connections."""
    wanted = len(client.accepted) + number
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
        for _ in range(4):
            tasks.create_task(client.keep_posting(wanted, lambda: True))


@pytest.mark.parametrize("kind", BROKERS)
def test_a_broker_that_is_gone_or_silent_holds_up_no_request(stands: Stands, kind: str) -> None:
    """Requests are answered while the publisher waits for the broker, or leaves it alone."""
    if absent := missing(*PROGRAMS[kind]):
        pytest.skip(f"{absent[0]} is not installed: run scripts/servers.sh as root")
    with RUN[kind]() as broker:
        stand = stands(kind, url_of(broker, "0"), TASKS_PUBLISH_TIMEOUT=10 * PATIENCE)
        replace(stand.project / "app/tasks/publisher.py", "\nPAUSE = 3.0 ", "\nPAUSE = 3600.0 ")
        stand.beat()
        stand.worker()
        with stand.service() as (_, port):
            client = Client(port, "count")

            def counted(name: str) -> float:
                text = httpx2.get(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE).text
                return sum(map(float, re.findall(rf"^{name}_total (\S+)$", text, re.MULTILINE)))

            def all_done() -> bool:
                return stand.number(DONE) == len(client.accepted)

            asyncio.run(post(client, 4))
            wait_until(all_done)
            published = len(client.accepted)
            wait_until(lambda: counted("jobs_published") == published)

            broker.pause()
            asyncio.run(post(client, POSTS))
            # The publisher still waits for the answer to the first of them.
            assert counted("jobs_published") == published
            assert counted("jobs_publish_failures") == 0
            broker.resume()
            wait_until(all_done)

            dropped = counted("jobs_dropped")
            broker.stop()
            asyncio.run(post(client, POSTS))
            wait_until(lambda: counted("jobs_dropped") - dropped >= POSTS)
            assert counted("jobs_publish_failures") == 1
            broker.start()
            wait_until(all_done)


# --- A broker whose machine dies -----------------------------------------------------------------


def test_connections_that_died_without_a_word_are_made_anew(
    stands: Stands, broker_url: Callable[[str], str]
) -> None:
    """As when a replica takes over: TCP tells nobody, and who writes waits for minutes.

    RabbitMQ's client has the kernel give up within seconds (TCP_USER_TIMEOUT).
    """
    real = broker_url("redis")
    address, _, path = real.removeprefix("redis://127.0.0.1:").partition("/")
    with proxy(int(address)) as between:
        stand = stands("redis", f"redis://127.0.0.1:{between.port}/{path}")
        module = stand.project / "app/tasks/broker_redis.py"
        replace(module, "\nTIMEOUT = 10 ", "\nTIMEOUT = 3 ")
        # Else it would be what notices in the end, long after.
        replace(module, '"health_check_interval": 10,', '"health_check_interval": 3600,')
        stand.beat()
        stand.worker()
        with stand.service() as (_, port):
            client = Client(port, "count", {"seconds": 2.0})
            asyncio.run(last_one(client))
            wait_until(lambda: stand.number(DONE) == 1)
            for _ in range(2):
                asyncio.run(last_one(client))
            wait_until(lambda: stand.number(RUNNING) == 2)
            frozen = between.freeze()  # and both its processes have something to acknowledge
            asyncio.run(last_one(client))
            wait_until(lambda: stand.number(DONE) == len(client.accepted))
        assert frozen


# --- A job that is interrupted -------------------------------------------------------------------


@dataclass
class Running:
    """A project that is served, with a broker that stays."""

    stand: Stand
    broker: Server
    port: int

    def ask(self, kind: str, **arguments: object) -> httpx2.Response:
        """Post a job and return the answer."""
        job = {"kind": kind, "arguments": arguments}
        answer = httpx2.post(f"http://127.0.0.1:{self.port}/jobs", json=job)
        assert answer.status_code == 202, answer.text
        return answer

    def post(self, kind: str, **arguments: object) -> int:
        """Post a job and return its id."""
        return int(self.ask(kind, **arguments).json()["id"])

    def job(self, number: int) -> dict[str, Any]:
        """Return a job as the service tells of it."""
        answer = httpx2.get(f"http://127.0.0.1:{self.port}/jobs/{number}")
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    def wait_for(self, number: int, state: str) -> dict[str, Any]:
        """Return a job that has come to a state."""
        wait_until(lambda: self.job(number)["state"] == state, lambda: str(self.job(number)))
        return self.job(number)

    def gate(self) -> "Gate":
        """Have a job begin that waits until it may go on."""
        folder = Path(mkdtemp(dir=self.stand.project.parent))
        key = next(keys)
        return Gate(folder, key, self.post("gate", key=key, folder=str(folder)))


keys = count(1_000_000)


@dataclass
class Gate:
    """A job that waits, and the processes in which it began to."""

    folder: Path
    key: int
    job: int

    def pids(self) -> list[int]:
        """Return those that have begun it, in any order."""
        return [int(path.name) for path in self.folder.iterdir() if path.name.isdigit()]

    def open(self) -> None:
        """Let it go on."""
        (self.folder / "open").touch()


@pytest.fixture(scope="session")
def running(stands: Stands, brokers: Callable[[str], Server]) -> Iterator[Callable[[str], Running]]:
    """Serve a project with a broker of a kind, and have the sweep run."""
    made: dict[str, Running] = {}
    with ExitStack() as stack:

        def get(kind: str) -> Running:
            if kind not in made:
                stand = stands(kind, url_of(brokers(kind), "0"))
                _, port = stack.enter_context(stand.service())
                stand.beat()
                made[kind] = Running(stand, brokers(kind), port)
            made[kind].stand.kill_workers()  # of a test that has failed
            return made[kind]

        yield get


@pytest.mark.parametrize("kind", BROKERS)
def test_a_killed_worker_leaves_its_job_to_another_and_a_stopped_one_does_not(
    running: Callable[[str], Running], kind: str
) -> None:
    here = running(kind)
    first = here.stand.worker()
    gate = here.gate()
    wait_until(gate.pids)
    first.kill()
    (killed,) = gate.pids()
    second = here.stand.worker()
    wait_until(lambda: len(gate.pids()) == 2)
    gate.open()

    job = here.wait_for(gate.job, "done")

    assert job["attempts"] == 2
    (other,) = {*gate.pids()} - {killed}
    rows = here.stand.sql(f"SELECT pid FROM effects WHERE key = {gate.key}")  # noqa: S608
    assert rows == [[str(other)]]

    # The other one is stopped while it runs a job: it ends that first.
    gate = here.gate()
    wait_until(gate.pids)
    second.process.send_signal(signal.SIGTERM)
    wait_until(lambda: "Warm shutdown" in second.log, lambda: second.log)
    assert here.job(gate.job)["state"] == "running"
    gate.open()

    job = here.wait_for(gate.job, "done")

    assert job["attempts"] == 1
    assert len(gate.pids()) == 1
    assert second.process.wait(PATIENCE) == 0


@pytest.mark.parametrize("kind", BROKERS)
def test_a_job_that_hangs_is_killed_and_tried_again_and_fails(
    running: Callable[[str], Running], kind: str
) -> None:
    here = running(kind)
    worker = here.stand.worker(TASKS_SOFT_LIMIT=1, TASKS_HARD_LIMIT=1.5)

    job = here.wait_for(here.post("hang", key=next(keys)), "failed")

    assert job["error"] == "The process that ran it has died each time."
    assert worker.log.count("Hard time limit") == 2
    # Its processes were replaced: the next job is done.
    here.wait_for(here.post("count", key=next(keys)), "done")
    assert worker.stop() == 0


# --- What operators see --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BROKERS)
def test_operators_see_what_a_worker_does(running: Callable[[str], Running], kind: str) -> None:
    here = running(kind)
    worker = here.stand.worker()
    gates = [here.gate(), here.gate()]  # one in each process
    wait_until(lambda: all(gate.pids() for gate in gates))
    for gate in gates:
        gate.open()
    asked = here.ask("count", key=next(keys))
    jobs = [asked.json()["id"], *(gate.job for gate in gates)]
    jobs += [here.post("count", key=next(keys)) for _ in range(17)]
    for job in jobs:
        here.wait_for(job, "done")

    # Its metrics are those of both processes.
    assert len({pid for gate in gates for pid in gate.pids()}) == 2
    name = "job_attempt_seconds_count"
    wait_until(lambda: worker.metric(name, outcome="done") >= 20)
    assert [worker.metric(name, outcome="done") for _ in range(10)] == [20] * 10

    # Its log has the request that asked for a job.
    def told() -> list[dict[str, Any]]:
        return [line for line in worker.lines() if line.get("job") == jobs[0]]

    wait_until(told, lambda: worker.log)
    (line,) = told()
    assert (line["request_id"], line["outcome"]) == (asked.headers["x-request-id"], "done")

    # It answers a ping, which does not wait for ever where nobody does.
    assert ping(here) == (0, f"{worker.name}\n")
    here.broker.pause()
    try:
        assert ping(here)[0] == 1
    finally:
        here.broker.resume()
    worker.kill()
    assert ping(here) == (1, "No worker answers.\n")


def ping(here: Running) -> tuple[int, str]:
    """Return the exit code of the project's ping, and what it says."""
    began = perf_counter()
    done = subprocess.run(
        ["python", "-m", "app.tasks.ping"],
        cwd=here.stand.project,
        env=here.stand.environment.variables(**here.stand.settings),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    said = done.stdout + done.stderr
    print(f"ping: {said.strip()} ({perf_counter() - began:.1f} s)")
    return done.returncode, said


@pytest.mark.parametrize("kind", BROKERS)
def test_a_projects_own_tests_pass_on_it(
    stands: Stands,
    environment: Environment,
    broker_url: Callable[[str], str],
    database_url: Callable[[str], str],
    kind: str,
) -> None:
    project = stands(kind, url := broker_url(kind)).project
    shutil.rmtree(project / "app/planted")
    variables = {"TEST_DATABASE_URL": database_url("postgresql"), "TEST_BROKER_URL": url}
    # Those of the jobs themselves know no broker.
    pytest_ = ["python", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = environment.run(*pytest_, "tests/tasks", cwd=project, env=variables)
    print(done.stdout.splitlines()[-1])
    assert "passed" in done.stdout
    assert "skipped" not in done.stdout
