"""Runs migrations on the service's own database, or on `-x url=...`."""

import asyncio
import logging

from alembic import context
from alembic.operations.ops import DropTableOp, ExecuteSQLOp, MigrationScript, ModifyTableOps
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, MetaData, inspect
from sqlalchemy.exc import DBAPIError

import app.main  # noqa: F401  (imports every model)
from app.database import (
    MIGRATION_OPTIONS,
    Base,
    DatabaseSettings,
    connect_for_migrations,
    judge,
    migrating,
)
from app.database.verdicts import Verdict

logger = logging.getLogger("alembic.env")
logging.basicConfig(format="%(message)s")
logging.getLogger("alembic").setLevel(logging.INFO)  # says which revisions it runs

settings = DatabaseSettings()
url = context.get_x_argument(as_dictionary=True).get("url", settings.url)
SCHEMAS = {None, *(table.schema for table in Base.metadata.tables.values())}  # None: the default


def is_ours(name: str | None, kind: str, _: object) -> bool:
    """Leave out the schemas that no model names."""
    return kind != "schema" or name in SCHEMAS


def put_in_order(migration: MigrationContext, _: object, scripts: list[MigrationScript]) -> None:
    """Drop a table after those that refer to it, and its indexes with it; create its schema.

    Autogenerate drops tables in no order, and indexes that a foreign key may still need.
    """
    for script in scripts:
        up, down = script.upgrade_ops, script.downgrade_ops
        if not (up and up.ops and down and migration.connection):
            continue
        found = MetaData()
        for schema in SCHEMAS:
            found.reflect(migration.connection, schema)
        order = [(table.schema, table.name) for table in reversed(found.sorted_tables)]
        up.ops.sort(
            key=lambda op: (
                1 + order.index((op.schema, op.table_name)) if isinstance(op, DropTableOp) else 0
            )
        )
        up.reverse_into(down)
        for half in (up, down):
            gone = {(op.schema, op.table_name) for op in half.ops if isinstance(op, DropTableOp)}
            half.ops = [
                op
                for op in half.ops
                if not (isinstance(op, ModifyTableOps) and (op.schema, op.table_name) in gone)
            ]
        for schema in SCHEMAS - {None, *inspect(migration.connection).get_schema_names()}:
            name = migration.dialect.identifier_preparer.quote_schema(str(schema))
            up.ops.insert(0, ExecuteSQLOp(f"CREATE SCHEMA IF NOT EXISTS {name}"))
            down.ops.append(ExecuteSQLOp(f"DROP SCHEMA {name}"))


def run(connection: Connection | None = None) -> None:
    """Run the migrations, or without a connection print their SQL."""
    context.configure(
        connection=connection,
        url=None if connection else url,
        literal_binds=connection is None,
        target_metadata=Base.metadata,
        transaction_per_migration=True,
        process_revision_directives=put_in_order,
        include_schemas=len(SCHEMAS) > 1,
        include_name=is_ours,
        **MIGRATION_OPTIONS,
    )
    with context.begin_transaction():
        context.run_migrations()


async def connect_and_run() -> None:
    """Run the migrations on the database itself.

    One that does not get a lock is rolled back, where the database can, and tried again.
    """
    for left in reversed(range(migrating.TRIES)):
        try:
            async with connect_for_migrations(url) as connection:
                await connection.run_sync(run)
            break
        except DBAPIError as error:
            again = error.statement is not None and judge(error) is Verdict.AGAIN
            if not left or not again or not context.get_context().impl.transactional_ddl:
                raise
            logger.warning("others hold the lock of a table: the migration is tried again")
            await asyncio.sleep(migrating.PAUSE)


if context.is_offline_mode():
    run()
else:
    asyncio.run(connect_and_run())
