"""SQLite: one writer at a time, and readers that do not wait for it.

A write session takes the write lock when it begins, so a read-modify-write cannot lose
another one's update. The read road's connections refuse to write.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from sqlite3 import OperationalError
from threading import Thread
from typing import Any, Literal
from weakref import WeakSet

import aiosqlite
from alembic.autogenerate.api import AutogenContext
from pydantic import Field, field_validator
from sqlalchemy import (
    Column,
    ColumnElement,
    DateTime,
    Dialect,
    Integer,
    bindparam,
    event,
    literal_column,
    select,
    text,
)
from sqlalchemy import column as named_column
from sqlalchemy import table as named_table
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    create_async_engine,
)
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.types import TypeDecorator
from sqlalchemy.util import await_only

from app.database.core_reads import CoreReads, wrap_unsendable
from app.database.gate import Gate
from app.database.reads import Query
from app.database.recorder import Recorder
from app.database.roads import Database
from app.database.settings import PoolSettings
from app.database.sqlite_errors import judge, tell_conflict
from app.database.verdicts import drop_useless
from app.database.writes import WriteRoad

# The type of primary keys, 64 bits wide here; only under this name SQLite counts by itself.
ID = Integer

# The `schema` and `name` of all tables, and whether a name without a schema finds it: `is_default`.
TABLES = Query(
    select(
        literal_column("'main'").label("schema"),
        named_column("name"),
        literal_column("1").label("is_default"),
    ).select_from(named_table("sqlite_master"))
)


class DatabaseSettings(PoolSettings):
    """Where the file is, and how long to wait for it."""

    url: str = "sqlite+aiosqlite:///data.db"
    read_pool: int = Field(default=4, ge=1)

    @field_validator("url")
    @classmethod
    def _names_the_driver(cls, url: str) -> str:
        _, driver, path = url.partition("sqlite+aiosqlite:///")
        if not driver or path.partition("?")[0] in ("", ":memory:"):
            raise ValueError("must be sqlite+aiosqlite:/// and the path of a file")
        if "?" in path:
            raise ValueError(
                "has parameters after a ?, which the service sets itself: remove them;"
                " DATABASE_TIMEOUT is how long to wait for the lock"
            )
        return url


class UTCDateTime(TypeDecorator[datetime]):
    """An aware datetime, kept in UTC: SQLite drops the offset of `DateTime(timezone=True)`."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("a datetime without a time zone cannot be stored")
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value and value.replace(tzinfo=UTC)


def any_of(column: InstrumentedAttribute[Any] | Column[Any], name: str) -> ColumnElement[bool]:
    """Return the condition that `column` is one of the values of the parameter `name`, a list."""
    return column.in_(bindparam(name, expanding=True))


class Connector:
    """Opens connections, and knows their threads, which tell the event loop what they have done."""

    def __init__(self) -> None:
        self._threads: WeakSet[Thread] = WeakSet()

    async def __call__(self, *arguments: Any, **options: Any) -> aiosqlite.Connection:
        """Open a connection."""
        connection = aiosqlite.connect(*arguments, **options)
        connection._thread.daemon = True  # as SQLAlchemy has it
        self._threads.add(connection._thread)
        opening = asyncio.ensure_future(connection)
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close)  # half-way it cannot be given up cleanly
            raise

    async def ended(self, seconds: float) -> None:
        """Wait for threads of connections that were given up half-way: the loop may close then."""
        for thread in list(self._threads):
            await asyncio.to_thread(thread.join, seconds)


def _close(opening: asyncio.Future[aiosqlite.Connection]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().stop()


def create_write_engine(
    url: str, settings: DatabaseSettings, connector: Connector, *, foreign_keys: bool = True
) -> AsyncEngine:
    """Create the engine whose transactions begin with the write lock.

    SQLite has one writer at a time, so one connection is enough: requests wait for it
    at the gate instead of polling the lock.

    Args:
        foreign_keys: off for migrations, which change a table by copying and dropping it;
            the rows that refer to it must outlive that.
    """
    engine = create_async_engine(
        url,
        pool_size=1,
        max_overflow=0,
        pool_timeout=settings.timeout,
        hide_parameters=True,
        connect_args={"async_creator_fn": connector},
    )
    pragma = f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}"
    event.listen(engine.sync_engine, "connect", _configure(settings.timeout, pragma))
    event.listen(
        engine.sync_engine,
        "begin",
        lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"),
    )
    return engine


