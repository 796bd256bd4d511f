"""The service as its own worker."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy.exc import OperationalError

from app.database import Database
from app.jobs.outbox import enqueue
from app.jobs.settings import TaskSettings
from app.tasks import embedded
from app.tasks.embedded import Embedded, NoBrokerError
from tests.jobs.kinds import Words, kind_of
from tests.waiting import HANG

FINDS_AT_ONCE = TaskSettings(embedded=True, sweep_every=0.05)


async def test_production_without_a_broker_has_to_say_so(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TASKS_EMBEDDED")
    with pytest.raises(NoBrokerError, match="set BROKER_URL, or TASKS_EMBEDDED=yes"):
        async with Embedded(TaskSettings()).opened(database):
            pass

    for said in (
        TaskSettings(embedded=True),
        TaskSettings(environment="development"),
        TaskSettings(fastapi_env="development"),  # `fastapi dev`
    ):
        async with Embedded(said).opened(database):
            pass


async def test_what_nobody_was_told_of_is_found(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = asyncio.Event()
    loop = asyncio.get_running_loop()

    def tell(*_: object) -> None:
        loop.call_soon_threadsafe(done.set)

    kinds = kind_of(tell)
    monkeypatch.setattr("app.jobs.runner.all_kinds", lambda: kinds)
    monkeypatch.setattr("app.jobs.sweep.GRACE", timedelta())
    async with database.writes.session() as session:
        await enqueue(session, kinds["test"], Words())

    async with Embedded(FINDS_AT_ONCE).opened(database), asyncio.timeout(HANG):
        await done.wait()


@pytest.mark.parametrize(
    "error",
    [OperationalError("SELECT 1", {}, OSError()), ValueError("of a listener's"), SystemExit()],
    ids=["database", "listener", "exit"],
)
async def test_what_goes_wrong_ends_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    failed, done = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def sweep(*_: object) -> None:
        if failed.is_set():
            loop.call_soon_threadsafe(done.set)
            return
        loop.call_soon_threadsafe(failed.set)
        raise error

    monkeypatch.setattr(embedded, "sweep", sweep)
    async with Embedded(FINDS_AT_ONCE).opened(database), asyncio.timeout(HANG):
        await done.wait()
