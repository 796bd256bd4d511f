"""Every rendered project passes its own checks the moment it is rendered."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from fastperf_new.questions import Answer
from fastperf_new.render import files
from tests.conftest import Render, RunTests
from tests.harness.support import DATABASES, Environment, name_of, sampled, variants

MakeUrl = Callable[[object], str]


@pytest.fixture
def project(rendered: Render, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A copy that its own tools may write their caches into."""
    return shutil.copytree(rendered(**request.param), tmp_path / "shop")


# What neither ruff nor mypy nor a project's own test may read: it is not there when they run.
UNREAD = (
    ".copier-answers.yml",
    ".dockerignore",
    ".github",
    ".gitignore",
    "AGENTS.md",
    "Dockerfile",
    "README.md",
    "compose.yml",
    "deployment.md",
    "deploy",
    "granian-logging.json",
)


def digest_of(project: Path) -> str:
    """Return what is the same for two projects only when all their files are."""
    content = [(path, (project / path).read_bytes()) for path in files(project)]
    return hashlib.sha256(repr(content).encode()).hexdigest()


def each_time(number: int, variant: dict[str, Answer]) -> bool:
    """Whether a variant is checked by `make test`: what `minimal` adds, `standard` adds too."""
    return number == 0 or variant["preset"] == "standard"


@pytest.mark.parametrize("variant", sampled(variants(), each_time), ids=name_of)
def test_its_own_checks_pass(  # noqa: PLR0917  (fixtures)
    variant: dict[str, Answer],
    rendered: Render,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    environment: Environment,
    database_url: MakeUrl,
    redis_url: Callable[[str], str],
    own_temporary: dict[str, str],
    shared: Path,
) -> None:
    """Variants that differ only in what is not read are one project, and checked once."""
    unread = shutil.ignore_patterns(*UNREAD)
    project = shutil.copytree(rendered(**variant), tmp_path / "shop", ignore=unread)
    passed = shared / f"passed-{digest_of(project)}"  # only there after a pass
    with FileLock(passed.with_suffix(".lock")):
        if not passed.exists():
            url = database_url(variant.get("database", "sqlite"))
            env = {"TEST_DATABASE_URL": url, **own_temporary}
            if variant.get("cache") == "redis":
                env["TEST_REDIS_URL"] = redis_url("15")
            # What it found in the packages does for every project; each test process has a cache.
            cache = tmp_path_factory.getbasetemp() / "mypy"
            check(project, environment, cache, env)
            passed.write_text(name_of(variant), "utf-8")
    assert passed.read_text("utf-8"), "these files have passed"


def check(project: Path, environment: Environment, cache: Path, env: dict[str, str]) -> None:
    """Run ruff, mypy and the tests of a project."""
    environment.run("ruff", "check", cwd=project)
    environment.run("ruff", "format", "--check", cwd=project)
    environment.run("mypy", cwd=project, env={"MYPY_CACHE_DIR": str(cache)})
    pytest_ = ["python", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = environment.run(*pytest_, cwd=project, env=env)
    assert "passed" in done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.parametrize("database", DATABASES)
def test_its_yaml_is_what_it_should_be(rendered: Render, database: str) -> None:
    check = Path(sys.executable).parent / "check-jsonschema"
    project = rendered(preset="standard", database=database)
    schemas = [("vendor.github-workflows", project / ".github/workflows/ci.yml")]
    if database != "sqlite":
        schemas.append(("vendor.compose-spec", project / "compose.yml"))

    for schema, file in schemas:
        subprocess.run([check, "--builtin-schema", schema, file], check=True, capture_output=True)


@pytest.mark.parametrize("project", [{"preset": "standard"}], indirect=True)
def test_a_planted_fault_is_found(project: Path, environment: Environment) -> None:
    """The checks above can fail."""
    (project / "app" / "planted.py").write_text(
        "import os\nimport time\n\nasync def nap():\n    time.sleep(1)\n"
    )

    for check in (["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]):
        with pytest.raises(AssertionError):
            environment.run(*check, cwd=project)


@pytest.mark.parametrize("project", [{"preset": "standard", "tasks": "celery"}], indirect=True)
def test_guarding_the_routes_of_jobs_breaks_no_test_of_theirs(
    project: Path, run_tests: RunTests
) -> None:
    (project / "app/guards.py").write_text(
        "from app.errors import ProblemError\n\n\n"
        'async def nobody() -> None:\n    raise ProblemError(401, "Who is there?")\n'
    )
    wiring = project / "app/wiring/jobs.py"
    text = wiring.read_text("utf-8").replace(
        "include_router(routes.router)",
        "include_router(routes.router, dependencies=[Depends(nobody)])",
    )
    text = text.replace(
        "import FastAPI\n", "import Depends, FastAPI\n\nfrom app.guards import nobody\n"
    )
    wiring.write_text(text, "utf-8")

    done = run_tests(project, "tests/jobs", "tests/items/test_work.py")

    assert done.returncode == 0, done.stdout[-5000:]
