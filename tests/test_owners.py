"""Projects that people lived in are updated with the features that they built.

`tests/owners/` has two features, as the documents of their releases taught to write them: `notes`
uses what there was from the start, `orders` has a cache, a job and a hot route.
"""

import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from fastperf_new import project as projects
from fastperf_new import releases
from tests.conftest import RunTests
from tests.harness.support import Environment, Project

OWNERS = Path(__file__).parent / "owners"

VERSIONS = releases.versions()[:-1]
WITH_JOBS = VERSIONS[VERSIONS.index("0.6.0") :]
OLD = VERSIONS[: VERSIONS.index("0.6.0")]

ROUTES = """
import json
from fastapi.routing import iter_route_contexts
from app.main import app
print(json.dumps(sorted(f"{m} {c.path}" for c in iter_route_contexts(app.routes) for m in c.methods or ())))
"""

LIMIT = "    notes_limit: int = 100  # characters\n"

PAGES_OF = '''

def pages_of(count: int, limit: int) -> int:
    """Return how many pages of `limit` rows `count` rows need."""
    return -(-count // limit)
'''


def live_in(project: Project, *features: str) -> None:
    """Build features on a new project, and edit files of the template."""
    folder = project.folder
    versions = folder / "migrations/versions"
    (head,) = sorted(path.stem for path in versions.glob("*.py"))[-1:]
    for number, feature in enumerate(features):
        for room in ("app", "tests"):
            shutil.copytree(OWNERS / feature / room, folder / room, dirs_exist_ok=True)
        migration = (OWNERS / feature / "migration.py").read_text("utf-8")
        name = f"{1000 + number}_{feature}"
        (versions / f"{name}.py").write_text(migration.replace("HEAD", head), "utf-8")
        head = name
    append(folder / "app/pagination.py", PAGES_OF)
    project.replace("app/settings.py", "    log_format: ", LIMIT + "    log_format: ")

    main = project.read("app/main.py")
    main = with_import(main, "from app.notes import routes as notes\n")
    project.write("app/main.py", main)
    included = "    app.include_router(health.router)\n"
    project.replace("app/main.py", included, included + "    app.include_router(notes.router)\n")
    if "orders" in features:
        main = project.read("app/main.py")
        project.write(
            "app/main.py", with_import(main, "from app.wiring.orders import add_orders\n")
        )
        added = "    add_items(app, companions)\n"
        project.replace("app/main.py", added, added + "    add_orders(app, companions)\n")
    project.commit("features of ours")


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text("utf-8") + text, "utf-8")


def with_import(text: str, line: str) -> str:
    """Insert an import of the service where ruff wants it."""
    module = re.compile(r"^from (app\.\S+) import .*\n", re.MULTILINE)
    name = line.split()[1]
    imports = list(module.finditer(text))
    later = [found.start() for found in imports if found[1] > name]
    at = later[0] if later else imports[-1].end()
    return text[:at] + line + text[at:]


def updated(project: Project) -> projects.Updated:
    done = projects.update(project.folder, releases.get(releases.DEVELOPMENT), dry_run=False)
    assert done
    assert done.conflicts == []
    assert done.broken == []
    assert done.unsure == []
    assert done.unreadable == []
    return done


def do_by_hand(
    project: Project, done: projects.Updated, environment: Environment, url: str
) -> None:
    """Do what the update's notes say, and let Alembic write what the models have more."""
    for note in done.notes:
        if "public=True" in note:
            kind = 'Kind("invoice", invoice, InvoiceArguments'
            project.replace("app/orders/work.py", f"{kind})", f"{kind}, public=True)")
        else:
            assert "uv run alembic revision --autogenerate" in note
    run = partial(environment.run, "alembic", cwd=project.folder, env={"DATABASE_URL": url})
    run("upgrade", "head")
    try:
        run("check")
    except AssertionError:
        run("revision", "--autogenerate", "-m", "what is new")


def passes(
    project: Project, environment: Environment, run_tests: RunTests, *tests: str, **variables: str
) -> None:
    for words in (["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]):
        environment.run(*words, cwd=project.folder)
    done = run_tests(project.folder, *tests, **variables)
    assert done.returncode == 0, done.stdout[-5000:]


def routes(project: Project, environment: Environment) -> str:
    return environment.run("python", "-c", ROUTES, cwd=project.folder).stdout


def edits_are_there(project: Project) -> None:
    assert project.read("app/pagination.py").endswith(PAGES_OF)
    assert LIMIT in project.read("app/settings.py")


@pytest.mark.parametrize("version", WITH_JOBS)
def test_features_with_a_cache_a_job_and_a_hot_route_go_on(
    version: str,
    make_project: Callable[..., Project],
    environment: Environment,
    run_tests: RunTests,
    tmp_path: Path,
) -> None:
    project = make_project(version, preset="standard", tasks="celery", cache="memory")
    live_in(project, "notes", "orders")

    done = updated(project)

    edits_are_there(project)
    url = f"sqlite+aiosqlite:///{tmp_path}/test.db"
    do_by_hand(project, done, environment, url)
    rooms = ("tests/notes", "tests/orders", "tests/test_migrations.py")
    passes(project, environment, run_tests, *rooms, TEST_DATABASE_URL=url)
    served = routes(project, environment)
    for route in ("GET /orders/{order_id}", "POST /orders", "GET /orders", "POST /notes"):
        assert f'"{route}"' in served
    assert '"POST /jobs"' in served


@pytest.mark.parametrize("version", OLD)
def test_a_feature_of_an_older_project_goes_on(
    version: str,
    make_project: Callable[..., Project],
    environment: Environment,
    run_tests: RunTests,
    tmp_path: Path,
) -> None:
    project = make_project(version, preset="standard")
    live_in(project, "notes")

    done = updated(project)

    edits_are_there(project)
    url = f"sqlite+aiosqlite:///{tmp_path}/test.db"
    do_by_hand(project, done, environment, url)
    passes(project, environment, run_tests, "tests/notes", TEST_DATABASE_URL=url)
    assert '"POST /notes"' in routes(project, environment)
