"""The command as people type it: what it makes, asks, says and refuses."""

import itertools
import os
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
import yaml

from fastperf_new import create, releases
from fastperf_new.answers import FILE
from fastperf_new.errors import Exit, RefusedError
from fastperf_new.render import files
from tests.conftest import ROOT, Render
from tests.harness.support import FASTPERF, fastperf, next_commands

QUICK = ("--yes", "--no-install")


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path: (folder / path).read_bytes() for path in files(folder) if not path.startswith(".git/")
    }


# --- what is wrong --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (
            ["shop", "--preset", "standrad"],
            2,
            "preset cannot be 'standrad': did you mean 'standard'?",
        ),
        (
            ["shop", "-d", "exmaple=no"],
            2,
            "There is no question 'exmaple': did you mean 'example'?",
        ),
        (["shop", "-d", "ci=githb"], 2, "ci cannot be 'githb': did you mean 'github'?"),
        (["shop", "-d", "example=maybe"], 2, "example takes yes or no, not 'maybe'."),
        (["shop", "-d", "use_example=yes"], 2, "There is no question 'use_example'"),
        (["shop", "-d", "example"], 2, "'example' is not an answer: write it as key=value."),
        (
            ["shop", "-d", "ci=none", "-d", "ci=github"],
            2,
            "ci is given twice, with different values",
        ),
        (["shop", "--preset", "minimal", "-d", "preset=standard"], 2, "preset is given twice"),
        (["shop", "--answers", "missing.yml"], 2, "missing.yml cannot be read"),
        (["shop", "--release", "0.0.9"], 2, "There is no release '0.0.9'"),
        ([], 2, "name is missing: give it with -d name=..."),
        ([""], 2, "PATH is empty"),
        (["class"], 2, "name cannot be 'class': 'class' is a keyword of Python."),
        (["app"], 2, "name cannot be 'app': 'app' is taken"),
        ([".git"], 2, "name cannot be '.git': A name has"),
        (["a b"], 2, "name cannot be 'a b': A name has"),
        (["-d", "name=../x"], 2, "name cannot be '../x': A name has"),
        (["-d", "name="], 2, "name cannot be '': A name has"),
        (['a"b'], 2, "name cannot be 'a\"b': A name has"),
        (["{{7*7}}"], 2, "name cannot be '{{7*7}}': A name has"),
        (["shop", "-d", "description="], 2, "description cannot be '': A description is"),
        (["shop", "-d", "description=a\nb"], 2, "A description is one line"),
        (["full"], 3, "full is not empty: choose another place"),
        (["file"], 3, "file is a file: choose another place"),
        (["file/shop"], 3, "file is a file: choose another place"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else None,
)
def test_wrong_input_is_one_sentence_and_writes_nothing(
    tmp_path: Path, words: list[str], code: int, sentence: str
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    before = tree(tmp_path)

    done = fastperf("new", *words, *QUICK, cwd=tmp_path)

    assert done.returncode == code
    assert sentence in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    "content",
    [
        "- a\n",
        "a: [\n",
        "example: &x no\nci: *x\n",
        "example: true\nexample: false\n",
        "name: 7\n",
        "x: 2020-99-99\n",
        "x: !!int abc\n",
        "[" * 5000,
        'description: "\\ud800"\n',
        "1: a\n",
        "\x00",
        "",
    ],
)
def test_a_bad_answers_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "answers.yml").write_text(content)

    done = fastperf("new", "shop", "--answers", "answers.yml", *QUICK, cwd=tmp_path)

    assert done.returncode == Exit.WRONG_INPUT
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "shop").exists()


def test_without_a_terminal_it_does_not_ask(tmp_path: Path) -> None:
    done = fastperf("new", "shop", cwd=tmp_path)

    assert done.returncode == Exit.WRONG_INPUT
    assert "There is no terminal to ask at: add --yes" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_option_is_a_usage_error(tmp_path: Path) -> None:
    done = fastperf("new", "shop", "--yess", cwd=tmp_path)

    assert done.returncode == Exit.WRONG_INPUT
    assert "--yes" in done.stderr


# --- what is made ---------------------------------------------------------------------------


def test_new_makes_a_repository_with_one_commit(tmp_path: Path, rendered: Render) -> None:
    done = fastperf("new", "deep/er/shop", *QUICK, cwd=tmp_path)

    assert done.returncode == Exit.DONE
    assert tree(tmp_path / "deep/er/shop").keys() == tree(rendered(preset="standard")).keys()
    log = subprocess.run(
        ["git", "log", "--format=%s"],
        cwd=tmp_path / "deep/er/shop",
        capture_output=True,
        text=True,
        check=True,
    )
    assert log.stdout.startswith("New project from fastperf-new ")
    assert git_status(tmp_path / "deep/er/shop") == ""
    assert [path.name for path in (tmp_path / "deep/er").iterdir()] == ["shop"]
    commands = [command.split("/")[-1] for command in next_commands(done.stdout)]
    assert commands[1:] == ["uv sync", "alembic upgrade head", "fastapi dev", "pytest"]


