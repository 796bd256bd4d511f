"""Any three answers stand together: the project is formatted, and says nothing of what is off."""

import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fastperf_new import releases
from fastperf_new.questions import Answer
from fastperf_new.render import files
from tests.conftest import ROOT, Render
from tests.harness.support import combinations, name_of
from tests.test_docs import fetched
from tests.test_no_trace import check_words, texts

# How a text names a module, a file or a folder of the project; and a file by its last name alone.
NAMED = re.compile(r"(?<![\w./-])(?:app|tests|migrations|scripts|deploy|docs)(?:[./]\w[\w-]*)+")
QUOTED = re.compile(r"`(?:\w+/)*(\w+\.(?:py|md|yml|yaml|json))`")

TEMPLATE = ROOT / "template"
EVERYTHING = [path.removesuffix(".jinja") for path in files(TEMPLATE)]
MADE_BY_TESTS = {"migrations/versions"}
FOR_USERS = {"work.py"}  # a feature of the user's may have it


def places(paths: list[str]) -> set[str]:
    """Return files and their folders, as paths and as modules."""
    found = set()
    for path in paths:
        parts = path.split("/")
        for end in range(1, len(parts) + 1):
            place = "/".join(parts[:end])
            found |= {place, place.removesuffix(".py").replace("/", ".")}
    return found


def named(text: str) -> set[str]:
    """Return the paths and modules that a text names, and those that these lie in."""
    found = set()
    for name in NAMED.findall(text):
        ends = [match.start() for match in re.finditer(r"[./]", name)] + [len(name)]
        found |= {name[:end] for end in ends}
    return found


@pytest.fixture(scope="module", params=combinations(), ids=name_of)
def variant(request: pytest.FixtureRequest) -> dict[str, Answer]:
    """One set of answers; all tests of one set run together, on one render."""
    answers: dict[str, Answer] = request.param
    return answers


@pytest.mark.parametrize("words", [["check"], ["format", "--check"]], ids=" ".join)
def test_ruff_has_nothing_to_say(
    rendered: Render, variant: dict[str, Answer], words: list[str]
) -> None:
    ruff = Path(sys.executable).with_name("ruff")
    done = subprocess.run(
        [ruff, *words, "--no-cache"],
        cwd=rendered(**variant),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_off_leaves_no_word(rendered: Render, variant: dict[str, Answer]) -> None:
    check_words(rendered(**variant), variant)


def test_what_is_not_there_is_not_named(rendered: Render, variant: dict[str, Answer]) -> None:
    project = rendered(**variant)
    absent = places(EVERYTHING) - places(files(project)) - MADE_BY_TESTS
    last_names = {path.rsplit("/", 1)[-1] for path in files(project)} | FOR_USERS

    for path, text in texts(project).items():
        assert not named(text) & absent, path
        assert set(QUOTED.findall(text)) <= last_names, path


def test_it_fetches_nothing_of_ours(rendered: Render, variant: dict[str, Answer]) -> None:
    for path, text in texts(rendered(**variant)).items():
        assert not fetched(text), path


def test_any_three_answers_that_can_stand_together_do_so() -> None:
    """The sets cover what they should, and nothing that is refused."""
    questionnaire = releases.get(releases.DEVELOPMENT).questionnaire
    covered = {
        frozenset(three)
        for answers in combinations()
        for three in itertools.combinations(answers.items(), 3)
    }

    assert all(questionnaire.complete(answers) == answers for answers in combinations())
    for failing in (
        {("database", "postgresql"), ("cache", "memory"), ("server", "gunicorn")},
        {("preset", "minimal"), ("ci", "github"), ("broker", "rabbitmq")},
    ):
        assert failing in covered
    refused = {("deployment", "kubernetes"), ("tasks", "celery"), ("database", "sqlite")}
    assert refused not in covered
