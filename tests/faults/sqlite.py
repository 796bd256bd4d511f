"""Faults of the data layer on SQLite."""

from fastperf_new.questions import Answers
from tests.faults.fault import Databases, Fault

ANSWERS: Answers = {}
DATABASES: Databases = ("sqlite",)
FAULTS = [
    Fault(
        "app/database/sqlite.py",
        "hide_parameters=True,\n        connect_args",
        "connect_args",
        "tell_values",
    ),
    Fault(
        "app/database/sqlite.py",
        (
            "read_pool,\n        max_overflow=0,\n        pool_timeout=settings.timeout,\n        hide_parameters=True,"
        ),
        ("read_pool,\n        max_overflow=0,\n        pool_timeout=settings.timeout,"),
        "error_of_a_read_tells_no_values",
    ),
    Fault(
        "app/database/sqlite_errors.py",
        "{error} ({name})",
        "{error}",
        "names_its_constraint_and_no_value",
    ),
    Fault("app/database/sqlite_errors.py", "if refers or ", "if ", "is_a_conflict"),
    Fault("app/database/sqlite.py", "BEGIN IMMEDIATE", "BEGIN", "increments_of_another_process"),
    Fault(
        "app/database/sqlite.py",
        "journal_mode = WAL",
        "journal_mode = DELETE",
        "do_not_wait_for_each_other",
    ),
    Fault(
        "app/database/sqlite.py",
        "await connector.ended(settings.timeout)",
        "pass",
        "no_thread_outlives",
    ),
    Fault(
        "app/database/sqlite.py", "opening.add_done_callback(_close)", "pass", "no_thread_outlives"
    ),
    Fault(
        "app/database/sqlite.py",
        "query_only = ON",
        "query_only = OFF",
        "test_the_read_road_cannot_write",
    ),
    Fault(
        "app/database/sqlite.py",
        "skip_autocommit_rollback=True,",
        "",
        "test_a_read_is_one_round_trip",
    ),
    Fault(
        "app/database/sqlite.py",
        "'ON' if foreign_keys else",
        "",
        "commit_that_the_database_refuses",
    ),
    Fault(
        "app/database/sqlite.py", "value.replace(tzinfo=UTC)", "value", "both_roads_give_equal_rows"
    ),
    Fault(
        "app/database/sqlite.py", "value.astimezone(UTC)", "value", "test_datetimes_are_kept_in_utc"
    ),
    Fault(
        "app/database/sqlite_errors.py",
        "BUSY: Verdict.AGAIN",
        "BUSY: Verdict.BUG",
        "for_another_process",
    ),
    Fault(
        "app/database/sqlite_errors.py",
        "OPEN: Verdict.GONE",
        "OPEN: Verdict.BUG",
        "live_but_not_ready",
    ),
    Fault("app/database/sqlite.py", "if not driver or", "if not driver and", "another_kind_of_url"),
    Fault(
        "app/database/sqlite.py",
        "Connector(), foreign_keys=False",
        "Connector()",
        "keeps_the_rows_that_refer_to_it",
    ),
    Fault(
        "app/database/sqlite_errors.py", "IOERR: Verdict.FULL", "IOERR: Verdict.BUG", "a_full_disk"
    ),
    Fault("app/database/sqlite_errors.py", "code & 0xFF", "code", "a_full_disk"),
    Fault(
        "app/database/sqlite.py",
        ", tell_conflict, _write_a_little)",
        ", tell_conflict)",
        "a_full_disk",
    ),
    Fault("app/database/sqlite.py", "default=4, ge=1", "default=4", "makes_no_sense"),
    Fault(
        "app/database/sqlite_errors.py",
        "isinstance(error, UNSENDABLE)",
        "False",
        "half_a_character",
    ),
]
