"""What the tests need to know of MySQL."""

from collections.abc import Iterator
from typing import Any

import pytest

from app.database import Base, Database, Query
from tests.database.server import database_of_tests

START = {"open_database", "connect_for_migrations"}
# Where a call may block, by the end of a file's path: nobody waits while a service starts.
MAY_BLOCK = [("app/database/mysql.py", START)]
NO_DATABASE = (
    "The test database does not answer: start it with scripts/mysql.py or set TEST_DATABASE_URL."
)
# What is told of a row that is there already, and of one that refers to none.
VIOLATIONS = (("1062", "uq_words_text"), ("1452", "fk_links_text"))
# Texts that a column of 30 characters refuses.
UNFIT = ["a" * 31]


@pytest.fixture(scope="session")
def database_url() -> Iterator[str]:
    """TEST_DATABASE_URL, or the database that `scripts/mysql.py` starts."""
    with database_of_tests("mysql+asyncmy://app:app@127.0.0.1:3306/test") as url:
        yield url


@pytest.fixture
def nowhere() -> str:
    """The URL of a database that is not there."""
    return "mysql+asyncmy://app:app@127.0.0.1:1/test"


async def plan(database: Database, query: Query, **parameters: Any) -> str:
    """Return the plan of a query: the indexes it uses, and "SORT" when it has to sort."""
    engine = database.writes.engine
    statement = query.statement.params(parameters).compile(
        engine.sync_engine, compile_kwargs={"literal_binds": True, "render_postcompile": True}
    )
    async with engine.connect() as connection:
        # The server counts rows by itself, but only after a while.
        await connection.exec_driver_sql(f"ANALYZE TABLE {', '.join(Base.metadata.tables)}")
        steps = await connection.exec_driver_sql(f"EXPLAIN {statement}")
        return "\n".join(str(dict(step)) for step in steps.mappings()).replace("filesort", "SORT")
