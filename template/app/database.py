"""The database: a write session and a read connection, each with a pool of its own.

Writes go through an ORM session that takes SQLite's write lock when it begins, so a
read-modify-write cannot lose another one's update. Reads run outside transactions on
connections that refuse to write.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, Request
from sqlalchemy import DateTime, Dialect, MetaData, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.types import TypeDecorator

from app.settings import Settings


class Base(DeclarativeBase):
    """The base of all models; named constraints keep migrations repeatable."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


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


@dataclass(frozen=True)
class Database:
    """The two roads to the data: `sessions` writes, `reads` reads."""

    sessions: async_sessionmaker[AsyncSession]
    reads: AsyncEngine


def create_write_engine(url: str, timeout: float, *, foreign_keys: bool = True) -> AsyncEngine:
    """Create the engine whose transactions begin with the write lock.

    SQLite has one writer at a time, so one connection is enough: requests wait for it
    in the pool, up to `timeout` seconds, instead of polling the lock.

    Args:
        foreign_keys: off for migrations, which change a table by copying and dropping it;
            the rows that refer to it must outlive that.
    """
    engine = create_async_engine(url, pool_size=1, max_overflow=0, pool_timeout=timeout)
    pragma = f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}"
    event.listen(engine.sync_engine, "connect", _configure(timeout, pragma))
    event.listen(
        engine.sync_engine,
        "begin",
        lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"),
    )
    return engine


def create_read_engine(url: str, pool_size: int, timeout: float) -> AsyncEngine:
    """Create the engine for reads: no transactions, and no statement that writes."""
    engine = create_async_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=timeout,
        # Nothing to roll back outside a transaction: spares two round trips per request.
        pool_reset_on_return=None,
        skip_autocommit_rollback=True,
    )
    event.listen(engine.sync_engine, "connect", _configure(timeout, "PRAGMA query_only = ON"))
    return engine


def _configure(timeout: float, *pragmas: str) -> Any:
    def configure(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # the driver must not begin transactions itself
        cursor = connection.cursor()
        for pragma in (
            f"PRAGMA busy_timeout = {int(timeout * 1000)}",
            "PRAGMA journal_mode = WAL",  # readers and the writer do not block each other
            "PRAGMA synchronous = NORMAL",  # never corrupt; a power cut may take the last commits
            *pragmas,
        ):
            cursor.execute(pragma)
        cursor.close()

    return configure


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """Open both pools for as long as the service runs."""
    writes = create_write_engine(settings.database_url, settings.database_timeout)
    reads = create_read_engine(
        settings.database_url, settings.database_read_pool, settings.database_timeout
    )
    try:
        yield Database(async_sessionmaker(writes, expire_on_commit=False), reads)
    finally:
        await reads.dispose()
        await writes.dispose()


async def get_session(request: Request) -> AsyncIterator[AsyncSession]:
    """Give a write session that commits when the route returns and rolls back when it raises."""
    database: Database = request.state.database
    async with database.sessions.begin() as session:
        yield session


async def get_reads(request: Request) -> AsyncIterator[AsyncConnection]:
    """Give a connection for reads, outside any transaction."""
    database: Database = request.state.database
    async with database.reads.connect() as connection:
        yield connection


# scope="function" ends the dependency before the response is sent: a commit that fails
# becomes an error for the client instead of a success that never happened.
WriteSession = Annotated[AsyncSession, Depends(get_session, scope="function")]
Reads = Annotated[AsyncConnection, Depends(get_reads, scope="function")]