def create_read_engine(url: str, settings: DatabaseSettings, connector: Connector) -> AsyncEngine:
    """Create the engine for reads: no transactions, and no statement that writes."""
    engine = create_async_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=settings.read_pool,
        max_overflow=0,
        pool_timeout=settings.timeout,
        hide_parameters=True,
        # Nothing to roll back outside a transaction: spares two round trips per request.
        pool_reset_on_return=None,
        skip_autocommit_rollback=True,
        connect_args={"async_creator_fn": connector},
    )
    pragma = "PRAGMA query_only = ON"
    event.listen(engine.sync_engine, "connect", _configure(settings.timeout, pragma))
    return engine


def _configure(timeout: float, *pragmas: str) -> Any:
    def configure(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # the driver must not begin transactions itself
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {int(timeout * 1000)}")
        _write_ahead(cursor, timeout)
        # Never corrupt; a power cut may take the last commits.
        cursor.execute("PRAGMA synchronous = NORMAL")
        for pragma in pragmas:
            cursor.execute(pragma)
        cursor.close()

    return configure


def _write_ahead(cursor: DBAPICursor, timeout: float) -> None:
    """Set the file to WAL: readers and the writer do not block each other.

    SQLite does not wait here when another process uses a file that is not in WAL yet.
    """
    tries = max(1, int(timeout / 0.01))
    for attempt in range(1, tries + 1):
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            return
        except OperationalError:
            if attempt == tries:
                raise
            await_only(asyncio.sleep(0.01))


async def _write_a_little(session: AsyncSession) -> None:
    version = (await session.execute(text("PRAGMA user_version"))).scalar_one()
    await session.execute(text(f"PRAGMA user_version = {version}"))


@asynccontextmanager
async def open_database(settings: DatabaseSettings) -> AsyncIterator[Database]:
    """Open both roads for as long as the service runs."""
    connector = Connector()
    writes = create_write_engine(settings.url, settings, connector)
    drop_useless(writes.sync_engine, judge)
    reads = create_read_engine(settings.url, settings, connector)
    for engine in (writes, reads):
        wrap_unsendable(engine.sync_engine)
    recorder = Recorder(settings.slow)
    recorder.watch(writes)
    recorder.watch(reads)

    def gate(size: int) -> Gate:
        return Gate(size, queue=settings.queue, timeout=settings.timeout)

    try:
        yield Database(
            WriteRoad(writes, gate(1), judge, tell_conflict, _write_a_little),
            CoreReads(reads, gate(settings.read_pool), judge),
            recorder,
        )
    finally:
        await reads.dispose()
        await writes.dispose()
        await connector.ended(settings.timeout)


def _render_type(kind: str, value: Any, autogenerate: AutogenContext) -> str | Literal[False]:
    """Keep migrations free of the service's own code, which they must outlive."""
    if kind == "type" and isinstance(value, UTCDateTime):
        return "sa.DateTime(timezone=True)"
    return False


# SQLite changes a table by copying it.
MIGRATION_OPTIONS: dict[str, Any] = {"render_as_batch": True, "render_item": _render_type}


@asynccontextmanager
async def connect_for_migrations(url: str) -> AsyncIterator[AsyncConnection]:
    """Open a connection that migrations may change the tables on."""
    engine = create_write_engine(url, DatabaseSettings(), Connector(), foreign_keys=False)
    try:
        async with engine.connect() as connection:
            yield connection
            broken = (await connection.exec_driver_sql("PRAGMA foreign_key_check")).all()
            await connection.commit()
        if broken:
            raise SystemExit(f"{len(broken)} rows refer to rows that are not there: {broken}")
    finally:
        await engine.dispose()
