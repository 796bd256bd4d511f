"""A migration that has to wait for a table does not stop all others who read it."""

import asyncio
import shutil
from argparse import Namespace
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import Script
from sqlalchemy import Column, Integer, MetaData, Table, select, text

from app.database import Database, Query, connect_for_migrations, migrating
from tests.database.scratch import existing
from tests.waiting import HANG

PROJECT = Path(__file__).parent.parent.parent

locked = Table("locked", MetaData(), Column("value", Integer))
VALUES = Query(select(locked.c.value))


@pytest.fixture
def alembic(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """The project's migrations and one more, which changes the table."""
    monkeypatch.setattr(migrating, "LOCK_TIMEOUT", 1)
    monkeypatch.setattr(migrating, "PAUSE", 0.5)
    shutil.copytree(PROJECT / "migrations", tmp_path / "migrations")
    alembic = Config(cmd_opts=Namespace(x=[f"url={database_url}"]))
    alembic.set_main_option("script_location", str(tmp_path / "migrations"))
    revision = command.revision(alembic, "add a column")
    assert isinstance(revision, Script)
    path = Path(revision.path)
    old = "def upgrade() -> None:\n    pass"
    new = "def upgrade() -> None:\n    op.add_column('locked', sa.Column('more', sa.Integer))"
    assert old in path.read_text("utf-8")
    path.write_text(path.read_text("utf-8").replace(old, new), "utf-8")
    return alembic


async def test_reads_pass_a_migration_that_waits_for_a_long_transaction(
    alembic: Config, database: Database, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with existing(database, locked), asyncio.timeout(2 * HANG):
        async with connect_for_migrations(database_url) as long:
            await long.execute(select(locked.c.value))  # holds the table until it ends
            upgrading = asyncio.create_task(asyncio.to_thread(command.upgrade, alembic, "head"))
            while caplog.text.count("is tried again") < 2:
                assert not upgrading.done()
                assert await database.reads.all(VALUES) == []
                await asyncio.sleep(0.05)
        await upgrading

        async with connect_for_migrations(database_url) as connection:
            await connection.execute(text("SELECT more FROM locked"))
        await asyncio.to_thread(command.downgrade, alembic, "-1")
