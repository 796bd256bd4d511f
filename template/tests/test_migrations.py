"""The migrations lead to exactly the tables that the models describe, and back."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    Enum,
    ForeignKey,
    Integer,
    MetaData,
    Table,
    inspect,
)

from app.database import Base, connect_for_migrations
from tests.conftest import PROJECT, drop_everything, run_now


@pytest.fixture
def alembic(
    migrations: Config, database_url: str, recreate_tables: Callable[[], None]
) -> Iterator[Config]:
    """Alembic on a database without tables; the other tests get theirs back."""

    async def drop_tables() -> None:
        async with connect_for_migrations(database_url) as connection:
            await drop_everything(connection)

    run_now(drop_tables())
    yield migrations
    recreate_tables()


def described(connection: Connection) -> dict[str, Any]:
    """Describe what Alembic does not compare, in the database's own words."""
    found = inspect(connection)
    enums: list[dict[str, Any]] = getattr(found, "get_enums", list)()
    description: dict[str, Any] = {"enums": {enum["name"]: enum["labels"] for enum in enums}}
    for table in {*found.get_table_names()} - {"alembic_version"}:
        for column in found.get_columns(table):
            if column.get("autoincrement") is not True:  # the default names its sequence
                kept = repr(column["type"]), column["default"], column.get("computed")
                description[f"{table}.{column['name']}"] = kept
        checks = {check["sqltext"] for check in found.get_check_constraints(table)}
        description[f"{table}: checks"] = checks
    return description


def test_up_down_and_up_again(alembic: Config, database_url: str) -> None:
    command.upgrade(alembic, "head")
    command.downgrade(alembic, "base")

    async def nothing_is_left() -> None:
        async with connect_for_migrations(database_url) as connection:
            left = await connection.run_sync(described)
            assert left == {"enums": {}}

    run_now(nothing_is_left())
    command.upgrade(alembic, "head")


def test_models_and_migrations_agree(alembic: Config) -> None:
    command.upgrade(alembic, "head")

    # Fails with the operations that are missing; `alembic revision --autogenerate` writes them.
    command.check(alembic)


def test_they_agree_on_what_alembic_does_not_compare(alembic: Config, database_url: str) -> None:
    """Checks, defaults and the members of enums: migrated they are as the models make them."""
    command.upgrade(alembic, "head")

    async def compare() -> None:
        async with connect_for_migrations(database_url) as connection:
            migrated = await connection.run_sync(described)
            await drop_everything(connection)
            await connection.run_sync(Base.metadata.create_all)
            assert migrated == await connection.run_sync(described)

    run_now(compare())


def test_a_difference_that_alembic_does_not_see_is_found(
    alembic: Config, database_url: str
) -> None:
    async def describe(*members: str, least: int = 0, default: str | None = None) -> Any:
        metadata = MetaData()
        Table(
            "cups",
            metadata,
            Column("mood", Enum(*members, name="mood")),
            Column("number", Integer, server_default=default),
            CheckConstraint(f"number > {least}", name="least"),
        )
        async with connect_for_migrations(database_url) as connection:
            await connection.run_sync(metadata.create_all)
            found = await connection.run_sync(described)
            await drop_everything(connection)
            return found

    async def compare() -> None:
        assert await describe("good", "calm") == await describe("good", "calm")
        assert await describe("good", "calm") != await describe("good", "furious")
        assert await describe("good") != await describe("good", least=1)
        assert await describe("good") != await describe("good", default="1")

    run_now(compare())


def test_a_table_is_dropped_after_those_that_refer_to_it(
    alembic: Config, database_url: str, tmp_path: Path
) -> None:
    """Models that are taken out leave their tables to autogenerate."""
    (tmp_path / "migrations/versions").mkdir(parents=True)
    for name in ("env.py", "script.py.mako"):
        shutil.copy(PROJECT / "migrations" / name, tmp_path / "migrations")
    own = Config(cmd_opts=alembic.cmd_opts)
    own.set_main_option("script_location", str(tmp_path / "migrations"))
    chain = MetaData()
    Table("chain0", chain, Column("id", Integer, primary_key=True))
    for number in range(1, 6):
        id_: Column[int] = Column("id", Integer, primary_key=True)
        before: Column[int] = Column(ForeignKey(f"chain{number - 1}.id"), name="before", index=True)
        Table(f"chain{number}", chain, id_, before)

    async def create_chain() -> None:
        async with connect_for_migrations(database_url) as connection:
            await connection.run_sync(chain.create_all)

    async def chain_is(expected: MetaData) -> None:
        async with connect_for_migrations(database_url) as connection:
            found = MetaData()
            await connection.run_sync(found.reflect)
            tables = {name: table for name, table in found.tables.items() if "chain" in name}
            assert tables.keys() == expected.tables.keys()
            for name, table in expected.tables.items():
                assert len(tables[name].indexes) == len(table.indexes)

    run_now(create_chain())
    command.revision(own, "without the chain", autogenerate=True)
    command.upgrade(own, "head")
    run_now(chain_is(MetaData()))
    command.downgrade(own, "base")
    run_now(chain_is(chain))
