"""Handing jobs over, to brokers that are not well too."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from threading import Event, Thread
from time import monotonic

import pytest
from sqlalchemy import select

from app.database import Database
from app.jobs.kinds import Queue
from app.jobs.models import Job
from app.jobs.outbox import enqueue
from app.jobs.settings import TaskSettings
from app.tasks import publisher as publishing
from app.tasks.broker import Sender, new_celery
from app.tasks.publisher import Publisher
from tests.jobs.kinds import Words, kind_of

KIND = kind_of(lambda *_: None)["test"]


class Sent(Sender):
    """A sender that notes what it is given; while `go_on` is not set it takes its time."""

    def __init__(self, *, fails: bool = False, seconds: float = 20) -> None:
        self.seconds = seconds
        self.sent: list[int] = []
        self.tries = 0
        self.go_on = Event()
        self.go_on.set()
        self.fails = fails

    def send(self, job_id: int, queue: Queue) -> None:
        self.tries += 1
        self.go_on.wait(self.seconds)
        if self.fails:
            raise ConnectionError
        self.sent.append(job_id)

    def close(self) -> None:
        """There is nothing to close."""


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    counts: Counter[str] = Counter()
    for name in ("PUBLISHED", "DROPPED", "FAILURES"):
        count = getattr(publishing, name)
        monkeypatch.setattr(count, "add", lambda number=1, name=name: counts.update({name: number}))
    return counts


@asynccontextmanager
async def opened(
    database: Database, settings: TaskSettings, sender: Sender | None = None
) -> AsyncIterator[Publisher]:
    publisher = await asyncio.to_thread(Publisher, settings, sender)
    async with publisher.opened(database):
        yield publisher


async def add_jobs(database: Database, number: int = 1) -> list[int]:
    async with database.writes.session() as session:
        return [(await enqueue(session, KIND, Words())).id for _ in range(number)]


async def published(database: Database) -> list[int]:
    async with database.writes.session() as session:
        found = await session.scalars(select(Job.id).where(Job.published_at.is_not(None)))
        return list(found)


async def until(counted: Counter[str], name: str, number: int) -> None:
    """Wait until so many were counted: by a thread, which has no event to tell it with."""
    async with asyncio.timeout(20):
        while True:
            if counted[name] >= number:
                return
            await asyncio.sleep(0.01)


async def test_what_is_committed_is_handed_over_and_noted(
    database: Database, scheme: str, counted: Counter[str]
) -> None:
    sender = Sent()
    async with opened(database, TaskSettings(broker_url=f"{scheme}://"), sender):
        jobs = await add_jobs(database, 3)

    assert sender.sent == jobs
    assert await published(database) == jobs
    assert counted["PUBLISHED"] == 3


async def test_a_full_queue_holds_nobody_up(
    database: Database, scheme: str, counted: Counter[str]
) -> None:
    sender = Sent(seconds=0.5)
    sender.go_on.clear()
    settings = TaskSettings(broker_url=f"{scheme}://", publish_queue=2)
    async with opened(database, settings, sender):
        began = monotonic()
        jobs = await add_jobs(database, 30)
        assert monotonic() - began < 5
        sender.go_on.set()

    assert set(sender.sent) < set(jobs)
    assert counted["DROPPED"] == 30 - len(sender.sent)
    assert await published(database) == sender.sent


async def test_a_broker_that_fails_is_left_alone_for_a_while(
    database: Database, scheme: str, counted: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = Sent(fails=True)
    async with opened(database, TaskSettings(broker_url=f"{scheme}://"), sender):
        for number in range(1, 6):
            await add_jobs(database)
            await until(counted, "DROPPED", number)
        assert sender.tries == counted["FAILURES"] == 1

        sender.fails = False
        monkeypatch.setattr(publishing, "monotonic", lambda: monotonic() + publishing.PAUSE)
        (job,) = await add_jobs(database)

    assert sender.sent == [job]
    assert await published(database) == [job]


@pytest.mark.parametrize("broker", ["silent", "gone"])
async def test_a_broker_that_is_not_well_costs_nothing(
    database: Database, request: pytest.FixtureRequest, counted: Counter[str], broker: str
) -> None:
    settings = TaskSettings(broker_url=request.getfixturevalue(broker), publish_timeout=0.2)
    async with opened(database, settings):
        began = monotonic()
        for _ in range(20):
            await add_jobs(database)
        assert monotonic() - began < 5
        await until(counted, "FAILURES", 1)

    assert await published(database) == []


async def test_a_broker_that_holds_it_does_not_hold_the_service(
    database: Database, scheme: str
) -> None:
    sender = Sent()
    sender.go_on.clear()
    settings = TaskSettings(broker_url=f"{scheme}://", publish_timeout=0.2)
    began = monotonic()
    async with opened(database, settings, sender):
        await add_jobs(database)

    assert monotonic() - began < 5
    sender.go_on.set()


@pytest.mark.parametrize("broker", ["silent", "gone"])
def test_one_try_takes_as_long_as_it_may(request: pytest.FixtureRequest, broker: str) -> None:
    settings = TaskSettings(broker_url=request.getfixturevalue(broker), publish_timeout=0.2)
    sender = Sender(new_celery(settings), settings)

    errors: list[Exception] = []

    def send() -> None:
        try:
            sender.send(1, "quick")
        except Exception as error:
            errors.append(error)

    thread = Thread(target=send, daemon=True)
    thread.start()
    thread.join(8)
    assert not thread.is_alive()
    assert errors
