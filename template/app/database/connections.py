"""A pool's connections: opened, and tried again after they have idled."""

from time import monotonic
from typing import Any

from sqlalchemy import Dialect, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from app.database.gate import UnavailableError

IDLE = 1.0  # seconds


def tell_unavailable(engine: AsyncEngine, *errors: type[Exception]) -> None:
    """Let an engine that cannot open a connection say so, whatever the driver calls it."""

    caught: tuple[type[Exception], ...] = (OSError, *errors)

    @event.listens_for(engine.sync_engine, "do_connect")
    def connect(dialect: Dialect, entry: Any, arguments: Any, options: Any) -> Any:
        try:
            return dialect.connect(*arguments, **options)
        except caught as error:
            raise UnavailableError.because(error) from error


def check_after_idling(engine: AsyncEngine) -> None:
    """Ping a connection that nobody has used for a second, before it is used again.

    A database that was started again has closed it. SQLAlchemy's `pool_pre_ping` would
    ask before each use, which costs a busy service a third of its CPU; under load a
    closed connection shows at once, and SQLAlchemy then renews the whole pool.
    """
    dialect = engine.sync_engine.dialect

    @event.listens_for(engine.sync_engine, "checkin")
    def leave(connection: DBAPIConnection | None, entry: ConnectionPoolEntry) -> None:
        entry.info["since"] = monotonic()

    @event.listens_for(engine.sync_engine, "checkout")
    def take(
        connection: DBAPIConnection, entry: ConnectionPoolEntry, proxy: PoolProxiedConnection
    ) -> None:
        if monotonic() - entry.info.get("since", monotonic()) < IDLE:
            return
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as error:
            raise DisconnectionError from error  # the pool opens another one
