"""What the command says when it refuses, followed to the letter, leads to a working project."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fastperf_new import releases
from fastperf_new.answers import FILE
from fastperf_new.errors import Exit
from tests.conftest import ROOT
from tests.harness.support import FASTPERF, Project, fastperf

Make = Callable[..., Project]
RELEASE = "0.6.0"


def follow(project: Project, sentence: str) -> None:
    """Do what a refusal says, whose commands stand as they are typed."""
    found = re.findall(
        r"(?:git|fastperf) (?:init|add -A|commit|reset|restore|stash|change|update)[^,:;.)]*",
        sentence,
    )
    commands = [part for command in found for part in re.split(r" and (?=git |fastperf )", command)]
    assert commands, sentence
    for command in commands:
        for one in re.split(r" or (?=fastperf )", command)[:1]:
            words = shlex.split(re.split(r" (?:or|and|there|which|first|with|here)\b", one)[0])
            if words[:2] == ["git", "commit"]:
                words += ["-m", "as told"]
            program = [FASTPERF] if words[0] == "fastperf" else ["git"]
            subprocess.run(
                [*program, *words[1:]], cwd=project.folder, check=True, capture_output=True
            )


def dirty(project: Project) -> None:
    project.write("notes.txt", "mine\n")


def no_repository(project: Project) -> None:
    shutil.rmtree(project.folder / ".git")


def contradiction(project: Project) -> None:
    project.replace(FILE, "outbound: false", "outbound: true")
    project.commit()


def uncommitted_update(project: Project) -> None:
    project.run("change", "compression=no")


@pytest.mark.parametrize(
    "spoil",
    [dirty, no_repository, contradiction, uncommitted_update],
)
def test_what_a_refusal_says_leads_to_the_change(
    make_project: Make, spoil: Callable[[Project], None]
) -> None:
    project = make_project(RELEASE)
    spoil(project)
    refused = project.run("change", "process_pool=yes")
    assert refused.returncode == Exit.NOT_READY, refused.stdout

    follow(project, refused.stderr)
    if project.git("status", "--porcelain"):
        project.commit()

    done = project.run("change", "process_pool=yes")
    assert done.returncode == Exit.DONE, done.stderr
    assert (project.folder / "app/process_pool.py").exists()


def test_an_update_that_is_in_is_taken_back_as_it_says(make_project: Make) -> None:
    project = make_project(RELEASE)
    before = project.git("rev-parse", "HEAD^{tree}")
    uncommitted_update(project)

    refused = project.run("update", "--abort")

    follow(project, refused.stderr.partition("take it back with")[2])
    assert project.git("status", "--porcelain") == ""
    assert project.git("rev-parse", "HEAD^{tree}") == before


# --- tracebacks -----------------------------------------------------------------------------


def test_a_broken_configuration_is_one_sentence(make_project: Make, tmp_path: Path) -> None:
    project = make_project(RELEASE)
    (tmp_path / "gitconfig").write_text("[user\n")

    for words in (["update"], ["change", "ci=none"], ["update", "--abort"], ["status"]):
        done = fastperf(
            *words, cwd=project.folder, env={"GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig")}
        )
        assert done.returncode == Exit.FAILED, words
        assert "bad config line 1" in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "value",
    ["!!int ''", "!!float x", "!!bool x", "!!timestamp x", "!!binary x", "0x", "!!set [a]", "1:99"],
)
def test_odd_yaml_is_one_sentence(make_project: Make, value: str) -> None:
    project = make_project(RELEASE)
    project.write(FILE, project.read(FILE).replace("example: true", f"example: {value}"))
    project.commit()

    for words in (["status"], ["update"], ["change", "ci=none"]):
        done = project.run(*words)
        assert "Traceback" not in done.stderr
        assert done.stderr.count("\n") <= 1
        if words != ["status"]:
            assert done.returncode == Exit.NOT_READY or "already" in done.stdout


def test_an_old_git_is_one_sentence(make_project: Make, tmp_path: Path) -> None:
    project = make_project(RELEASE)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/git").write_text(
        '#!/bin/sh\ncase "$*" in *version*) echo git version 2.34.1;; *) exit 129;; esac\n'
    )
    (tmp_path / "bin/git").chmod(0o755)

    for words in (["update"], ["change", "ci=none"], ["update", "--continue"]):
        done = fastperf(*words, cwd=project.folder, env={"PATH": str(tmp_path / "bin")})
        assert done.returncode == Exit.NOT_READY
        assert done.stderr == (
            "error: git 2.34.1 is too old: fastperf needs 2.38 or newer."
            " Install a newer git, then try again.\n"
        )


def test_nothing_of_an_answers_file_reaches_the_terminal_raw(make_project: Make) -> None:
    project = make_project(RELEASE)
    evil = r'"\e[31m\nerror: forged\u202e"'
    for old, new in (
        ("description: A FastAPI service.", f"description: {evil}"),
        ("_commit: v0.6.0", f"_commit: {evil}"),
        ("name: shop", f"name: shop\n{evil}: {evil}"),
    ):
        before = project.read(FILE)
        project.write(FILE, before.replace(old, new))
        for words in (
            ["status"],
            ["update"],
            ["change", "ci=none"],
            ["change", "name=a", "--dry-run"],
        ):
            done = project.run(*words)
            for printed in (done.stdout, done.stderr):
                assert "\x1b" not in printed
                assert "\u202e" not in printed
                assert not printed.startswith("error: forged")
                assert "\nerror: forged" not in printed
        project.write(FILE, before)


# --- signals at the end ---------------------------------------------------------------------

SIGNALLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from fastperf_new import apply
finish = apply._finish
def late(repo):
    os.kill(os.getpid(), signal.SIGINT)
    finish(repo)
apply._finish = late
sys.argv = ["fastperf", "change", "example=no"]
from fastperf_new.cli import main
main()
"""


