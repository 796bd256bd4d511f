"""What the documents say is so."""

import re
import subprocess
from pathlib import Path

import pytest

from fastperf_new import releases
from fastperf_new.errors import Exit
from tests.conftest import ROOT

DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]


# What fetches a package by its name, and then ours. A folder, `.`, is none.
FETCHES = re.compile(
    r"(?<![\w-])(?:uvx|pipx|uv tool \w+|--with|--from|pip[0-9.]* (?:install|download|wheel)"
    r"|(?:uv|poetry|pdm|hatch|conda|pipenv) (?:add|install))\b(?! \.[ `),\n])[^`\n;|&]*"
    r"\bfastperf(?:[-_.]new)?\b(?![/.]\w)"
    r"|\binstall (?:the )?(?:newest |latest )?fastperf"
    r"|\bfastperf(?:[-_.]new)? ?(?:\[[\w, ]*\])? ?(?:==|>=|~=|@ )[ \w]",
    re.IGNORECASE,
)


def fetched(text: str) -> str:
    """Return what in a text would fetch a package of ours from an index; empty when nothing."""
    joined = re.sub(r"\\\n\s*|\"\s*\n\s*f?\"", " ", text)
    found = FETCHES.search(re.sub(" +", " ", joined))
    return found[0] if found else ""


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


NAME = "fastperf-" + "new"


@pytest.mark.parametrize(
    "line",
    [
        f"uvx --from {NAME} fastperf update",
        f"uvx {NAME} shop",
        f"uvx --from 'git+https://example.com/{NAME}' fastperf",
        f"pipx run {NAME} shop",
        f"pipx install {NAME}",
        f"uv tool install {NAME}",
        f"uv tool run --from {NAME} fastperf",
        f"uv run --with {NAME} fastperf update",
        f"pip install --upgrade {NAME}",
        f"python -m pip install -U \\\n    {NAME}",
        f"uv pip install {NAME}==1.0",
        f"uv add --dev {NAME}",
        f'run: ["uvx", "{NAME}"]',
        f'"pip install "\n    "{NAME}"',
        f'    "{NAME}>=0.6",',
        f"{NAME} @ git+https://example.com",
        f"install the newest {NAME}, or restore",
    ],
)
def test_a_line_that_would_fetch_the_command_is_found(line: str) -> None:
    assert fetched(f"a\n{line}\nb")
    assert fetched(f"a\n{line.replace(NAME, 'fastperf')}\nb")


@pytest.mark.parametrize(
    "line",
    [
        "Install the command with `pip install .` in the clone (or `uv tool install .`), then `fastperf new`:",
        "pip install . # then fastperf new shop",
        "- run: uvx zizmor --offline .github",
        "`fastperf update` comes from a clone of fastperf-new, as its README says.",
    ],
)
def test_a_line_that_fetches_nothing_of_ours_is_not(line: str) -> None:
    assert not fetched(f"a\n{line}\nb")


def test_no_file_fetches_the_command_from_an_index() -> None:
    """Nobody owns its name there: docs/decisions/0005."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for path in listed.stdout.rstrip("\0").split("\0"):
        ours = path.startswith("src/fastperf_new/releases/")
        if not ours and path != "tests/test_docs.py" and (ROOT / path).is_file():
            text = (ROOT / path).read_text("utf-8", errors="replace")
            assert not fetched(text), path


def test_the_address_and_the_install_line_are_one_setting() -> None:
    sources = [path for path in ROOT.glob("src/**/*.py") if path.name != "releases.py"]

    assert f"`{releases.INSTALL}`" in (ROOT / "README.md").read_text("utf-8")
    template = [path for path in ROOT.glob("template/**/*") if path.is_file()]
    for path in [*sources, ROOT / "copier.yml", *template]:
        text = path.read_text("utf-8", errors="replace")
        assert releases.ADDRESS not in text, path
        assert releases.INSTALL not in text, path
