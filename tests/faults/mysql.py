"""Faults of the data layer on MySQL."""

from fastperf_new.questions import Answers
from tests.faults.fault import Databases, Fault

ANSWERS: Answers = {}
DATABASES: Databases = ("mysql",)
FAULTS = [
    Fault("app/database/mysql.py", "hide_parameters=True", "hide_parameters=False", "tell_values"),
    Fault(
        "app/database/mysql_errors.py",
        "_DUPLICATE = 1062",
        "_DUPLICATE = 0",
        "names_its_constraint_and_no_value",
    ),
    Fault(
        "app/database/mysql_errors.py",
        "_KEY.search(str(message))",
        "[message]",
        "names_its_constraint_and_no_value",
    ),
    Fault("app/database/mysql_errors.py", "if number in _NAMING", "if True", "error_of_a_value"),
    Fault(
        "app/database/mysql_errors.py",
        "{1062, 1169, 1216, 1217, 1451, 1452,",
        "{1062, 1169,",
        "is_a_conflict",
    ),
    Fault(
        "app/database/mysql_errors.py", "(3, 1021, 1026, 1030, 1114),", "(3, 1021),", "pass_later"
    ),
    Fault(
        "app/database/mysql.py",
        '"SET SESSION TRANSACTION READ ONLY"',
        '"SELECT 1"',
        "test_the_read_road_cannot_write",
    ),
    Fault(
        "app/database/mysql.py",
        "        skip_autocommit_rollback=True,\n",
        "",
        "test_a_read_is_one_round_trip",
    ),
    Fault(
        "app/database/mysql.py",
        "impl = DATETIME(fsp=6)",
        "impl = DATETIME()",
        "both_roads_give_equal_rows",
    ),
    Fault(
        "app/database/mysql.py",
        "mysql.DATETIME(fsp=6)",
        "mysql.DATETIME()",
        "migration_keeps_microseconds",
    ),
    Fault(
        "app/database/mysql.py", "value.replace(tzinfo=UTC)", "value", "both_roads_give_equal_rows"
    ),
    Fault("app/database/mysql.py", "    check_after_idling(engine)\n", "", "broke_while_idle"),
    Fault(
        "app/database/mysql_errors.py",
        "_VERDICTS.get(number, Verdict.BUG)",
        "Verdict.BUG",
        "is_unavailable",
    ),
    Fault(
        "app/database/mysql.py",
        'drivername == "mysql+asyncmy"',
        "drivername",
        "another_kind_of_url",
    ),
    Fault("app/database/mysql_errors.py", "(1153, 1264,", "(1153,", "no_column_holds"),
]
