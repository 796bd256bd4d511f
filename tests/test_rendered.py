"""Every rendered project passes its own checks the moment it is rendered."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fastperf_new.questions import Answer
from tests.conftest import Render
from tests.support import DATABASES, Environment, name_of, variants

MakeUrl = Callable[[object], str]


@pytest.fixture
def project(rendered: Render, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A copy that its own tools may write their caches into."""
    return shutil.copytree(rendered(**request.param), tmp_path / "shop")


@pytest.mark.parametrize("variant", variants(), ids=name_of)
def test_its_own_checks_pass(
    variant: dict[str, Answer],
    rendered: Render,
    tmp_path: Path,
    environment: Environment,
    database_url: MakeUrl,
) -> None:
    project = shutil.copytree(rendered(**variant), tmp_path / "shop")
    environment.run("ruff", "check", cwd=project)
    environment.run("ruff", "format", "--check", cwd=project)
    environment.run("mypy", cwd=project)
    pytest_ = ["python", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    url = database_url(variant.get("database", "sqlite"))
    done = environment.run(*pytest_, cwd=project, env={"TEST_DATABASE_URL": url})
    assert "passed" in done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.parametrize("database", DATABASES)
def test_its_yaml_is_what_it_should_be(rendered: Render, database: str) -> None:
    check = Path(sys.executable).parent / "check-jsonschema"
    project = rendered(preset="standard", database=database)
    schemas = [("vendor.github-workflows", project / ".github/workflows/ci.yml")]
    if database != "sqlite":
        schemas.append(("vendor.compose-spec", project / "compose.yml"))

    for schema, file in schemas:
        subprocess.run([check, "--builtin-schema", schema, file], check=True, capture_output=True)


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
# Those of the data layer are tried on every database that has the file.
DATA = "app/database/"
DATA_FAULTS = [
    (DATA + "gate.py", "if self.free > 0:", "if True:", "no_more_are_in"),
    (
        DATA + "gate.py",
        "self._waiting.popleft()",
        "self._waiting.pop()",
        "order_in_which_they_came",
    ),
    (
        DATA + "gate.py",
        "turn.set_result(None)\n                return",
        "turn.set_result(None)\n                break",
        "newcomer",
    ),
    (DATA + "gate.py", "loop.call_later(self._timeout", "loop.call_later(99", "waits_too_long"),
    (DATA + "gate.py", ">= self._queue", ">= 99", "full_queue"),
    (DATA + "gate.py", "self.leave()  # cancelled", "pass  # cancelled", "loses_no_place"),
    (DATA + "writes.py", "session.begin():", "_nothing(session):", "test_an_answer_means"),
    (DATA + "writes.py", "raise RuntimeError", "RuntimeError", "a_session_in_a_session"),
    (DATA + "writes.py", "writing.now = False", "pass", "outlives_the_session"),
    (DATA + "roads.py", ', scope="function")', ")", "commit_that_fails"),
    (DATA + "reads.py", "if times > 1", "if times > 9", "names_of_their_own"),
    (DATA + "recorder.py", "if seconds >= self._slow", "if True", "slow_statement"),
    (
        DATA + "recorder.py",
        "        for listener in",
        "        for listener in []:\n            pass\n        for _ in",
        "heard_of_once",
    ),
    (DATA + "recorder.py", "failure.statement is not None", "False", "fails_is_heard_of"),
    (DATA + "core_reads.py", "if len(rows) > 1", "if len(rows) > 9", "more_than_one"),
    (DATA + "budget.py", "if needed > limit", "if needed < 0", "refused"),
    (
        DATA + "budget.py",
        "settings.replicas * settings.workers",
        "settings.workers",
        "all_workers_of_all_replicas",
    ),
    (
        DATA + "budget.py",
        "except UnavailableError",
        "except KeyError",
        "starts_before_its_database",
    ),
    (
        DATA + "replica.py",
        "return database.replica",
        "return database.reads",
        "only_its_own_routes",
    ),
    (DATA + "connections.py", "raise DisconnectionError from error", "pass", "broke_while_idle"),
    # SQLite
    (DATA + "sqlite.py", "BEGIN IMMEDIATE", "BEGIN", "increments_of_another_process"),
    (
        DATA + "sqlite.py",
        "journal_mode = WAL",
        "journal_mode = DELETE",
        "do_not_wait_for_each_other",
    ),
    (DATA + "sqlite.py", "query_only = ON", "query_only = OFF", "test_the_read_road_cannot_write"),
    (DATA + "sqlite.py", "skip_autocommit_rollback=True,", "", "test_a_read_is_one_round_trip"),
    (DATA + "sqlite.py", "'ON' if foreign_keys else", "", "commit_that_the_database_refuses"),
    (DATA + "sqlite.py", "value.replace(tzinfo=UTC)", "value", "both_roads_give_equal_rows"),
    (DATA + "sqlite.py", "value.astimezone(UTC)", "value", "test_datetimes_are_kept_in_utc"),
    (
        DATA + "sqlite.py",
        "(SQLITE_BUSY, SQLITE_CANTOPEN)",
        "(SQLITE_CANTOPEN,)",
        "waits_for_another_process",
    ),
    (DATA + "sqlite.py", "(SQLITE_BUSY, SQLITE_CANTOPEN)", "(SQLITE_BUSY,)", "live_but_not_ready"),
    (DATA + "sqlite.py", "if not driver or", "if not driver and", "another_kind_of_url"),
    (
        DATA + "sqlite.py",
        "url, DatabaseSettings(), foreign_keys=False",
        "url, DatabaseSettings()",
        "keeps_the_rows_that_refer_to_it",
    ),
    # PostgreSQL
    (
        DATA + "postgresql.py",
        '"default_transaction_read_only": "on"',
        "",
        "test_the_read_road_cannot_write",
    ),
    (
        DATA + "postgresql.py",
        "encoder=str, decoder=loads",
        "encoder=str, decoder=str",
        "both_roads_give_equal_rows",
    ),
    (
        DATA + "postgresql.py",
        "value is not None and value.tzinfo is None",
        "False",
        "without_a_zone",
    ),
    (
        DATA + "postgresql.py",
        'drivername == "postgresql+asyncpg"',
        "drivername",
        "another_kind_of_url",
    ),
    (DATA + "postgresql.py", "    check_after_idling(engine)\n", "", "broke_while_idle"),
    (
        DATA + "postgresql.py",
        "any_(bindparam(name, type_=ARRAY(column.type)))",
        "bindparam(name)",
        "any_of_takes",
    ),
    (
        DATA + "asyncpg_reads.py",
        "if process is None else process(parameters[name])",
        "",
        "both_roads_give_equal_rows or can_be_a_parameter",
    ),
    (
        DATA + "asyncpg_reads.py",
        "row[name] = process(row[name])",
        "pass",
        "both_roads_give_equal_rows",
    ),
    (
        DATA + "asyncpg_reads.py",
        "self._defaults | parameters",
        "parameters",
        "a_value_in_the_statement",
    ),
    (
        DATA + "asyncpg_reads.py",
        "if compiled.post_compile_params",
        "if False",
        "cannot_be_compiled_ahead",
    ),
    (DATA + "asyncpg_reads.py", "if len(rows) > 1", "if len(rows) > 9", "more_than_one"),
    (
        DATA + "asyncpg_reads.py",
        "self._idle.append((connection, monotonic()))",
        "self._discard(connection)",
        "test_a_read_is_one_round_trip",
    ),
    (
        DATA + "asyncpg_reads.py",
        "            clean = True\n        except UNAVAILABLE",
        "        except UNAVAILABLE",
        "test_a_read_is_one_round_trip",
    ),
    (
        DATA + "asyncpg_reads.py",
        "raise UnavailableError from error",
        "raise",
        "breaks_during_a_read",
    ),
    (
        DATA + "asyncpg_reads.py",
        "not connection.is_closed() and monotonic()",
        "monotonic()",
        "a_broken_connection_is_replaced",
    ),
    (DATA + "asyncpg_reads.py", "monotonic() - since < MAX_IDLE", "True", "not_trusted_for_ever"),
    (
        DATA + "asyncpg_reads.py",
        " and not connection.is_in_transaction()",
        "",
        "does_not_reach_the_next_one",
    ),
    (DATA + "asyncpg_reads.py", "            self.gate.leave()\n", "", "cancelled_read_leaves"),
    (
        DATA + "asyncpg_reads.py",
        "await asyncio.shield(opening)",
        "await self._connect()",
        "cancelled_read_leaves",
    ),
    # MySQL
    (
        DATA + "mysql.py",
        '"SET SESSION TRANSACTION READ ONLY"',
        '"SELECT 1"',
        "test_the_read_road_cannot_write",
    ),
    (
        DATA + "mysql.py",
        "        skip_autocommit_rollback=True,\n",
        "",
        "test_a_read_is_one_round_trip",
    ),
    (DATA + "mysql.py", "DATETIME(fsp=6)", "DATETIME()", "both_roads_give_equal_rows"),
    (DATA + "mysql.py", "value.replace(tzinfo=UTC)", "value", "both_roads_give_equal_rows"),
    (DATA + "mysql.py", "    check_after_idling(engine)\n", "", "broke_while_idle"),
    (
        DATA + "mysql.py",
        "return error.connection_invalidated or code in _UNAVAILABLE",
        "return False",
        "is_unavailable",
    ),
    (DATA + "mysql.py", 'drivername == "mysql+asyncmy"', "drivername", "another_kind_of_url"),
    # The example
    (
        "app/items/models.py",
        '(Index(None, "created_at", "id"),)',
        "()",
        "walk_an_index or migrations_agree",
    ),
    (
        "app/items/models.py",
        'relationship(lazy="raise")',
        'relationship(lazy="select")',
        "relationships",
    ),
    (
        "app/items/queries.py",
        "Item.owner_id,\n",
        'Item.owner_id,\n    (Item.id + 0).label("more"),\n',
        "name_their_columns",
    ),
    (
        "app/items/queries.py",
        'for tag in await reads.all(TAGS, items=[row["id"] for row in rows]):',
        'for tag in [t for row in rows for t in await reads.all(TAGS, items=[row["id"]])]:',
        "any_number_of_rows",
    ),
    ("app/items/queries.py", "limit=limit + 1", "limit=limit", "met_once"),
    (
        "app/items/queries.py",
        "Item.id > bindparam",
        "Item.id >= bindparam",
        "batch_follows",
    ),
    (
        "app/items/queries.py",
        "raise failed.exceptions[0] from None",
        "raise",
        "first_error_is_the_answer",
    ),
    ("app/pagination.py", "< tuple_(*key)", "<= tuple_(*key)", "met_once"),
    ("app/items/routes.py", "with_for_update=True", "with_for_update=None", "changes_at_once"),
    ("app/items/routes.py", "if owner is None:", "if False:", "a_real_one"),
    ("app/health.py", "(UnavailableError, TimeoutError)", "TimeoutError", "live_but_not_ready"),
    ("app/health.py", "except BusyError:", "except KeyError:", "busy_service_stays_ready"),
    ("app/health.py", "if missing:", "if False:", "without_migration"),
]

FAULTS = [
    ("app/errors.py", 'entry["msg"]', 'entry["input"]', "names_the_field_and_not_its_value"),
    ("app/errors.py", "if isinstance(error.detail, str)", "if True", "any_http_exception"),
    (
        "app/health.py",
        "= request.state.database",
        "= (__import__('app.settings').settings.Settings(), request.state.database)[1]",
        "a_request_reads_none",
    ),
    ("app/hot.py", "except ValidationError", "except KeyError", "answer_is_the_same"),
    ("app/hot.py", "except HTTPException", "except KeyError", "answer_is_the_same"),
    ("app/hot.py", 'b"application/json")', 'b"text/plain")', "answer_is_the_same"),
    ("app/hot.py", 'scope["method"] == "GET"', "True", "other_methods"),
    ("app/hot.py", "by_alias=True", "by_alias=False", "answer_is_the_same"),
    ("app/hot.py", "needs = {", "needs = set() and {", "needs_more"),
    ("app/streaming.py", "by_alias=True", "by_alias=False", "each_line_is_a_row"),
    ("app/observability/logs.py", "self.handleError(record)", "raise", "takes_nothing_with_it"),
    ("app/hot.py", "elif name in convertors:", "elif True:", "cannot_do_is_refused"),
    (
        "app/main.py",
        '"/items/{item_id}": items.get_item',
        '"/item/{item_id}": items.get_item',
        "a_hot_route_is_the_route",
    ),
    ("app/main.py", "    gc.freeze()\n", "", "what_start_up_made"),
    ("app/streaming.py", 'b"\\n"', 'b""', "each_line_is_a_row"),
    ("app/streaming.py", "await anext(batches, None) or ()", "()", "error_before_the_first_row"),
    (
        "app/items/models.py",
        "quantity: Mapped[int]",
        "amount: Mapped[int]\n    quantity: Mapped[int]",
        "migrations_agree",
    ),
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
    ("app/items/schemas.py", 'pattern=r"^[^\\x00]*$"', "", "invalid_item"),
    ("app/items/routes.py", " -> Page[ItemRead]", "", "every_answer_has_a_schema"),
    (
        "app/pagination.py",
        'default=20, ge=1, le=100, description="Rows on a page."',
        "default=20",
        "size_of_a_page or pages_are_bounded",
    ),
    ("app/pagination.py", "len(rows) > self.size", "True", "knows_whether_there_is_another"),
    ("app/pagination.py", "except (ValueError, OverflowError)", "except KeyError", "refused"),
    ("app/pagination.py", "validate=True", "validate=False", "what_is_not_base64"),
    ("app/compression.py", 'f"W/{etag}"', "etag", "another_representation"),
    ("app/compression.py", "int(length) < self", "9999 < self", "stream_begins"),
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
    (
        "app/observability/logs.py",
        '"request_id": getattr(record, "request_id", None) or request_id.get(),',
        "",
        "one_line_of_json",
    ),
    ("app/observability/logs.py", "{value!r}", "{value}", "text_format"),
    (
        "app/observability/logs.py",
        "if not isinstance(record, RequestRecord) or",
        "if",
        "before_what_comes_after",
    ),
    (
        "app/observability/logs.py",
        "call_later(BATCH_SECONDS, self.flush)",
        "time",
        "do_not_wait_for_long",
    ),
    ("app/observability/logs.py", "except ValueError:", "except KeyError:", "do_not_wait_for_long"),
    (
        "app/observability/logs.py",
        '("uvicorn.access").disabled = True',
        '("uvicorn.access")',
        "no_requests_of_its_own",
    ),
    ("app/database/sqlite.py", "default=4, ge=1", "default=4", "makes_no_sense"),
    (
        "docs/performance.md",
        "test_a_read_is_one_round_trip",
        "test_reads_are_nice",
        "names_a_test_that_exists",
    ),
]


def _faults() -> Iterator[tuple[str, str, str, str, str]]:
    own = {"sqlite.py": "sqlite", "postgresql.py": "postgresql", "mysql.py": "mysql"}
    for fault in DATA_FAULTS:
        name = fault[0].rpartition("/")[2]
        for database in DATABASES:
            if own.get(name, database) == database and not (
                (name == "core_reads.py" and database == "postgresql")
                or (name == "asyncpg_reads.py" and database != "postgresql")
                # There one transaction at a time may write, whatever it locks.
                or (fault[1] == "with_for_update=True" and database == "sqlite")
                or (name in ("budget.py", "replica.py", "connections.py") and database == "sqlite")
            ):
                yield database, *fault
    for fault in FAULTS:
        yield "sqlite", *fault


@pytest.mark.parametrize("fault", _faults(), ids=lambda fault: f"{fault[0]}-{fault[1]}-{fault[4]}")
def test_a_broken_pattern_fails_its_proof(
    rendered: Render,
    environment: Environment,
    tmp_path: Path,
    database_url: MakeUrl,
    fault: tuple[str, str, str, str, str],
) -> None:
    database, path, old, new, test = fault
    project = shutil.copytree(rendered(preset="standard", database=database), tmp_path / "shop")
    text = (project / path).read_text("utf-8")
    assert old in text
    (project / path).write_text(text.replace(old, new), "utf-8")

    with pytest.raises(AssertionError) as failed:
        environment.run(
            *("python", "-m", "pytest", "-q", "-x", "-k", test, "-p", "no:cacheprovider"),
            cwd=project,
            env={"TEST_DATABASE_URL": database_url(database)},
        )

    broken = re.findall(r"^(?:FAILED|ERROR) tests/.*", str(failed.value), re.MULTILINE)
    named = test.split(" or ")
    assert any(name in line for line in broken for name in named), str(failed.value)[-5000:]
