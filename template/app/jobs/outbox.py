"""From a committed row to whoever runs it: a nudge, which may get lost without harm."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Database
from app.idempotency import Key
from app.jobs.kinds import Kind, Queue
from app.jobs.models import Job
from app.observability.context import current_request

_NEW = "app.jobs.new"


class Carrier(Protocol):
    """Takes the ids of jobs to whoever runs them."""

    def nudge(self, job_id: int, queue: Queue) -> None:
        """Take an id without waiting, or leave it to the sweep."""


async def enqueue(
    session: AsyncSession, kind: Kind, arguments: BaseModel, key: Key | None = None
) -> Job:
    """Add a job to a write session: it is there when, and only when, the rest is committed.

    Args:
        key: of the request; the job that an earlier one with this key added is returned.
    """
    request = current_request.get()
    job = Job(
        kind=kind.name,
        arguments=arguments.model_dump(mode="json"),
        request_id=request.id if request else None,
    )
    if key is None:
        key = Key(None, "")
    kept = await key.add(session, job, kind.name, arguments)
    if kept is job:
        session.info.setdefault(_NEW, []).append((job.id, kind.queue))
    return kept


@asynccontextmanager
async def nudging(database: Database, carrier: Carrier) -> AsyncIterator[None]:
    """Tell the carrier of new jobs after their commit, and before the answer."""

    async def after_commit(session: AsyncSession) -> None:
        for job_id, queue in session.info.pop(_NEW, ()):
            carrier.nudge(job_id, queue)

    database.writes.after_commit.append(after_commit)
    try:
        yield
    finally:
        database.writes.after_commit.remove(after_commit)
