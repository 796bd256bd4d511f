"""What the documents say is so."""

import re
from pathlib import Path

import pytest

from fastperf_new import releases
from fastperf_new.errors import Exit
from tests.conftest import ROOT

DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]


def rows(document: str, heading: str) -> list[list[str]]:
    """Return the cells of the table whose first line begins with a heading."""
    text = (ROOT / document).read_text("utf-8")
    table = text[text.index(f"| {heading} |") :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", document.read_text("utf-8")):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def test_the_presets_are_those_of_the_readme() -> None:
    told = [re.sub("`", "", row[0]) for row in rows("README.md", "preset")]

    assert told == releases.get(releases.DEVELOPMENT).questionnaire["preset"].values


def test_the_exit_codes_are_those_of_the_readme() -> None:
    assert [int(row[0]) for row in rows("README.md", "exit code")] == [int(code) for code in Exit]


def test_the_questions_on_offer_are_those_of_the_decision() -> None:
    offered = []
    for names, _, state in rows("docs/decisions/0006-questions.md", "question"):
        if state == "yes":
            offered += re.findall(r"`(\w+)`", names)

    assert offered == [
        question.key for question in releases.get(releases.DEVELOPMENT).questionnaire
    ]


def test_the_change_log_has_every_release() -> None:
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    sections = re.findall(r"^## \[(.+?)\]", text, re.MULTILINE)

    assert sections == ["Unreleased", *reversed(releases.versions())]


def test_nothing_of_this_machine_is_in_the_repository() -> None:
    for path in [*DOCUMENTS, *ROOT.glob("src/**/*.py"), *ROOT.glob("template/**/*")]:
        if path.is_file() and "cache" not in str(path):
            assert str(ROOT) not in path.read_text("utf-8", errors="replace"), path
