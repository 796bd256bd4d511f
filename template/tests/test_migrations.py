"""The migrations lead to exactly the tables that the models describe, and back."""

import shutil
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Column, ForeignKey, Integer, MetaData, Table

from app.database import connect_for_migrations
from tests.conftest import drop_everything, run_now

PROJECT = Path(__file__).parent.parent


@pytest.fixture
def alembic(database_url: str, recreate_tables: Callable[[], None]) -> Iterator[Config]:
    """Alembic on a database without tables; the other tests get theirs back."""

    async def drop_tables() -> None:
        async with connect_for_migrations(database_url) as connection:
            await drop_everything(connection)

    run_now(drop_tables())
    yield Config(
        toml_file=PROJECT / "pyproject.toml", cmd_opts=Namespace(x=[f"url={database_url}"])
    )
    run_now(drop_tables())
    recreate_tables()


def test_up_down_and_up_again(alembic: Config, database_url: str) -> None:
    command.upgrade(alembic, "head")
    command.downgrade(alembic, "base")

    async def nothing_is_left() -> None:
        async with connect_for_migrations(database_url) as connection:
            metadata = MetaData()
            await connection.run_sync(metadata.reflect)
            assert metadata.tables.keys() - {"alembic_version"} == set()

    run_now(nothing_is_left())
    command.upgrade(alembic, "head")


def test_models_and_migrations_agree(alembic: Config) -> None:
    command.upgrade(alembic, "head")

    # Fails with the operations that are missing; `alembic revision --autogenerate` writes them.
    command.check(alembic)


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
