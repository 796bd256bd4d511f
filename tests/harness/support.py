"""Projects, processes and servers, as the tests use them."""

import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx2
import pytest
from _pytest.mark.structures import ParameterSet

from fastperf_new import releases
from fastperf_new.answers import FILE
from fastperf_new.questions import Answer
from tests.harness.covering import covering

DATABASES = ("sqlite", "postgresql", "mysql")
SERVERS = ("uvicorn", "gunicorn", "granian")
CACHES = ("none", "memory", "redis")
BROKERS = ("redis", "rabbitmq")

FASTPERF = Path(sys.executable).parent / "fastperf"


def clean_environment() -> dict[str, str]:
    """Return the environment without the virtual environment that the tests run in."""
    own = str(Path(sys.executable).parent)
    path = os.pathsep.join(
        folder for folder in os.environ["PATH"].split(os.pathsep) if folder != own
    )
    return {**os.environ, "PATH": path}


def fastperf(
    *arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run the command as a user would, in a process of its own and without a terminal."""
    return subprocess.run(
        [FASTPERF, *arguments],
        cwd=cwd,
        env={**os.environ, "NO_COLOR": "1", **(env or {})},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )


def next_commands(printed: str) -> list[str]:
    """Return the commands that are printed under "Next:", without what is said about them."""
    _, _, told = printed.partition("Next:\n")
    lines = itertools.takewhile(lambda line: line.startswith("  "), told.splitlines())
    return [line.partition("  # ")[0].strip() for line in lines]


@dataclass(frozen=True)
class Environment:
    """A virtual environment."""

    folder: Path

    def variables(self, **more: object) -> dict[str, str]:
        """Return the variables under which a shell finds the environment's programs."""
        clean = clean_environment()
        path = f"{self.folder}/bin{os.pathsep}{clean['PATH']}"
        return {**clean, "PATH": path, **{name: str(value) for name, value in more.items()}}

    def run(
        self, *words: str | Path, cwd: Path, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment and require that it succeeds."""
        done = subprocess.run(
            [self.folder / "bin" / words[0], *words[1:]],
            cwd=cwd,
            env={**clean_environment(), **(env or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        return done


@dataclass(frozen=True)
class Project:
    """A project that a test changes as its user would."""

    folder: Path

    def git(self, *words: str) -> str:
        """Run git in the project and return what it prints."""
        return subprocess.run(
            ["git", *words], cwd=self.folder, check=True, capture_output=True, text=True
        ).stdout

    def commit(self, message: str = "work") -> None:
        """Commit everything."""
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)

    def read(self, path: str) -> str:
        """Return a file's text."""
        return (self.folder / path).read_text("utf-8")

    def write(self, path: str, text: str) -> None:
        """Write a file."""
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(text, "utf-8")

    def replace(self, path: str, old: str, new: str) -> None:
        """Edit a file."""
        text = self.read(path)
        assert old in text, f"{old!r} is not in {path}"
        self.write(path, text.replace(old, new, 1))

    def snapshot(self) -> dict[str, tuple[int, bytes]]:
        """Return every file, .git included, with its mode and content."""
        return {
            path.relative_to(self.folder).as_posix(): (path.lstat().st_mode, path.read_bytes())
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run fastperf in the project."""
        return fastperf(*arguments, cwd=self.folder)

    def version(self) -> str:
        """Return the release that the answers file names."""
        found = re.search(r"^_commit: (.*)$", self.read(FILE), re.MULTILINE)
        assert found
        return found[1]


def sampled(
    values: Iterable[Any], kept: Callable[[int, Any], bool] = lambda number, _: number == 0
) -> list[ParameterSet]:
    """Return parameters of which `make test` runs only some, and `make test-all` all.

    Args:
        kept: called with the number and the value of each; by default the first is kept.
    """
    return [
        pytest.param(
            *(value if isinstance(value, tuple) else (value,)),
            marks=() if kept(number, value) else pytest.mark.exhaustive,
        )
        for number, value in enumerate(values)
    ]


def variants() -> list[dict[str, Answer]]:
    """Return every preset, every preset with one answer changed, and some pairs."""
    return list(_variants())


def _variants() -> Iterator[dict[str, Answer]]:
    questionnaire = releases.get(releases.DEVELOPMENT).questionnaire
    for preset in questionnaire["preset"].values:
        base: dict[str, Answer] = {"name": "shop", "preset": preset}
        yield base
        default = questionnaire.complete(base)
        for question in questionnaire:
            if question.key in base or question.key not in default:
                continue  # what is only asked after another answer comes with that
            for value in question.values:
                if (answer := question.parse(value)) != default[question.key]:
                    yield {**base, question.key: answer}
                    if question.key == "database":  # the example has SQL of its own
                        yield {**base, question.key: answer, "example": False}
                    if answer == "gunicorn":  # it counts workers by the database's connections
                        yield {**base, question.key: answer, "database": "postgresql"}
                    if answer == "redis":  # a second server, and nothing that would be cached
                        yield {**base, question.key: answer, "database": "postgresql"}
                        yield {**base, question.key: answer, "example": False}
                    if answer == "celery":
                        yield from _with_tasks(base)
                    if question.key == "process_pool":  # with all that it can stand beside
                        yield {**base, "process_pool": True, "outbound": True, "cache": "redis"}


def _with_tasks(base: dict[str, Answer]) -> Iterator[dict[str, Answer]]:
    """Jobs on every database and broker, with nothing beside them, and with everything."""
    base = {**base, "tasks": "celery"}
    yield {**base, "broker": "rabbitmq"}
    yield {**base, "database": "postgresql", "example": False, "deployment": "kubernetes"}
    yield {**base, "database": "mysql", "broker": "rabbitmq", "deployment": "docker"}
    if base["preset"] == "standard":  # what a preset leaves out does not touch this pair
        yield {**base, "database": "mysql"}
    yield {
        **base,
        **{"database": "postgresql", "broker": "rabbitmq", "cache": "redis"},
        **{"outbound": True, "process_pool": True},
        **{"server": "gunicorn", "metrics": True, "deployment": "kubernetes"},
    }


@lru_cache
def combinations() -> list[dict[str, Answer]]:
    """Return sets of answers in which every three answers that can stand together do so.

    Pairs are not enough: an import's place among others can depend on three answers.
    """
    return covering(releases.get(releases.DEVELOPMENT).questionnaire, strength=3)


def name_of(variant: Mapping[str, Answer]) -> str:
    """Name a variant in a test's id."""
    if "description" in variant:  # one of `combinations`: all is answered
        return "-".join(
            str(answer) for key, answer in variant.items() if key not in ("name", "description")
        )
    return "-".join(str(answer) for key, answer in variant.items() if key != "name") + "".join(
        f"({key})" for key in variant if key not in ("name", "preset")
    )


def free_port() -> int:
    """Return a port that nobody uses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def production_command(project: Path, port: int, *more: str) -> list[str | Path]:
    """Return the command that a project's README has for production, but on one port of 127.0.0.1.

    Without `uv run`: the tests have an environment for all projects.
    """
    found = re.search(
        r"^In production.*?```console\n(.*?)\n```",
        (project / "README.md").read_text("utf-8"),
        re.DOTALL | re.MULTILINE,
    )
    assert found
    assert found[1].startswith("uv run ")
    command = (
        found[1]
        .removeprefix("uv run ")
        .replace("--host 0.0.0.0", f"--host 127.0.0.1 --port {port}")
    )
    if "--host" not in command:
        command += f" --bind 127.0.0.1:{port}"
    return ["sh", "-c", " ".join(["exec", command, *more])]


@contextmanager
def started(
    words: list[str | Path],
    cwd: Path,
    port: int,
    seconds: float = 60,
    env: dict[str, str] | None = None,
) -> Iterator[tuple[subprocess.Popen[bytes], httpx2.Client]]:
    """Start a server and give its process and a client; end it, with its children, by its group."""
    log = cwd.parent / f"server-{port}.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            words,
            cwd=cwd,
            env=env or clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            deadline = time.monotonic() + seconds
            while True:
                try:
                    client.get("/health/live").raise_for_status()
                    break
                except httpx2.TransportError:
                    assert server.poll() is None, log.read_text()
                    assert time.monotonic() < deadline, log.read_text()
                    time.sleep(0.1)
            yield server, client
    finally:
        with suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


@contextmanager
def serving(
    words: list[str | Path],
    cwd: Path,
    port: int,
    seconds: float = 60,
    env: dict[str, str] | None = None,
) -> Iterator[httpx2.Client]:
    """Start a server, give a client of it, and end it."""
    with started(words, cwd, port, seconds, env) as (_, client):
        yield client
