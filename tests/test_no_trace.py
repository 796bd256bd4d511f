"""What is switched off leaves no trace, and nothing is left unrendered or empty."""

import os
import re
from pathlib import Path

import pytest

from fastperf_new import releases
from fastperf_new.questions import Answer
from fastperf_new.render import files
from tests.conftest import Render
from tests.support import name_of, variants

# For each answer, or several, the words that only it may bring into a project.
WORDS: dict[tuple[str, Answer | tuple[Answer, ...]], str] = {
    ("database", "sqlite"): r"sqlite|\bWAL\b|PRAGMA",
    ("database", "postgresql"): r"postgres|asyncpg|pgbouncer|psql|\bpg_",
    ("database", "mysql"): r"mysql|mariadb|asyncmy",
    ("example", True): r"\bitems?\b(?!\(\))|ItemRead|the example",
    ("cache", ("memory", "redis")): r"caching|async.lru|cache_(requests|errors)|(?-i:\bCACHE_)",
    ("cache", "memory"): r"cachetools|CACHE_MAX_BYTES|MemoryCache",
    ("cache", "redis"): r"REDIS_URL|RedisStore|CACHE_TIMEOUT",
    (
        "tasks",
        "celery",
    ): r"celery|kombu|\bjobs\b(?!:)|jobs_|(?-i:TASKS_)|BROKER_URL|psycopg|.pymysql>=|outbox",
    ("broker", "redis"): r"broker_redis",
    ("broker", "rabbitmq"): r"rabbit|amqp://|broker_amqp|quorum",
    ("outbound", True): r"outbound|upstream|stamina|supplier|Offer",
    ("process_pool", True): r"process.(pool|work)|similar|computing",
    ("compression", True): r"compress|gzip",
    ("server", "uvicorn"): r"timeout-graceful-shutdown",
    ("server", "gunicorn"): r"gunicorn|uvicorn.worker|most_workers",
    ("server", "granian"): r"granian",
    ("metrics", True): r"prometheus|/metrics|METRICS_",
    ("deployment", ("docker", "kubernetes")): r"Dockerfile|docker build|deployment\.md|10001",
    ("deployment", "kubernetes"): r"kubernetes|kubectl|kustomiz",
    ("ci", "github"): r"github|workflow|\bCI\b",
}


def texts(project: Path) -> dict[str, str]:
    return {path: (project / path).read_text("utf-8") for path in files(project)}


def traces(project: Path, words: str) -> list[str]:
    """Return where the words stand, names of files included, but for the recorded answer."""
    pattern = re.compile(words, re.IGNORECASE)
    found = [path for path in files(project) if pattern.search(path)]
    for path, text in texts(project).items():
        if path != ".copier-answers.yml":
            found += [f"{path}: {line}" for line in text.splitlines() if pattern.search(line)]
    return found


@pytest.mark.parametrize("variant", variants(), ids=name_of)
def test_what_is_off_leaves_no_word(rendered: Render, variant: dict[str, Answer]) -> None:
    check_words(rendered(**variant), variant)


def check_words(project: Path, variant: dict[str, Answer]) -> None:
    """Require the words of every answer that is given, and those of no other."""
    answers = releases.get(releases.DEVELOPMENT).questionnaire.complete(variant)
    if "redis" not in (answers["cache"], answers.get("broker")):
        assert not traces(project, "redis")
    for (key, value), words in WORDS.items():
        found = traces(project, words)
        if answers.get(key) in (value if isinstance(value, tuple) else (value,)):
            assert found, f"{key}={value} brings none of {words}: the check cannot fail"
        else:
            assert not found


def test_every_optional_answer_is_checked() -> None:
    optional = {key for variant in variants() for key in variant if key not in ("name", "preset")}
    assert {key for key, _ in WORDS} == optional


@pytest.mark.parametrize("variant", variants(), ids=name_of)
def test_nothing_is_empty_or_unrendered(rendered: Render, variant: dict[str, Answer]) -> None:
    project = rendered(**variant)

    for folder, folders, names in os.walk(project):
        assert folders + names, f"{folder} is empty"
    for path, text in texts(project).items():
        assert not path.endswith((".jinja", ".orig", ".rej"))
        assert text.strip(), f"{path} is empty"
        assert text.endswith("\n"), f"{path} does not end its last line"
        assert not text.endswith("\n\n"), f"{path} ends in empty lines"
        assert "\n\n\n\n" not in text, f"{path} has a hole"
        assert not re.search(r"[ \t]$", text, re.MULTILINE), f"{path} has trailing spaces"
        own = path.endswith((".mako", "alerts.yml", "dashboard.json"))  # templates of others
        unrendered = r"\{%|\{#" if own else r"(?<!\$)\{\{|\{%|\{#"
        assert not re.search(unrendered, text), f"{path} is not rendered"


@pytest.mark.parametrize("variant", variants(), ids=name_of)
def test_every_declared_dependency_is_used(rendered: Render, variant: dict[str, Answer]) -> None:
    import tomllib  # noqa: PLC0415

    project = rendered(**variant)
    # What is used otherwise than by an import of that name.
    used_by = {
        **{"fastapi-cli": "fastapi dev", "uvicorn": "uvicorn"},
        **{"aiosqlite": "sqlite+aiosqlite", "asyncmy": "mysql+asyncmy"},
    }
    declared = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]
    everything = "\n".join(
        text for path, text in texts(project).items() if path != "pyproject.toml"
    )
    for requirement in declared["dependencies"]:
        package = re.split(r"[\[><=~ ]", requirement)[0]
        assert used_by.get(package, package.replace("-", "_")) in everything, package
