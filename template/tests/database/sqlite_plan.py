"""How SQLite would run a query."""

from typing import Any

from sqlalchemy import text

from app.database import Database, Query

START = {"open_database", "connect_for_migrations"}
# Where a call may block, by the end of a file's path: nobody waits while a service starts.
MAY_BLOCK = [("app/database/sqlite.py", START)]


async def plan(database: Database, query: Query, **parameters: Any) -> str:
    """Return the plan of a query: the indexes it uses, and "SORT" when it has to sort."""
    engine = database.writes.engine
    statement = query.statement.params(parameters).compile(
        engine.sync_engine, compile_kwargs={"literal_binds": True, "render_postcompile": True}
    )
    async with engine.connect() as connection:
        steps = await connection.execute(text(f"EXPLAIN QUERY PLAN {statement}"))
        return "\n".join(step.detail for step in steps).replace("USE TEMP B-TREE", "SORT")
