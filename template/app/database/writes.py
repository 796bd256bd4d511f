"""The write road: one ORM session a request, which commits before the answer is sent."""

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
from app.deadline import lift_deadline
from app.errors import ProblemError

logger = logging.getLogger(__name__)

# Tells whether an error says that the database cannot answer now.
Judge = Callable[[DBAPIError], bool]

# Returns what may be told of a driver's error if a change conflicts with other rows, else None.
TellConflict = Callable[[BaseException | None], str | None]

# Called with the session after its commit, and before the answer is sent.
AfterCommit = Callable[[AsyncSession], Awaitable[None]]


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
        is_unavailable: whether an error says that the database cannot answer now.
        tell_conflict: what may be told of an error if a change conflicts with other rows.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        gate: Gate,
        is_unavailable: Judge,
        tell_conflict: TellConflict,
    ) -> None:
        self.engine = engine
        self.gate = gate
        self._is_unavailable = is_unavailable
        self._tell_conflict = tell_conflict
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
            UnavailableError: when the database cannot take it now; nothing was written,
                unless the connection broke during the commit itself.
            ConflictError: when other rows do not allow what was written.
            RuntimeError: when one is open already: holding a connection while waiting for
                a second one is how a pool dead-locks.
        """
        writing = _writing.get()
        if writing is not None and writing.now:
            raise RuntimeError("a write session is open already: pass it on")
        writing = _Writing()
        given: AsyncSession | None = None
        try:
            async with self.gate, self._sessions() as session, session.begin():
                _writing.set(writing)
                given = session
                yield session
                await session.flush()
                lift_deadline()  # what is committed must not be answered with a 504
                # Of a commit that fails too: a connection may break when it has been done.
                session.info[_COMMITTED] = True
        except DBAPIError as error:
            if self._is_unavailable(error):
                raise UnavailableError.because(error) from error
            told = self._tell_conflict(error.orig)
            if told is None:
                raise
            logger.warning("a write conflicts with other rows: %s", told)
            raise ConflictError from error
        except StaleDataError as error:  # the row has changed, or gone, meanwhile
            logger.warning("a write conflicts with other rows: %s", error)
            raise ConflictError from error
        finally:
            writing.now = False
            if given is not None and given.info.pop(_COMMITTED, False):
                for call in self.after_commit:
                    await call(given)


def _note_commit(session: Session) -> None:
    if not session.in_nested_transaction():  # a savepoint may still be rolled back with the rest
        session.info[_COMMITTED] = True
