"""PostgreSQL without an event loop, with psycopg."""

from math import ceil
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url

from app.database import DatabaseSettings
from app.database.postgresql_url import HOSTS, parameters


def create_sync_engine(
    settings: DatabaseSettings, connections: int, statement_timeout: float
) -> Engine:
    """Create an engine for transactions; a statement is cut off after `statement_timeout` seconds."""
    milliseconds = ceil(statement_timeout * 1000)
    # libpq counts in whole seconds.
    options: dict[str, Any] = {
        "connect_timeout": ceil(settings.timeout),
        # A machine that is gone cannot cut a statement off: TCP asks whether it is there.
        "tcp_user_timeout": milliseconds,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
    }
    if settings.pgbouncer:
        options["prepare_threshold"] = None
    else:
        options["options"] = f"-c statement_timeout={milliseconds} -c timezone=UTC"
    url = make_url(settings.url)
    named: dict[str, Any] = parameters(url)
    if named.pop("statement_cache_size", None) == "0":
        options["prepare_threshold"] = None
    if "connect_timeout" in named:
        options["connect_timeout"] = ceil(float(named.pop("connect_timeout")))
    if "options" in named:
        options["options"] = f"{named.pop('options')} {options.get('options', '')}"
    hosts = {key: url.query[key] for key in HOSTS if key in url.query}
    url = url.set(drivername="postgresql+psycopg", query=hosts)
    engine = create_engine(
        url,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=settings.timeout,
        pool_pre_ping=True,  # one a transaction, which is little beside a job
        hide_parameters=True,
        connect_args=named | options,
    )
    if settings.pgbouncer:  # it does not pass on what a connection asks for when it is opened

        @event.listens_for(engine, "begin")
        def limit(connection: Connection) -> None:
            connection.exec_driver_sql(f"SET LOCAL statement_timeout = {milliseconds}")

    return engine
