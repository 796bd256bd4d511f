"""MySQL and MariaDB, with asyncmy."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Literal

import asyncmy
from alembic.autogenerate.api import AutogenContext
from asyncmy.errors import MySQLError
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
from sqlalchemy.util import await_only

from app.database import migrating
from app.database.budget import ServerSettings, check_budget
from app.database.connections import check_after_idling, notice_silence, tell_unavailable
from app.database.core_reads import CoreReads, wrap_unsendable
from app.database.gate import Gate, UnavailableError
from app.database.mysql_errors import judge, tell_conflict
from app.database.mysql_url import TABLE, connect_options
from app.database.reads import Query
from app.database.recorder import Recorder
from app.database.replica import ReplicatedDatabase
from app.database.verdicts import drop_useless
from app.database.writes import WriteRoad

logger = logging.getLogger(__name__)

ID = BigInteger  # the type of primary keys

_LOCK_WAIT = 1205

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
        if url is not None:
            connect_options(make_url(url))
        return url

    async def connection_limit(self, url: str) -> int:
        """Return how many connections the server allows this user.

        Raises:
            UnavailableError: when it does not answer.
        """
        engine = _create_bare_engine(url)
        try:
            async with engine.connect() as connection:
                limits = await connection.execute(
                    text("SELECT @@max_connections, @@max_user_connections")
                )
                return min(int(limit) for limit in limits.one() if limit > 0)  # 0 is no limit
        except DBAPIError as error:
            if judge(error).passes:
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


def _connector(url: str, **defaults: Any) -> Callable[..., Awaitable[asyncmy.Connection]]:
    """Return what opens connections for SQLAlchemy, whose own reading of the URL knows less."""
    options = defaults | connect_options(make_url(url))

    async def connect(**given: Any) -> asyncmy.Connection:
        address = {name: value for name, value in given.items() if name not in (*TABLE, "ssl")}
        return await asyncmy.connect(**address, **options)

    return connect


def _create_bare_engine(url: str) -> AsyncEngine:
    return create_async_engine(
        url, poolclass=NullPool, connect_args={"async_creator_fn": _connector(url)}
    )


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
        connect_args={"async_creator_fn": _connector(url, connect_timeout=settings.timeout)},
        **options,
    )
    check_after_idling(engine)

    @event.listens_for(engine.sync_engine, "connect")
    def watch(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        raw = connection.driver_connection._transport.get_extra_info("socket")
        notice_silence(raw, settings.timeout)

    tell_unavailable(engine, judge)
    wrap_unsendable(engine.sync_engine)
    return engine


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
    drop_useless(writes.sync_engine, judge, moved=reads.sync_engine.dispose)
    engines = {writes, reads, replica}
    for engine in engines:
        recorder.watch(engine)

    def gate(size: int) -> Gate:
        return Gate(size, queue=settings.queue, timeout=settings.timeout)

    try:
        primary = CoreReads(reads, gate(settings.read_pool), judge)
        yield ReplicatedDatabase(
            WriteRoad(writes, gate(settings.write_pool), judge, tell_conflict),
            primary,
            recorder,
            primary if replica is reads else CoreReads(replica, gate(settings.read_pool), judge),
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


_CHANGES = ("ALTER ", "CREATE ", "DROP ", "RENAME ", "TRUNCATE ")


def _execute_again(cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
    """Run a statement again that did not get the lock of its table.

    Not the whole migration: such a statement commits what came before it.
    """
    changes = statement.lstrip().upper().startswith(_CHANGES)
    for left in reversed(range(migrating.TRIES)):
        try:
            cursor.execute(statement, parameters)
            break
        except MySQLError as error:
            if not changes or not left or error.args[0] != _LOCK_WAIT:
                raise
            logger.warning("others hold the lock of a table: the statement is tried again")
            await_only(asyncio.sleep(migrating.PAUSE))
    return True


@asynccontextmanager
async def connect_for_migrations(url: str) -> AsyncIterator[AsyncConnection]:
    """Open a connection that migrations may change the tables on."""
    engine = _create_bare_engine(url)
    try:
        event.listen(engine.sync_engine, "do_execute", _execute_again)
        async with engine.connect() as connection:
            await connection.exec_driver_sql(
                f"SET SESSION lock_wait_timeout = {migrating.LOCK_TIMEOUT}"
            )
            await connection.commit()
            yield connection
            await connection.commit()
    finally:
        await engine.dispose()
