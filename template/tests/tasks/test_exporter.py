"""What a worker tells of its jobs."""

import socket
from collections.abc import Iterator
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from celery.signals import worker_init
from sqlalchemy import delete

from app.database import DatabaseSettings
from app.database.sync import SyncDatabase
from app.jobs.models import Job, now
from app.jobs.runner import Runner
from app.jobs.settings import TaskSettings
from app.tasks import exporter
from app.tasks.exporter import serve
from app.tasks.parts.metrics import attach
from tests.jobs.kinds import echo, kind_of
from tests.waiting import HANG


@pytest.fixture
def sync(settings: DatabaseSettings, _all_tables: None) -> Iterator[SyncDatabase]:
    database = SyncDatabase(settings, connections=2, statement_timeout=30)
    with database.transaction() as connection:
        connection.execute(delete(Job))
    yield database
    database.close()


@pytest.fixture
def port(sync: SyncDatabase) -> Iterator[int]:
    server = serve(0, sync)
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """The moment at which the metrics are asked for."""
    moment = now()
    monkeypatch.setattr(exporter, "now", lambda: moment)
    return moment


def scrape(port: int, path: str = "/metrics") -> list[str]:
    open_ = build_opener(ProxyHandler({})).open
    with open_(f"http://127.0.0.1:{port}{path}") as answer:
        text: str = answer.read().decode()
        return text.splitlines()


def test_jobs_are_counted_by_kind_and_outcome(sync: SyncDatabase, port: int) -> None:
    with sync.sessions.begin() as session:
        session.add(Job(id=1, kind="counted", arguments={}))
    runner = Runner(sync, TaskSettings(), kind_of(echo, name="counted"))
    attach(runner)

    runner.run(1)

    told = scrape(port)
    assert 'job_attempt_seconds_count{kind="counted",outcome="done"} 1.0' in told
    assert 'job_wait_seconds_count{kind="counted"} 1.0' in told


def test_the_queue_is_counted_when_it_is_asked(
    sync: SyncDatabase, port: int, moment: datetime
) -> None:
    with sync.sessions.begin() as session:
        ago = moment - timedelta(minutes=5)
        session.add_all(Job(kind="test", arguments={}, run_at=ago) for _ in range(3))
        session.add(Job(kind="test", arguments={}, state="running"))
        session.add(Job(kind="test", arguments={}, state="done"))

    told = dict(line.split() for line in scrape(port) if line.startswith("jobs_"))

    assert (told["jobs_waiting"], told["jobs_running"]) == ("3.0", "1.0")
    assert told["jobs_oldest_seconds"] == "300.0"


def test_a_job_that_lost_its_worker_waits_too(
    sync: SyncDatabase, port: int, moment: datetime
) -> None:
    with sync.sessions.begin() as session:
        ago, soon = moment - timedelta(minutes=5), moment + timedelta(minutes=5)
        session.add(Job(kind="test", arguments={}, state="running", lease_until=ago))
        session.add(Job(kind="test", arguments={}, state="running", lease_until=soon))

    told = dict(line.split() for line in scrape(port) if line.startswith("jobs_"))

    assert told["jobs_oldest_seconds"] == "300.0"


def test_a_worker_whose_port_is_taken_does_not_begin(
    port: int,
    scheme: str,
    settings: DatabaseSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BROKER_URL", f"{scheme}://127.0.0.1:1//")
    monkeypatch.setenv("DATABASE_URL", settings.url)
    monkeypatch.setenv("TASKS_METRICS_PORT", str(port))
    worker: Any = import_module("app.tasks.celery")
    watched: list[Any] = []
    monkeypatch.setattr(worker.liveness, "watch", watched.append)
    monkeypatch.setattr("app.tasks.parts.metrics.share_below", lambda _: None)

    with pytest.raises(SystemExit, match=f"TASKS_METRICS_PORT {port} cannot be had"):
        worker_init.send(None)

    assert watched


def test_a_client_that_sends_nothing_loses_its_connection(
    sync: SyncDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter, "IDLE", 0.1)
    server = exporter.serve(0, sync)

    with socket.create_connection(("127.0.0.1", server.server_port), timeout=HANG) as client:
        assert client.recv(1) == b""

    server.shutdown()
    server.server_close()


def test_nothing_else_is_served(port: int) -> None:
    with pytest.raises(HTTPError):
        scrape(port, "/")


def test_the_token_is_asked_for(sync: SyncDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METRICS_TOKEN", "hunter2")
    server = serve(0, sync)
    open_ = build_opener(ProxyHandler({})).open
    address = f"http://127.0.0.1:{server.server_port}/metrics"

    with pytest.raises(HTTPError) as refused:
        open_(Request(address, headers={"Authorization": "Bearer hunter3"}))
    with open_(Request(address, headers={"Authorization": "bearer hunter2"})) as answer:
        assert answer.status == 200
    server.shutdown()
    server.server_close()

    refused.value.close()
    assert refused.value.code == 401
    assert refused.value.headers["WWW-Authenticate"] == "Bearer"
