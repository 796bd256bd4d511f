"""Runs migrations on the service's own database, or on `-x url=...`."""

import asyncio
import logging
from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection

import app.main  # noqa: F401  (imports every model)
from app.database import Base, UTCDateTime, create_write_engine
from app.settings import Settings

logging.basicConfig(format="%(message)s")
logging.getLogger("alembic").setLevel(logging.INFO)  # says which revisions it runs

settings = Settings()
url = context.get_x_argument(as_dictionary=True).get("url", settings.database_url)


def render_type(kind: str, value: Any, _: AutogenContext) -> str | Literal[False]:
    """Keep revisions free of the service's own code, which they must outlive."""
    if kind == "type" and isinstance(value, UTCDateTime):
        return "sa.DateTime(timezone=True)"
    return False


def run(connection: Connection | None = None) -> None:
    """Run the migrations, or without a connection print their SQL."""
    context.configure(
        connection=connection,
        url=None if connection else url,
        literal_binds=connection is None,
        target_metadata=Base.metadata,
        render_item=render_type,
        render_as_batch=True,  # SQLite changes a table by copying it
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


async def connect_and_run() -> None:
    """Run the migrations on the database itself."""
    engine = create_write_engine(url, settings.database_timeout, foreign_keys=False)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(run)
            broken = (await connection.exec_driver_sql("PRAGMA foreign_key_check")).all()
            await connection.commit()
            if broken:
                raise SystemExit(f"{len(broken)} rows refer to rows that are not there: {broken}")
    finally:
        await engine.dispose()


if context.is_offline_mode():
    run()
else:
    asyncio.run(connect_and_run())
