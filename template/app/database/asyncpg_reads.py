"""The read road on asyncpg itself: no SQLAlchemy between a request and the driver.

A statement is compiled once; its bind and result types keep SQLAlchemy's meaning.
"""

import asyncio
from collections.abc import Callable, Coroutine
from time import monotonic, perf_counter
from typing import Any

import asyncpg
from sqlalchemy.exc import MultipleResultsFound, StatementError

from app.database.connections import IDLE
from app.database.gate import Gate, UnavailableError
from app.database.postgresql_errors import judge
from app.database.postgresql_url import DIALECT
from app.database.reads import Query, Row
from app.database.recorder import Recorder
from app.database.verdicts import UnfitError, Verdict

# Seconds after which an idle connection is not trusted: below what proxies and firewalls allow.
MAX_IDLE = 240.0
CLOSE_TIMEOUT = 5.0  # seconds
PING = 1.0  # seconds that a connection which has idled has to answer in

# All that asyncpg raises.
ERRORS = (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError, asyncpg.PostgresError)

Process = Callable[[Any], Any] | None


class Compiled:
    """A query as asyncpg takes it.

    Raises:
        ValueError: when the SQL would depend on the parameters' values.
    """

    def __init__(self, query: Query) -> None:
        compiled = query.statement.compile(dialect=DIALECT)
        if compiled.post_compile_params:
            raise ValueError("IN cannot be compiled ahead: use any_of")
        names = compiled.positiontup or []
        self.sql = str(compiled)
        self.described = False
        self._columns = list(query.statement.selected_columns)
        self._binds: list[tuple[str, Process]] = [
            (name, compiled.binds[name].type.dialect_impl(DIALECT).bind_processor(DIALECT))
            for name in names
        ]
        self._defaults = {
            name: bind.effective_value
            for name, bind in compiled.binds.items()
            if name in names and not bind.required
        }
        self._results: dict[str, Callable[[Any], Any]] = {}

    def arguments(self, parameters: dict[str, Any]) -> list[Any]:
        """Return the values for the statement's `$1`, `$2`, ..."""
        if self._defaults:
            parameters = self._defaults | parameters
        try:
            return [
                parameters[name] if process is None else process(parameters[name])
                for name, process in self._binds
            ]
        except Exception as error:  # as SQLAlchemy tells of it, so that logs leave out its values
            text = f"({type(error).__module__}.{type(error).__qualname__}) {error}"
            raise StatementError(text, self.sql, None, error, hide_parameters=True) from error

    async def describe(self, connection: asyncpg.Connection) -> None:
        """Learn the types that the server returns; asyncpg keeps the prepared statement."""
        statement = await connection.prepare(self.sql)
        for column, attribute in zip(self._columns, statement.get_attributes(), strict=True):
            implementation = column.type.dialect_impl(DIALECT)
            process = implementation.result_processor(DIALECT, attribute.type.oid)
            if process is not None:
                self._results[attribute.name] = process
        self.described = True

    def rows(self, records: list[asyncpg.Record]) -> list[Row]:
        """Return the rows as SQLAlchemy would give them."""
        rows = [dict(record) for record in records]
        for name, process in self._results.items():
            for row in rows:
                row[name] = process(row[name])
        return rows


