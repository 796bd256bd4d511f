"""The migrations lead to exactly the tables that the models describe, and back."""

from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import MetaData

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
