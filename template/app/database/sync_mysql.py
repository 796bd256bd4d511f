"""MySQL and MariaDB without an event loop, with PyMySQL."""

from math import ceil

from sqlalchemy import Engine, create_engine, make_url

from app.database import DatabaseSettings
from app.database.mysql_url import connect_options


def create_sync_engine(
    settings: DatabaseSettings, connections: int, statement_timeout: float
) -> Engine:
    """Create an engine for transactions; a statement is given up after `statement_timeout` seconds."""
    # The two servers have different settings for it: this cuts the connection, and the
    # server rolls back.
    seconds = ceil(statement_timeout)
    url = make_url(settings.url)
    options = {"connect_timeout": settings.timeout} | connect_options(url)
    if options.get("ssl", url) is None:
        options["ssl_disabled"] = True  # it would try
    return create_engine(
        url.set(drivername="mysql+pymysql", query={}),
        pool_size=connections,
        max_overflow=0,
        pool_timeout=settings.timeout,
        pool_pre_ping=True,  # one a transaction, which is little beside a job
        hide_parameters=True,
        connect_args=options
        | {
            "connect_timeout": ceil(options["connect_timeout"]),
            "read_timeout": seconds,
            "write_timeout": seconds,
        },
    )