def test_a_signal_once_all_is_in_is_too_late(make_project: Make) -> None:
    project = make_project(RELEASE)

    done = subprocess.run(
        [sys.executable, "-c", SIGNALLED, str(ROOT)],
        cwd=project.folder,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )

    assert done.returncode == Exit.DONE, done.stderr
    assert done.stdout.startswith("Changed example to no: ")
    assert not (project.folder / ".git/fastperf").exists()


# --- from every release ---------------------------------------------------------------------


@pytest.mark.parametrize("version", releases.versions()[:-1])
def test_an_update_from_each_release_keeps_every_edit(make_project: Make, version: str) -> None:
    """Each release brings its own files; what its user did is the same."""
    project = make_project(version)
    project.replace("app/main.py", "from app import ", "from app import mine, ") if (
        "from app import " in project.read("app/main.py")
    ) else project.write("app/main.py", "import app.mine\n" + project.read("app/main.py"))
    project.write("app/mine.py", '"""Mine."""\n')
    project.write(
        "app/items/routes.py", project.read("app/items/routes.py") + "\n\n# mine, below\n"
    )
    project.write("README.md", project.read("README.md") + "\nMine.\n")
    project.git("rm", "-q", "tests/items/test_items.py")
    project.commit("my work")

    done = project.run("update")

    assert done.returncode in (Exit.DONE, Exit.CONFLICTS), done.stderr
    assert project.version() == f"v{releases.versions()[-1]}"
    assert "mine" in project.read("app/main.py")
    assert project.read("app/mine.py") == '"""Mine."""\n'
    assert "# mine, below\n" in project.read("app/items/routes.py")
    assert "\nMine.\n" in project.read("README.md")
    assert not (project.folder / "tests/items/test_items.py").exists()
    assert os.path.lexists(project.folder / FILE)
    if done.returncode == Exit.DONE:
        assert "<<<<<<<" not in project.read("app/main.py")
