"""Every rendered project passes its own checks the moment it is rendered."""

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from fastperf_new.questions import Answer, Answers
from fastperf_new.render import files
from tests.conftest import Render, RunTests
from tests.support import DATABASES, Environment, name_of, variants

MakeUrl = Callable[[object], str]


@pytest.fixture
def project(rendered: Render, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A copy that its own tools may write their caches into."""
    return shutil.copytree(rendered(**request.param), tmp_path / "shop")


# What neither ruff nor mypy nor a project's own test may read: it is not there when they run.
UNREAD = (
    ".copier-answers.yml",
    ".dockerignore",
    ".github",
    ".gitignore",
    "AGENTS.md",
    "Dockerfile",
    "README.md",
    "compose.yml",
    "deployment.md",
    "deploy",
    "granian-logging.json",
)


def digest_of(project: Path) -> str:
    """Return what is the same for two projects only when all their files are."""
    content = [(path, (project / path).read_bytes()) for path in files(project)]
    return hashlib.sha256(repr(content).encode()).hexdigest()


@pytest.mark.parametrize("variant", variants(), ids=name_of)
def test_its_own_checks_pass(  # noqa: PLR0917  (fixtures)
    variant: dict[str, Answer],
    rendered: Render,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    environment: Environment,
    database_url: MakeUrl,
    redis_url: Callable[[str], str],
    shared: Path,
) -> None:
    """Variants that differ only in what is not read are one project, and checked once."""
    unread = shutil.ignore_patterns(*UNREAD)
    project = shutil.copytree(rendered(**variant), tmp_path / "shop", ignore=unread)
    passed = shared / f"passed-{digest_of(project)}"  # only there after a pass
    with FileLock(passed.with_suffix(".lock")):
        if not passed.exists():
            env = {"TEST_DATABASE_URL": database_url(variant.get("database", "sqlite"))}
            if variant.get("cache") == "redis":
                env["TEST_REDIS_URL"] = redis_url("15")
            # What it found in the packages does for every project; each test process has a cache.
            cache = tmp_path_factory.getbasetemp() / "mypy"
            check(project, environment, cache, env)
            passed.write_text(name_of(variant), "utf-8")
    assert passed.read_text("utf-8"), "these files have passed"


def check(project: Path, environment: Environment, cache: Path, env: dict[str, str]) -> None:
    """Run ruff, mypy and the tests of a project."""
    environment.run("ruff", "check", cwd=project)
    environment.run("ruff", "format", "--check", cwd=project)
    environment.run("mypy", cwd=project, env={"MYPY_CACHE_DIR": str(cache)})
    pytest_ = ["python", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = environment.run(*pytest_, cwd=project, env=env)
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


@pytest.mark.parametrize("project", [{"preset": "standard", "tasks": "celery"}], indirect=True)
def test_guarding_the_routes_of_jobs_breaks_no_test_of_theirs(
    project: Path, run_tests: RunTests
) -> None:
    (project / "app/guards.py").write_text(
        "from app.errors import ProblemError\n\n\n"
        'async def nobody() -> None:\n    raise ProblemError(401, "Who is there?")\n'
    )
    wiring = project / "app/wiring/jobs.py"
    text = wiring.read_text("utf-8").replace(
        "include_router(routes.router)",
        "include_router(routes.router, dependencies=[Depends(nobody)])",
    )
    text = text.replace(
        "import FastAPI\n", "import Depends, FastAPI\n\nfrom app.guards import nobody\n"
    )
    wiring.write_text(text, "utf-8")

    done = run_tests(project, "tests/jobs", "tests/items/test_work.py")

    assert done.returncode == 0, done.stdout[-5000:]


# Each breaks one pattern: the file, what stands there, what it becomes, the test that must fail.
# Those of the data layer are tried on every database that has the file.
DATA = "app/database/"
CONNECTION = "app/connection.py"
TRACEBACKS, NAMES = "app/observability/tracebacks.py", "names_its_constraint_and_no_value"
DATA_FAULTS = [
    (TRACEBACKS, 'partition(" Original', 'partition("no Original', "session_that_goes_on"),
    (TRACEBACKS, '"" if values and text is None else text', "text", "led_to_such_a_value"),
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
    (DATA + "writes.py", ", session.begin():", ":", "test_an_answer_means"),
    (DATA + "sqlite.py", "hide_parameters=True", "hide_parameters=False", "tell_values"),
    (DATA + "postgresql.py", "hide_parameters=True", "hide_parameters=False", "tell_values"),
    (DATA + "mysql.py", "hide_parameters=True", "hide_parameters=False", "tell_values"),
    (DATA + "sqlite_errors.py", "{error} ({name})", "{error}", NAMES),
    (DATA + "postgresql_errors.py", "error.constraint_name", "None", NAMES),
    (DATA + "postgresql_errors.py", "{error.args[0]} (", "{error} (", NAMES),
    (DATA + "postgresql_errors.py", "startswith(_NAMING)", "startswith('')", "error_of_a_value"),
    (DATA + "postgresql_errors.py", '.partition(":")[0]', "", "one_of_the_drivers_own"),
    (DATA + "postgresql_errors.py", '"40", "42", ', '"40", ', "error_of_the_schema"),
    (DATA + "mysql_errors.py", "_DUPLICATE = 1062", "_DUPLICATE = 0", NAMES),
    (DATA + "mysql_errors.py", "_KEY.search(str(message))", "[message]", NAMES),
    (DATA + "mysql_errors.py", "if number in _NAMING", "if True", "error_of_a_value"),
    (TRACEBACKS, "(told.__context__, error.__context__),", "", "what_came_of_it"),
    (TRACEBACKS, "told.exceptions or ()", "()", "what_came_of_it"),
    (TRACEBACKS, 'vars(part)["_str"] = text', "pass", NAMES),
    (DATA + "writes.py", "await session.flush()", "pass", "statement_of_the_flush"),
    (DATA + "writes.py", "lift_deadline()  # what", "pass  # what", "commit_is_not_cut_off"),
    (DATA + "writes.py", "raise RuntimeError", "RuntimeError", "a_session_in_a_session"),
    (DATA + "writes.py", "if told is None:", "if True:", "is_a_conflict"),
    (DATA + "writes.py", "except StaleDataError", "except KeyError", "is_a_conflict"),
    (DATA + "sqlite_errors.py", "if refers or ", "if ", "is_a_conflict"),
    (DATA + "postgresql_errors.py", '"23503", ', "", "is_a_conflict"),
    (DATA + "mysql_errors.py", "1217, 1451, 1452,", "", "is_a_conflict"),
    (DATA + "writes.py", "writing.now = False", "pass", "outlives_the_session"),
    (DATA + "roads.py", ', scope="function")', ")", "commit_that_fails"),
    (
        DATA + "roads.py",
        "reads(connection: HTTPConnection)",
        "reads(connection: str)",
        "a_socket_reads",
    ),
    ("app/errors.py", "1013 if error.status_code == 503", "1000 if False", "a_socket_is_closed"),
    (DATA + "reads.py", "if times > 1", "if times > 9", "names_of_their_own"),
    (DATA + "recorder.py", "if seconds >= self.slow", "if True", "slow_statement"),
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
    (
        DATA + "connections.py",
        "raise InvalidatePoolError from error  # the pool",
        "pass  # the pool",
        "broke_while_idle",
    ),
    (DATA + "connections.py", "Deadline(PING)", "Deadline(99)", "finds_a_dead_one"),
    (DATA + "connections.py", '"TCP_KEEPIDLE": 5, ', "", "vanishes_is_noticed"),
    (DATA + "verdicts.py", "failure.is_disconnect = True", "pass", "does_not_write_is_left"),
    (DATA + "verdicts.py", "        moved()\n", "        pass\n", "does_not_write_is_left"),
    (DATA + "writes.py", "committing = Deadline(COMMIT)", "pass", "is_never_answered"),
    (DATA + "writes.py", ", refused=True)", ")", "is_never_answered"),
    # SQLite
    (DATA + "sqlite.py", "BEGIN IMMEDIATE", "BEGIN", "increments_of_another_process"),
    (
        DATA + "sqlite.py",
        "journal_mode = WAL",
        "journal_mode = DELETE",
        "do_not_wait_for_each_other",
    ),
    (DATA + "sqlite.py", "await connector.ended(settings.timeout)", "pass", "no_thread_outlives"),
    (DATA + "sqlite.py", "opening.add_done_callback(_close)", "pass", "no_thread_outlives"),
    (DATA + "sqlite.py", "query_only = ON", "query_only = OFF", "test_the_read_road_cannot_write"),
    (DATA + "sqlite.py", "skip_autocommit_rollback=True,", "", "test_a_read_is_one_round_trip"),
    (DATA + "sqlite.py", "'ON' if foreign_keys else", "", "commit_that_the_database_refuses"),
    (DATA + "sqlite.py", "value.replace(tzinfo=UTC)", "value", "both_roads_give_equal_rows"),
    (DATA + "sqlite.py", "value.astimezone(UTC)", "value", "test_datetimes_are_kept_in_utc"),
    (DATA + "sqlite_errors.py", "BUSY: Verdict.AGAIN", "BUSY: Verdict.BUG", "for_another_process"),
    (DATA + "sqlite_errors.py", "OPEN: Verdict.GONE", "OPEN: Verdict.BUG", "live_but_not_ready"),
    (DATA + "sqlite.py", "if not driver or", "if not driver and", "another_kind_of_url"),
    (
        DATA + "sqlite.py",
        "Connector(), foreign_keys=False",
        "Connector()",
        "keeps_the_rows_that_refer_to_it",
    ),
    (DATA + "sqlite_errors.py", "IOERR: Verdict.FULL", "IOERR: Verdict.BUG", "a_full_disk"),
    (DATA + "sqlite_errors.py", "code & 0xFF", "code", "a_full_disk"),
    (DATA + "sqlite.py", ", tell_conflict, _write_a_little)", ", tell_conflict)", "a_full_disk"),
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
    (DATA + "postgresql.py", "if not is_first:", "if True:", "first_statement_runs_again"),
    (DATA + "postgresql.py", "if not is_first:", "if False:", "a_later_one_has_the_request"),
    (
        DATA + "postgresql_errors.py",
        "isinstance(error.__cause__, asyncpg.PostgresError)",
        "False",
        "commit_without_an_answer",
    ),
    (DATA + "postgresql_errors.py", '"40": Verdict.AGAIN', '"40": Verdict.BUG', "pass_later"),
    (DATA + "asyncpg_reads.py", "            self.renew()\n", "", "finds_all_that_are_dead"),
    (DATA + "asyncpg_reads.py", "asyncio.timeout(PING)", "asyncio.timeout(99)", "fail_the_probe"),
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
        "            clean = True\n        except ERRORS",
        "        except ERRORS",
        "test_a_read_is_one_round_trip",
    ),
    (
        DATA + "asyncpg_reads.py",
        "raise UnavailableError.because(error) from error",
        "raise",
        "breaks_during_a_read",
    ),
    (
        DATA + "asyncpg_reads.py",
        "not connection.is_closed() and idled",
        "idled",
        "a_broken_connection_is_replaced",
    ),
    (DATA + "asyncpg_reads.py", "idled < MAX_IDLE", "True", "not_trusted_for_ever"),
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
    (DATA + "mysql_errors.py", "(3, 1021, 1026, 1030, 1114),", "(3, 1021),", "pass_later"),
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
        DATA + "mysql_errors.py",
        "_VERDICTS.get(number, Verdict.BUG)",
        "Verdict.BUG",
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
    ("app/health.py", "if stopping.is_set():", "if False:", "not_ready_but_live"),
    ("app/health.py", "gate.free == 0 and", "False and", "busy_service_stays_ready"),
    ("app/health.py", "monotonic() - gate.answered < RECENT", "True", "a_silent_database"),
    ("app/health.py", "isinstance(error, BusyError | TimeoutError)", "False", "another_meanwhile"),
    (
        DATA + "core_reads.py",
        "self.gate.answered = monotonic()",
        "pass",
        "busy_service_stays_ready",
    ),
    (
        DATA + "asyncpg_reads.py",
        "self.gate.answered = monotonic()",
        "pass",
        "busy_service_stays_ready",
    ),
    ("app/health.py", "if missing:", "if False:", "without_migration"),
    (DATA + "gate.py", "UnavailableError.logged > PAUSE", "0 > PAUSE", "not_by_each_request"),
    (DATA + "gate.py", "UnavailableError.logged > PAUSE", "0 < PAUSE", "not_by_each_request"),
]

ENV, SORTED = "migrations/env.py", "if isinstance(op, DropTableOp) else 0"
MIGRATION_FAULTS = [
    ("postgresql", ENV, SORTED, "if False else 0", "dropped_after_those"),
    ("mysql", ENV, SORTED, "if False else 0", "dropped_after_those"),
    ("postgresql", ENV, "if not left or", "if True or", "pass_a_migration"),
    ("mysql", DATA + "mysql.py", "if not changes or", "if True or", "pass_a_migration"),
    ("mysql", ENV, "(op.schema, op.table_name) in gone", "False", "dropped_after_those"),
]

FAULTS = [
    ("app/settings.py", "env_ignore_empty=True,", "", "an_empty_variable"),
    ("app/settings.py", "str_strip_whitespace=True,", "", "new_line_at_the_end"),
    ("app/names.py", "if is_json else", "if False else", "or_a_json_list"),
    ("app/names.py", "not pattern.fullmatch(name)", "False", "no_request_can_match"),
    ("app/names.py", r"(?!https:.*:443\Z|http:.*:80\Z)", "", "no_request_can_match"),
    ("app/guard.py", ", min_length=1", "", "no_request_can_match"),
    ("app/background.py", "except Exception:", "except KeyError:", "drops_nothing"),
    ("app/background.py", "FAILURES.add(name)", "pass", "drops_nothing"),
    (
        "app/background.py",
        "request.seconds = perf_counter() - request.started  # the client",
        "pass  # the client",
        "its_time_is_not_the_requests",
    ),
    (
        "app/observability/context.py",
        "self.seconds or perf_counter()",
        "perf_counter()",
        "its_time_is_not_the_requests",
    ),
    ("app/database/roads.py", ', scope="function")', ")", "own_session_is_given_back_before"),
    ("app/deadline.py", "self._timer.cancel()", "pass", "answer_that_has_begun"),
    ("app/deadline.py", "return self.is_over and", "return", "client_that_leaves"),
    ("app/guard.py", "            tell_of_thread(scope)\n", "", "a_thread_goes_on"),
    ("app/deadline.py", "if route not in _told:", "if True:", "a_thread_goes_on"),
    ("app/deadline.py", "self.is_over = self._task.cancel()", "pass", "a_late_request"),
    ("app/guard.py", "if length > self.limits.size", "if False", "refused_unread"),
    ("app/guard.py", "_LENGTH.fullmatch(value)", "True", "content_length_that_is_no_number"),
    ("app/guard.py", "if length < 0", "if False", "content_length_that_is_no_number"),
    ("app/guard.py", "_CONTROL.search(path)", "False", "control_characters"),
    ("app/guard.py", " and _CONTROL.search(path)", "", "any_other_character"),
    ("app/guard.py", 'b"json" in value.lower()', "False", "json_body_of_many_values"),
    ("app/guard.py", 'is_json = b"json" in value.lower()', "is_json = True", "json_body_of_many"),
    ("app/guard.py", "body.release()", "pass", "all_bodies_together"),
    ("app/guard.py", "if body.is_late", "if False", "stays_away_is_a_408"),
    ("app/guard.py", "if body.is_late", "if True", "stays_away_is_a_504"),
    ("app/body.py", "if self.size > limits.size", "if False", "its_size_is_counted"),
    ("app/body.py", "limits.held > AT_ONCE", "limits.held > 99", "all_bodies_together"),
    ("app/body.py", "self.size > SMALL and ", "", "all_bodies_together"),
    ("app/body.py", 'b"".join(self._parts)', "part", "body_in_parts"),
    ("app/body.py", 'if b"\\0" in body:', "if False:", "in_any_encoding"),
    ("app/body.py", "|\\\\.", "|\\\\", "values_of_a_json_body"),
    ("app/body.py", "if match.lastindex", "if match", "values_of_a_json_body"),
    ("app/errors.py", "found[:MAX_ERRORS]", "found", "does_not_grow"),
    (CONNECTION, "len(self.headers) > MAX_HEADERS:", "False:", "headers_are_limited"),
    (CONNECTION, "size > MAX_HEADER_BYTES", "False", "headers_are_limited"),
    (CONNECTION, "len(self.url) + ", "", "a_url_counts"),
    (
        CONNECTION,
        "if self._received > MAX_HEADER_BYTES and not self.transport.is_closing():",
        "if False:",
        "headers_that_never_end or headers_after_a_body",
    ),
    (
        CONNECTION,
        "        self._received = 0\n        super().on_body",
        "        super().on_body",
        "a_body_is_no_header",
    ),
    (CONNECTION, "len(self.pipeline) >= MAX_PIPELINED", "False", "wait_for_an_answer"),
    (CONNECTION, "if self._timer is None and (", "if False and (", "does_not_end"),
    (CONNECTION, "            self._timer.cancel()\n", "", "waits_for_its_next_request"),
    (
        CONNECTION,
        'self._end("slow reader")',
        "pass",
        "does_not_read",
    ),
    (CONNECTION, "            self._watch()\n", '            self._end("")\n', "reads_slowly"),
    (CONNECTION, "if len(self.connections) > cls.limit", "if False", "takes_the_place"),
    (CONNECTION, "if waiting:", "if False:", "takes_the_place"),
    (CONNECTION, "min(waiting", "max(waiting", "takes_the_place"),
    (CONNECTION, "min(limit, files - OTHER_FILES)", "limit", "below_that_of_open_files"),
    (CONNECTION, "monotonic() - Connection.logged > LOG_SECONDS", "True", "now_and_then"),
    ("app/streaming.py", "timeout(STALL_SECONDS)", "timeout(None)", "when_nobody_reads_it"),
    ("app/streaming.py", "except _StalledError", "except TimeoutError", "rows_that_take_too_long"),
    ("app/streaming.py", "rows * BATCH_BYTES", "1000 * BATCH_BYTES", "as_large_in_bytes"),
    ("app/streaming.py", "batch = None\n            yield", "yield", "holds_no_rows"),
    ("app/errors.py", "part[:MAX_PLACE]", "part", "does_not_grow"),
    (
        "app/guard.py",
        "self.domains = tuple(name[1:]",
        "self.domains = tuple(name[2:]",
        "known_hosts",
    ),
    (TRACEBACKS, 'str(entry["loc"])', "str(entry)", "was_not_valid"),
    ("app/guard.py", "if len(hosts) != 1", "if not hosts", "two_hosts"),
    (
        "app/observability/context.py",
        'path is None or "app_root_path" not in scope',
        "True",
        "whole_template",
    ),
    ("app/observability/context.py", "{mount.path}", "/{root}", "clients_choose"),
    ("app/observability/context.py", " or isinstance(route, Mount)", "", "clients_choose"),
    ("app/guard.py", "path.startswith(PROBES)", "False", "probes_come"),
    ("app/guard.py", "path in BY_ADDRESS", "path.startswith(tuple(BY_ADDRESS))", "by_address"),
    ("app/wiring/metrics.py", 'BY_ADDRESS.add("/metrics")', "pass", "by_address"),
    ("app/guard.py", ".removeprefix(scope", ".strip() or (scope", "BelowARoot"),
    ("app/guard.py", "if path not in PAGES", "if True", "documentation_may_load"),
    ("app/guard.py", "WebSocketClose() if refusal", "WebSocketClose() if None", "known_hosts_only"),
    ("app/guard.py", " and _NAME.fullmatch(name) is not None", "", "known_hosts_are_answered"),
    ("app/guard.py", ", NO_SNIFFING]", "]", "answers_are_data"),
    ("app/settings.py", "hide_input_in_errors=True", "hide_input_in_errors=False", "not_repeated"),
    ("app/main.py", "redirect_slashes=False", "redirect_slashes=True", "slash_too_many"),
    ("app/main.py", " if guard.docs else None", "", "there_is_none"),
    ("app/main.py", 'settings.environment == "development"', "True", "there_is_none"),
    ("app/main.py", "if guard.cors_origins:", "if False:", "they_may_call_it"),
    (
        "app/main.py",
        'expose_headers=["ETag", "Location", "Retry-After", "X-Request-ID"],',
        "",
        "it_failed",
    ),
    (
        "app/main.py",
        "    return app\n",
        "    outer = app.user_middleware.pop(0)\n"
        "    app.user_middleware.insert(1, outer)\n"
        "    return app\n",
        "it_failed",
    ),
    ("app/metrics/prometheus.py", ' if method in METHODS else "OTHER"', "", "makes_up"),
    ("app/metrics/prometheus.py", 'or "unknown"', 'or request.scope["path"]', "makes_up"),
    ("app/metrics/prometheus.py", "if not settings.allow", "if settings.allow", "asked_for"),
    ("app/metrics/settings.py", "scheme.lower()", "scheme", "asked_for"),
    ("app/metrics/prometheus.py", ", headers=challenge", "", "asked_for"),
    ("app/metrics/prometheus.py", "max(worst, previous)", "0.0", "blocked_loop"),
    ("app/metrics/prometheus.py", "gate.size - gate.free", "gate.free", "gates_are_shown"),
    (
        "app/metrics/prometheus.py",
        "STATEMENTS.inc(self._told[0] - number)",
        "pass",
        "counted_and_timed",
    ),
    ("app/metrics/exposition.py", "read_value(key)[0] + value", "read_value(key)[0]", "the_dead"),
    ("app/metrics/exposition.py", "taken.unlink(missing_ok=True)", "pass", "counts_none_twice"),
    ("app/metrics/exposition.py", "st_size == 0", "st_size < 0", "without_content"),
    ("app/metrics/exposition.py", "not empty if pid", "True if pid", "without_content"),
    (
        "app/metrics/exposition.py",
        'file.rename(file.with_suffix(".taken"))',
        "file",
        "counts_none_twice",
    ),
    ("app/metrics/exposition.py", "else _alive(int(pid))", "else True", "gauges_of_the_dead"),
    ("app/metrics/exposition.py", "    PlatformCollector(registry)\n", "", "has_its_memory"),
    ("app/metrics/exposition.py", "sorted(map(int, pids))", "[]", "has_its_memory"),
    ("app/metrics/processes.py", "if new:", "if False:", "has_its_memory"),
    ("app/metrics/files.py", "mode=0o700", "mode=0o755", "choose_the_same"),
    ("app/metrics/files.py", "        _remove_unless_used(left)", "        pass", "a_service_left"),
    ("app/metrics/files.py", ".flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)", "", "what_is_used"),
    ("app/metrics/files.py", ".flock(lock, fcntl.LOCK_SH)", "", "last_worker_removes_it"),
    ("app/metrics/files.py", 'f"{user}{_process_ids()}-{parent}-{_started(parent)}"', '""', "each"),
    ("app/metrics/files.py", "(None, leave,", "(None, _held.clear,", "serves_nothing_removes_it"),
    ("app/metrics/files.py", "named == os.environ.get(CHOSEN)", "True", "have_one_each"),
    ("app/metrics/files.py", "os.O_RDWR |", "os.O_RDWR | os.O_CREAT |", "nobodys_service"),
    ("app/observability/context.py", 'context") or route', 'context") and route', "whole_template"),
    ("app/observability/context.py", "max(start, last)", "start", "run_at_once"),
    ("app/observability/context.py", "if start < last:", "if False:", "run_at_once"),
    ("app/observability/context.py", "by_name.get(name, 0.0) +", "", "one_after_the_other"),
    (
        "app/observability/context.py",
        "if len(self.spans) == MAX_SPANS",
        "if False",
        "no_more_memory",
    ),
    ("app/observability/instruments.py", "(took - total)", "took", "add_up"),
    ("app/observability/instruments.py", "request.status = 500", "pass", "stream_that_fails"),
    (
        "app/observability/logs.py",
        '"route": request.route}',
        '"route": None}',
        "with_its_route_and_request",
    ),
    ("app/observability/profiling.py", "HTMLResponse(page)", "HTMLResponse('')", "time_goes"),
    ("tests/conftest.py", 'ctx(["app", "tests.test_loop"])', 'ctx(["app.items"])', "helper_too"),
    ("app/draining.py", "stopping.set()", "pass", "not_ready_but_live"),
    (
        "app/observability/instruments.py",
        '(b"connection", b"close")',
        '(b"x", b"")',
        "not_ready_but",
    ),
    ("app/observability/output.py", "os.O_WRONLY | os.O_NONBLOCK", "os.O_WRONLY", "never_waits"),
    ("app/observability/output.py", ", socket.MSG_DONTWAIT", "", "never_waits"),
    ("app/observability/output.py", "DROPPED.add(number=lines)", "pass", "never_waits"),
    (
        "app/observability/output.py",
        "except BlockingIOError:\n            return",
        "except KeyError: pass",
        "reader_leaves",
    ),
    (
        "app/observability/logs.py",
        "StreamHandler(standard_error())",
        "StreamHandler()",
        "for_others",
    ),
    ("app/draining.py", "if stopping.is_set():", "if False:", "not_ready_but_live"),
    ("app/draining.py", "call_later(seconds", "call_later(0", "not_ready_but_live"),
    ("app/draining.py", "if not seconds:", "if False:", "signal_is_the_servers"),
    ("app/main.py", "        drain_on_sigterm(settings.drain_seconds)\n", "", "not_ready_but_live"),
    ("app/settings.py", "Field(default=0, ge=0, ", "Field(default=0, ", "makes_no_sense"),
    ("app/errors.py", 'entry["msg"]', 'entry["input"]', "names_the_field_and_not_its_value"),
    ("app/errors.py", " and request.method not in methods", " and False", "a_405_names"),
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
        "app/wiring/items.py",
        '"/items/{item_id}": routes.get_item',
        '"/item/{item_id}": routes.get_item',
        "a_hot_route_is_the_route",
    ),
    ("app/main.py", "    gc.freeze()\n", "", "what_start_up_made"),
    ("app/streaming.py", 'b"\\n"', 'b""', "each_line_is_a_row"),
    ("app/streaming.py", "await anext(batches, None)", "None", "error_before_the_first_row"),
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
    ("app/fields.py", "ge=1, le=MAX_ID", "", "no_others_are"),
    (
        "app/items/schemas.py",
        "name: Name | MISSING = MISSING",
        "name: Name | None = None",
        "invalid_change",
    ),
    ("app/items/schemas.py", 'extra="forbid"', 'extra="ignore"', "invalid_change"),
    ("app/fields.py", 'pattern=r"^[^\\x00]*$"', "", "with_a_nul_is_refused"),
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
    ("app/observability/instruments.py", "if _ACCEPTED_ID.fullmatch(given)", "if given", "forge"),
    (
        "app/observability/context.py",
        'scope["path"],',
        'scope["path"] + str(scope["query_string"]),',
        "without_its_query",
    ),
    (
        "app/observability/instruments.py",
        "response = ProblemResponse(500)",
        "raise\n            response = ProblemResponse(500)",
        "broken",
    ),
    (
        "app/observability/instruments.py",
        "response.raw_headers += [NO_SNIFFING, NO_CONTENT]",
        "pass",
        "an_unexpected_error",
    ),
    ("app/guard.py", "if name == POLICY", "if False", "policy_is_the_only_one"),
    ("app/guard.py", "else NO_FRAMES", "else NO_SNIFFING", "not_be_framed"),
    ("app/guard.py", 'if scope["method"] == "HEAD"', "if False", "head_is_get"),
    ("app/guard.py", 'if "HEAD" in methods_of', 'if "NONE" in methods_of', "head_is_get"),
    ("app/guard.py", 'scope.update({**inner, "method": "HEAD"})', "pass", "a_head_ends_a_stream"),
    ("app/errors.py", 'methods.add("HEAD")', "pass", "a_405_names"),
    (
        "app/observability/logs.py",
        '{"request_id": request.id, ',
        "{",
        "one_line_of_json",
    ),
    ("app/observability/logs.py", 'str(path).partition("?")[0]', "path", "without_its_query"),
    ("app/observability/logs.py", "{value!r}", "{value}", "text_format"),
    (
        "app/observability/logs.py",
        "if not isinstance(record, RequestRecord)",
        "if True",
        "before_what_comes_after",
    ),
    ("app/observability/finished.py", "call_later(BATCH_SECONDS", "call_later(9", "told_of_soon"),
    ("app/observability/finished.py", "if batch is self._batch", "if batch", "do_not_wait"),
    ("app/observability/finished.py", "if len(batch) >= MAX_BATCH", "if not batch", "do_not_wait"),
    (
        "app/main.py",
        "stack.callback(finished_requests.flush)",
        "",
        "last_requests_are_told_of or last_requests_are_counted",
    ),
    (
        "app/observability/counts.py",
        "new, self._new = self._new, Counter()",
        "new = self._new",
        "over_once",
    ),
    (
        "app/metrics/prometheus.py",
        "statements.count_up()\n        take_counts()\n        leave",
        "statements.count_up()\n        leave",
        "counted_last_is_told",
    ),
    (
        "app/metrics/prometheus.py",
        "statements.count_up()\n        take_counts()\n        for",
        "statements.count_up()\n        for",
        "parts_of_the_service_count",
    ),
    ("app/metrics/prometheus.py", "bisect_left(self", "bisect(self", "many_values"),
    (
        "app/metrics/prometheus.py",
        "take_counts()\n        # In",
        "# In",
        "parts_of_the_service_count",
    ),
    (
        "app/observability/instruments.py",
        "{next(self._numbers):010x}",
        "{0:010x}",
        "has_another_id",
    ),
    ("app/observability/logs.py", "except ValueError:", "except KeyError:", "is_no_utf_8"),
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
    ("app/etags.py", "b'\"%s\"' % sha256", 'b"%s" % sha256', "strong_and_quoted"),
    ("app/caching/conditional.py", 'return b"W/" + etag_of', "return etag_of", "a_version_is_weak"),
    ("app/caching/conditional.py", "repr(parts)", '"".join(map(str, parts))', "different_versions"),
    (
        "app/caching/conditional.py",
        'tag.removeprefix(b"W/") == wanted',
        "tag == wanted",
        "it_matches",
    ),
    (
        "app/caching/conditional.py",
        'lines[0].strip() == b"*"',
        'b"*" in lines[0]',
        "does_not_match",
    ),
    ("app/caching/conditional.py", "len(lines) == 1 and", "lines and", "star_among_other_lines"),
    (
        "app/caching/conditional.py",
        "    for line in lines:",
        '    for line in [b",".join(lines)]:',
        "go_on_in_the_next",
    ),
    (
        "app/caching/conditional.py",
        "    for line in lines:",
        "    for line in lines[:1]:",
        "several_lines",
    ),
    ("app/etags.py", '"[^"]*+"', '"[^",]*+"', "it_matches"),
    ("app/etags.py", "*+", "*", "hostile"),
    ("app/etags.py", "if required:", "if False:", "require_that_one_is_named"),
    ("app/etags.py", "etag_of(body) in named", "named", "version_than_the_one_named"),
    ("app/etags.py", 'self.lines == ["*"]', '"*" in self.lines', "version_than_the_one_named"),
    ("app/etags.py", "if named.isdisjoint(", "if named or (", "named_in_any_coding"),
    (
        "app/wiring/compression.py",
        "settings.level, mtime=0",
        "settings.level",
        "the_bytes_it_sends",
    ),
    (
        "app/items/routes.py",
        "    if_match.check(_read(item))\n",
        "",
        "of_two_changes_of_one_version",
    ),
    ("app/etags.py", "_MEMBER.match(", "_MEMBER.search(", "it_does_not_match"),
    (
        "app/caching/conditional.py",
        "if name in REPEATED",
        'if name != b"content-type"',
        "a_cache_goes_by",
    ),
    (
        "app/caching/conditional.py",
        'b"etag", b"expires"',
        'b"etag", b"set-cookie"',
        "a_cache_goes_by",
    ),
    (
        "app/caching/conditional.py",
        "tag if tag is not None and",
        "value if",
        "that_the_client_holds",
    ),
    (
        "app/caching/conditional.py",
        'not in ("GET", "HEAD")',
        'not in ("GET", "HEAD", "POST")',
        "another_method",
    ),
    ("app/caching/conditional.py", 'not in ("GET", "HEAD")', '!= "GET"', "at_no_expense"),
    (
        "app/caching/conditional.py",
        "headers.setdefault(",
        "headers.__setitem__(",
        "declare_its_own",
    ),
    (
        "app/caching/conditional.py",
        '", ".join(kept.getlist(name))',
        "kept[name]",
        "headers_of_the_200",
    ),
    (
        "app/caching/conditional.py",
        "not_modified_headers(headers.raw)",
        "headers.raw",
        "headers_of_the_200",
    ),
    ("app/caching/memo.py", "self._flights[key] = flight", "pass", "fifty_concurrent"),
    ("app/caching/memo.py", "monotonic() < kept[0]", "True", "then_renewed"),
    ("app/caching/memo.py", "monotonic() < kept[0]", "kept[1]", "none_is_a_value"),
    ("app/caching/memo.py", "tuple(sorted(kwargs.items())) if kwargs else ()", "()", "told_apart"),
    (
        "app/caching/memo.py",
        "asyncio.shield(flight.task)",
        "flight.task",
        "does_not_take_the_others",
    ),
    ("app/caching/memo.py", "if not flight.callers and", "if False and", "when_all_callers"),
    (
        "app/caching/memo.py",
        "self._flights.get(key) is flight",
        "self._flights.get(key) is not None",
        "while_a_cancelled_call",
    ),
    (
        "app/caching/memo.py",
        "                self._leave(key, flight)\n",
        "",
        "while_a_cancelled_call",
    ),
    ("app/caching/memo.py", "if not current or", "if", "before_it_was_forgotten"),
    (
        "app/caching/memo.py",
        "        self._flights.pop(key, None)\n",
        "",
        "before_it_was_forgotten",
    ),
    (
        "app/caching/memo.py",
        "self._values.move_to_end(key)\n            return",
        "return",
        "not_asked_for_longest",
    ),
    ("app/caching/memo.py", "> self._maxsize", "> 9999", "memory_is_bounded"),
    (
        "app/caching/memo.py",
        "if loop is not self._loop",
        "if self._loop is None",
        "another_event_loop",
    ),
    ("app/caching/memo.py", " or task.exception() is not None", "", "for_those_who_wait"),
    ("app/compression.py", 'message["status"] == 304', "False", "a_304_varies"),
]


# With the server that they are about: the database, and what the others have.
CONF = "gunicorn.conf.py"
CPUS = "app/cpus.py"
BUDGET = DATA + "worker_budget.py"
GUNICORN_FAULTS = [
    ("sqlite", CPUS, "ceil(int(quota)", "int(int(quota)", "a_quota_leaves_fewer_cores"),
    ("sqlite", CPUS, "if (now :=", "if False and (now :=", "a_quota_leaves_fewer_cores"),
    ("sqlite", CPUS, "elif (older", "elif False and (older", "a_quota_leaves_fewer_cores"),
    ("sqlite", CONF, "min(cpus(), most_workers())", "cpus()", "the_number_of_workers"),
    ("sqlite", CONF, 'os.environ.get("WEB_CONCURRENCY") or ', "", "the_number_of_workers"),
    ("sqlite", CONF, '"WEB_CONCURRENCY"] = ', '"WEB"] = ', "the_number_of_workers"),
    ("sqlite", CONF, '"timeout_graceful_shutdown": FINISH,', "", "finishes_before_it_is_killed"),
    ("sqlite", CONF, '"timeout_notify": 0.5,', "", "finishes_before_it_is_killed"),
    ("sqlite", CONF, '"access_log": False,', "", "finishes_before_it_is_killed"),
    ("sqlite", CONF, " if workers > 1 else 0", "", "alone_is_not_replaced"),
    ("sqlite", CONF, "\ntimeout = FINISH + 5", "\ntimeout = 30", "each_time_is_longer"),
    ("sqlite", CONF, "ceil(_settings.drain_seconds) + ", "", "each_time_is_longer"),
    ("sqlite", CONF, "keepalive = 75", "keepalive = 5", "each_time_is_longer"),
    ("sqlite", CONF, 'ALLOW_IPS") or "127.0.0.1"', 'ALLOW_IPS") or "*"', "known_proxies"),
    ("sqlite", CONF, "        configure_logging(_settings)\n", "", "own_messages"),
    ("sqlite", CONF, "worker_class = ServiceWorker", "", "gunicorn_takes_it"),
    ("postgresql", BUDGET, "settings.replicas * pools", "pools", "they_fit"),
    ("postgresql", BUDGET, " - settings.headroom", "", "they_fit"),
    ("postgresql", BUDGET, "max(1, asyncio.run(least()))", "asyncio.run(least())", "they_fit"),
    ("postgresql", BUDGET, "if settings.read_url is not None", "if False", "fit_the_replica"),
    ("postgresql", BUDGET, "except UnavailableError", "except KeyError", "does_not_answer"),
]


CACHING = "app/caching/"
LAYER = CACHING + "layer.py"
ANSWERS = CACHING + "answers.py"
POLICY = CACHING + "policies.py"
MEMORY = CACHING + "memory.py"
KEPT = "must_not_be_kept"
MORE = "depends_on_more"

CACHE_FAULTS = [
    ("sqlite", LAYER, "return key, credentials", "return key, False", "credentials"),
    (
        "sqlite",
        LAYER,
        "digest([key, repr(user)])",
        "key",
        "two_users",
    ),
    ("sqlite", LAYER, '("GET", "HEAD")', '("GET", "HEAD", "POST")', "other_methods_pass"),
    ("sqlite", ANSWERS, 'if start["status"] not in', "if 0 in", KEPT),
    ("sqlite", ANSWERS, 'case b"set-cookie":', 'case b"no-cookie":', KEPT),
    ("sqlite", POLICY, "or self.encodes(coding)", "or coding", "where_they_are_encoded"),
    ("sqlite", LAYER, "(known if len(header) < SHORT else encodes)", "known", "where_they_are_enc"),
    ("sqlite", ANSWERS, "[*entry.headers]", "entry.headers", "layer_adds"),
    ("sqlite", ANSWERS, "if pair[0] not in CONDITIONS", "", "taken_for_the_whole"),
    ("sqlite", ANSWERS, 'b"no-store" in value.lower()', "False", KEPT),
    ("sqlite", ANSWERS, "return not self._route.has_in_key(", "return not (", KEPT),
    ("sqlite", ANSWERS, " and len(body) <= self._limit", "", KEPT),
    ("sqlite", ANSWERS, 'not message.get("more_body") and ', "", "taken_for_the_whole"),
    ("sqlite", ANSWERS, '"method": "GET", "headers"', '"headers"', "a_head_is_a_get"),
    ("sqlite", ANSWERS, '{**scope, "method": "GET"} if', "scope if", "heads_at_once"),
    (
        "sqlite",
        ANSWERS,
        "if path_template(self._scope) != self._route.path",
        "if 0",
        "another_routes",
    ),
    ("sqlite", ANSWERS, "await self._made(None)", "pass", "keeps_nobody_waiting"),
    (
        "sqlite",
        LAYER,
        "await send_entry(entry, scope, send, age=False)",
        "pass",
        "when_it_is_whole",
    ),
    ("sqlite", LAYER, "age=not route.policy.max_age", "age=True", "count_from_now"),
    (
        "sqlite",
        "app/startup.py",
        'if scope["type"] == "lifespan"',
        "if False",
        "does_not_start_then",
    ),
    ("sqlite", LAYER, "except HTTPException", "except KeyError", "user_function_may_refuse"),
    ("sqlite", LAYER, "(key, found.generations or self.store.writes)", "key", "beats_a_fill"),
    ("sqlite", ANSWERS, "headers.append((b", "id((b", "an_answer_is_made_once"),
    ("sqlite", CACHING + "flights.py", "if name in self._flights", "if False", "50_misses"),
    ("sqlite", CACHING + "flights.py", "future.cancel()", "future.set_result(None)", "leaves"),
    ("sqlite", CACHING + "flights.py", "timeout=seconds", "timeout=None", "waits_for_ever"),
    ("sqlite", POLICY, " if one[0] in self._query", "", "named_query_and"),
    ("sqlite", POLICY, "named.sort(key=_name)", "pass", "named_query_and"),
    ("sqlite", ANSWERS, ', "query_string": query', "", "no_more_of_the_query"),
    ("sqlite", POLICY, "(annotation, *get_args(annotation))", "(annotation,)", "may_be_left_out"),
    ("sqlite", POLICY, "return str(value).lower()", "return str(value)", "choices_and_switches"),
    ("sqlite", POLICY, "str(len(values)), ", "", "however_many"),
    ("sqlite", POLICY, "(dashes and (by_name or validators))", "False", MORE),
    ("sqlite", POLICY, "if needed.own_oauth_scopes", "if False", MORE),
    ("sqlite", POLICY, ' or "+" in query', "", "as_fastapi_reads_it"),
    ("sqlite", POLICY, " if part)", ")", "as_fastapi_reads_it"),
    ("sqlite", POLICY, "if len(path) + len(query) < SHORT", "if True", "long_words"),
    (
        "sqlite",
        POLICY,
        "if errors or _written(value) != text",
        "if errors",
        "as_the_route_reads_it",
    ),
    ("sqlite", POLICY, "info.validation_alias or ", "", MORE),
    ("sqlite", POLICY, 'if config.get("extra") == "allow" or', "if", MORE),
    ("sqlite", POLICY, "if dependant.background_tasks_param_name", "if False", MORE),
    ("sqlite", POLICY, "_names(dependant.query_params) - self._query", "()", MORE),
    ("sqlite", POLICY, "headers - {*self.policy.headers}", "()", MORE),
    ("sqlite", POLICY, "_names(dependant.cookie_params)", "()", MORE),
    ("sqlite", POLICY, "if whole and", "if not whole and", MORE),
    ("sqlite", POLICY, "if needed.call not in known", "if False", MORE),
    ("sqlite", POLICY, "isinstance(needed.call, SecurityBase)", "True", MORE),
    ("sqlite", POLICY, "uniform(0.9, 1)", "1", "does_not_end_at_once"),
    ("sqlite", MEMORY, "if made < changed", "if False", "its_tags_stale"),
    ("sqlite", MEMORY, "if time() >= ", "if 0 >= ", "an_entry_ends"),
    ("sqlite", MEMORY, "if len(self._changed) > MAX_TAGS", "if False", "for_ever"),
    ("sqlite", MEMORY, "self._forgotten = self.writes", "pass", "for_ever"),
    ("sqlite", MEMORY, "or 1) > 1:", "or 1) > 9:", "what_that_means"),
    ("sqlite", MEMORY, " is not None and not reloads", " is not None", "what_that_means"),
    ("sqlite", MEMORY, "parent_process() is not None and", "False and", "what_that_means"),
    (
        "sqlite",
        CACHING + "invalidation.py",
        "changed.update(",
        "changed.isdisjoint(",
        "change_is_seen",
    ),
    ("sqlite", CACHING + "invalidation.py", "if not state.is_select", "if False", "bulk_statement"),
    ("sqlite", DATA + "writes.py", "await call(given)", "pass", "change_is_seen"),
    (
        "sqlite",
        DATA + "writes.py",
        "                session.info[_COMMITTED] = True",
        "",
        "hears_of_every_commit",
    ),
    (
        "sqlite",
        DATA + "writes.py",
        "if not session.in_nested_transaction()",
        "if True",
        "hears_of_every_commit",
    ),
    (
        "sqlite",
        DATA + "writes.py",
        'event.listen(self.sessions, "after_commit", _note_commit)',
        "",
        "hears_of_every_commit",
    ),
    ("sqlite", MEMORY, "self._entries.get(key, (0, None))[0] <= made", "True", "newer_entrys"),
    ("sqlite", MEMORY, " + HEADER * len(entry.headers)", "", "headers_are_counted"),
    ("sqlite", "app/items/cache.py", '["items", f"item:{changed.id}"]', '["items"]', "change_is"),
    ("sqlite", CACHING + "cache.py", 'rglob("cache.py")', 'rglob("no.py")', "second_answer_costs"),
    ("sqlite", LAYER, "self.encodes = _remembered(encodes)", "pass", "vary_by_encoding"),
    ("sqlite", LAYER, '("route", "fastapi", "endpoint")', '("route", "fastapi")', "routing_found"),
    ("sqlite", POLICY, 'frozenset({b"age", ', "frozenset({", "or_its_connection"),
    ("sqlite", POLICY, 'b"connection", ', "", "or_its_connection"),
]

REDIS = CACHING + "redis.py"
CONNECTION = CACHING + "connection.py"

REDIS_FAULTS = [
    ("sqlite", REDIS, "if self._settling is settling", "if True", "is_told_that_redis_refused"),
    ("sqlite", LAYER, "or self.store.writes", "or 0", "what_began_before_a_write"),
    ("sqlite", REDIS, "if made_of != generations", "if False", "seen_by_every_worker"),
    ("sqlite", REDIS, 'token, "NX", "GET"', 'token, "GET"', "one_worker_at_a_time"),
    ("sqlite", REDIS, "if holder is not None", "if False", "one_worker_at_a_time"),
    ("sqlite", REDIS, 'call("DEL"', 'call("EXISTS"', "cannot_be_told_is_deleted"),
    (
        "sqlite",
        REDIS,
        "self._renew_later(lock, token, until)\n        return",
        "return",
        "is_renewed",
    ),
    ("sqlite", REDIS, "min(LEASE, until", "min(9, until", "worker_that_was_killed"),
    (
        "sqlite",
        CONNECTION,
        "self._refused[command] = monotonic() + PAUSE\n\n    def _send",
        "\n    def _send",
        "was_refused_is_left_alone",
    ),
    (
        "sqlite",
        CONNECTION,
        'logger.warning("Redis refuses',
        'logger.debug("',
        "was_refused_is_left",
    ),
    ("sqlite", CONNECTION, "del self._refused[command]", "pass", "was_refused_is_left_alone"),
    (
        "sqlite",
        REDIS,
        "call.add_done_callback(lambda _: self._start(self._give_back({(lock, token)})))",
        "pass",
        "who_leaves_while_asking",
    ),
    (
        "sqlite",
        REDIS,
        "await asyncio.shield(self._start(self._tell(tags)))",
        "await self._tell(tags)",
        "whose_client_leaves",
    ),
    ("sqlite", CONNECTION, "if isinstance(reply, HiredisError)", "if False", "that_call_alone"),
    (
        "sqlite",
        CONNECTION,
        "self._unsent.setdefault(words, []).append(answer)",
        "self._unsent.setdefault(words, []).append(answer)\n        self._send()",
        "is_sent_at_once",
    ),
    ("sqlite", CONNECTION, ">= oldest + self._timeout", "< 0", "falls_silent"),
    ("sqlite", LAYER, "fill.token != holder or", "", "one_worker_after_another"),
    ("sqlite", CONNECTION, "if not self.may_try()", "if False", "miss_and_quickly"),
    ("sqlite", CONNECTION, "if not answer.done():\n                        ", "", "who_leaves"),
    ("sqlite", CONNECTION, "(HiredisError, IndexError)", "KeyError", "does_not_speak"),
    ("sqlite", CONNECTION, "except Exception", "except OSError", "nobody_waits"),
    ("sqlite", CONNECTION, "        self._link = None\n        if", "        if", "opened_again"),
    (
        "sqlite",
        CONNECTION,
        "asyncio.timeout(self._timeout)",
        "asyncio.timeout(600)",
        "waited_for_once",
    ),
    (
        "sqlite",
        LAYER,
        "        return fill.found.entry\n",
        "        return None\n",
        "looks_again or between_look_up_and_right",
    ),
    (
        "sqlite",
        LAYER,
        "if fill.mine and fill.found.entry is None",
        "if fill.mine",
        "between_look_up_and_right",
    ),
    ("sqlite", LAYER, "if fill.found.stale", "if False", "beats_a_fill"),
    (
        "sqlite",
        REDIS,
        "found = await self._found(looked_up, len(tags))",
        "found = Found(None, tuple(None for _ in tags))",
        "next_to_another_is_kept",
    ),
    ("sqlite", REDIS, "== ARGV[1] then", "~= '' then", "gives_nothing_back"),
    ("sqlite", REDIS, "{RELEASE}:", "code:", "another_release"),
    ("sqlite", CONNECTION, "self._reachable or now >=", "True or 0 >", "miss_and_quickly"),
    ("sqlite", REDIS, "self._unsure |= rights", "pass", "gave_unheard"),
    ("sqlite", REDIS, "self._not_sure({(lock", "print({(lock", "gave_unheard"),
    ("sqlite", REDIS, "self._owed.update(tags)", "pass", "told_once_it_is_back"),
    ("sqlite", REDIS, "self._start(self._keep_telling())", "None", "when_nobody_asks"),
    (
        "sqlite",
        POLICY,
        'scope["path"].removeprefix(scope.get("root_path", ""))',
        'scope["path"]',
        "prefix_that_the_server_knows",
    ),
    (
        "sqlite",
        "app/hot.py",
        'scope["path"].removeprefix(scope.get("root_path", ""))',
        'scope["path"]',
        "prefix_that_the_server_knows",
    ),
    ("sqlite", REDIS, "(ValueError, TypeError, AttributeError)", "KeyError", "no_entry_is_a_miss"),
    ("sqlite", REDIS, 'fill.token, "NX", "GET"', 'fill.token, "GET"', "another_workers_fill"),
    ("sqlite", REDIS, "and generation.startswith(FILLED)", "", "another_workers_fill"),
    ("sqlite", REDIS, "return generation if", "return fill.token if", "made_at_once"),
    ("sqlite", REDIS, "self._redis.try_now()", "pass", "told_as_the_service_stops"),
    ("sqlite", REDIS, "repr((url.host, url.port, url.database))", '""', "its_database"),
    ("sqlite", REDIS, 'name, kept, "PX", milliseconds', "name, kept", "ends"),
    ("sqlite", REDIS, 'generation, "EX", TAG_SECONDS) for', "generation) for", "end_by_themselves"),
    ("sqlite", CONNECTION, ", driver_info=DRIVER", "", "answers_find_who_has_asked"),
    ("sqlite", CONNECTION, "str(reply).startswith(NOT_NOW)", "False", "not_to_be_asked_now"),
    ("sqlite", CONNECTION, "except (ValueError, TypeError)", "except KeyError", "cannot_be_sent"),
    (
        "sqlite",
        CONNECTION,
        "        self._fail_unsent()\n\n    def _tries",
        "\n    def _tries",
        "is_closed",
    ),
]

OUTBOUND = "app/outbound.py"

OUTBOUND_FAULTS = [
    ("sqlite", OUTBOUND, "if len(body) > self._max_bytes", "if False", "too_large_an_answer"),
    ("sqlite", OUTBOUND, "async with places:", "if True:", "no_more_than_that_at_once"),
    (
        "sqlite",
        OUTBOUND,
        "async with asyncio.TaskGroup() as group:\n"
        "            tasks = [group.create_task(one(argument)) for argument in arguments]",
        "tasks = [asyncio.ensure_future(one(argument)) for argument in arguments]\n"
        "        await asyncio.gather(*tasks)",
        "cancels_the_rest",
    ),
    (
        "sqlite",
        OUTBOUND,
        "raise failed.exceptions[0] from None",
        "raise",
        "one_that_fails_cancels_the_rest",
    ),
    ("sqlite", OUTBOUND, "async with self.gate, asyncio", "async with asyncio", "200_requests"),
    ("sqlite", OUTBOUND, ", asyncio.timeout(self._seconds)", "", "comes_in_drops"),
    (
        "sqlite",
        OUTBOUND,
        "self.gate = Gate(settings.connections, queue=settings.queue, timeout=settings.pool_timeout)",
        'gates = vars(client).setdefault("gates", [])\n'
        "        gates.append(Gate(settings.connections, queue=500, timeout=9))\n"
        "        self.gate = gates[0]",
        "takes_none_from_the_others",
    ),
    ("sqlite", OUTBOUND, "queue=settings.queue", "queue=500", "told_to_come_back"),
    (
        "sqlite",
        OUTBOUND,
        "self._client.stream(",
        "AsyncClient().stream(",
        "they_are_kept or with_the_next",
    ),
    ("sqlite", OUTBOUND, "DefaultCookiePolicy(allowed_domains=[])", "", "with_the_next"),
    ("sqlite", OUTBOUND, "follow_redirects=False", "follow_redirects=True", "not_followed"),
    (
        "sqlite",
        OUTBOUND,
        "self._attempts if method in IDEMPOTENT else 1",
        "self._attempts",
        "a_post_is_not",
    ),
    ("sqlite", OUTBOUND, "if response.status_code == 503 and", "if False and", "a_get_is_tried"),
    ("sqlite", OUTBOUND, "RemoteProtocolError, _Busy", "_Busy", "a_get_is_tried"),
    ("sqlite", OUTBOUND, "_PASSING = (", "_PASSING = (TimeoutException, ", "is_not_asked_again"),
    (
        "sqlite",
        OUTBOUND,
        "if response.status_code == 503 and",
        "if response.status_code >= 500 and",
        "may_have_been_done",
    ),
    ("sqlite", OUTBOUND, "accept=(404,), ", "", "a_model_or_nothing"),
    ("sqlite", OUTBOUND, "raise_for_status()", "read()", "one_that_fails_cancels_the_rest"),
    ("sqlite", OUTBOUND, "except ValidationError", "except KeyError", "another_one_is_a_502"),
    ("sqlite", OUTBOUND, "setLevel(logging.WARNING)", "disabled", "no_word_of_what"),
    ("sqlite", OUTBOUND, 'str(entry["loc"])', "str(entry)", "no_word_of_what"),
    (
        "sqlite",
        OUTBOUND,
        "raise _BusyUpstreamError",
        "response.raise_for_status()",
        "no_word_of_what or a_get_is_tried",
    ),
    ("sqlite", OUTBOUND, 'f"status {error.response.status_code}"', "str(error)", "no_word_of_what"),
    ("sqlite", OUTBOUND, "ERRORS.add(self.name)", "pass", "cancels_the_rest"),
    (
        "sqlite",
        "app/observability/context.py",
        "max(start, last)",
        "start",
        "their_time_is_counted_once",
    ),
    (
        "sqlite",
        "app/items/suppliers.py",
        "    if await queries.get(reads, item_id) is None:\n",
        "    await reads.gate.enter()\n    if False:\n",
        "no_connection_of_the_database",
    ),
    (
        "sqlite",
        "app/items/suppliers.py",
        "if await queries.get(reads, item_id) is None",
        "if False",
        "item_that_is_not_there",
    ),
]

POOL, WORK = "app/process_pool.py", "app/process_work.py"

PROCESS_POOL_FAULTS = [
    (
        "sqlite",
        POOL,
        "return await asyncio.wrap_future(work)",
        "work.cancel()\n            return await asyncio.to_thread(function, *args, **kwargs)",
        "others_are_answered",
    ),
    (
        "sqlite",
        POOL,
        "return await asyncio.wrap_future(work)",
        "work.cancel()\n            return function(*args, **kwargs)",
        "others_are_answered",
    ),
    ("sqlite", POOL, "        warm_up(executor, self.workers)\n", "", "there_from_the_start"),
    ("sqlite", POOL, "await self._replace(executor)", "pass", "is_replaced"),
    ("sqlite", POOL, "except BrokenProcessPool", "except KeyError", "is_replaced"),
    ("sqlite", POOL, "queue=settings.queue", "queue=500", "told_to_come_back"),
    (
        "sqlite",
        POOL,
        "work.add_done_callback(lambda _: loop.call_soon_threadsafe(self.gate.leave))",
        "loop.call_soon(self.gate.leave)",
        "taken_until_it_is_done",
    ),
    ("sqlite", POOL, "cpus() // self._servers", "cpus()", "number_of_processes"),
    ("sqlite", WORK, "signal.ITIMER_REAL, seconds", "signal.ITIMER_REAL, 0", "and_stops"),
    ("sqlite", WORK, "signal.ITIMER_REAL, 0)", "signal.ITIMER_REAL, seconds)", "nothing_to_do"),
    ("sqlite", WORK, "OutOfTimeError(BaseException)", "OutOfTimeError(Exception)", "and_stops"),
    ("sqlite", WORK, "service.join()", "return", "leaves_no_process"),
    ("sqlite", "app/items/similarity.py", "matcher.ratio()", "-matcher.ratio()", "most_similar"),
]

CLAIMS, ATTEMPT, RUNNER = "app/jobs/claims.py", "app/jobs/attempt.py", "app/jobs/runner.py"
SWEEP, PUBLISHER = "app/jobs/sweep.py", "app/tasks/publisher.py"
FREED = "dies_while_it_sweeps"

TASKS_FAULTS = [
    (
        "sqlite",
        "app/tasks/celery.py",
        "except ValidationError",
        "except KeyError",
        "settings_of_a_part_are_refused",
    ),
    ("sqlite", CLAIMS, "Job.id == job_id, free", "Job.id == job_id", "claim_is_exclusive"),
    ("sqlite", CLAIMS, "Job.run_at <= moment", "True", "not_due"),
    ("sqlite", CLAIMS, "Job.attempts == 0, ", "", "whatever_the_clock"),
    ("sqlite", CLAIMS, "Job.lease_until < moment", "False", "is_anybodys"),
    ("sqlite", CLAIMS, "Job.lease_until < moment", "True", "is_anybodys"),
    ("sqlite", CLAIMS, "Job.token == self.token, ", "", "lost_the_lease or renewed_and_lost"),
    ("sqlite", CLAIMS, '"published_at": None}', "}", "tried_again_later"),
    ("sqlite", CLAIMS, "            progress=0.0,\n", "", "begins_anew"),
    ("sqlite", ATTEMPT, "self.session.flush()", "self.session.commit()", "one_transaction"),
    ("sqlite", ATTEMPT, "        self._database.commit", "        #", "one_transaction"),
    ("sqlite", ATTEMPT, "while not ended.wait(lease / 3)", "while False", "lease_is_renewed"),
    ("sqlite", ATTEMPT, "if monotonic() > self._until", "if False", "takes_too_long"),
    ("sqlite", ATTEMPT, "raise RuntimeError(", "return print(", "told_while_it_writes"),
    ("sqlite", RUNNER, "type(error).__name__", "repr(error)", "tells_no_values"),
    ("sqlite", RUNNER, "_random.uniform(0, ", "max(0, ", "do_not_come_back_together"),
    ("sqlite", RUNNER, "* 2.0 **", "* 1.0 **", "do_not_come_back_together"),
    ("sqlite", RUNNER, "bound, self.settings.backoff_max", "bound, 9e9", "come_back_together"),
    ("sqlite", RUNNER, "claim.attempt < kind.attempts", "True", "in_the_end_has_failed"),
    ("sqlite", RUNNER, "not error.again", "False", "is_useless"),
    ("sqlite", RUNNER, "claim.attempt > kind.attempts", "False", "can_never_run"),
    ("sqlite", RUNNER, "current_request.set(about)", "current_request.set(None)", "requests_id"),
    ("sqlite", SWEEP, "        _free(connection, moment)\n", "", FREED),
    ("sqlite", SWEEP, '"lease_until": None, "published_at": None', '"lease_until": None', FREED),
    ("sqlite", SWEEP, "found |= {row.id:", "found |= {object():", "two_reasons"),
    ("sqlite", SWEEP, "Job.published_at < moment - patience", "True", "not_what_waits"),
    ("sqlite", SWEEP, "Job.published_at < moment - patience", "False", "not_what_waits"),
    ("sqlite", SWEEP, "Job.published_at.is_(None), Job.run_at", "Job.run_at", "not_what_waits"),
    ("sqlite", SWEEP, "Job.run_at <= moment - GRACE", "True", "not_what_waits"),
    ("sqlite", SWEEP, "Job.lease_until < moment)", "True)", "not_what_waits"),
    ("sqlite", SWEEP, "filter(is_empty, QUEUES)", "()", "queue_is_empty"),
    ("sqlite", SWEEP, "Job.published_at < moment - ON_ITS_WAY", "True", "queue_is_empty"),
    ("sqlite", SWEEP, '(1 + waiting["jobs"] / 1000)', "1", "longer_the_patience"),
    (
        "sqlite",
        SWEEP,
        "published.append((job_id, attempts))",
        "published += [(one, number) for one, number, _ in found]",
        "does_not_take_stays",
    ),
    ("sqlite", SWEEP, "tuple_(Job.id, Job.attempts).in_(jobs)", "True", "has_failed_meanwhile"),
    ("sqlite", SWEEP, "list(found.values())[:BATCH]", "[*found.values()]", "a_run_is_bounded"),
    ("sqlite", SWEEP, "Job.finished_at < now()", "Job.id > 0 * now()", "finished_long_ago"),
    ("sqlite", "app/database/sync_sqlite.py", "BEGIN IMMEDIATE", "BEGIN", "others_way"),
    (
        "sqlite",
        "app/jobs/routes.py",
        "raise RequestValidationError(places) from None",
        "raise ProblemError(422, str(error)) from None",
        "not_a_job",
    ),
    ("sqlite", "app/jobs/routes.py", " and kind.public", "", "only_where_it_says_so"),
    ("sqlite", "app/jobs/routes.py", '_public(row["kind"]) is None', "False", "where_it_says_so"),
    ("sqlite", "app/jobs/kinds.py", "public: bool = False", "public: bool = True", "says_so"),
    ("sqlite", PUBLISHER, "self._line.put_nowait((job", "self._line.put((job", "full_queue"),
    (
        "sqlite",
        PUBLISHER,
        "tell_published(database, [(job_id, 0) for job_id in sent])",
        "pass",
        "handed_over_and_noted",
    ),
    ("sqlite", PUBLISHER, "monotonic() >= self._try_again", "True", "left_alone"),
    (
        "sqlite",
        PUBLISHER,
        "thread.join(2 * self._settings.publish_timeout + 1)",
        "thread.join()",
        "does_not_hold",
    ),
    ("sqlite", "app/tasks/broker_redis.py", '"socket_timeout": timeout, ', "", "as_long_as_it_may"),
    (
        "sqlite",
        "app/tasks/broker_redis.py",
        "settings.hard_limit * 2 + 60",
        "60",
        "outlives_its_worker",
    ),
    ("sqlite", "app/tasks/broker.py", "task_acks_late=True", "task_acks_late=False", "outlives"),
    ("sqlite", "app/tasks/embedded.py", "not self._settings.may_embed", "False", "say_so"),
    ("sqlite", "app/tasks/celery.py", "requeue=True", "requeue=False", "leaves_the_message"),
    ("sqlite", "app/tasks/broker_redis.py", "    QoS = _QoS\n", "", "is_not_answered"),
    ("sqlite", "app/tasks/broker_redis.py", "self._quick_ack(", "str(", "its_place_back"),
    ("sqlite", "app/tasks/broker_redis.py", '"socket_timeout": TIMEOUT,', "", "is_not_answered"),
    (
        "sqlite",
        "app/observability/counts.py",
        "with self._lock:\n            self._new",
        "if 1:\n            self._new",
        "another_thread",
    ),
    (
        "sqlite",
        "app/tasks/embedded.py",
        "except (Exception, SystemExit):",
        "except Exception:",
        "ends_nothing",
    ),
    ("sqlite", "app/tasks/embedded.py", "self._sweep(runner)", "pass", "told_of_is_found"),
    (
        "sqlite",
        "app/tasks/embedded.py",
        "            runner.run(job_id)",
        "            pass",
        "to_its_end",
    ),
    ("sqlite", "app/jobs/settings.py", "if None in modules", "if False", "broker_is_refused"),
    ("sqlite", "app/url_parameters.py", "if set(", "if 0 and set(", "not_quoted"),
    ("sqlite", "app/tasks/liveness.py", "self.runs and ", "", "stands_still"),
    ("sqlite", "app/tasks/liveness.py", 'os.environ.get("TASKS_', 'str("" and "', "of_its_own"),
    ("sqlite", "app/tasks/parts/metrics.py", "except OSError", "except KeyError", "port_is_taken"),
    ("sqlite", "app/tasks/celery.py", "    liveness.watch(app)\n", "", "port_is_taken"),
    (
        "sqlite",
        "app/tasks/celery.py",
        "    check_database()\n    live",
        "    live",
        "refuses_the_url",
    ),
    ("sqlite", "app/tasks/celery.py", " and not judge(error).passes", "", "leaves_the_message"),
    ("sqlite", "app/tasks/liveness.py", "loop.runs = True", "pass", "when_the_loop_runs"),
    ("sqlite", "app/tasks/liveness.py", "self.timer is not None", "True", "when_the_loop_runs"),
    (
        "sqlite",
        "app/tasks/exporter.py",
        "func.count(case((_waiting, 1)))",
        "func.count()",
        "queue_is_counted",
    ),
    ("sqlite", "app/tasks/exporter.py", ", (_lost, Job.lease_until)", "", "lost_its_worker"),
    (
        "sqlite",
        "app/items/work.py",
        'row["quantity"] >= arguments.minimum',
        "True",
        "through_all_items",
    ),
    ("sqlite", "app/items/work.py", "last=last, ", "last=0, ", "through_all_items"),
]

CONSUMER = "app/tasks/consumer.py"

TASKS_FAULTS += [
    (
        "sqlite",
        "app/tasks/broker_redis.py",
        "if self.connection is None or",
        "if",
        "outlives_the_loss",
    ),
    ("sqlite", CONSUMER, "interval_max=LONGEST", "interval_max=30", "within_seconds"),
    ("sqlite", CONSUMER, 'if "delayed_delivery" not in step', "", "nobody_uses"),
    (
        "sqlite",
        "app/tasks/broker.py",
        '        worker_consumer="app.tasks.consumer:Consumer",\n',
        "",
        "within_seconds",
    ),
    ("sqlite", "app/tasks/broker.py", '"queue": SWEEPS, ', '"queue": "quick", ', "behind_jobs"),
]

TASKS_FAULTS += [
    (database, path, old, new, test)
    for database in ("postgresql", "mysql")
    for path, old, new, test in (
        (CLAIMS, "Job.id == job_id, free", "Job.id == job_id", "claim_is_exclusive"),
        (ATTEMPT, "self.session.flush()", "self.session.commit()", "one_transaction"),
        (CLAIMS, "Job.token == self.token, ", "", "lost_the_lease or renewed_and_lost"),
    )
]

TASKS_CACHE_FAULTS = [
    (
        "sqlite",
        "app/tasks/parts/caching.py",
        "    runner.database.after_commit.append(after_commit)\n",
        "",
        "told_to_all",
    ),
    ("sqlite", "app/tasks/parts/caching.py", "except RedisError", "except KeyError", "told_to_all"),
]

Fault = tuple[str, str, str, str, str]


def _faults() -> Iterator[Fault]:
    own = {f"{name}{end}": name for name in DATABASES for end in (".py", "_errors.py")}
    for fault in DATA_FAULTS:
        name = fault[0].rpartition("/")[2]
        for database in DATABASES:
            if own.get(name, database) == database and not (
                (name == "core_reads.py" and database == "postgresql")
                or (name == "asyncpg_reads.py" and database != "postgresql")
                # There one transaction at a time may write, whatever it locks.
                or (fault[1] == "with_for_update=True" and database == "sqlite")
                or (
                    name in ("budget.py", "replica.py", "connections.py", "verdicts.py")
                    and database == "sqlite"
                )
            ):
                yield database, *fault
    for fault in FAULTS:
        yield "sqlite", *fault
    yield from MIGRATION_FAULTS
    yield from GUNICORN_FAULTS
    yield from CACHE_FAULTS
    yield from REDIS_FAULTS
    yield from OUTBOUND_FAULTS
    yield from PROCESS_POOL_FAULTS
    yield from TASKS_FAULTS
    yield from TASKS_CACHE_FAULTS


def _answers(fault: Fault) -> Answers:
    answers: Answers = {"preset": "standard", "database": fault[0]}
    if fault in GUNICORN_FAULTS:
        answers["server"] = "gunicorn"
    if fault in REDIS_FAULTS:
        answers["cache"] = "redis"
    if fault in OUTBOUND_FAULTS:
        answers["outbound"] = True
    if fault in PROCESS_POOL_FAULTS:
        answers["process_pool"] = True
    if fault in TASKS_FAULTS or fault in TASKS_CACHE_FAULTS:
        answers["tasks"] = "celery"
    if fault in TASKS_CACHE_FAULTS:
        answers["cache"] = "redis"
    return answers


MakeUrls = Callable[[Answers], dict[str, str]]


@pytest.fixture
def servers_of(database_url: MakeUrl, redis_url: Callable[[str], str]) -> MakeUrls:
    """Return where a project's tests find the servers that it needs, all emptied."""

    def make(answers: Answers) -> dict[str, str]:
        urls = {"TEST_DATABASE_URL": database_url(str(answers.get("database", "sqlite")))}
        if answers.get("cache") == "redis":
            urls["TEST_REDIS_URL"] = redis_url("15")
        return urls

    return make


@pytest.fixture
def copy(rendered: Render, tmp_path: Path) -> Callable[[Answers], Path]:
    """Copy a project's sources: bytecode from before a fault must not stand for what follows it."""

    def make(answers: Answers) -> Path:
        ignore = shutil.ignore_patterns("__pycache__")
        return shutil.copytree(rendered(**answers), tmp_path / "shop", ignore=ignore)

    return make


@pytest.mark.parametrize("fault", list(_faults()), ids=lambda it: f"{it[0]}-{it[1]}-{it[4]}")
def test_a_broken_pattern_fails_its_proof(
    copy: Callable[[Answers], Path],
    run_tests: RunTests,
    servers_of: MakeUrls,
    fault: Fault,
) -> None:
    _, path, old, new, test = fault
    project = copy(_answers(fault))
    text = (project / path).read_text("utf-8")
    assert old in text
    (project / path).write_text(text.replace(old, new), "utf-8")

    done = run_tests(project, "-x", "-k", test, **servers_of(_answers(fault)))

    failed = re.findall(r"^FAILED (tests/.*?)(?: - |$)", done.stdout, re.MULTILINE)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout[-5000:]
    assert any(name in one for one in failed for name in test.split(" or ")), done.stdout[-5000:]


@pytest.mark.parametrize(
    "answers",
    {name_of(answers): answers for answers in map(_answers, _faults())}.values(),
    ids=name_of,
)
def test_without_a_fault_the_proofs_pass(
    copy: Callable[[Answers], Path],
    run_tests: RunTests,
    servers_of: MakeUrls,
    answers: Answers,
) -> None:
    """What the faults are tried with tells a project that is whole from a broken one."""
    tests = " or ".join(fault[4] for fault in _faults() if _answers(fault) == answers)

    done = run_tests(copy(answers), "-rpfE", "-k", tests, **servers_of(answers))

    assert done.returncode == pytest.ExitCode.OK, done.stdout[-5000:]
    passed = re.findall(r"^PASSED (tests/.*)", done.stdout, re.MULTILINE)
    for name in tests.split(" or "):
        assert any(name in one for one in passed), f"no test {name}"
