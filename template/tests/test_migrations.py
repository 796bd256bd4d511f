"""The migrations lead to exactly the tables that the models describe, and back."""

from argparse import Namespace
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config

PROJECT = Path(__file__).parent.parent


@pytest.fixture
def alembic(tmp_path: Path) -> Config:
    config = Config(toml_file=PROJECT / "pyproject.toml")
    url = f"sqlite+aiosqlite:///{tmp_path}/migrations.db"
    config.cmd_opts = Namespace(x=[f"url={url}"])
    return config


def test_up_down_and_up_again(alembic: Config) -> None:
    command.upgrade(alembic, "head")
    command.downgrade(alembic, "base")
    command.upgrade(alembic, "head")


def test_models_and_migrations_agree(alembic: Config) -> None:
    command.upgrade(alembic, "head")

    # Fails with the operations that are missing; `alembic revision --autogenerate` writes them.
    command.check(alembic)
