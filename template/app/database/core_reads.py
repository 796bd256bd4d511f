"""The read road on an engine of SQLAlchemy."""

from time import monotonic
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DataError, DBAPIError, MultipleResultsFound
from sqlalchemy.ext.asyncio import AsyncEngine

from app.database.gate import Gate, UnavailableError
from app.database.reads import Query, Row
from app.database.verdicts import UNSENDABLE, Judge, UnfitError, Verdict


class CoreReads:
    """Runs queries on an AUTOCOMMIT engine: neither BEGIN nor ROLLBACK is sent.

    Args:
        gate: as large as the engine's pool.
        judge: what an error stands for.
    """

    def __init__(self, engine: AsyncEngine, gate: Gate, judge: Judge) -> None:
        self.engine = engine
        self.gate = gate
        self._judge = judge

    async def one(self, query: Query, **parameters: Any) -> Row | None:
        """Return the only row, None when there is none."""
        rows = await self.all(query, **parameters)
        if len(rows) > 1:
            raise MultipleResultsFound("A query for one row gave several.")
        return rows[0] if rows else None

    async def all(self, query: Query, **parameters: Any) -> list[Row]:
        """Return all rows."""
        try:
            async with self.gate, self.engine.connect() as connection:
                result = await connection.execute(query.statement, parameters)
                self.gate.answered = monotonic()
                return [row._asdict() for row in result]
        except DBAPIError as error:
            verdict = self._judge(error)
            if verdict.passes and verdict is not Verdict.MOVED:  # a read that writes is a bug
                raise UnavailableError.because(error) from error
            if verdict is Verdict.VALUE:
                raise UnfitError.because(error) from error
            raise


def wrap_unsendable(engine: Engine) -> None:
    """Have an engine raise SQLAlchemy's `DataError` for values that its driver cannot send."""

    @event.listens_for(engine, "handle_error")
    def wrap(failure: ExceptionContext) -> None:
        error = failure.original_exception
        if failure.sqlalchemy_exception is None and isinstance(error, UNSENDABLE):
            raise DataError(failure.statement, None, error, hide_parameters=True) from error
