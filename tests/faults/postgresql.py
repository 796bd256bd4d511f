"""Faults of the data layer on PostgreSQL."""

from fastperf_new.questions import Answers
from tests.faults.fault import Databases, Fault

ANSWERS: Answers = {}
DATABASES: Databases = ("postgresql",)
FAULTS = [
    Fault(
        "app/database/postgresql.py", "hide_parameters=True", "hide_parameters=False", "tell_values"
    ),
    Fault(
        "app/database/postgresql_errors.py",
        "error.constraint_name",
        "None",
        "names_its_constraint_and_no_value",
    ),
    Fault(
        "app/database/postgresql_errors.py",
        "{error.args[0]} (",
        "{error} (",
        "names_its_constraint_and_no_value",
    ),
    Fault(
        "app/database/postgresql_errors.py",
        "startswith(_NAMING)",
        "startswith('')",
        "error_of_a_value",
    ),
    Fault("app/database/postgresql_errors.py", '.partition(":")[0]', "", "one_of_the_drivers_own"),
    Fault("app/database/postgresql_errors.py", '"40", "42", ', '"40", ', "error_of_the_schema"),
    Fault("app/database/postgresql_errors.py", '"23503", ', "", "is_a_conflict"),
    Fault(
        "app/database/postgresql.py",
        '"default_transaction_read_only": "on"',
        "",
        "test_the_read_road_cannot_write",
    ),
    Fault(
        "app/database/postgresql.py",
        "encoder=str, decoder=loads",
        "encoder=str, decoder=str",
        "both_roads_give_equal_rows",
    ),
    Fault(
        "app/database/postgresql.py",
        "value is not None and value.tzinfo is None",
        "False",
        "without_a_zone",
    ),
    Fault(
        "app/database/postgresql.py",
        'drivername == "postgresql+asyncpg"',
        "drivername",
        "another_kind_of_url",
    ),
    Fault("app/database/postgresql.py", "    check_after_idling(engine)\n", "", "broke_while_idle"),
    Fault(
        "app/database/postgresql.py", "if not is_first:", "if True:", "first_statement_runs_again"
    ),
    Fault(
        "app/database/postgresql.py", "if not is_first:", "if False:", "a_later_one_has_the_request"
    ),
    Fault(
        "app/database/postgresql_errors.py",
        "isinstance(error.__cause__, asyncpg.PostgresError)",
        "False",
        "commit_without_an_answer",
    ),
    Fault(
        "app/database/postgresql_errors.py",
        '"40": Verdict.AGAIN',
        '"40": Verdict.BUG',
        "pass_later",
    ),
    Fault(
        "app/database/asyncpg_reads.py", "            self.renew()\n", "", "finds_all_that_are_dead"
    ),
    Fault(
        "app/database/asyncpg_reads.py",
        "asyncio.timeout(PING)",
        "asyncio.timeout(99)",
        "fail_the_probe",
    ),
    Fault(
        "app/database/postgresql.py",
        "any_(bindparam(name, type_=ARRAY(column.type)))",
        "bindparam(name)",
        "any_of_takes",
    ),
    Fault(
        "app/database/asyncpg_reads.py",
        "if process is None else process(parameters[name])",
        "",
        "both_roads_give_equal_rows or can_be_a_parameter",
    ),
    Fault(
        "app/database/asyncpg_reads.py",
        "row[name] = process(row[name])",
        "pass",
        "both_roads_give_equal_rows",
    ),
    Fault(
        "app/database/asyncpg_reads.py",
        "self._defaults | parameters",
        "parameters",
        "a_value_in_the_statement",
    ),
    Fault(
        "app/database/asyncpg_reads.py",
        "if compiled.post_compile_params",
        "if False",
        "cannot_be_compiled_ahead",
    ),
    Fault("app/database/asyncpg_reads.py", "if len(rows) > 1", "if len(rows) > 9", "more_than_one"),
    Fault(
        "app/database/asyncpg_reads.py",
        "self._idle.append((connection, monotonic()))",
        "self._discard(connection)",
        "test_a_read_is_one_round_trip",
    ),
    Fault(
        "app/database/asyncpg_reads.py",
        "            clean = True\n        except ERRORS",
        "        except ERRORS",
        "test_a_read_is_one_round_trip",
    ),
    Fault(
        "app/database/asyncpg_reads.py",
        "raise UnavailableError.because(error) from error",
        "raise",
        "breaks_during_a_read",
    ),
    Fault(
        "app/database/asyncpg_reads.py",
        "not connection.is_closed() and idled",
        "idled",
        "a_broken_connection_is_replaced",
    ),
    Fault("app/database/asyncpg_reads.py", "idled < MAX_IDLE", "True", "not_trusted_for_ever"),
    Fault(
        "app/database/asyncpg_reads.py",
        " and not connection.is_in_transaction()",
        "",
        "does_not_reach_the_next_one",
    ),
    Fault(
        "app/database/asyncpg_reads.py",
        "            self.gate.leave()\n",
        "",
        "cancelled_read_leaves",
    ),
    Fault(
        "app/database/asyncpg_reads.py",
        "await asyncio.shield(opening)",
        "await self._connect()",
        "cancelled_read_leaves",
    ),
    Fault(
        "app/database/asyncpg_reads.py",
        "self.gate.answered = monotonic()",
        "pass",
        "busy_service_stays_ready",
    ),
    Fault(
        "app/database/asyncpg_reads.py",
        "if verdict is Verdict.VALUE:",
        "if False:",
        "half_a_character",
    ),
    Fault(
        "app/database/postgresql_errors.py",
        "error.__cause__, UNSENDABLE",
        "0, str",
        "half_a_character",
    ),
    Fault("app/database/postgresql_errors.py", '"22001", "22003"', '"22001"', "no_column_holds"),
]
