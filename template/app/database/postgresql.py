"""PostgreSQL: writes through SQLAlchemy, reads on asyncpg itself."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from json import loads
from typing import Any, Literal

import asyncpg
from alembic.autogenerate.api import AutogenContext
from pydantic import field_validator
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    ColumnElement,
    DateTime,
    Dialect,
    any_,
    bindparam,
    event,
    func,
    make_url,
    select,
)
from sqlalchemy import column as named_column
from sqlalchemy import table as named_table
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.pool import ConnectionPoolEntry, NullPool
from sqlalchemy.types import TypeDecorator

from app.database import migrating
from app.database.asyncpg_reads import ERRORS, AsyncpgReads
from app.database.budget import ServerSettings, check_budget
from app.database.connections import check_after_idling, notice_silence, tell_unavailable
from app.database.gate import Gate, UnavailableError
from app.database.postgresql_errors import judge, tell_conflict
from app.database.postgresql_url import STANDBYS, connect_options
from app.database.reads import Query
from app.database.recorder import Recorder
from app.database.replica import ReplicatedDatabase
from app.database.verdicts import drop_useless
from app.database.writes import WriteRoad

ID = BigInteger  # the type of primary keys

# The `schema` and `name` of all tables, and whether a name without a schema finds it: `is_default`.
TABLES = Query(
    select(
        named_column("schemaname").label("schema"),
        named_column("tablename").label("name"),
        (named_column("schemaname") == any_(func.current_schemas(False))).label("is_default"),
    )
    .select_from(named_table("pg_tables"))
    .where(named_column("schemaname") != "pg_catalog")
    .where(named_column("schemaname") != "information_schema")
)

# What the server leaves to this user, in all and for this database; -1 is no limit.
_LIMITS = """
    SELECT current_setting('max_connections')::int
         - current_setting('superuser_reserved_connections')::int
         - coalesce(current_setting('reserved_connections', true), '0')::int,
           rolconnlimit,
           datconnlimit
      FROM pg_roles, pg_database
     WHERE rolname = current_user AND datname = current_database()
"""


class DatabaseSettings(ServerSettings):
    """Where the server is, and what it may be asked for."""

    url: str = "postgresql+asyncpg://app:app@127.0.0.1:5432/app"
    # Behind pgbouncer in transaction mode: no prepared statement outlives its transaction,
    # and the limits are pgbouncer's own. Give its role default_transaction_read_only, or
    # READ_DATABASE_URL a role that cannot write: pgbouncer does not pass the setting on.
    pgbouncer: bool = False

    @property
    def has_budget(self) -> bool:
        """Whether the limits are the server's own, and not pgbouncer's."""
        return not self.pgbouncer

    @field_validator("url", "read_url")
    @classmethod
    def _names_the_driver(cls, url: str | None) -> str | None:
        try:
            ok = url is None or make_url(url).drivername == "postgresql+asyncpg"
        except ArgumentError:
            ok = False
        if not ok:
            raise ValueError("must begin with postgresql+asyncpg://")
        if url is not None:
            try:
                connect_options(url)
            except ArgumentError as error:  # of several hosts
                raise ValueError(str(error)) from None
        return url

    @field_validator("url")
    @classmethod
    def _is_for_writes(cls, url: str) -> str:
        if make_url(url).query.get("target_session_attrs") in STANDBYS:
            raise ValueError(
                "has target_session_attrs of a server that cannot be written:"
                " only READ_DATABASE_URL may have these"
            )
        return url

    async def connection_limit(self, url: str) -> int:
        """Return how many connections the server allows this user.

        Raises:
            UnavailableError: when it does not answer.
        """
        try:
            connection = await asyncpg.connect(**connect_options(url) | {"timeout": 5})
        except ERRORS as error:
            if judge(error).passes:
                raise UnavailableError.because(error) from error
            raise
        try:
            limits: list[int] = await connection.fetchrow(_LIMITS)
            return min(limit for limit in limits if limit >= 0)
        finally:
            await connection.close()


class UTCDateTime(TypeDecorator[datetime]):
    """An aware datetime; it comes back in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("a datetime without a time zone cannot be stored")
        return value


def any_of(column: InstrumentedAttribute[Any] | Column[Any], name: str) -> ColumnElement[bool]:
    """Return the condition that `column` is one of the values of the parameter `name`, a list."""
    return column == any_(bindparam(name, type_=ARRAY(column.type)))


def _connector(options: dict[str, Any]) -> Callable[..., Awaitable[asyncpg.Connection]]:
    """Return what opens connections for SQLAlchemy, whose own reading of the URL knows less."""

    async def connect(**_: Any) -> asyncpg.Connection:
        return await asyncpg.connect(**options)

    return connect


