"""pytest in forks of one process that has already imported what rendered projects import.

The projects' interpreter runs it. Each line of its input is a run: the project's folder, the file
for what it prints, pytest's arguments, more variables, as JSON. The answer is the exit code.
"""

import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module

import pytest

# The slow ones; a fork imports what is missing. Nothing of a project, which each fork has its own
# of, and not prometheus_client, which decides when it is imported where its values live. No
# gc.freeze() either: a test counts what the service has frozen.
IMPORTED = (
    "alembic.autogenerate.api",
    "alembic.command",
    "anyio.pytest_plugin",
    "blockbuster",
    "fastapi.middleware.cors",
    "httpx2",
    "pydantic_settings",
    "sqlalchemy.dialects.mysql.asyncmy",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "sqlalchemy.dialects.sqlite.aiosqlite",
    "sqlalchemy.ext.asyncio",
    "uvicorn",
)
SECONDS = 300  # a fault may hang its test


def serve() -> Sequence[str]:
    """Answer until the input ends; in each fork, return pytest's arguments."""
    for line in sys.stdin:
        if not (fork := os.fork()):
            return become(*json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1]), flush=True)
    sys.exit()


def become(
    folder: str, log: str, arguments: Sequence[str], variables: Mapping[str, str]
) -> Sequence[str]:
    """Be what `python -m pytest` would be in the project's folder; SIGALRM ends what hangs."""
    signal.alarm(SECONDS)
    os.chdir(folder)
    os.environ.update(variables)
    sys.path.insert(0, folder)
    sys.dont_write_bytecode = True  # nothing stale can be found; the copy is run once
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for output in (1, 2):
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), output)
    return arguments


if __name__ == "__main__":
    sys.path.pop(0)  # the folder of this file
    for name in IMPORTED:
        import_module(name)
    sys.exit(pytest.main(list(serve())))
