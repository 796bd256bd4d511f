"""Faults of jobs that change what is cached in Redis."""

from fastperf_new.questions import Answers
from tests.faults.fault import Databases, Fault

ANSWERS: Answers = {"tasks": "celery", "cache": "redis"}
DATABASES: Databases = ("sqlite",)
FAULTS = [
    Fault(
        "app/tasks/parts/caching.py",
        "    runner.database.after_commit.append(after_commit)\n",
        "",
        "told_to_all",
    ),
    Fault("app/tasks/parts/caching.py", "except RedisError", "except KeyError", "told_to_all"),
]
