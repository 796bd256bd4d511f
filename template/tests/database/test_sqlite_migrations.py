"""SQLite changes a table by copying it, which must not cost a row."""

import shutil
import sqlite3
from argparse import Namespace
from contextlib import closing
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import Script

PROJECT = Path(__file__).parent.parent.parent


def test_a_changed_table_keeps_the_rows_that_refer_to_it(tmp_path: Path) -> None:
    """SQLite changes a table by dropping the old one, which must not cascade."""
    database = tmp_path / "references.db"
    for name in ("env.py", "script.py.mako"):
        (tmp_path / "migrations").mkdir(exist_ok=True)
        shutil.copy(PROJECT / "migrations" / name, tmp_path / "migrations")
    alembic = Config(cmd_opts=Namespace(x=[f"url=sqlite+aiosqlite:///{database}"]))
    alembic.set_main_option("script_location", str(tmp_path / "migrations"))
    revision = command.revision(alembic, "change the parents")
    assert isinstance(revision, Script)
    path = Path(revision.path)
    path.write_text(
        path.read_text("utf-8").replace(
            "def upgrade() -> None:\n    pass",
            "def upgrade() -> None:\n"
            "    with op.batch_alter_table('parents', recreate='always') as table:\n"
            "        table.add_column(sa.Column('name', sa.String))",
        ),
        "utf-8",
    )
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executescript(
            "CREATE TABLE parents (id INTEGER PRIMARY KEY);"
            "CREATE TABLE children (parent_id REFERENCES parents (id) ON DELETE CASCADE);"
            "INSERT INTO parents VALUES (1); INSERT INTO children VALUES (1)"
        )

    command.upgrade(alembic, "head")

    with closing(sqlite3.connect(database)) as connection, connection:
        assert connection.execute("SELECT name FROM parents").fetchall() == [(None,)]
        assert connection.execute("SELECT parent_id FROM children").fetchall() == [(1,)]
