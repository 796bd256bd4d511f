"""What keeps jobs from being forgotten, and finished ones from being kept for ever.

A message that waits behind others is not lost. To publish its job again after some seconds only
makes the queue longer, and with it the wait of all: so that takes patience, and at once only
those jobs are published that were never handed over, that lost their worker, or whose queue is
empty at the broker while they wait for it.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    case,
    delete,
    func,
    select,
    tuple_,
    update,
)

from app.database import Query, UTCDateTime
from app.database.sync import SyncDatabase
from app.jobs.kinds import QUEUES, Queue, all_kinds, queue_of
from app.jobs.models import DONE, FAILED, RUNNING, WAITING, Job, now
from app.jobs.settings import TaskSettings

logger = logging.getLogger(__name__)

BATCH = 100  # jobs of a run
GRACE = timedelta(seconds=2)  # in which whoever made a job hands it over
ON_ITS_WAY = timedelta(seconds=10)  # in which a worker that took a message claims its job

# How many wait, and how many of them were published before a moment.
_before = bindparam("before", type_=UTCDateTime)
COUNT = Query(
    select(
        func.count().label("jobs"),
        func.count(case((Job.published_at < _before, 1))).label("published"),
    ).where(Job.state == WAITING)
)

Publish = Callable[[int, Queue], None]  # raises when the broker does not take it
IsEmpty = Callable[[Queue], bool]


def sweep(
    database: SyncDatabase, settings: TaskSettings, publish: Publish, is_empty: IsEmpty
) -> int:
    """Publish what needs it, at most `BATCH` jobs, and return how many were.

    Noted is what the broker has: whoever dies here leaves jobs that are published again. Two
    that sweep at once may publish the same, which one worker runs.

    Args:
        is_empty: whether the broker has nothing in a queue.
    """
    moment = now()
    reasons = _reasons(database, moment, settings, is_empty)
    with database.transaction() as connection:
        _free(connection, moment)
        found = _find(connection, reasons)
    published = []
    try:
        for job_id, attempts, kind in found:
            publish(job_id, queue_of(kind))
            published.append((job_id, attempts))
    except Exception:
        logger.warning("the sweep cannot publish", exc_info=True)
    tell_published(database, published)
    return len(published)


def tell_published(database: SyncDatabase, jobs: Sequence[tuple[int, int]]) -> None:
    """Have jobs count as published, now; not one of which an attempt has failed meanwhile.

    Args:
        jobs: their ids, and how many attempts they had before.
    """
    if not jobs:
        return
    with database.transaction() as connection:
        unchanged = and_(tuple_(Job.id, Job.attempts).in_(jobs), Job.state == WAITING)
        ids = [job_id for job_id, _ in jobs]  # not every database has an index for pairs
        connection.execute(update(Job).where(Job.id.in_(ids), unchanged).values(published_at=now()))


def clean_up(database: SyncDatabase, settings: TaskSettings) -> int:
    """Delete the jobs that finished long ago, and return how many did."""
    old = and_(
        Job.state.in_((DONE, FAILED)), Job.finished_at < now() - timedelta(days=settings.keep_days)
    )
    deleted = 0
    while True:
        with database.transaction() as connection:
            ids = connection.scalars(select(Job.id).where(old).limit(BATCH)).all()
            connection.execute(delete(Job).where(Job.id.in_(ids), old))
        deleted += len(ids)
        if len(ids) < BATCH:
            return deleted


def _free(connection: Connection, moment: datetime) -> None:
    """Have jobs wait whose worker has died."""
    lost = and_(Job.state == RUNNING, Job.lease_until < moment)
    # Looked for first: an UPDATE would lock what it passes on its way, jobs that run well.
    ids = connection.scalars(select(Job.id).where(lost)).all()
    if ids:
        free = {"state": WAITING, "token": None, "lease_until": None, "published_at": None}
        connection.execute(update(Job).where(Job.id.in_(ids), lost).values(free))


def _find(
    connection: Connection, reasons: Sequence[ColumnElement[bool]]
) -> list[tuple[int, int, str]]:
    found: dict[int, tuple[int, int, str]] = {}  # by id: there may be several reasons
    for needs_it in reasons:
        rows = connection.execute(
            select(Job.id, Job.attempts, Job.kind).where(needs_it).limit(BATCH)
        )
        found |= {row.id: (row.id, row.attempts, row.kind) for row in rows}
    return list(found.values())[:BATCH]


def _reasons(
    database: SyncDatabase, moment: datetime, settings: TaskSettings, is_empty: IsEmpty
) -> list[ColumnElement[bool]]:
    """Return the conditions of jobs to publish, the most urgent first."""
    (waiting,) = database.read(COUNT, before=moment - ON_ITS_WAY)
    patience = timedelta(seconds=settings.patience * (1 + waiting["jobs"] / 1000))
    reasons = [
        and_(Job.state == WAITING, Job.published_at.is_(None), Job.run_at <= moment - GRACE),
        and_(Job.state == WAITING, Job.published_at < moment - patience),
    ]
    if waiting["published"]:
        for queue in filter(is_empty, QUEUES):
            kinds = [kind.name for kind in all_kinds().values() if kind.queue == queue]
            lost = Job.published_at < moment - ON_ITS_WAY
            reasons.append(and_(Job.state == WAITING, lost, Job.kind.in_(kinds)))
    return reasons
