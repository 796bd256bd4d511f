"""What a job changes makes answers stale."""

from collections.abc import Iterator
from typing import ClassVar

import pytest
from redis import Redis
from sqlalchemy import delete

from app.caching.cache import features
from app.caching.redis import CacheSettings
from app.database import DatabaseSettings
from app.database.sync import SyncDatabase
from app.jobs.attempt import Work
from app.jobs.models import Job
from app.jobs.runner import Runner
from app.jobs.settings import TaskSettings
from app.tasks.parts import caching
from tests.jobs.kinds import Words, kind_of

ID = 1_000_000  # far from those that the database gives


class Feature:
    """One of whose answers a job is a part."""

    POLICIES: ClassVar[dict[str, object]] = {}

    def stale_tags(self, changed: object) -> list[str]:
        return [f"job:{changed.kind}"] if isinstance(changed, Job) else []


@pytest.fixture
def sync(settings: DatabaseSettings, _all_tables: None) -> Iterator[SyncDatabase]:
    database = SyncDatabase(settings, connections=2, statement_timeout=30)
    with database.transaction() as connection:
        connection.execute(delete(Job))
    yield database
    database.close()


def write(work: Work, _: Words) -> None:
    work.session.add(Job(kind="written", arguments={}))


@pytest.mark.parametrize("reachable", [True, False])
def test_what_a_job_writes_is_told_to_all(
    sync: SyncDatabase, redis_url: str, monkeypatch: pytest.MonkeyPatch, reachable: bool
) -> None:
    monkeypatch.setattr(caching, "features", lambda: [Feature(), *features()])
    monkeypatch.setattr(caching, "TRIES", 0)
    if not reachable:
        monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    with sync.sessions.begin() as session:
        session.add(Job(id=ID, kind="test", arguments={}))
    runner = Runner(sync, TaskSettings(), kind_of(write))
    caching.attach(runner)

    assert runner.run(ID) == "done"

    with Redis.from_url(redis_url) as redis:
        tag = f"{CacheSettings().prefix}:tag:job:written"
        assert bool(redis.exists(tag)) == reachable
    runner.parts.close()
