"""Faults of what a project checks itself."""

from fastperf_new.questions import Answers
from tests.faults.fault import Databases, Fault

ANSWERS: Answers = {}
DATABASES: Databases = ("sqlite",)
FAULTS = [
    Fault(
        "tests/conftest.py", 'ctx(["app", "tests.test_loop"])', 'ctx(["app.items"])', "helper_too"
    ),
    Fault(
        "docs/performance.md",
        "test_a_read_is_one_round_trip",
        "test_reads_are_nice",
        "names_a_test_that_exists",
    ),
]
