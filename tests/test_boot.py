"""Every rendered project runs, answers over HTTP and keeps its rows."""

import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import httpx2
import pytest

from fastperf_new.questions import Answer
from tests.conftest import Render
from tests.harness.servers import Server, execute
from tests.harness.support import (
    Environment,
    clean_environment,
    free_port,
    name_of,
    production_command,
    serving,
    variants,
)
from tests.harness.workers import wait_until

Rows = Callable[[str], list[list[str]]]

STARTED = "Application startup complete."  # one worker


def rows_of(file: Path, sql: str) -> list[list[str]]:
    """Return the rows in a file of SQLite."""
    with closing(sqlite3.connect(file)) as connection, connection:
        return [[str(value) for value in row] for row in connection.execute(sql)]


def use(client: httpx2.Client, rows: Rows, example: bool) -> None:
    """Use a running service as a client would, and look into its database."""
    assert client.get("/health/ready").json() == {"status": "ok"}
    assert client.get("/docs").status_code == 200
    if not example:
        assert client.get("/items").status_code == 404
        return
    created = client.post("/items", json={"name": "tea", "quantity": 3})
    assert created.status_code == 201
    item = created.json()
    assert client.get(f"/items/{item['id']}").json() == item
    client.post("/items", json={"name": "milk"})
    first = client.get("/items?limit=1").json()
    second = client.get("/items", params={"limit": 1, "cursor": first["next_cursor"]}).json()
    assert [entry["name"] for entry in first["results"] + second["results"]] == ["milk", "tea"]
    found = rows("SELECT name, quantity FROM items ORDER BY id")
    assert found == [["tea", "3"], ["milk", "0"]]


@pytest.mark.parametrize("variant", variants(), ids=name_of)
def test_it_runs(  # noqa: PLR0917  (fixtures)
    rendered: Render,
    environment: Environment,
    tmp_path: Path,
    variant: dict[str, Answer],
    database_url: Callable[[object], str],
    redis_url: Callable[[], str],
    servers: Callable[[str], Server],
) -> None:
    project = shutil.copytree(rendered(**variant), tmp_path / "shop")
    database = str(variant.get("database", "sqlite"))
    settings: dict[str, str] = {}
    rows: Rows = partial(rows_of, project / "data.db")
    if database != "sqlite":
        settings["DATABASE_URL"] = database_url(database)
        name = settings["DATABASE_URL"].rpartition("/")[2]

        def rows(sql: str) -> list[list[str]]:
            printed = execute(servers(database), sql, name)
            return [line.split("\t") for line in printed.splitlines()]

    if variant.get("tasks") == "celery":
        settings["TASKS_EMBEDDED"] = "yes"
    if variant.get("cache") == "redis":
        settings["REDIS_URL"] = redis_url()
    environment.run("alembic", "upgrade", "head", cwd=project, env=settings)
    port = free_port()
    told = tmp_path / f"server-{port}.log"

    with serving(
        production_command(project, port), project, port, env=environment.variables(**settings)
    ) as client:
        use(client, rows, bool(variant.get("example", True)))
        if variant.get("compression", variant["preset"] == "standard"):
            answer = client.get("/openapi.json", headers={"Accept-Encoding": "gzip"})
            assert answer.headers["content-encoding"] == "gzip"
        # To stop a worker of gunicorn's while it still starts is an error, and says so.
        wait_until(lambda: told.read_text().count(STARTED) >= told.read_text().count("Booting"))

    log = told.read_text()
    assert "Traceback" not in log
    stopped = "Granian shutdown completed" if "granian" in log else "Application shutdown complete."
    assert stopped in log


def test_it_runs_without_uv(rendered: Render, tmp_path: Path) -> None:
    """As its README says for those without uv, on Debian's own python3 and pip."""
    project = shutil.copytree(rendered(preset="minimal"), tmp_path / "shop")
    python = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else "python3"
    environment = {**clean_environment(), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    for words in (
        [python, "-m", "venv", ".venv"],
        [".venv/bin/pip", "install", "-q", "-e", "."],
        [".venv/bin/alembic", "upgrade", "head"],
    ):
        subprocess.run(words, cwd=project, env=environment, check=True)
    port = free_port()

    with serving(
        [project / ".venv/bin/fastapi", "dev", "--port", str(port)], project, port
    ) as client:
        use(client, partial(rows_of, project / "data.db"), example=True)


def test_its_wheel_holds_the_service(
    rendered: Render, environment: Environment, tmp_path: Path
) -> None:
    from fastperf_new.install import find_uv  # noqa: PLC0415

    project = shutil.copytree(rendered(preset="standard"), tmp_path / "shop")
    subprocess.run(
        [find_uv(), "build", "-q", "--wheel"], cwd=project, env=clean_environment(), check=True
    )
    (wheel,) = (project / "dist").glob("shop-0.1.0-*.whl")
    listed = environment.run("python", "-m", "zipfile", "-l", wheel, cwd=tmp_path).stdout
    assert "app/main.py" in listed
    assert "tests/" not in listed


EVERYTHING: dict[str, Answer] = {"database": "postgresql", "cache": "redis", "tasks": "celery"}
EVERYTHING |= {"outbound": True, "process_pool": True, "server": "gunicorn"}


@pytest.mark.parametrize("answers", [{}, EVERYTHING], ids=["standard", "everything"])
def test_it_runs_with_every_line_of_the_example_of_settings(  # noqa: PLR0917  (fixtures)
    rendered: Render,
    environment: Environment,
    tmp_path: Path,
    answers: dict[str, Answer],
    database_url: Callable[[object], str],
    redis_url: Callable[[str], str],
) -> None:
    project = shutil.copytree(rendered(preset="standard", **answers), tmp_path / "shop")
    example = (project / ".env.example").read_text("utf-8")
    lines = re.sub(r"^# (?=[A-Z_]+=)", "", example, flags=re.MULTILINE)
    (project / ".env").write_text(lines, "utf-8")
    variables: dict[str, str] = {}  # where the servers of this test are
    if answers:
        variables = {"DATABASE_URL": database_url("postgresql")}
        variables |= {"REDIS_URL": redis_url("0"), "BROKER_URL": redis_url("1")}
    environment.run("alembic", "upgrade", "head", cwd=project, env=variables)
    port = free_port()

    with serving(
        production_command(project, port), project, port, env=environment.variables(**variables)
    ) as client:
        assert client.get("/health/ready").json() == {"status": "ok"}
