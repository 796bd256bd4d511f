"""SQLite without an event loop: the same file, pragmas and locks."""

from sqlite3 import OperationalError
from time import sleep

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from app.database import DatabaseSettings


def create_sync_engine(settings: DatabaseSettings, connections: int, _: float) -> Engine:
    """Create an engine whose transactions begin with the write lock, but for those that only read."""
    engine = create_engine(
        make_url(settings.url).set(drivername="sqlite"),
        pool_size=connections,
        max_overflow=0,
        pool_timeout=settings.timeout,
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def configure(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # the driver must not begin transactions itself
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {int(settings.timeout * 1000)}")
        tries = max(1, int(settings.timeout / 0.01))
        for attempt in range(1, tries + 1):
            try:
                cursor.execute("PRAGMA journal_mode = WAL")
                break
            except OperationalError:  # SQLite does not wait here
                if attempt == tries:
                    raise
                sleep(0.01)
        cursor.execute("PRAGMA synchronous = NORMAL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if not connection.get_execution_options().get("only_reads"):
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine
