"""The table of jobs: what is to be done, who does it now, and what came of it."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, Double, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from app.database import ID, Base, UTCDateTime
from app.idempotency import Once

WAITING, RUNNING, DONE, FAILED = "waiting", "running", "done", "failed"


def now() -> datetime:
    """Return the time as it is kept. The clocks of all machines are to agree to a few seconds."""
    return datetime.now(UTC)


class Job(Once, Base):
    """A job, and its own outbox: what is committed here is done, whatever became of a message."""

    __tablename__ = "jobs"
    # What the sweep and the clean-up look for; neither reads the jobs that are of no concern.
    __table_args__ = (Index(None, "state", "published_at"), Index(None, "state", "finished_at"))

    id: Mapped[int] = mapped_column(ID, primary_key=True)
    kind: Mapped[str] = mapped_column(String(100))
    arguments: Mapped[dict[str, Any]] = mapped_column(JSON)
    state: Mapped[str] = mapped_column(String(10), default=WAITING)
    attempts: Mapped[int] = mapped_column(default=0)  # that have begun
    progress: Mapped[float] = mapped_column(Double, default=0.0)  # 0 to 1
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    error: Mapped[str | None] = mapped_column(String(500))  # the last one; for people, no values
    request_id: Mapped[str | None] = mapped_column(String(128))  # of the request that asked for it
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    run_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)  # no later attempt is before
    published_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # when it was handed over
    lease_until: Mapped[datetime | None] = mapped_column(UTCDateTime)  # then it is anybody's
    token: Mapped[str | None] = mapped_column(String(32))  # of the attempt that has the lease
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
