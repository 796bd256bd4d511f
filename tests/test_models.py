"""Models that a project's owner adds: enums, and tables in a schema of their own."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Render, RunTests
from tests.harness.servers import Server, execute
from tests.harness.support import DATABASES, Environment, Project

MakeUrl = Callable[[object], str]

MODEL = '''"""Cups."""

import enum
from typing import Literal

from sqlalchemy import Enum
from sqlalchemy.orm import Mapped, mapped_column

from app.database import ID, Base


class Mood(enum.Enum):
    """How it tastes."""

    CALM = "calm"


class Cup(Base):
    """A cup."""

    __tablename__ = "cups"

    id: Mapped[int] = mapped_column(ID, primary_key=True)
    mood: Mapped[Mood]
    size: Mapped[Literal["s"]]
'''
TESTS = ("tests/test_migrations.py", "tests/test_models.py", "tests/test_health.py")


@pytest.fixture
def make(rendered: Render, tmp_path: Path) -> Callable[[str], Project]:
    """Make a project with a model of its own."""

    def make(database: str) -> Project:
        answers = {"preset": "minimal", "database": database}
        project = Project(shutil.copytree(rendered(**answers), tmp_path / "shop"))
        project.write("app/items/cups.py", MODEL)
        project.replace(
            "app/main.py",
            "from app import health\n",
            "from app import health\nfrom app.items import cups  # noqa: F401\n",
        )
        return project

    return make


def alembic(environment: Environment, project: Project, url: str, *words: str) -> str:
    """Run Alembic as the project's owner does, and return what it says."""
    done = environment.run(
        "alembic", *words, cwd=project.folder, env={**environment.variables(), "DATABASE_URL": url}
    )
    return done.stdout + done.stderr


def migrate(environment: Environment, project: Project, url: str) -> None:
    """Have a migration written, and run it there and back."""
    alembic(environment, project, url, "upgrade", "head")
    alembic(environment, project, url, "revision", "--autogenerate", "-m", "cups")
    for words in (("upgrade", "head"), ("check",), ("downgrade", "base"), ("upgrade", "head")):
        alembic(environment, project, url, *words)


@pytest.mark.parametrize("database", DATABASES)
def test_a_new_member_of_an_enum_needs_no_migration(
    make: Callable[[str], Project],
    environment: Environment,
    run_tests: RunTests,
    database_url: MakeUrl,
    database: str,
) -> None:
    project, url = make(database), database_url(database)
    migrate(environment, project, url)
    project.replace("app/items/cups.py", '"calm"', '"calm"\n    FURIOUS = "furious"')
    project.replace("app/items/cups.py", 'Literal["s"]', 'Literal["s", "m"]')
    project.write(
        "tests/test_cups.py",
        "from app.database import Database\n"
        "from app.items.cups import Cup, Mood\n\n"
        "async def test_a_new_member_is_kept(database: Database) -> None:\n"
        "    async with database.writes.session() as session:\n"
        "        session.add(Cup(mood=Mood.FURIOUS, size='m'))\n",
    )

    done = run_tests(project.folder, *TESTS, "tests/test_cups.py", TEST_DATABASE_URL=url)

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("database", DATABASES)
def test_a_default_that_migrations_do_not_set_fails_a_test(
    make: Callable[[str], Project],
    environment: Environment,
    run_tests: RunTests,
    database_url: MakeUrl,
    database: str,
) -> None:
    project, url = make(database), database_url(database)
    alembic(environment, project, url, "upgrade", "head")
    alembic(environment, project, url, "revision", "--autogenerate", "-m", "cups")
    size = 'size: Mapped[Literal["s"]]'
    project.replace("app/items/cups.py", size, f'{size} = mapped_column(server_default="s")')

    done = run_tests(project.folder, "tests/test_migrations.py", TEST_DATABASE_URL=url)

    assert "test_they_agree_on_what_alembic_does_not_compare" in done.stdout
    assert "1 failed" in done.stdout


def test_an_enum_that_is_a_type_of_the_databases_own_fails_a_test(
    make: Callable[[str], Project], run_tests: RunTests
) -> None:
    project = make("sqlite")
    mood = "mood: Mapped[Mood]"
    project.replace("app/items/cups.py", mood, f"{mood} = mapped_column(Enum(Mood))")

    done = run_tests(project.folder, "tests/test_models.py")

    assert "test_the_models_are_fit" in done.stdout
    assert "1 failed" in done.stdout


def test_a_model_may_have_another_schema(
    make: Callable[[str], Project],
    environment: Environment,
    run_tests: RunTests,
    database_url: MakeUrl,
    servers: Callable[[str], Server],
) -> None:
    project, url = make("postgresql"), database_url("postgresql")
    project.replace(
        "app/items/cups.py",
        '    __tablename__ = "cups"\n',
        '    __tablename__ = "cups"\n    __table_args__ = {"schema": "audit"}\n',
    )
    execute(
        servers("postgresql"),
        "CREATE SCHEMA other; CREATE TABLE other.theirs (id int)",
        url.rsplit("/", 1)[-1],
    )
    migrate(environment, project, url)

    done = run_tests(project.folder, *TESTS, TEST_DATABASE_URL=url)

    assert done.returncode == 0, done.stdout
