"""What the tests need to know of PostgreSQL."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from app.database import Database, Query
from tests.database.server import database_of_tests

START = {"open_database", "connect_for_migrations"}
# Where a call may block, by the end of a file's path: nobody waits while a service starts,
# and asyncpg looks for a file of passwords when it opens a connection.
MAY_BLOCK = [
    ("app/database/postgresql.py", START),
    ("asyncpg/connect_utils.py", {"_parse_connect_arguments"}),
]
NO_DATABASE = "The test database does not answer: start it with scripts/postgresql.py or set TEST_DATABASE_URL."
# What is told of a row that is there already, and of one that refers to none.
VIOLATIONS = (
    ("SQLSTATE 23505", "constraint uq_words_text"),
    ("SQLSTATE 23503", "constraint fk_links_text"),
)
# Texts that a column of 30 characters refuses.
UNFIT = ["a" * 31, "a\x00"]


@pytest.fixture(scope="session")
def database_url() -> Iterator[str]:
    """TEST_DATABASE_URL, or the database that `scripts/postgresql.py` starts."""
    default = "postgresql+asyncpg://app:app@127.0.0.1:5432/test"
    # For the server a connection that was closed may still be there.
    with database_of_tests(default, drop="DROP DATABASE {} WITH (FORCE)") as url:
        yield url


@pytest.fixture
def nowhere() -> str:
    """The URL of a database that is not there."""
    return "postgresql+asyncpg://app:app@127.0.0.1:1/test"


async def plan(database: Database, query: Query, **parameters: Any) -> str:
    """Return the plan of a query: the indexes it uses, and "SORT" when it has to sort.

    In a small table reading everything and sorting is the cheapest, so that is switched off,
    as far as there is another way.
    """
    engine = database.writes.engine
    statement = query.statement.params(parameters).compile(
        engine.sync_engine, compile_kwargs={"literal_binds": True}
    )
    async with engine.connect() as connection:
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        await connection.execute(text("SET LOCAL enable_sort = off"))
        steps = await connection.exec_driver_sql(f"EXPLAIN {statement}")
        return "\n".join(step[0] for step in steps).replace("Sort", "SORT")