def test_the_first_command_line_of_the_summary_makes_the_same_again(tmp_path: Path) -> None:
    given = [
        "--preset",
        "minimal",
        "-d",
        "ci=github",
        "-d",
        'description=it\'s $HOME "q" \\ 🚀 {% x %}',
    ]
    done = fastperf("new", "shop", *given, *QUICK, "--no-git", cwd=tmp_path)
    first = tree(tmp_path / "shop")
    (tmp_path / "shop").rename(tmp_path / "first")

    words = shlex.split(done.stdout.split("Again without questions:\n")[1].splitlines()[0])
    assert words[0] == "fastperf"
    fastperf(*words[1:], "--no-install", "--no-git", cwd=tmp_path)

    assert tree(tmp_path / "shop") == first


def test_a_dry_run_lists_the_files_and_writes_nothing(tmp_path: Path, rendered: Render) -> None:
    done = fastperf("new", "shop", *QUICK, "--dry-run", cwd=tmp_path)

    assert done.returncode == Exit.DONE
    listed = done.stdout.split("Would write:\n")[1].split()
    assert listed == files(rendered(preset="standard"))
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_goes_up_again_is_where_it_says(tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "README.md").write_text("precious\n")

    refused = fastperf("new", "missing/../../shop", *QUICK, "--no-git", cwd=shop)
    made = fastperf("new", "missing/../svc", *QUICK, "--no-git", cwd=shop)

    assert refused.returncode == Exit.NOT_READY
    assert made.returncode == Exit.DONE
    assert (shop / "README.md").read_text() == "precious\n"
    assert sorted(path.name for path in shop.iterdir()) == ["README.md", "svc"]


def test_a_failing_render_leaves_nothing_and_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.txt").write_text("mine\n")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(create, "render", fail)
    release = releases.get(releases.DEVELOPMENT)
    answers = release.questionnaire.complete({"name": "shop"})

    with pytest.raises(RefusedError, match="cannot be written: No space left"):
        create.new(tmp_path / "a/b/shop", release, answers, with_git=True, with_install=False)

    assert tree(tmp_path) == {"mine.txt": b"mine\n"}
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_without_git_nothing_is_made(tmp_path: Path) -> None:
    done = fastperf("new", "shop", *QUICK, cwd=tmp_path, env={"PATH": str(tmp_path)})

    assert done.returncode == Exit.NOT_READY
    assert "git is not installed" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_no_git_makes_no_repository(tmp_path: Path) -> None:
    fastperf("new", "shop", *QUICK, "--no-git", cwd=tmp_path)

    assert (tmp_path / "shop/app/main.py").exists()
    assert not (tmp_path / "shop/.git").exists()


