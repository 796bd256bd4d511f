"""Opens each road of a project to the database URLs that it reads as JSON; prints what it finds there."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from importlib import import_module
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path.cwd()))

from sqlalchemy import literal_column, select

from app.database import DatabaseSettings, Query, connect_for_migrations, open_database
from app.database.sync import SyncDatabase

POSTGRESQL = {
    "name": "current_setting('application_name')",
    "path": "current_setting('search_path')",
    "tls": "(SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid())",
    "who": "(SELECT client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid())",
    "prepared": "(SELECT count(*) > 0 FROM pg_prepared_statements)",
}
MYSQL = {
    "charset": "@@character_set_client",
    "mode": "@@sql_mode",
    "tls": "(SELECT nullif(variable_value, '') FROM information_schema.session_status"
    " WHERE variable_name = 'SSL_VERSION')",
}
TIMES = 8  # after some a driver prepares a statement


async def roads(settings: Any) -> dict[str, Any]:
    """Return what the server says on each road, or the road's error."""
    facts = POSTGRESQL if settings.url.startswith("postgresql") else MYSQL
    statement = select(*(literal_column(sql).label(name) for name, sql in facts.items()))

    async def read(name: str) -> Any:
        async with open_database(settings) as database:
            for _ in range(TIMES):
                found = await getattr(database, name).one(Query(statement))
            return found

    async def write() -> Any:
        async with open_database(settings) as database, database.writes.session() as session:
            for _ in range(TIMES):
                found = (await session.execute(statement)).mappings().one()
            return dict(found)

    async def migrate() -> Any:
        async with connect_for_migrations(settings.url) as connection:
            for _ in range(TIMES):
                found = (await connection.execute(statement)).mappings().one()
            return dict(found)

    def work() -> Any:
        database = SyncDatabase(settings, connections=1, statement_timeout=5)
        try:
            with database.transaction() as connection:
                for _ in range(TIMES):
                    found = connection.execute(statement).mappings().one()
                return dict(found)
        finally:
            database.close()

    ways: dict[str, Callable[[], Awaitable[Any]]] = {
        "reads": lambda: read("reads"),
        "replica": lambda: read("replica"),
        "writes": write,
        "migrations": migrate,
        "jobs": lambda: asyncio.to_thread(work),
        "budget": lambda: settings.connection_limit(settings.url),
    }
    found = {}
    for name, way in ways.items():
        try:
            found[name] = await way()
        except Exception as error:
            found[name] = f"{type(error).__name__}: {error} {error.__cause__}"
    return found


async def main() -> None:
    """Try all URLs."""
    table = import_module(f"app.database.{sys.argv[1]}_url").TABLE
    results: list[Any] = [list(table)]
    for url in json.load(sys.stdin):
        try:
            settings = DatabaseSettings(url=url, read_url=url, timeout=3)
        except ValueError as error:
            results.append({"refused": str(error)})
        else:
            results.append(await roads(settings))
    print(json.dumps(results))


asyncio.run(main())
