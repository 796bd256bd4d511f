"""The table of jobs, and runners, without a service."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import select

from app.database import Base, DatabaseSettings
from app.database.sync import SyncDatabase
from app.jobs.kinds import Kind, Queue, all_kinds
from app.jobs.models import Job
from app.jobs.runner import Runner
from app.jobs.settings import TaskSettings
from app.tasks.embedded import Embedded
from tests.jobs.kinds import echo, kind_of

MakeJob = Callable[..., int]
Row = Callable[[int], dict[str, Any]]
MakeRunner = Callable[..., Runner]


@pytest.fixture
def sync(settings: DatabaseSettings, _all_tables: None) -> Iterator[SyncDatabase]:
    """The road of jobs, on emptied tables."""
    database = SyncDatabase(settings, connections=5, statement_timeout=30)
    with database.transaction() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            connection.execute(table.delete())
    yield database
    database.close()


@pytest.fixture
def make_job(sync: SyncDatabase) -> MakeJob:
    """Make a job and return its id."""

    def make(kind: str = "test", **values: Any) -> int:
        with sync.sessions.begin() as session:
            job = Job(**{"kind": kind, "arguments": {}, **values})
            session.add(job)
            session.flush()
            return job.id

    return make


@pytest.fixture
def row(sync: SyncDatabase) -> Row:
    """Return a job's row."""

    def get(job_id: int) -> dict[str, Any]:
        with sync.transaction() as connection:
            found = connection.execute(select(Job.__table__).where(Job.id == job_id))
            return dict(found.mappings().one())

    return get


@pytest.fixture
def make_runner(sync: SyncDatabase) -> MakeRunner:
    """Make a runner of a function, or of those of `kinds`."""

    def make(function: Any = echo, kinds: dict[str, Kind] | None = None, **settings: Any) -> Runner:
        return Runner(sync, TaskSettings(**settings), kinds or kind_of(function))

    return make


@pytest.fixture
def nudged(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, Queue]]:
    """The jobs that somebody was told of; nobody runs them."""
    told: list[tuple[int, Queue]] = []
    monkeypatch.setattr(Embedded, "nudge", lambda _, *nudge: told.append(nudge))
    return told


@pytest.fixture
def add_kind(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Add a kind to those that the service has."""

    def add(function: Any = echo, **about: Any) -> None:
        for name, kind in kind_of(function, **about).items():
            monkeypatch.setitem(all_kinds(), name, kind)

    return add