class AsyncpgReads:
    """Runs queries on connections of its own, opened when they are needed.

    asyncpg's pool would double the CPU of a short read: a task, a proxy and a reset each
    time. Here a connection whose statement went well waits on a stack for the next one,
    and any other is closed.

    Args:
        connect: opens a connection.
        gate: how many connections there may be.
    """

    def __init__(
        self,
        connect: Callable[[], Coroutine[Any, Any, asyncpg.Connection]],
        gate: Gate,
        recorder: Recorder,
    ) -> None:
        self.gate = gate
        self._connect = connect
        self._recorder = recorder
        self._idle: list[tuple[asyncpg.Connection, float]] = []  # and since when
        self._generation = 0
        self._closing: set[asyncio.Task[Any]] = set()

    async def one(self, query: Query, **parameters: Any) -> Row | None:
        """Return the only row, None when there is none."""
        rows = await self.all(query, **parameters)
        if len(rows) > 1:
            raise MultipleResultsFound("A query for one row gave several.")
        return rows[0] if rows else None

    async def all(self, query: Query, **parameters: Any) -> list[Row]:
        """Return all rows."""
        compiled: Compiled | None = query.compiled
        if compiled is None:
            compiled = query.compiled = Compiled(query)
        arguments = compiled.arguments(parameters)
        if not self.gate.enter_now():
            await self.gate.enter()
        started = perf_counter()
        connection, generation = None, 0
        clean = False
        try:
            connection, idled = self._take()
            if connection is not None and idled > IDLE:
                connection = await self._checked(connection)
            if connection is None:
                connection = await self._open()
            generation = self._generation
            if not compiled.described:
                await compiled.describe(connection)
            records = await connection.fetch(compiled.sql, *arguments)
            self.gate.answered = monotonic()
            clean = True
        except ERRORS as error:
            verdict = judge(error)
            # Else the server has refused the statement, and is ready for the next one.
            clean = not verdict.drops
            if verdict.passes and verdict is not Verdict.MOVED:  # a read that writes is a bug
                raise UnavailableError.because(error) from error
            if verdict is Verdict.VALUE:
                raise UnfitError.because(error) from error
            raise
        finally:
            if connection is not None:
                self._give_back(connection, clean=clean and generation == self._generation)
            self.gate.leave()
            self._recorder.record(compiled.sql, started)
        return compiled.rows(records)

    def renew(self) -> None:
        """Drop all connections: the idle ones now, the others after their statements."""
        self._generation += 1
        for connection, _ in self._idle:
            self._discard(connection)
        self._idle.clear()

    async def close(self) -> None:
        """Close all connections."""
        self.renew()
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _take(self) -> tuple[asyncpg.Connection | None, float]:
        """Return a connection and for how many seconds it has idled."""
        while self._idle:
            connection, since = self._idle.pop()
            idled = monotonic() - since
            if not connection.is_closed() and idled < MAX_IDLE:
                return connection, idled
            self._discard(connection)
        return None, 0.0

    async def _checked(self, connection: asyncpg.Connection) -> asyncpg.Connection | None:
        """Return a connection that has idled if it answers, None if it is dead.

        A machine or a proxy that vanished has told nobody. Where one connection is dead, the
        others that idle are taken for dead too: each would cost its request this wait.
        """
        try:
            async with asyncio.timeout(PING):
                await connection.execute("SELECT 1")
        except (*ERRORS, TimeoutError):
            connection.terminate()
            self.renew()
            return None
        return connection

    async def _open(self) -> asyncpg.Connection:
        opening: asyncio.Task[asyncpg.Connection] = asyncio.create_task(self._connect())
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            self._closing.add(opening)
            # Half-way it cannot be given up cleanly: it is opened, and closed again.
            opening.add_done_callback(self._discard_opened)
            raise

    def _discard_opened(self, opening: asyncio.Task[asyncpg.Connection]) -> None:
        self._closing.discard(opening)
        if not opening.cancelled() and opening.exception() is None:
            self._discard(opening.result())

    def _give_back(self, connection: asyncpg.Connection, *, clean: bool) -> None:
        # A read can only be in a transaction through a function that it calls.
        if clean and not connection.is_closed() and not connection.is_in_transaction():
            self._idle.append((connection, monotonic()))
        else:
            self._discard(connection)

    def _discard(self, connection: asyncpg.Connection) -> None:
        # In the background: a statement that was cancelled is first cancelled on the server.
        task = asyncio.create_task(_close(connection))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _close(connection: asyncpg.Connection) -> None:
    try:
        await connection.close(timeout=CLOSE_TIMEOUT)
    except (*ERRORS, TimeoutError):
        connection.terminate()
