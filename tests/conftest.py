"""What tests share: renders, one environment for all rendered projects, a report of skips."""

import json
import os
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from filelock import FileLock

from fastperf_new import releases
from fastperf_new.install import find_uv
from fastperf_new.questions import Answers
from fastperf_new.render import render
from tests.harness.servers import (
    PROGRAMS,
    VIRTUAL_HOSTS,
    Server,
    execute,
    mariadb,
    missing,
    postgresql,
    rabbitmq,
    redis,
    url_of,
)
from tests.harness.support import (
    BROKERS,
    CACHES,
    DATABASES,
    SERVERS,
    Environment,
    Project,
    clean_environment,
)

ROOT = Path(__file__).parent.parent

Render = Callable[..., Path]
RunTests = Callable[..., subprocess.CompletedProcess[str]]


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
    projects = [rendered(preset="standard", database=kind) for kind in DATABASES]
    projects += [rendered(preset="standard", server=server) for server in SERVERS]
    projects += [rendered(preset="standard", cache=cache) for cache in CACHES]
    projects.append(rendered(preset="standard", outbound=True))
    projects += [rendered(preset="standard", tasks="celery", database=kind) for kind in DATABASES]
    projects += [rendered(preset="standard", tasks="celery", broker=broker) for broker in BROKERS]
    with FileLock(shared / "environment.lock"):
        if not (folder / "complete").exists():
            uv = find_uv()
            subprocess.run([uv, "venv", "-q", "-p", sys.executable, folder], check=True)
            for project in projects:
                subprocess.run(
                    [uv, "pip", "install", "-q", "-r", "pyproject.toml", "--group", "dev"],
                    cwd=project,
                    env={
                        **clean_environment(),
                        "VIRTUAL_ENV": str(folder),
                        "UV_COMPILE_BYTECODE": "1",  # once, not in each process to come
                    },
                    check=True,
                )
            (folder / "complete").touch()
    return Environment(folder)


@pytest.fixture(scope="session")
def own_temporary() -> Iterator[dict[str, str]]:
    """Variables that give a project's pytest a root of its own for temporary folders.

    pytest removes old ones of all sessions under a root, and fails when another does the same.
    """
    with TemporaryDirectory(prefix="fp-", ignore_cleanup_errors=True) as root:
        yield {"PYTEST_DEBUG_TEMPROOT": root}


@pytest.fixture(scope="session")
def run_tests(environment: Environment, own_temporary: dict[str, str]) -> Iterator[RunTests]:
    """Run pytest in a project, in a fork of one process: starting and importing is done."""
    with subprocess.Popen(
        [environment.folder / "bin" / "python", ROOT / "tests/harness/forks.py"],
        env={**clean_environment(), **own_temporary},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as forks:

        def run(
            project: Path, *arguments: str, **variables: str
        ) -> subprocess.CompletedProcess[str]:
            assert forks.stdin
            assert forks.stdout
            log = project.with_suffix(".log")
            # Packages that are imported already cannot get their asserts rewritten.
            words = ["-q", "-p", "no:cacheprovider", "--assert=plain", *arguments]
            print(
                json.dumps([str(project), str(log), words, variables]),
                file=forks.stdin,
                flush=True,
            )
            code = int(forks.stdout.readline())
            return subprocess.CompletedProcess(words, code, log.read_text("utf-8"))

        yield run


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


@pytest.fixture(scope="session")
def servers() -> Iterator[Callable[[str], Server]]:
    """Give a server by its kind, started when it is first asked for."""
    started: dict[str, Server] = {}
    with ExitStack() as stack:

        def get(kind: str) -> Server:
            if absent := missing(*PROGRAMS[kind]):
                pytest.skip(f"{', '.join(absent)} not installed: run scripts/servers.sh as root")
            if kind not in started:
                run = {"postgresql": postgresql, "mysql": mariadb, "redis": redis}
                run["rabbitmq"] = rabbitmq
                started[kind] = stack.enter_context(run[kind]())
            return started[kind]

        yield get


@pytest.fixture
def database_url(
    servers: Callable[[str], Server], tmp_path: Path, request: pytest.FixtureRequest
) -> Callable[[object], str]:
    """Make an empty database of a kind, called test, and return its URL."""
    count = 0

    def make(kind: object) -> str:
        nonlocal count
        count += 1
        if kind == "sqlite":
            return f"sqlite+aiosqlite:///{tmp_path}/test{count}.db"
        name = f"test_{zlib.crc32(request.node.nodeid.encode()):x}_{count}"
        server = servers(str(kind))
        execute(server, f"CREATE DATABASE {name}")
        return url_of(server, name)

    return make


@pytest.fixture
def redis_url(servers: Callable[[str], Server]) -> Callable[[str], str]:
    """Empty the Redis of this test process, and return the URL of one of its databases."""

    def make(database: str = "0") -> str:
        server = servers("redis")
        execute(server, "FLUSHALL")
        return url_of(server, database)

    return make


@pytest.fixture(scope="session")
def broker_url(servers: Callable[[str], Server]) -> Callable[[str], str]:
    """Return the URL of a broker of a kind with nothing in it."""
    virtual_hosts = iter(range(VIRTUAL_HOSTS))

    def make(kind: str) -> str:
        server = servers(kind)
        if kind == "redis":
            execute(server, "FLUSHALL")
            return url_of(server, "0")
        return url_of(server, str(next(virtual_hosts)))

    return make


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
