"""The write road: one ORM session a request, which commits before the answer is sent."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.orm.exc import StaleDataError

from app.database.gate import Gate, UnavailableError
from app.database.verdicts import Judge, UnfitError, Verdict
from app.deadline import Deadline, lift_deadline
from app.errors import ProblemError
from app.observability.counts import Count

FAILURES = Count("database_write_failures", "Writes that the database did not take.", ["reason"])

logger = logging.getLogger(__name__)

COMMIT = 10.0  # seconds that a commit may take: a server that waits for its standby never answers

# Writes a little.
Probe = Callable[[AsyncSession], Awaitable[object]]

# Returns the text to log for a conflict with other rows, None for any other error.
TellConflict = Callable[[BaseException | None], str | None]

# Called with the session after its commit, and before the answer is sent.
AfterCommit = Callable[[AsyncSession], Awaitable[None]]


class OutcomeUnknownError(ProblemError):
    """The commit was sent and not answered: it may have been done, or not, or be done later.

    Without `Retry-After`: to send the request again may do it twice.
    """

    def __init__(self) -> None:
        super().__init__(
            503, "The outcome is unknown: the database did not answer whether this was stored."
        )


class ConflictError(ProblemError):
    """A change that the rows there are do not allow: a duplicate, or a row that others refer to."""

    def __init__(self) -> None:
        super().__init__(409, "The change conflicts with other data.")


@dataclass
class _Writing:
    """Whether the request, or a task that it started, is inside a write session."""

    now: bool = True


_COMMITTED = "app.database.committed"  # what a session has in its `info` then

_writing: ContextVar[_Writing | None] = ContextVar("writing", default=None)


class WriteRoad:
    """Gives write sessions.

    Args:
        engine: with a pool of its own.
        gate: as large as that pool.
        judge: what an error stands for.
        tell_conflict: the text to log when a change conflicts with other rows.
        probe: where the disk is this instance's own, so that another one may do better.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        gate: Gate,
        judge: Judge,
        tell_conflict: TellConflict,
        probe: Probe | None = None,
    ) -> None:
        self.engine = engine
        self.gate = gate
        self.probe = probe
        self._judge = judge
        self._tell_conflict = tell_conflict
        self._refused = False  # the last write, though the database may answer reads
        # For events: https://docs.sqlalchemy.org/en/21/orm/extensions/asyncio.html
        self.sessions: sessionmaker[Session] = sessionmaker()
        self.after_commit: list[AfterCommit] = []
        event.listen(self.sessions, "after_commit", _note_commit)  # a route may commit by itself
        self._sessions = async_sessionmaker(
            engine,
            sync_session_class=self.sessions,
            expire_on_commit=False,
            close_resets_only=False,
        )

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """Give a session that commits at the end, or rolls back when that is an exception.

        Raises:
            UnavailableError: when the database cannot take it now; nothing was written.
            OutcomeUnknownError: when the commit was sent and not answered.
            ConflictError: when other rows do not allow what was written.
            UnfitError: when a value is one that no row can hold.
            RuntimeError: when one is open already: holding a connection while waiting for
                a second one is how a pool dead-locks.
        """
        writing = _writing.get()
        if writing is not None and writing.now:
            raise RuntimeError("a write session is open already: pass it on")
        writing = _Writing()
        given: AsyncSession | None = None
        committing: Deadline | None = None
        try:
            async with self.gate, self._sessions() as session, session.begin():
                _writing.set(writing)
                given = session
                yield session
                await session.flush()
                lift_deadline()  # what is committed must not be answered with a 504
                # Of a commit that fails too: a connection may break when it has been done.
                session.info[_COMMITTED] = True
                committing = Deadline(COMMIT)
        except asyncio.CancelledError:
            if committing is None or not committing.ended_it():
                raise
            logger.exception("the outcome of a commit is unknown: no answer within %g s", COMMIT)
            self._fail("unanswered", refused=True)
            raise OutcomeUnknownError from None
        except DBAPIError as error:
            answer = self._answer_to(error, committing=committing is not None)
            if answer is None:
                raise
            raise answer from error
        except StaleDataError as error:  # the row has changed, or gone, meanwhile
            logger.warning("a write conflicts with other rows: %s", error)
            raise ConflictError from error
        else:
            if self._refused and self.probe is None:
                self._recover()
        finally:
            if committing is not None:
                committing.lift()
            writing.now = False
            if given is not None and given.info.pop(_COMMITTED, False):
                for call in self.after_commit:
                    await call(given)

    def _answer_to(self, error: DBAPIError, *, committing: bool) -> ProblemError | None:
        """Count and log an error of the driver's, and return what to answer; None for a bug."""
        verdict = self._judge(error)
        if verdict is Verdict.LOST and committing:
            logger.error("the outcome of a commit is unknown: the connection broke", exc_info=error)
            self._fail("unanswered")
            return OutcomeUnknownError()
        if verdict.passes:
            self._fail(verdict.name.lower(), refused=verdict in (Verdict.FULL, Verdict.MOVED))
            return UnavailableError.because(error)
        if verdict is Verdict.VALUE:
            return UnfitError.because(error)
        told = self._tell_conflict(error.orig)
        if told is None:
            return None
        logger.warning("a write conflicts with other rows: %s", told)
        return ConflictError()

    async def can_write(self) -> bool:
        """Tell whether writes are taken: by the last one, or by the probe where that was not."""
        if not self._refused:
            return True
        if self.probe is None:
            return False
        try:
            async with self.session() as session:
                await self.probe(session)
        except (UnavailableError, OutcomeUnknownError):
            return False
        self._recover()
        return True

    def _fail(self, reason: str, *, refused: bool = False) -> None:
        FAILURES.add(reason)
        self._refused = self._refused or refused

    def _recover(self) -> None:
        self._refused = False
        logger.warning("the database takes writes again")


def _note_commit(session: Session) -> None:
    if not session.in_nested_transaction():  # a savepoint may still be rolled back with the rest
        session.info[_COMMITTED] = True
