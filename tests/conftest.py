"""What tests share: renders, one environment for all rendered projects, a report of skips."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from filelock import FileLock

from fastperf_new import releases
from fastperf_new.install import find_uv
from fastperf_new.questions import Answers
from fastperf_new.render import render
from tests.support import Environment, Project, clean_environment

ROOT = Path(__file__).parent.parent

Render = Callable[..., Path]


@pytest.fixture(autouse=True, scope="session")
def _private_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give git an author, and keep the settings of whoever runs the tests out of them."""
    home = tmp_path_factory.mktemp("home")
    (home / ".gitconfig").write_text(
        "[user]\nname = Test\nemail = test@example.com\n[init]\ndefaultBranch = main\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("GIT_")]:
            patch.delenv(name)
        # uv and pip keep what they downloaded: only settings are private.
        patch.setenv("UV_CACHE_DIR", os.environ.get("UV_CACHE_DIR", str(Path.home() / ".cache/uv")))
        patch.setenv("PIP_CACHE_DIR", str(Path.home() / ".cache/pip"))
        patch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
        patch.setenv("GIT_CONFIG_GLOBAL", str(home / ".gitconfig"))
        patch.delenv("VIRTUAL_ENV", raising=False)
        yield


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all test processes of this run share."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def environment(shared: Path, rendered: Render) -> Environment:
    """One virtual environment with everything that any rendered project depends on."""
    folder = shared / "environment"
    project = rendered(preset="standard")
    with FileLock(shared / "environment.lock"):
        if not (folder / "complete").exists():
            uv = find_uv()
            subprocess.run([uv, "venv", "-q", "-p", sys.executable, folder], check=True)
            subprocess.run(
                [uv, "pip", "install", "-q", "-r", "pyproject.toml", "--group", "dev"],
                cwd=project,
                env={**clean_environment(), "VIRTUAL_ENV": str(folder)},
                check=True,
            )
            (folder / "complete").touch()
    return Environment(folder)


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Render:
    """Render the working tree with answers; the same ones are rendered once and not to be changed."""
    made: dict[tuple[tuple[str, object], ...], Path] = {}
    release = releases.get(releases.DEVELOPMENT)

    def get(**answers: str | bool) -> Path:
        key = tuple(sorted(answers.items()))
        if key not in made:
            made[key] = tmp_path_factory.mktemp("render") / "shop"
            complete = release.questionnaire.complete({"name": "shop", **answers})
            render(release, complete, made[key])
        return made[key]

    return get


@pytest.fixture
def make_project(tmp_path: Path) -> Callable[..., Project]:
    """Make a project from a release, as a repository with one commit."""

    def make(version: str = "0.1.0", folder: str = "shop", **answers: str | bool) -> Project:
        release = releases.get(version)
        given: Answers = {"name": "shop", **answers}
        project = Project(tmp_path / folder)
        render(release, release.questionnaire.complete(given), project.folder)
        project.git("init", "-q")
        project.commit("new project")
        return project

    return make


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List what was skipped; CI allows none."""
    skipped: Mapping[str, list[pytest.TestReport]] = terminalreporter.stats
    for report in skipped.get("skipped", []):
        terminalreporter.write_line(f"skipped: {report.nodeid}: {report.longrepr}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a CI run that skipped anything."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
