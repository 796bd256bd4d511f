"""A pool's connections: opened, and tried again after they have idled."""

import socket
from asyncio import CancelledError
from math import ceil
from time import monotonic
from typing import Any

from sqlalchemy import Dialect, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from app.database.gate import UnavailableError
from app.database.verdicts import Judge
from app.deadline import Deadline

IDLE = 1.0  # seconds
PING = 1.0  # seconds that a connection which has idled has to answer in

# Seconds until a machine that vanished is noticed: TCP alone takes minutes to hours.
KEEP_ALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3}


def notice_silence(connection: socket.socket, seconds: float) -> None:
    """Break a TCP connection whose other end has vanished.

    Args:
        seconds: without an acknowledgement of what was sent.
    """
    if connection.family == socket.AF_UNIX:
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = {**KEEP_ALIVE, "TCP_USER_TIMEOUT": ceil(seconds * 1000)}
    for name, value in options.items():
        if hasattr(socket, name):  # not on every system
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def tell_unavailable(engine: AsyncEngine, judge: Judge) -> None:
    """Let an engine that cannot open a connection say so, whatever the driver calls it."""

    @event.listens_for(engine.sync_engine, "do_connect")
    def connect(dialect: Dialect, entry: Any, arguments: Any, options: Any) -> Any:
        try:
            return dialect.connect(*arguments, **options)
        except Exception as error:
            if judge(error).passes:
                raise UnavailableError.because(error) from error
            raise


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
        deadline = Deadline(PING)
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error  # the pool opens another one
        except CancelledError as error:
            if not deadline.ended_it():
                raise
            raise InvalidatePoolError from error
        finally:
            deadline.lift()
