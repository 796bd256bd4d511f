"""Hands jobs over to the broker, from a thread: the event loop never waits for it.

Where the broker is gone or silent, or the queue is full, a job simply stays a row that was
not published: the sweep finds it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from queue import Empty, Full
from queue import Queue as Line
from threading import Thread
from time import monotonic

from app.database import Database, DatabaseSettings
from app.database.sync import SyncDatabase
from app.health import REMARKS
from app.jobs.kinds import Queue
from app.jobs.outbox import nudging
from app.jobs.settings import TaskSettings
from app.jobs.sweep import tell_published
from app.observability.counts import Count
from app.tasks.broker import Sender, new_celery

logger = logging.getLogger(__name__)

PUBLISHED = Count("jobs_published", "Jobs that the broker has taken from the service.")
DROPPED = Count("jobs_dropped", "Jobs that were left to the sweep, unpublished.")
FAILURES = Count("jobs_publish_failures", "Times that the broker did not take a job.")

PAUSE = 3.0  # seconds without a try after one that failed
BATCH = 100  # jobs whose rows are marked together

Nudge = tuple[int, Queue]


class Publisher:
    """Hands over jobs that were committed.

    Args:
        settings: where the broker is, and how many jobs may wait to be handed over.
        sender: unless given, one for that broker.
    """

    def __init__(self, settings: TaskSettings, sender: Sender | None = None) -> None:
        self._settings = settings
        self._sender = sender or Sender(new_celery(settings), settings)
        self._line: Line[Nudge | None] = Line(settings.publish_queue)  # None is the end of it
        self._ending = False
        self._try_again = 0.0
        self._refused: Nudge | None = None  # what the broker did not take, until it takes a job

    def nudge(self, job_id: int, queue: Queue) -> None:
        """Hand a job over soon, without waiting; a full queue leaves it to the sweep."""
        try:
            self._line.put_nowait((job_id, queue))
        except Full:
            DROPPED.add()

    @asynccontextmanager
    async def opened(self, database: Database) -> AsyncIterator[None]:
        """Run the thread as long as the service; what it still has then is handed over first."""
        url = database.writes.engine.url.render_as_string(hide_password=False)
        thread = Thread(target=self._run, args=(url,), name="publisher", daemon=True)
        thread.start()
        REMARKS["jobs"] = lambda: "not handed over" if self._refused else None
        try:
            async with nudging(database, self):
                yield
        finally:
            REMARKS.pop("jobs", None)
            await asyncio.to_thread(self._end, thread)

    def _end(self, thread: Thread) -> None:
        self._ending = True
        with suppress(Full):  # then it is not waiting, and sees that this is the end
            self._line.put_nowait(None)
        thread.join(2 * self._settings.publish_timeout + 1)

    def _run(self, url: str) -> None:
        settings, timeout = DatabaseSettings(url=url), self._settings.statement_timeout
        database = SyncDatabase(settings, connections=1, statement_timeout=timeout)
        try:
            while batch := self._next():
                self._publish(database, batch)
        finally:
            self._sender.close()
            database.close()

    def _next(self) -> list[Nudge]:
        """Return the jobs that wait, at most `BATCH`; none at the end."""
        batch: list[Nudge] = []
        while len(batch) < BATCH:
            try:
                wait = PAUSE if self._refused else None
                nudge = self._line.get(block=not batch and not self._ending, timeout=wait)
            except Empty:
                if batch or self._ending:
                    break
                self._try_refused()
                continue
            if nudge is None:
                break
            batch.append(nudge)
        return batch

    def _try_refused(self) -> None:
        """Learn whether the broker takes jobs again, when there is no other one to hand over.

        The sweep may have published it: a job that is announced twice runs once.
        """
        with suppress(Exception):
            if self._refused:
                self._sender.send(*self._refused)
            self._refused = None

    def _publish(self, database: SyncDatabase, batch: list[Nudge]) -> None:
        sent: list[int] = []
        if monotonic() >= self._try_again:
            try:
                for job_id, queue in batch:
                    self._sender.send(job_id, queue)
                    sent.append(job_id)
                self._refused = None
            except Exception:
                FAILURES.add()
                self._refused = batch[len(sent)]
                self._try_again = monotonic() + PAUSE
                logger.warning("the broker takes no jobs: they wait", exc_info=True)
        PUBLISHED.add(number=len(sent))
        DROPPED.add(number=len(batch) - len(sent))
        try:
            tell_published(database, [(job_id, 0) for job_id in sent])
        except Exception:  # the sweep publishes them once more
            logger.warning("jobs were published, and it cannot be noted", exc_info=True)
