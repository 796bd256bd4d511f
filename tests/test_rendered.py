"""Every rendered project passes its own checks the moment it is rendered."""

import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import Render
from tests.support import Environment, name_of, variants


@pytest.fixture
def project(rendered: Render, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A copy that its own tools may write their caches into."""
    return shutil.copytree(rendered(**request.param), tmp_path / "shop")


all_variants = pytest.mark.parametrize("project", variants(), ids=name_of, indirect=True)


@all_variants
def test_its_own_checks_pass(project: Path, environment: Environment, shared: Path) -> None:
    environment.run("ruff", "check", cwd=project)
    environment.run("ruff", "format", "--check", cwd=project)
    environment.run("mypy", cwd=project)
    done = environment.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=project)
    assert "passed" in done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.parametrize("project", [{"preset": "standard"}], indirect=True)
def test_a_planted_fault_is_found(project: Path, environment: Environment) -> None:
    """The checks above can fail."""
    (project / "app" / "planted.py").write_text(
        "import os\nimport time\n\nasync def nap():\n    time.sleep(1)\n"
    )

    for check in (["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]):
        with pytest.raises(AssertionError):
            environment.run(*check, cwd=project)


def faults() -> list[tuple[str, str, str, str]]:
    """Break one pattern: the file, what stands there, what it becomes, the test that must fail."""
    database, pagination = "app/database.py", "app/pagination.py"
    return [
        (database, "BEGIN IMMEDIATE", "BEGIN", "test_increments_of_another_process_are_kept_too"),
        (
            database,
            '"PRAGMA journal_mode = WAL"',
            '"PRAGMA journal_mode = DELETE"',
            "do_not_wait_for_each_other",
        ),
        (
            database,
            '"PRAGMA query_only = ON"',
            '"PRAGMA query_only = OFF"',
            "test_reads_cannot_write",
        ),
        (database, '"PRAGMA foreign_keys = ON"', '"PRAGMA foreign_keys = OFF"', "TestCommit"),
        (database, 'Depends(get_session, scope="function")', "Depends(get_session)", "TestCommit"),
        (database, "value.replace(tzinfo=UTC)", "value", "items"),
        ("app/errors.py", "@app.exception_handler(PoolTimeoutError)", "", "TestSaturation"),
        (
            "app/errors.py",
            '"msg": entry["msg"]',
            '"msg": entry["input"]',
            "names_the_field_and_not_its_value",
        ),
        ("app/health.py", "(SQLAlchemyError, OSError, TimeoutError)", "TimeoutError", "not_ready"),
        ("app/items/models.py", '(Index(None, "created_at", "id"),)', "()", "walks_the_index"),
        (
            "app/items/models.py",
            "quantity: Mapped[int]",
            "amount: Mapped[int]\n    quantity: Mapped[int]",
            "migrations_agree",
        ),
        (
            "app/items/queries.py",
            "select(*_COLUMNS)",
            "select(Item.__table__, Item.id + 0)",
            "names_its_columns",
        ),
        ("app/items/queries.py", '"limit": limit + 1', '"limit": limit', "walking_the_pages"),
        ("app/items/queries.py", "    < tuple_(", "    <= tuple_(", "walking_the_pages"),
        (
            "app/items/queries.py",
            "AfterValidator(lambda moment: moment.astimezone(UTC))",
            "None",
            "forged_cursor",
        ),
        ("app/items/schemas.py", "ge=1, le=MAX_ID", "", "impossible_id"),
        ("app/items/schemas.py", 'name: Name = ""', "name: Name | None = None", "invalid_change"),
        ("app/items/routes.py", " -> Page[ItemRead]", "", "every_answer_has_a_schema"),
        (pagination, "ge=1, le=100", "ge=-9, le=999", "size_of_a_page"),
        (pagination, "except (ValueError, OverflowError)", "except KeyError", "refused"),
        ("app/compression.py", 'f"W/{etag}"', "etag", "another_representation"),
        ("app/compression.py", 'not message.get("more_body")', "True", "what_does_not_pay"),
        ("app/compression.py", ">= self.settings.minimum_size", ">= 0", "what_does_not_pay"),
        ("app/compression.py", ', weights.get("*", 0.0)) > 0', ", 1.0) >= 0", "accept"),
        ("app/observability/instruments.py", "_ACCEPTED_ID.fullmatch(given)", "given", "forge"),
        (
            "app/observability/instruments.py",
            'scope["path"],',
            'scope["path"] + str(scope["query_string"]),',
            "without_its_query",
        ),
        (
            "app/observability/instruments.py",
            "            await ProblemResponse(500)",
            "            raise\n            await ProblemResponse(500)",
            "broken",
        ),
        ("app/observability/logs.py", '"request_id": request_id.get(),', "", "one_line_of_json"),
        ("app/main.py", "settings = settings or Settings()", "settings = Settings()", "read_once"),
        (
            "app/settings.py",
            'if not url.startswith("sqlite+aiosqlite:///")',
            "if not url",
            "without_its_driver",
        ),
        (
            "docs/performance.md",
            "test_reads_cannot_write",
            "test_reads_are_nice",
            "names_a_test_that_exists",
        ),
    ]


@pytest.mark.parametrize("fault", faults(), ids=lambda fault: f"{fault[0]}-{fault[3]}")
def test_a_broken_pattern_fails_its_proof(
    rendered: Render, environment: Environment, tmp_path: Path, fault: tuple[str, str, str, str]
) -> None:
    path, old, new, test = fault
    project = shutil.copytree(rendered(preset="standard"), tmp_path / "shop")
    text = (project / path).read_text("utf-8")
    assert old in text
    (project / path).write_text(text.replace(old, new), "utf-8")

    with pytest.raises(AssertionError) as failed:
        environment.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=project)

    broken = re.findall(r"^(?:FAILED|ERROR) tests/.*", str(failed.value), re.MULTILINE)
    assert any(test in line for line in broken), str(failed.value)[-5000:]
