"""A render depends on the release and the answers, and on nothing else."""

import json
import os
import re
import subprocess
import sys
import tomllib
import unicodedata
from pathlib import Path

import pytest
import yaml
from jinja2 import StrictUndefined
from jinja2.sandbox import SandboxedEnvironment
from pytest_copie.plugin import Copie

from fastperf_new import releases
from fastperf_new.answers import FILE
from fastperf_new.questions import Answer
from fastperf_new.render import files, render
from tests.conftest import ROOT, Render
from tests.harness.support import Environment, name_of, variants

HARD = 'it\'s "quoted" \\ and \\" {{ 7*7 }} {% if %} {# 🚀 #} *b* _i_ <b> 1. $x$ é ~s~'


def contents(folder: Path) -> dict[str, bytes]:
    return {path: (folder / path).read_bytes() for path in files(folder)}


def without_origin(tree: dict[str, bytes]) -> dict[str, object]:
    """Drop where a render came from; what was answered stays."""
    answers = yaml.safe_load(tree[FILE])
    return {**tree, FILE: {key: answers[key] for key in answers if not key.startswith("_")}}


@pytest.mark.parametrize("variant", variants(), ids=name_of)
def test_plain_copier_renders_the_same(
    copie: Copie, rendered: Render, variant: dict[str, Answer]
) -> None:
    result = copie.copy(extra_answers=variant)

    assert result.exception is None
    assert result.project_dir
    assert without_origin(contents(result.project_dir)) == without_origin(
        contents(rendered(**variant))
    )


def test_a_second_render_is_the_same_to_the_byte(rendered: Render, tmp_path: Path) -> None:
    release = releases.get(releases.DEVELOPMENT)
    render(release, release.questionnaire.complete({"name": "shop"}), tmp_path / "again")

    assert contents(tmp_path / "again") == contents(rendered(preset="standard"))


def test_the_machine_has_no_say(rendered: Render, tmp_path: Path) -> None:
    settings = tmp_path / "settings.yml"
    settings.write_text("defaults: {description: From the user's settings., example: false}\n")
    poisoned = tmp_path / "bin"
    poisoned.mkdir()
    for program in ("git", "uv"):
        (poisoned / program).write_text("#!/bin/sh\ntouch $0.was-called\nexit 1\n")
        (poisoned / program).chmod(0o755)

    code = (
        "import sys, pathlib; from fastperf_new import releases, render;"
        "release = releases.get('development');"
        "answers = release.questionnaire.complete({'name': 'shop'});"
        f"render.render(release, answers, pathlib.Path({str(tmp_path / 'render')!r}))"
    )
    environment = {
        **os.environ,
        "PATH": str(poisoned),
        "COPIER_SETTINGS_PATH": str(settings),
        "GIT_DIR": str(tmp_path / "nowhere"),
        "HOME": str(tmp_path / "home"),
    }
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)

    assert contents(tmp_path / "render") == contents(rendered(preset="standard"))
    assert not list(poisoned.glob("*.was-called"))


def test_a_template_that_would_run_code_is_refused(tmp_path: Path) -> None:
    (tmp_path / "template").mkdir()
    (tmp_path / "template" / f"{FILE}.jinja").write_text("{{ _copier_answers | to_nice_yaml }}")
    (tmp_path / "copier.yml").write_text(
        f"_subdirectory: template\n_tasks: ['touch {tmp_path}/pwned']\nname: {{type: str}}\n"
    )
    release = releases.Release("9.9.9", releases.pack(tmp_path))

    with pytest.raises(Exception, match="trust"):
        render(release, {"name": "shop"}, tmp_path / "render")

    assert not (tmp_path / "pwned").exists()


def test_a_hard_description_comes_out_right(rendered: Render, environment: Environment) -> None:
    project = rendered(description=HARD)

    pyproject = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))
    assert pyproject["project"]["description"] == HARD
    printed = environment.run(
        "python",
        "-c",
        "import json, app.main as m; print(json.dumps(m.app.description))",
        cwd=project,
    )
    assert json.loads(printed.stdout) == HARD
    answers = yaml.safe_load((project / FILE).read_text("utf-8"))
    assert answers["description"] == HARD
    assert to_text((project / "README.md").read_text("utf-8").split("\n\n")[1]) == HARD
    for check in (["ruff", "check"], ["ruff", "format", "--check"]):
        environment.run(*check, cwd=project)


INTERNATIONAL = [
    "Это сервис в России, о а с.",
    "Η υπηρεσία α ο ν.",
    "数据服务，很快（真的）！",
    "サービス　です。",
    "שירות מהיר",
    "خدمة سريعة می\u200cخواهم",
    "सेवा क्\u200dष",
    "It’s “fast” – 3 × 4 … l'été à 5\u202f€ · º",
    "👩\u200d💻 👍🏽 ❤️ 🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f 🇫🇷",
    "\u0301combining e\u0301 ﬁ ½ ∕ ‐ ı",
    "  ASCII, 'quoted' \"twice\", with spaces around  ",
    "    # noqa: RUF001",
]


