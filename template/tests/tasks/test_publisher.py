"""Handing jobs over, to brokers that are not well too."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from threading import Event, Thread, current_thread
from threading import enumerate as enumerate_threads
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
from tests.waiting import HANG, until

KIND = kind_of(lambda *_: None)["test"]


class Sent(Sender):
    """A sender that notes what it is given; while `go_on` is not set it waits, and hangs at last."""

    def __init__(self, *, fails: bool = False) -> None:
        self.sent: list[int] = []
        self.tries = 0
        self.go_on = Event()
        self.go_on.set()
        self.fails = fails
        self.hung = False

    def send(self, job_id: int, queue: Queue) -> None:
        self.tries += 1
        if not self.go_on.wait(HANG):
            self.hung = True
            self.go_on.set()
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
    sender = Sent()
    sender.go_on.clear()
    settings = TaskSettings(broker_url=f"{scheme}://", publish_queue=2)
    async with opened(database, settings, sender):
        jobs = await add_jobs(database, 30)
        sender.go_on.set()

    assert not sender.hung
    assert set(sender.sent) < set(jobs)
    assert counted["DROPPED"] == 30 - len(sender.sent)
    assert await published(database) == sender.sent


async def test_a_broker_that_fails_is_left_alone_for_a_while(
    database: Database, scheme: str, counted: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def dropped(number: int) -> bool:
        return counted["DROPPED"] == number

    sender = Sent(fails=True)
    async with opened(database, TaskSettings(broker_url=f"{scheme}://"), sender):
        for number in range(1, 6):
            await add_jobs(database)
            await until(partial(dropped, number))
        assert sender.tries == counted["FAILURES"] == 1

        sender.fails = False
        monkeypatch.setattr(publishing, "monotonic", lambda: monotonic() + publishing.PAUSE)
        (job,) = await add_jobs(database)

    assert sender.sent == [job]
    assert await published(database) == [job]


@pytest.mark.parametrize("broker", ["silent", "gone"])
async def test_a_broker_that_is_not_well_costs_nothing(
    database: Database,
    request: pytest.FixtureRequest,
    counted: Counter[str],
    broker: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = TaskSettings(broker_url=request.getfixturevalue(broker), publish_timeout=0.2)
    threads: set[str] = set()
    send = Sender.send

    def note(self: Sender, job_id: int, queue: Queue) -> None:
        threads.add(current_thread().name)
        send(self, job_id, queue)

    monkeypatch.setattr(Sender, "send", note)
    async with opened(database, settings):
        for _ in range(20):
            await add_jobs(database)
        await until(lambda: counted["FAILURES"])

    assert threads == {"publisher"}
    assert await published(database) == []


async def test_a_broker_that_holds_it_does_not_hold_the_service(
    database: Database, scheme: str
) -> None:
    sender = Sent()
    sender.go_on.clear()
    settings = TaskSettings(broker_url=f"{scheme}://", publish_timeout=0.2)
    async with opened(database, settings, sender):
        await add_jobs(database)

    assert not sender.hung
    sender.go_on.set()
    for thread in enumerate_threads():
        if thread.name == "publisher":
            await asyncio.to_thread(thread.join, HANG)


@pytest.mark.parametrize("broker", ["silent", "gone"])
def test_one_try_takes_as_long_as_it_may(
    request: pytest.FixtureRequest, broker: str, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = f"app.tasks.broker_{scheme}"
    monkeypatch.setattr(f"{module}.TIMEOUT", 4 * HANG, raising=False)  # that of workers
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
    thread.join(HANG)
    assert not thread.is_alive()
    assert errors
