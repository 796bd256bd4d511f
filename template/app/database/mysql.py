"""MySQL and MariaDB, with asyncmy."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Literal

from alembic.autogenerate.api import AutogenContext
from pydantic import field_validator
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Dialect,
    bindparam,
    event,
    func,
    make_url,
    select,
    text,
)
from sqlalchemy import column as named_column
from sqlalchemy import table as named_table
from sqlalchemy.dialects.mysql import DATETIME
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.pool import ConnectionPoolEntry, NullPool
from sqlalchemy.types import TypeDecorator

from app.database.budget import ServerSettings, check_budget
from app.database.connections import check_after_idling, tell_unavailable
from app.database.core_reads import CoreReads
from app.database.gate import Gate, UnavailableError
from app.database.reads import Query
from app.database.recorder import Recorder
from app.database.replica import ReplicatedDatabase
from app.database.writes import WriteRoad

ID = BigInteger  # the type of primary keys

# The `schema` and `name` of all tables, and whether a name without a schema finds it: `is_default`.
TABLES = Query(
    select(
        named_column("table_schema").label("schema"),
        named_column("table_name").label("name"),
        (named_column("table_schema") == func.database()).label("is_default"),
    )
    .select_from(named_table("tables", schema="information_schema"))
    .where(named_column("table_schema").not_in(["information_schema", "performance_schema"]))
)

# Errors after which the same request may pass in a moment: too many connections (1040,
# 1203, 1226), server going down (1053), lock wait and dead-lock (1205, 1213), connection
# killed (1317, 1927), no or lost connection (2002, 2003, 2006, 2013).
_UNAVAILABLE = {1040, 1053, 1203, 1205, 1213, 1226, 1317, 1927, 2002, 2003, 2006, 2013}


class DatabaseSettings(ServerSettings):
    """Where the server is, and what it may be asked for."""

    url: str = "mysql+asyncmy://app:app@127.0.0.1:3306/app"

    @field_validator("url", "read_url")
    @classmethod
    def _names_the_driver(cls, url: str | None) -> str | None:
        try:
            ok = url is None or make_url(url).drivername == "mysql+asyncmy"
        except ArgumentError:
            ok = False
        if not ok:
            raise ValueError("must begin with mysql+asyncmy://")
        return url

    async def connection_limit(self, url: str) -> int:
        """Return how many connections the server allows this user.

        Raises:
            UnavailableError: when it does not answer.
        """
        engine = create_async_engine(url, poolclass=NullPool)
        try:
            async with engine.connect() as connection:
                limits = await connection.execute(
                    text("SELECT @@max_connections, @@max_user_connections")
                )
                return min(int(limit) for limit in limits.one() if limit > 0)  # 0 is no limit
        except DBAPIError as error:
            if is_unavailable(error):
                raise UnavailableError.because(error) from error
            raise


class UTCDateTime(TypeDecorator[datetime]):
    """An aware datetime, kept in UTC with its microseconds: DATETIME knows no offset."""

    impl = DATETIME(fsp=6)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("a datetime without a time zone cannot be stored")
        return value and value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value and value.replace(tzinfo=UTC)


def any_of(column: InstrumentedAttribute[Any] | Column[Any], name: str) -> ColumnElement[bool]:
    """Return the condition that `column` is one of the values of the parameter `name`, a list."""
    return column.in_(bindparam(name, expanding=True))


def create_write_engine(url: str, settings: DatabaseSettings) -> AsyncEngine:
    """Create the engine for transactions."""
    return _create_engine(url, settings, settings.write_pool)


def create_read_engine(url: str, settings: DatabaseSettings) -> AsyncEngine:
    """Create the engine for reads: no transactions, and no statement that writes."""
    engine = _create_engine(
        url,
        settings,
        settings.read_pool,
        isolation_level="AUTOCOMMIT",
        # Nothing to roll back outside a transaction: spares a round trip per request.
        pool_reset_on_return=None,
        skip_autocommit_rollback=True,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def refuse_to_write(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        cursor.execute("SET SESSION TRANSACTION READ ONLY")
        cursor.close()

    return engine


def _create_engine(url: str, settings: DatabaseSettings, size: int, **options: Any) -> AsyncEngine:
    engine = create_async_engine(
        url,
        pool_size=size,
        max_overflow=0,
        pool_timeout=settings.timeout,
        hide_parameters=True,
        connect_args={"connect_timeout": settings.timeout},
        **options,
    )
    check_after_idling(engine)
    tell_unavailable(engine)
    return engine


def is_unavailable(error: DBAPIError) -> bool:
    """Tell whether the connection broke, or what was asked for may pass in a moment."""
    code = error.orig.args[0] if error.orig is not None and error.orig.args else None
    return error.connection_invalidated or code in _UNAVAILABLE


@asynccontextmanager
async def open_database(settings: DatabaseSettings) -> AsyncIterator[ReplicatedDatabase]:
    """Open all roads for as long as the service runs.

    Raises:
        BudgetError: when the server allows fewer connections than the service may open.
    """
    await check_budget(settings, settings.connection_limit)
    recorder = Recorder(settings.slow)
    writes = create_write_engine(settings.url, settings)
    reads = replica = create_read_engine(settings.url, settings)
    if settings.read_url is not None:
        replica = create_read_engine(settings.read_url, settings)
    engines = {writes, reads, replica}
    for engine in engines:
        recorder.watch(engine)

    def gate(size: int) -> Gate:
        return Gate(size, queue=settings.queue, timeout=settings.timeout)

    try:
        primary = CoreReads(reads, gate(settings.read_pool), is_unavailable)
        yield ReplicatedDatabase(
            WriteRoad(writes, gate(settings.write_pool), is_unavailable),
            primary,
            recorder,
            primary
            if replica is reads
            else CoreReads(replica, gate(settings.read_pool), is_unavailable),
        )
    finally:
        for engine in engines:
            await engine.dispose()


def _render_type(kind: str, value: Any, autogenerate: AutogenContext) -> str | Literal[False]:
    """Keep migrations free of the service's own code, which they must outlive."""
    if kind == "type" and isinstance(value, UTCDateTime):
        autogenerate.imports.add("from sqlalchemy.dialects import mysql")
        return "mysql.DATETIME(fsp=6)"
    return False


MIGRATION_OPTIONS: dict[str, Any] = {"render_item": _render_type}


@asynccontextmanager
async def connect_for_migrations(url: str) -> AsyncIterator[AsyncConnection]:
    """Open a connection that migrations may change the tables on."""
    engine = create_async_engine(url, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            yield connection
            await connection.commit()
    finally:
        await engine.dispose()
