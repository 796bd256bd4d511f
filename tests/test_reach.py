"""A project's tests change nothing that they did not make."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Render, RunTests
from tests.harness.servers import Server, execute, redis
from tests.harness.support import Environment

MakeUrl = Callable[[object], str]
SETTINGS = ("maxmemory", "maxmemory-policy", "min-replicas-to-write")


def test_a_redis_keeps_its_keys_and_its_settings(
    rendered: Render, run_tests: RunTests, tmp_path: Path
) -> None:
    project = shutil.copytree(rendered(preset="standard", cache="redis"), tmp_path / "shop")
    limits = {"maxmemory": "256mb", "maxmemory-policy": "allkeys-lru"}  # as scripts/redis.py
    with redis(**limits) as server:

        def state() -> list[str]:
            keys = [
                "".join(sorted(execute(server, "KEYS *", database).splitlines()))
                for database in ("0", "15")
            ]
            users = execute(server, "ACL LIST")
            return [*keys, users, *(execute(server, f"CONFIG GET {name}") for name in SETTINGS)]

        for database in ("0", "15"):
            execute(server, "SET mine 1\nSET cache-mine:tag:x 1", database)
        before = state()
        url = f"redis://127.0.0.1:{server.port}/15"
        done = run_tests(project, "tests/caching", TEST_REDIS_URL=url)

        assert done.returncode == 0, done.stdout
        assert state() == before


def test_importing_the_tests_reads_neither_env_file_nor_environment(
    rendered: Render, environment: Environment, tmp_path: Path
) -> None:
    project = shutil.copytree(rendered(preset="standard"), tmp_path / "shop")
    (project / ".env").write_text("LOG_LEVEL=from the file\n")
    words = ("python", "-m", "pytest", "-q", "-p", "no:cacheprovider")

    for path in ("tests/test_main.py", "tests/test_settings.py"):
        environment.run(*words, path, cwd=project, env={"LOG_FORMAT": "of the machine"})


@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
def test_a_database_that_is_not_of_tests_is_refused(
    rendered: Render,
    run_tests: RunTests,
    servers: Callable[[str], Server],
    tmp_path: Path,
    kind: str,
) -> None:
    project = shutil.copytree(rendered(preset="standard", database=kind), tmp_path / "shop")
    server = servers(kind)
    scheme = "postgresql+asyncpg://postgres" if kind == "postgresql" else "mysql+asyncmy://root"
    url = f"{scheme}@127.0.0.1:{server.port}/latest"

    done = run_tests(project, "tests/test_health.py", TEST_DATABASE_URL=url)

    assert "must name a database called test" in done.stdout


@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
def test_processes_of_one_run_have_a_database_each_and_drop_it(  # noqa: PLR0917  (fixtures)
    rendered: Render,
    run_tests: RunTests,
    servers: Callable[[str], Server],
    database_url: MakeUrl,
    tmp_path: Path,
    kind: str,
) -> None:
    project = shutil.copytree(rendered(preset="standard", database=kind), tmp_path / "shop")
    url, server = database_url(kind), servers(kind)
    name = url.rsplit("/", 1)[-1]
    databases = "SELECT datname FROM pg_database" if kind == "postgresql" else "SHOW DATABASES"
    execute(server, "CREATE TABLE kept (id int)", name)

    done = run_tests(
        project, "tests/test_health.py", TEST_DATABASE_URL=url, PYTEST_XDIST_WORKER="gw0"
    )

    assert done.returncode == 0, done.stdout
    assert [it for it in execute(server, databases).split() if it.startswith(name)] == [name]
    execute(server, "DROP TABLE kept", name)  # it is still there
