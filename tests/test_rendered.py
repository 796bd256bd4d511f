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
def test_its_own_checks_pass(project: Path, environment: Environment) -> None:
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


# Each breaks one pattern: the file, what stands there, what it becomes, the test that must fail.
FAULTS = [
    (
        "app/database.py",
        "BEGIN IMMEDIATE",
        "BEGIN",
        "test_increments_of_another_process_are_kept_too",
    ),
    (
        "app/database.py",
        "journal_mode = WAL",
        "journal_mode = DELETE",
        "do_not_wait_for_each_other",
    ),
    ("app/database.py", "query_only = ON", "query_only = OFF", "test_reads_cannot_write"),
    ("app/database.py", "skip_autocommit_rollback=True,", "", "test_a_read_is_one_round_trip"),
    ("app/database.py", "'ON' if foreign_keys else", "", "TestCommit"),
    (
        "app/database.py",
        'Depends(get_session, scope="function")',
        "Depends(get_session)",
        "TestCommit",
    ),
    ("app/database.py", "value.replace(tzinfo=UTC)", "value", "test_datetimes_are_kept_in_utc"),
    ("app/database.py", "value.astimezone(UTC)", "value", "test_datetimes_are_kept_in_utc"),
    ("app/errors.py", "@app.exception_handler(PoolTimeoutError)", "", "told_to_come_back"),
    ("app/errors.py", "@app.exception_handler(OperationalError)", "", "waits_for_another_process"),
    ("app/errors.py", 'entry["msg"]', 'entry["input"]', "names_the_field_and_not_its_value"),
    ("app/errors.py", "if isinstance(error.detail, str)", "if True", "any_http_exception"),
    ("app/health.py", "(SQLAlchemyError, OSError, TimeoutError)", "TimeoutError", "not_ready"),
    ("app/health.py", "if missing:", "if False:", "TestWithoutMigration"),
    (
        "app/health.py",
        "= request.state.database",
        "= (__import__('app.settings').settings.Settings(), request.state.database)[1]",
        "a_request_reads_none",
    ),
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
    (
        "app/items/schemas.py",
        "name: Name | MISSING = MISSING",
        "name: Name | None = None",
        "invalid_change",
    ),
    ("app/items/schemas.py", 'extra="forbid"', 'extra="ignore"', "invalid_change"),
    ("app/items/routes.py", " -> Page[ItemRead]", "", "every_answer_has_a_schema"),
    ("app/pagination.py", "ge=1, le=100", "ge=-9, le=999", "size_of_a_page"),
    ("app/pagination.py", "except (ValueError, OverflowError)", "except KeyError", "refused"),
    ("app/pagination.py", "validate=True", "validate=False", "what_is_not_base64"),
    ("app/compression.py", 'f"W/{etag}"', "etag", "another_representation"),
    ("app/compression.py", 'int(headers.get("content-length", 0)) >=', "9999 >=", "stream_begins"),
    ("app/compression.py", 'scope["method"] != "HEAD"', "True", "what_does_not_pay"),
    ("app/compression.py", "not in (206, 304)", "!= 304", "what_does_not_pay"),
    ("app/compression.py", '"content-encoding" not in headers', "True", "what_does_not_pay"),
    ("app/compression.py", ".startswith(TEXT)", ".strip()", "what_does_not_pay"),
    ("app/compression.py", 'weights.get("*", 0.0)) > 0', "1.0) >= 0", "accept_encoding"),
    ("app/compression.py", " or not self.settings.level", "", "TestSwitchedOff"),
    ("app/main.py", "    app.add_middleware(Instruments)\n", "", "every_answer_has_an_id"),
    ("app/observability/instruments.py", "_ACCEPTED_ID.fullmatch(given)", "given", "forge"),
    (
        "app/observability/instruments.py",
        'scope["path"],',
        'scope["path"] + str(scope["query_string"]),',
        "without_its_query",
    ),
    (
        "app/observability/instruments.py",
        "await ProblemResponse(500)",
        "raise\n            await ProblemResponse(500)",
        "broken",
    ),
    ("app/observability/logs.py", '"request_id": request_id.get(),', "", "one_line_of_json"),
    ("app/observability/logs.py", "{value!r}", "{value}", "text_format"),
    (
        "app/observability/logs.py",
        '("uvicorn.access").disabled = True',
        '("uvicorn.access")',
        "no_requests_of_its_own",
    ),
    ("app/settings.py", "if not driver or", "if not driver and", "makes_no_sense"),
    ("app/settings.py", "default=4, ge=1", "default=4", "makes_no_sense"),
    ("migrations/env.py", ", foreign_keys=False", "", "keeps_the_rows_that_refer_to_it"),
    (
        "docs/performance.md",
        "test_a_read_is_one_round_trip",
        "test_reads_are_nice",
        "names_a_test_that_exists",
    ),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault[0]}-{fault[3]}")
def test_a_broken_pattern_fails_its_proof(
    rendered: Render, environment: Environment, tmp_path: Path, fault: tuple[str, str, str, str]
) -> None:
    path, old, new, test = fault
    project = shutil.copytree(rendered(preset="standard"), tmp_path / "shop")
    text = (project / path).read_text("utf-8")
    assert old in text
    (project / path).write_text(text.replace(old, new), "utf-8")

    with pytest.raises(AssertionError) as failed:
        environment.run(
            "python", "-m", "pytest", "-q", "-k", test, "-p", "no:cacheprovider", cwd=project
        )

    broken = re.findall(r"^(?:FAILED|ERROR) tests/.*", str(failed.value), re.MULTILINE)
    assert any(test in line for line in broken), str(failed.value)[-5000:]
