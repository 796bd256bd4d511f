"""What a job's function is given: the database, and where to say how far it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from time import monotonic
from typing import Any

from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.database import Query, Row
from app.database.sync import SyncDatabase
from app.jobs import claims
from app.jobs.claims import Claim, LostError


class JobError(Exception):
    """Raise for an attempt that failed, with a sentence for people: clients see it.

    Of any other exception they see its name only.

    Args:
        again: whether another attempt could do better.
    """

    def __init__(self, sentence: str, *, again: bool = True) -> None:
        super().__init__(sentence)
        self.again = again


class OutOfTimeError(JobError):
    """An attempt takes too long."""

    def __init__(self) -> None:
        super().__init__("It took too long.")


class Work:
    """An attempt at a job.

    First read and compute, and tell how far it is; then write, with `session`: what it writes
    and that the job is done are one transaction, so it is there once or not at all.

    Args:
        database: of this process.
        claim: the job.
        seconds: that it may take.
    """

    def __init__(self, database: SyncDatabase, claim: Claim, seconds: float) -> None:
        self.job_id = claim.id
        self.attempt = claim.attempt
        self._database = database
        self._claim = claim
        self._until = monotonic() + seconds
        self._session: Session | None = None

    @property
    def session(self) -> Session:
        """The session of what the job writes; its transaction ends with the job."""
        if self._session is None:
            self._session = self._database.sessions()
        return self._session

    def read(self, query: Query, **parameters: Any) -> list[Row]:
        """Return the rows of a feature's query.

        Raises:
            OutOfTimeError: when the job takes too long.
        """
        self._check_time()
        if self._session is not None:
            rows = self._session.connection().execute(query.statement, parameters)
            return [dict(row) for row in rows.mappings()]
        return self._database.read(query, **parameters)

    def progress(self, share: float) -> None:
        """Tell how far the job is, 0 to 1, in a transaction of its own.

        Raises:
            LostError: when the job is somebody else's by now.
            OutOfTimeError: when it takes too long.
            RuntimeError: when `session` is in use: a database may have one writer at a time.
        """
        self._check_time()
        if self._session is not None:
            raise RuntimeError("progress is told before the session is used")
        with self._database.transaction() as connection:
            claims.tell_progress(connection, self._claim, min(max(share, 0.0), 1.0))

    def finish(self, result: BaseModel | None) -> None:
        """Commit what was written, and with it that the job is done.

        Raises:
            LostError: when the job is somebody else's by now: nothing is written.
        """
        self.session.flush()
        told = None if result is None else result.model_dump(mode="json")
        claims.finish(self.session.connection(), self._claim, told)
        self._database.commit(self.session)

    def close(self) -> None:
        """Roll back what was not committed."""
        if self._session is not None:
            self._session.close()

    def _check_time(self) -> None:
        if monotonic() > self._until:
            raise OutOfTimeError


@contextmanager
def renewed(database: SyncDatabase, claim: Claim, lease: float) -> Iterator[None]:
    """Renew a lease meanwhile, every third of its `lease` seconds.

    Where a database has one writer and that is the job's own session, this cannot write; nor can
    anybody who would take the job then.
    """
    ended = Event()

    def renew() -> None:
        while not ended.wait(lease / 3):
            try:
                with database.transaction() as connection:
                    claims.renew(connection, claim, lease)
            except LostError:
                return
            except SQLAlchemyError:
                continue  # it is tried again before the lease ends

    thread = Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
