"""Runs migrations on the service's own database, or on `-x url=...`."""

import asyncio
import logging

from alembic import context
from sqlalchemy import Connection

import app.main  # noqa: F401  (imports every model)
from app.database import MIGRATION_OPTIONS, Base, DatabaseSettings, connect_for_migrations

logging.basicConfig(format="%(message)s")
logging.getLogger("alembic").setLevel(logging.INFO)  # says which revisions it runs

settings = DatabaseSettings()
url = context.get_x_argument(as_dictionary=True).get("url", settings.url)


def run(connection: Connection | None = None) -> None:
    """Run the migrations, or without a connection print their SQL."""
    context.configure(
        connection=connection,
        url=None if connection else url,
        literal_binds=connection is None,
        target_metadata=Base.metadata,
        transaction_per_migration=True,
        **MIGRATION_OPTIONS,
    )
    with context.begin_transaction():
        context.run_migrations()


async def connect_and_run() -> None:
    """Run the migrations on the database itself."""
    async with connect_for_migrations(url) as connection:
        await connection.run_sync(run)


if context.is_offline_mode():
    run()
else:
    asyncio.run(connect_and_run())
