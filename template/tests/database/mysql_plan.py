"""How MySQL would run a query."""

from typing import Any

from app.database import Base, Database, Query

START = {"open_database", "connect_for_migrations"}
# Where a call may block, by the end of a file's path: nobody waits while a service starts.
MAY_BLOCK = [("app/database/mysql.py", START)]


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