@pytest.mark.parametrize("text", INTERNATIONAL, ids=ascii)
def test_ordinary_text_of_any_language_passes_ruff(rendered: Render, text: str) -> None:
    project = rendered(preset="minimal", description=text)

    assert_lints(project)
    pyproject = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))
    assert pyproject["project"]["description"] == text
    assert to_text((project / "README.md").read_text("utf-8").split("\n\n")[1]) == text.strip()
    assert yaml.safe_load((project / FILE).read_text("utf-8"))["description"] == text


def test_every_odd_character_that_is_accepted_passes_ruff(rendered: Render) -> None:
    """Controls, formats, separators, and what is no character."""
    question = releases.get(releases.DEVELOPMENT).questionnaire["description"]
    odd = [
        character
        for character in map(chr, range(0x110000))
        if unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp", "Zs")
        or character in "\ufffc\ufffd\ufffe\uffff\U0010ffff"
    ]
    accepted = [one for one in odd if not question.complaint(f"a{one}b", {})]

    assert len(accepted) > len(odd) / 2
    for start in range(0, len(accepted), 150):
        several = "".join(accepted[start : start + 150])
        assert_lints(rendered(preset="minimal", description=f"a{several}"))


def assert_lints(project: Path) -> None:
    for words in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [Path(sys.executable).with_name("ruff"), *words, "--no-cache"],
            cwd=project,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("text", ["- a", "1. a", "1) a", "# a", "> a", "=", "---", "+ a", "```"])
def test_a_description_never_becomes_a_list_or_a_heading(rendered: Render, text: str) -> None:
    readme = (rendered(description=text) / "README.md").read_text("utf-8")

    assert to_text(readme.split("\n\n")[1]) == text


def to_text(markdown: str) -> str:
    """Return what a Markdown paragraph shows; fail on anything but a paragraph of plain text."""
    from markdown_it import MarkdownIt  # noqa: PLC0415

    opening, inline, closing = MarkdownIt().parse(markdown)
    assert (opening.type, closing.type) == ("paragraph_open", "paragraph_close")
    assert {child.type for child in inline.children or []} <= {"text", "text_special"}
    return "".join(child.content for child in inline.children or [])


def test_the_template_ships_nothing_that_its_gitignore_ignores(
    rendered: Render, tmp_path: Path
) -> None:
    for variant in variants():
        project = rendered(**variant)
        subprocess.run(["git", "init", "-q", tmp_path / "repository"], check=True)
        done = subprocess.run(
            [
                "git",
                "--git-dir",
                tmp_path / "repository/.git",
                "--work-tree",
                project,
                "ls-files",
                "--others",
                "--ignored",
                "--exclude-standard",
            ],
            cwd=project,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == ""


def test_only_derived_switches_are_tested() -> None:
    """A value given for a skipped question drives a render without being recorded."""
    questionnaire = releases.get(releases.DEVELOPMENT).questionnaire
    hidden = {question.key for question in questionnaire.all if question.hidden}

    for path in (ROOT / "template").rglob("*.jinja"):
        for condition in re.findall(
            r"\{%[-+]? *(?:if|elif) (.*?) *[-+]?%\}", path.read_text("utf-8")
        ):
            assert set(re.findall(r"[a-z_]+", condition)) <= hidden | {"not", "and", "or"}, path


def test_python_in_jinja_stays_readable() -> None:
    """Few files, few statements, none inside another."""
    counts = {}
    for path in (ROOT / "template").rglob("*.py.jinja"):
        statements = re.findall(r"{%-? *(end)?(if|for|set)\b", path.read_text("utf-8"))
        assert [end for end, _ in statements[::2]] == [""] * (len(statements) // 2), path
        assert [end for end, _ in statements[1::2]] == ["end"] * (len(statements) // 2), path
        if statements:
            counts[path.name] = len(statements) // 2
    assert counts.keys() == {
        "main.py.jinja",
        "conftest.py.jinja",
        "__init__.py.jinja",
    }
    assert max(counts.values()) <= 8


def test_every_file_of_the_wiring_can_join(rendered: Render) -> None:
    """A file that the list in copier.yml forgets would never be called."""
    joined = set()
    for variant in variants():
        project = rendered(**variant)
        main = (project / "app/main.py").read_text("utf-8")
        names = {path.stem for path in (project / "app/wiring").glob("[!_]*.py")}
        assert names == set(re.findall(r"    add_(\w+)\(app, companions\)", main))
        joined |= names
    assert joined == {path.stem for path in (ROOT / "template/app/wiring").glob("[!_]*.py")}


def test_a_switch_that_an_older_release_does_not_know_leaves_nothing_out() -> None:
    """`copier update` renders the old release with the new table."""
    table = yaml.safe_load((ROOT / "copier.yml").read_text("utf-8"))["_exclude"]
    rows = [row for row in table if "{%" in row]

    assert rows
    for row in rows:
        assert SandboxedEnvironment(undefined=StrictUndefined).from_string(row).render() == ""