def test_a_fresh_repository_is_a_fine_place(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    subprocess.run(["git", "init", "-q", folder], check=True)

    done = fastperf("new", ".", *QUICK, cwd=folder)

    assert done.returncode == Exit.DONE, done.stderr
    assert git_status(folder) == ""
    assert yaml.safe_load((folder / FILE).read_text("utf-8"))["name"] == "shop"


def test_inside_a_repository_it_becomes_part_of_it(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", "."], cwd=tmp_path, check=True)
    (tmp_path / ".gitignore").write_text("/ignored/\n")

    part = fastperf("new", "part", *QUICK, cwd=tmp_path)
    own = fastperf("new", "ignored/own", *QUICK, cwd=tmp_path)

    assert not (tmp_path / "part/.git").exists()
    assert git_status(tmp_path).split() == ["??", ".gitignore", "??", "part/"]
    assert git_status(tmp_path / "ignored/own") == ""
    assert (tmp_path / "ignored/own/.git").exists()
    told = f"It is part of the repository {tmp_path}, and not committed there.\n"
    assert told in part.stdout
    assert told not in own.stdout
    cd, *_, add, commit = next_commands(part.stdout)
    subprocess.run(["sh", "-ec", f"{cd}; {add}; {commit}"], cwd=tmp_path, check=True)
    assert git_status(tmp_path).split() == ["??", ".gitignore"]


def test_without_an_author_the_project_stays(tmp_path: Path) -> None:
    nobody = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "EMAIL": ""}
    words = ("new", "shop", *QUICK, "--release", releases.versions()[-1])
    done = fastperf(*words, cwd=tmp_path, env={**nobody, "GIT_AUTHOR_NAME": ""})

    assert done.returncode == Exit.DONE
    assert done.stderr == (
        "warning: There is no first commit:"
        " tell git who you are (git config --global user.name, and user.email).\n"
    )
    assert next_commands(done.stdout)[-2] == "git add -A ."
    assert (tmp_path / "shop/app/main.py").exists()


def test_answers_come_from_a_file_and_the_command_line_wins(tmp_path: Path) -> None:
    (tmp_path / "answers.yml").write_text("_commit: v0.0.1\nexample: false\nci: none\n")

    fastperf("new", "shop", "--answers", "answers.yml", "-d", "ci=github", *QUICK, cwd=tmp_path)

    answers = yaml.safe_load((tmp_path / "shop" / FILE).read_text("utf-8"))
    assert (answers["example"], answers["ci"]) == (False, "github")
    assert answers["_commit"] != "v0.0.1"


def test_fastperf_new_is_fastperf_new(tmp_path: Path) -> None:
    for program, folder in (([FASTPERF, "new"], "a"), ([FASTPERF.with_name("fastperf-new")], "b")):
        (tmp_path / folder).mkdir()
        subprocess.run(
            [*program, "shop", *QUICK, "--no-git"],
            cwd=tmp_path / folder,
            check=True,
            capture_output=True,
        )

    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    helps = [
        subprocess.run([*words, "--help"], capture_output=True, text=True, check=True).stdout.split(
            "Options:"
        )[1]
        for words in ([FASTPERF, "new"], [FASTPERF.with_name("fastperf-new")])
    ]
    assert helps[0] == helps[1]


def test_the_version_is_the_one_of_the_package(tmp_path: Path) -> None:
    told = fastperf("--version", cwd=tmp_path).stdout

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert told == f"fastperf-new {project['version']}\n"


def test_options_lists_every_question_and_choice(tmp_path: Path) -> None:
    listed = fastperf("options", cwd=tmp_path).stdout

    for question in releases.current().questionnaire:
        assert f"{question.key}\n  {question.help}" in listed
        for label in question.choices or {}:
            assert label in listed


def test_the_printed_defaults_are_those_of_new(tmp_path: Path) -> None:
    listed = fastperf("options", cwd=tmp_path).stdout

    cache = listed.split("\ncache\n")[1].split("Default: ")[1].splitlines()[0]
    assert cache == (
        "none in minimal, memory in standard with sqlite, none in standard with postgresql or mysql"
    )
    questionnaire = releases.current().questionnaire
    for preset, database in itertools.product(("minimal", "standard"), ("sqlite", "postgresql")):
        answers = questionnaire.complete({"name": "shop", "preset": preset, "database": database})
        where = f"{preset} with {database}" if preset == "standard" else preset
        assert f"{answers['cache']} in {where}" in cache


def test_the_servers_that_a_project_needs_come_before_what_asks_them(tmp_path: Path) -> None:
    for given, scripts in {
        "postgresql": ["postgresql.py", "redis.py"],
        "mysql": ["mysql.py", "redis.py"],
        "sqlite": ["redis.py"],
    }.items():
        answers = ("-d", f"database={given}", "-d", "cache=redis")
        done = fastperf("new", given, *QUICK, "--no-git", *answers, cwd=tmp_path)
        commands = next_commands(done.stdout)
        started = [f"python scripts/{script}" for script in scripts]
        (migrate,) = (number for number, line in enumerate(commands) if "alembic" in line)
        assert len(commands[2:migrate]) == len(started)
        for command, start in zip(commands[2:], started, strict=False):
            assert command.endswith(start)


def test_a_stopped_new_leaves_nothing(tmp_path: Path) -> None:
    started = subprocess.Popen(
        [FASTPERF, "new", "shop", *QUICK], cwd=tmp_path, stdout=subprocess.PIPE
    )
    assert started.stdout
    started.stdout.readline()  # the summary comes just before the render
    started.terminate()
    started.wait()

    assert started.returncode in (143, 0)
    if started.returncode == 143:
        assert list(tmp_path.iterdir()) == []


def git_status(folder: Path) -> str:
    return subprocess.run(
        ["git", "status", "--porcelain"], cwd=folder, capture_output=True, text=True, check=True
    ).stdout


# --- what is asked --------------------------------------------------------------------------


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator["pexpect.spawn[str]"]:
    child = pexpect.spawn(
        str(FASTPERF),
        ["new", "--no-install"],
        cwd=str(tmp_path),
        encoding="utf-8",
        timeout=60,
        dimensions=(50, 160),
    )
    yield child
    child.close(force=True)


def test_four_questions_are_enough(terminal: "pexpect.spawn[str]", tmp_path: Path) -> None:
    terminal.expect("Name of the project")
    terminal.sendline("tea-shop")
    terminal.expect("Where the other answers start from")
    terminal.send("\r")
    terminal.expect("Where does the data live")
    terminal.send("\r")
    terminal.expect("Customise the rest")
    terminal.send("\r")
    terminal.expect("fastperf new tea-shop --yes --preset standard")
    terminal.expect(pexpect.EOF)
    terminal.wait()

    assert terminal.exitstatus == 0
    answers = yaml.safe_load((tmp_path / "tea-shop" / FILE).read_text("utf-8"))
    assert answers["preset"] == "standard"


def test_the_rest_is_asked_on_demand(terminal: "pexpect.spawn[str]", tmp_path: Path) -> None:
    terminal.expect("Name of the project")
    terminal.send("Tea\r")
    terminal.expect("A name has lower-case letters")
    terminal.send("\x15tea\r")
    terminal.expect("Where the other answers start from")
    terminal.send("\x1b[A\r")  # up: standard is the default
    terminal.expect("Where does the data live")
    terminal.send("\r")
    terminal.expect("Customise the rest")
    terminal.send("y")
    terminal.expect("What the service does")
    terminal.send("\x15Sells tea.\r")
    terminal.expect("Include the example feature")
    terminal.send("n")
    terminal.expect("Where are answers kept")
    terminal.send("\x1b[B\r")  # down: none is the default here
    terminal.expect("Is there work that outlasts")
    terminal.send("\x1b[B\r")
    terminal.expect("What carries jobs")
    terminal.send("\r")
    terminal.expect("Does it call other services")
    terminal.send("y")
    terminal.expect("Does it compute for long")
    terminal.send("n")
    terminal.expect("Compress answers")
    terminal.send("y")
    terminal.expect("Serve Prometheus metrics")
    terminal.send("n")
    terminal.expect("Which server runs it in production")
    terminal.send("\x1b[B\r")  # down: uvicorn is the default
    terminal.expect("What is the service shipped as")
    terminal.send("\r")
    terminal.expect("Which service checks every push")
    terminal.send("\r")
    terminal.expect(pexpect.EOF)
    terminal.wait()

    answers = yaml.safe_load((tmp_path / "tea" / FILE).read_text("utf-8"))
    del answers["_commit"], answers["_src_path"]
    assert answers == {
        "name": "tea",
        "description": "Sells tea.",
        "preset": "minimal",
        "database": "sqlite",
        "example": False,
        "cache": "memory",
        "tasks": "celery",
        "broker": "redis",
        "outbound": True,
        "process_pool": False,
        "compression": True,
        "metrics": False,
        "server": "gunicorn",
        "deployment": "none",
        "ci": "none",
    }


def test_esc_enter_at_a_list_takes_the_choice(
    terminal: "pexpect.spawn[str]", tmp_path: Path
) -> None:
    terminal.expect("Name of the project")
    terminal.sendline("tea")
    for question in ("Where the other answers start from", "Where does the data live", "Customise"):
        terminal.expect(question)
        terminal.send("\x1b\r")
    terminal.expect("fastperf new tea --yes --preset standard")
    terminal.expect(pexpect.EOF)
    terminal.wait()

    assert terminal.exitstatus == 0
    answers = yaml.safe_load((tmp_path / "tea" / FILE).read_text("utf-8"))
    assert (answers["preset"], answers["database"]) == ("standard", "sqlite")


def test_ctrl_c_makes_nothing(terminal: "pexpect.spawn[str]", tmp_path: Path) -> None:
    terminal.expect("Name of the project")
    terminal.sendcontrol("c")
    terminal.expect("Nothing was made")
    terminal.expect(pexpect.EOF)
    terminal.wait()

    assert terminal.exitstatus == Exit.STOPPED
    assert list(tmp_path.iterdir()) == []


# --- how fast it is -------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["--help"], ["new", "--help"], ["update", "--help"]])
def test_help_does_not_wait_for_copier(words: list[str]) -> None:
    code = "import sys; from fastperf_new.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code, *words],
        capture_output=True,
        text=True,
        check=False,
    )

    assert "Usage:" in done.stdout
    imported = {
        line.rsplit("|", 1)[1].strip().split(".")[0]
        for line in done.stderr.splitlines()
        if "|" in line
    }
    assert "typer" in imported
    assert not imported & {"copier", "questionary", "prompt_toolkit", "jinja2", "yaml", "plumbum"}
