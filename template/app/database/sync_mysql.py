"""MySQL and MariaDB without an event loop, with PyMySQL."""

from math import ceil

from sqlalchemy import Engine, create_engine, make_url

from app.database import DatabaseSettings


def create_sync_engine(
    settings: DatabaseSettings, connections: int, statement_timeout: float
) -> Engine:
    """Create an engine for transactions; a statement is given up after `statement_timeout` seconds."""
    # The two servers have different settings for it: this cuts the connection, and the
    # server rolls back.
    seconds = ceil(statement_timeout)
    return create_engine(
        make_url(settings.url).set(drivername="mysql+pymysql"),
        pool_size=connections,
        max_overflow=0,
        pool_timeout=settings.timeout,
        pool_pre_ping=True,  # one a transaction, which is little beside a job
        hide_parameters=True,
        connect_args={
            "connect_timeout": ceil(settings.timeout),
            "read_timeout": seconds,
            "write_timeout": seconds,
        },
    )
