"""Tables that exist for one test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import Table

from app.database import Database, connect_for_migrations


@asynccontextmanager
async def existing(database: Database, *tables: Table) -> AsyncIterator[None]:
    """Create tables, and drop them in the end."""
    url = database.writes.engine.url.render_as_string(hide_password=False)
    metadata = tables[0].metadata
    async with connect_for_migrations(url) as connection:
        await connection.run_sync(metadata.drop_all)
        await connection.run_sync(metadata.create_all)
    yield
    async with connect_for_migrations(url) as connection:
        await connection.run_sync(metadata.drop_all)
