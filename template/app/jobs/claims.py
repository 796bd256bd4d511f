"""Who has a job: each change is one UPDATE that says what must still be so."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, or_, select, update

from app.jobs.models import DONE, FAILED, RUNNING, WAITING, Job, now


class LostError(Exception):
    """The lease has ended and somebody else may have the job: nothing more may be written."""


@dataclass(frozen=True)
class Claim:
    """An attempt at a job, and what its row says.

    Args:
        attempt: its number, from 1.
        token: only who has it may write of the job.
        waited: seconds since the job was made.
    """

    id: int
    kind: str
    arguments: dict[str, Any]
    attempt: int
    token: str
    request_id: str | None
    waited: float

    @property
    def holds(self) -> ColumnElement[bool]:
        """The condition that the job is still this attempt's."""
        return and_(Job.id == self.id, Job.token == self.token, Job.state == RUNNING)


def claim(connection: Connection, job_id: int, lease: float) -> Claim | None:
    """Take a job for `lease` seconds; None when it is done, not due, or somebody else's."""
    moment, token = now(), token_hex(16)
    free = or_(
        # A new one is due, whatever the clock of who made it says.
        and_(Job.state == WAITING, or_(Job.attempts == 0, Job.run_at <= moment)),
        and_(Job.state == RUNNING, Job.lease_until < moment),
    )
    taken = connection.execute(
        update(Job)
        .where(Job.id == job_id, free)
        .values(
            state=RUNNING,
            token=token,
            lease_until=moment + timedelta(seconds=lease),
            attempts=Job.attempts + 1,
            progress=0.0,
        )
    )
    if not taken.rowcount:
        return None
    columns = (Job.kind, Job.arguments, Job.attempts, Job.request_id, Job.created_at)
    row = connection.execute(select(*columns).where(Job.id == job_id)).one()
    waited = (moment - row.created_at).total_seconds()
    return Claim(job_id, row.kind, row.arguments, row.attempts, token, row.request_id, waited)


def renew(connection: Connection, claim: Claim, lease: float) -> None:
    """Keep a job for `lease` more seconds.

    Raises:
        LostError: when it is somebody else's.
    """
    _write(connection, claim, lease_until=now() + timedelta(seconds=lease))


def tell_progress(connection: Connection, claim: Claim, share: float) -> None:
    """Write how far a job is, 0 to 1.

    Raises:
        LostError: when it is somebody else's.
    """
    _write(connection, claim, progress=share)


def finish(connection: Connection, claim: Claim, result: dict[str, Any] | None) -> None:
    """Write that a job is done, in the transaction of what it has done.

    Raises:
        LostError: when it is somebody else's: roll back.
    """
    done = {"state": DONE, "progress": 1.0, "result": result, "error": None}
    _write(connection, claim, **done, finished_at=now(), lease_until=None)


def fail(connection: Connection, claim: Claim, error: str, again_at: datetime | None) -> None:
    """Write that an attempt failed; the next one is not before `again_at`, None is never.

    Raises:
        LostError: when it is somebody else's.
    """
    if again_at is None:
        state: dict[str, Any] = {"state": FAILED, "finished_at": now()}
    else:
        # Not published: the sweep does so when it is due, and no broker has to hold it until then.
        state = {"state": WAITING, "run_at": again_at, "published_at": None}
    state |= {"attempts": claim.attempt, "error": error[:500]}
    _write(connection, claim, **state, token=None, lease_until=None)


def _write(connection: Connection, claim: Claim, **values: Any) -> None:
    if not connection.execute(update(Job).where(claim.holds).values(values)).rowcount:
        raise LostError
