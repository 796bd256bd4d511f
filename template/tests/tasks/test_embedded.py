"""The service as its own worker."""

import asyncio

import pytest
from httpx2 import AsyncClient

from app.database import Database
from app.jobs.outbox import enqueue
from app.jobs.settings import TaskSettings
from app.tasks import embedded
from app.tasks.embedded import Embedded, NoBrokerError
from tests.jobs.kinds import Words, kind_of


async def test_production_without_a_broker_has_to_say_so(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TASKS_EMBEDDED")
    with pytest.raises(NoBrokerError, match="set BROKER_URL, or TASKS_EMBEDDED=yes"):
        async with Embedded(TaskSettings()).opened(database):
            pass

    for said in ({"embedded": True}, {"environment": "development"}):
        async with Embedded(TaskSettings(**said)).opened(database):  # type: ignore[arg-type]
            pass


async def test_what_nobody_was_told_of_is_found(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    kinds = kind_of(lambda *_: loop.call_soon_threadsafe(done.set))
    monkeypatch.setattr("app.jobs.runner.all_kinds", lambda: kinds)
    monkeypatch.setattr("app.jobs.sweep.GRACE", embedded_grace())
    async with database.writes.session() as session:
        await enqueue(session, kinds["test"], Words())

    async with Embedded(TaskSettings(sweep_every=0.05)).opened(database), asyncio.timeout(20):
        await done.wait()


def embedded_grace() -> object:
    from datetime import timedelta  # noqa: PLC0415

    return timedelta()


async def test_a_database_that_does_not_answer_ends_nothing(
    client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert embedded
    assert (await client.get("/health/live")).status_code == 200