def create_write_engine(url: str, settings: DatabaseSettings) -> AsyncEngine:
    """Create the engine for transactions."""
    options = {"timeout": settings.timeout} | connect_options(url)
    own: dict[str, Any] = {}  # SQLAlchemy's
    if "statement_cache_size" in options:
        own["prepared_statement_cache_size"] = options["statement_cache_size"]
    if settings.pgbouncer:
        options["statement_cache_size"] = 0
        # Unnamed: the next statement replaces it, so none is left on the server.
        own = {"prepared_statement_cache_size": 0, "prepared_statement_name_func": lambda: ""}
    engine = create_async_engine(
        url,
        pool_size=settings.write_pool,
        max_overflow=0,
        pool_timeout=settings.timeout,
        hide_parameters=True,
        connect_args=own | {"async_creator_fn": _connector(options)},
    )
    check_after_idling(engine)
    tell_unavailable(engine, judge)

    @event.listens_for(engine.sync_engine, "connect")
    def watch(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        notice_silence(_socket_of(connection.driver_connection), settings.timeout)

    event.listen(engine.sync_engine, "do_execute", _execute)
    return engine


def _execute(cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
    """Run a statement, twice when its plan is older than the table and nothing came before it.

    A migration makes the plans of all connections stale. Later in a transaction the request has
    to come again: what it read or wrote before is lost with that transaction.
    """
    adapted = cursor._adapt_connection
    is_first = adapted._transaction is None
    try:
        cursor.execute(statement, parameters)
    except context.dialect.dbapi.InvalidCachedStatementError as error:
        if not is_first:
            raise
        context.handle_dbapi_exception(error)  # forgets the plans of all connections
        context.pre_exec()
        adapted.rollback()
        cursor.execute(statement, parameters)
    return True


def create_reads(url: str, settings: DatabaseSettings, recorder: Recorder) -> AsyncpgReads:
    """Create the read road to a server; it connects when it is used."""
    options = {"timeout": settings.timeout} | connect_options(url, reads=True)
    if settings.pgbouncer:
        options["statement_cache_size"] = 0
    else:
        options |= {
            "server_settings": {"default_transaction_read_only": "on"},
            "max_cached_statement_lifetime": 0,  # prepared once for each connection
        }

    async def connect() -> asyncpg.Connection:
        connection = await asyncpg.connect(**options)
        notice_silence(_socket_of(connection), settings.timeout)
        await _take_json_as_text(connection)
        return connection

    gate = Gate(settings.read_pool, queue=settings.queue, timeout=settings.timeout)
    return AsyncpgReads(connect, gate, recorder)


def _socket_of(connection: asyncpg.Connection) -> Any:
    return connection._transport.get_extra_info("socket")


async def _take_json_as_text(connection: asyncpg.Connection) -> None:
    for name in ("json", "jsonb"):
        await connection.set_type_codec(name, schema="pg_catalog", encoder=str, decoder=loads)


@asynccontextmanager
async def open_database(settings: DatabaseSettings) -> AsyncIterator[ReplicatedDatabase]:
    """Open all roads for as long as the service runs.

    Raises:
        BudgetError: when the server allows fewer connections than the service may open.
    """
    if settings.has_budget:
        await check_budget(settings, settings.connection_limit)
    recorder = Recorder(settings.slow)
    engine = create_write_engine(settings.url, settings)
    recorder.watch(engine)
    gate = Gate(settings.write_pool, queue=settings.queue, timeout=settings.timeout)
    reads = replica = create_reads(settings.url, settings, recorder)
    if settings.read_url is not None:
        replica = create_reads(settings.read_url, settings, recorder)
    drop_useless(engine.sync_engine, judge, moved=reads.renew)
    try:
        writes = WriteRoad(engine, gate, judge, tell_conflict)
        yield ReplicatedDatabase(writes, reads, recorder, replica)
    finally:
        await reads.close()
        if replica is not reads:
            await replica.close()
        await engine.dispose()


def _render_type(kind: str, value: Any, autogenerate: AutogenContext) -> str | Literal[False]:
    """Keep migrations free of the service's own code, which they must outlive."""
    if kind == "type" and isinstance(value, UTCDateTime):
        return "sa.DateTime(timezone=True)"
    return False


MIGRATION_OPTIONS: dict[str, Any] = {"render_item": _render_type}


@asynccontextmanager
async def connect_for_migrations(url: str) -> AsyncIterator[AsyncConnection]:
    """Open a connection that migrations may change the tables on."""
    connector = _connector(connect_options(url))
    engine = create_async_engine(
        url, poolclass=NullPool, connect_args={"async_creator_fn": connector}
    )
    try:
        async with engine.connect() as connection:
            # CREATE INDEX CONCURRENTLY holds up nobody: SET lock_timeout = 0 before it.
            await connection.exec_driver_sql(f"SET lock_timeout = '{migrating.LOCK_TIMEOUT}s'")
            await connection.commit()
            yield connection
            await connection.commit()
    finally:
        await engine.dispose()
