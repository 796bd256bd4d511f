"""What is switched off leaves no trace, and nothing is left unrendered or empty."""

import os
import re
import tomllib
from pathlib import Path

import pytest

from fastperf_new import releases
from fastperf_new.questions import Answer
from fastperf_new.render import files
from scripts.capabilities import declared
from tests.conftest import Render
from tests.harness.support import name_of, variants

# The packages of every project; capabilities.yml has the others.
ALWAYS = {"alembic", "fastapi", "fastapi-cli", "pydantic-settings", "sqlalchemy"}


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
    """Require the words of every capability that the project has, and those of no other."""
    questionnaire = releases.get(releases.DEVELOPMENT).questionnaire
    switches = questionnaire.derived(questionnaire.complete(variant))
    for capability in declared():
        if capability.words:
            found = traces(project, capability.words)
            if capability.is_on(switches):
                assert found, f"{capability} brings none of its words: the check cannot fail"
            else:
                assert not found


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
def test_a_project_depends_on_what_it_uses(rendered: Render, variant: dict[str, Answer]) -> None:
    """And on the packages of its capabilities, no others."""
    project = rendered(**variant)
    questionnaire = releases.get(releases.DEVELOPMENT).questionnaire
    switches = questionnaire.derived(questionnaire.complete(variant))
    optional = {name for one in declared() if one.is_on(switches) for name in one.packages}
    # What is used otherwise than by an import of that name.
    used_by = {
        **{"fastapi-cli": "fastapi dev", "uvicorn": "uvicorn"},
        **{"aiosqlite": "sqlite+aiosqlite", "asyncmy": "mysql+asyncmy"},
    }
    depends = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]
    packages = {re.split(r"[\[><=~ ]", requirement)[0] for requirement in depends["dependencies"]}
    everything = "\n".join(
        text for path, text in texts(project).items() if path != "pyproject.toml"
    )

    assert packages == optional | ALWAYS
    for package in packages:
        assert used_by.get(package, package.replace("-", "_")) in everything, package
