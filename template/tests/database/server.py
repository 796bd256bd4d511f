"""The server that the tests' database is on."""

import asyncio
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from secrets import token_hex

import pytest
from sqlalchemy import URL, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine


@contextmanager
def database_of_tests(default: str, drop: str = "DROP DATABASE {}") -> Iterator[str]:
    """Give the URL of TEST_DATABASE_URL, or of the database that the script in `scripts/` starts.

    A process of a parallel run creates a database of its own beside it, and drops it in the end.

    Args:
        default: the URL of the database that the script starts.
        drop: the statement that drops a database.
    """
    url = make_url(os.environ.get("TEST_DATABASE_URL", default))
    if not re.search("(^|_)test(_|$)", url.database or ""):
        pytest.exit(
            "TEST_DATABASE_URL must name a database called test, test_... or ..._test:"
            " its tables are dropped."
        )
    if "PYTEST_XDIST_WORKER" not in os.environ:
        yield url.render_as_string(hide_password=False)
        return
    own = url.set(database=f"{url.database}_{token_hex(4)}")
    asyncio.run(_execute(url, f"CREATE DATABASE {own.database}"))
    try:
        yield own.render_as_string(hide_password=False)
    finally:
        asyncio.run(_execute(url, drop.format(own.database)))


async def _execute(url: URL, statement: str) -> None:
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            await connection.execute(text(statement))
    except OSError as error:
        pytest.exit(f"The test database does not answer: {error}")
    finally:
        await engine.dispose()
