"""A project with jobs: its service, its Celery workers and beat, and its rows, as the tests use them."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx2

from tests.harness.servers import Server, execute
from tests.harness.support import Environment, free_port, production_command, started

PATIENCE = 120.0  # seconds: only what hangs takes longer
names = count()


def wait_until(true: Callable[[], object], why: Callable[[], str] = str) -> None:
    """Wait until something is true.

    Raises:
        AssertionError: after PATIENCE; it has `why`.
    """
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, why()
        time.sleep(0.05)


@dataclass
class Celery:
    """A Celery process, with its children, if it has any."""

    name: str
    process: subprocess.Popen[bytes]
    file: Path
    metrics_port: int

    @property
    def log(self) -> str:
        """What it has printed."""
        return self.file.read_text()

    @property
    def is_ready(self) -> bool:
        """Whether it has begun to consume."""
        return f"{self.name} ready." in self.log

    def lines(self) -> Iterator[dict[str, Any]]:
        """Give its log's records."""
        for line in self.log.splitlines():
            with suppress(ValueError):
                yield json.loads(line)

    def children(self) -> list[int]:
        """Return the processes that run its jobs."""
        pid = self.process.pid
        try:
            return [*map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
        except FileNotFoundError:
            return []

    def metric(self, name: str, **labels: str) -> float:
        """Return what a scrape says of a metric, all in all."""
        text = httpx2.get(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=PATIENCE).text
        found = re.findall(rf"^{name}(?:\{{(.*)\}})? (\S+)$", text, re.MULTILINE)
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        return sum(float(number) for has, number in found if all(want in has for want in wanted))

    def kill(self) -> None:
        """End it at once, with its children, as when its machine is gone."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """Have it end what it runs, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


@dataclass
class Stand:
    """A project on a database and a broker of its own.

    Args:
        project: its folder.
        environment: has what it depends on.
        server: PostgreSQL.
        database: the name of its database there.
        settings: environment variables of all its processes.
    """

    project: Path
    environment: Environment
    server: Server
    database: str
    settings: dict[str, object]
    processes: ExitStack = field(default_factory=ExitStack)
    workers: list[Celery] = field(default_factory=list)

    def sql(self, statement: str) -> list[list[str]]:
        """Run SQL and return its rows."""
        printed = execute(self.server, statement, self.database)
        return [line.split("\t") for line in printed.splitlines()]

    def number(self, statement: str) -> int:
        """Return the one number that some SQL asks for."""
        ((value,),) = self.sql(statement)
        return int(value)

    def migrate(self) -> None:
        """Make the tables."""
        variables = self.environment.variables(**self.settings)
        self.environment.run("alembic", "upgrade", "head", cwd=self.project, env=variables)

    @contextmanager
    def service(self, **settings: object) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
        """Serve it; give the process and its port."""
        port = free_port()
        variables = self.environment.variables(**{**self.settings, **settings})
        words = production_command(self.project, port)
        with started(words, self.project, port, env=variables) as (process, _):
            yield process, port

    def start(self, name: str, *words: str, **settings: object) -> Celery:
        """Start a process of Celery, until the stand's processes are closed."""
        file = self.project.parent / f"celery-{next(names)}.log"
        port = free_port()
        settings = {"TASKS_METRICS_PORT": port, **self.settings, **settings}
        with file.open("wb") as log:
            process = subprocess.Popen(
                ["celery", "-A", "app.tasks.celery", *words],
                cwd=self.project,
                env=self.environment.variables(**settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        celery = Celery(name, process, file, port)
        self.processes.callback(celery.kill)
        return celery

    def worker(self, *, ready: bool = True, **settings: object) -> Celery:
        """Start a worker with two processes, and wait until it consumes."""
        name = f"worker-{next(names)}@localhost"
        options = ["-Q", "quick,long,sweeps", "--concurrency", "2", "-n", name]
        options += ["--without-gossip", "--without-mingle"]
        celery = self.start(name, "worker", *options, **settings)
        self.workers.append(celery)
        if ready:
            wait_until(lambda: celery.is_ready, lambda: celery.log[-3000:])
        return celery

    def kill_workers(self) -> None:
        """End those that are left."""
        while self.workers:
            self.workers.pop().kill()

    def beat(self, **settings: object) -> Celery:
        """Start what has the sweep run every now and then."""
        return self.start("beat", "beat", **settings)
