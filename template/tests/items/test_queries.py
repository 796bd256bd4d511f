"""The SQL of the example: few statements, few columns, the right index."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database import Database, open_database
from app.items import queries
from app.items.models import Item
from app.settings import Settings
from tests.conftest import Statements, record_statements


@pytest.fixture
async def database(settings: Settings, tables: None) -> AsyncIterator[Database]:
    async with open_database(settings) as database:
        yield database


@pytest.fixture
async def reads(database: Database) -> AsyncIterator[AsyncConnection]:
    async with database.reads.connect() as connection:
        yield connection


@pytest.fixture
def statements(database: Database) -> Statements:
    return record_statements(database.reads)


@pytest.mark.parametrize("rows", [1, 50])
async def test_a_page_is_one_statement_that_names_its_columns(
    database: Database, reads: AsyncConnection, statements: Statements, rows: int
) -> None:
    async with database.sessions.begin() as session:
        values = {"name": "tea", "quantity": 1, "created_at": datetime.now(UTC)}
        await session.execute(insert(Item), [values] * rows)

    page, _ = await queries.page(reads, limit=100, cursor=None)

    assert len(page) == rows
    (statement,) = statements
    columns, _ = statement.split("FROM")
    assert columns.strip() == "SELECT items.id, items.name, items.quantity, items.created_at"


async def test_any_page_walks_the_index(reads: AsyncConnection, statements: Statements) -> None:
    cursor = queries.CURSOR.encode((datetime.now(UTC), 7))
    await queries.page(reads, limit=20, cursor=None)
    await queries.page(reads, limit=20, cursor=cursor)

    for statement in list(statements):
        explained = await reads.exec_driver_sql(
            f"EXPLAIN QUERY PLAN {statement}", (1,) * statement.count("?")
        )
        (step,) = explained.all()  # a second one would be a sort
        assert "USING INDEX ix_items_created_at_id" in step.detail
