"""What the tests need to know of SQLite."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app.database import Database, Query

START = {"open_database", "connect_for_migrations"}
# Where a call may block, by the end of a file's path: nobody waits while a service starts.
MAY_BLOCK = [("app/database/sqlite.py", START)]
NO_DATABASE = "The test database cannot be made."
# What is told of a row that is there already, and of one that refers to none.
VIOLATIONS = (
    ("SQLITE_CONSTRAINT_UNIQUE", "words.text"),
    ("SQLITE_CONSTRAINT_FOREIGNKEY", "FOREIGN KEY"),
)
# Texts that a column of 30 characters refuses.
UNFIT: list[str] = []  # texts may be of any length


@pytest.fixture(scope="session")
def database_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file for all tests of this run."""
    return f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('database')}/test.db"


@pytest.fixture
def nowhere(tmp_path: Path) -> str:
    """The URL of a database that is not there."""
    return f"sqlite+aiosqlite:///{tmp_path}/missing/test.db"


async def plan(database: Database, query: Query, **parameters: Any) -> str:
    """Return the plan of a query: the indexes it uses, and "SORT" when it has to sort."""
    engine = database.writes.engine
    statement = query.statement.params(parameters).compile(
        engine.sync_engine, compile_kwargs={"literal_binds": True, "render_postcompile": True}
    )
    async with engine.connect() as connection:
        steps = await connection.execute(text(f"EXPLAIN QUERY PLAN {statement}"))
        return "\n".join(step.detail for step in steps).replace("USE TEMP B-TREE", "SORT")
