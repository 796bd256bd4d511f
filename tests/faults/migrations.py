"""Faults of migrations."""

from fastperf_new.questions import Answers
from tests.faults.fault import SERVERS, Databases, Fault

ANSWERS: Answers = {}
DATABASES: Databases = ("sqlite",)
FAULTS = [
    Fault(
        "migrations/env.py",
        "if isinstance(op, DropTableOp) else 0",
        "if False else 0",
        "dropped_after_those",
        SERVERS,
    ),
    Fault("migrations/env.py", "if not left or", "if True or", "pass_a_migration", ("postgresql",)),
    Fault(
        "app/database/mysql.py", "if not changes or", "if True or", "pass_a_migration", ("mysql",)
    ),
    Fault(
        "migrations/env.py",
        "(op.schema, op.table_name) in gone",
        "False",
        "dropped_after_those",
        ("mysql",),
    ),
]
